// Forward and backpropagation, in buffers that are made once. The readable twin is
// src/fallline/engines/reference.py. A batch is worked off in pieces of up to `piece_rows(layers)` rows, so memory does
// not grow with the batch, and a step over many rows can be left and taken up again.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "core/layout.hpp"

namespace fallline {

// Rows in a piece: fixed for a network, so that its sums are. As many as can be worked off without keeping the loop
// waiting (some 3 GFLOP), but enough to keep the kernels busy.
int64_t piece_rows(const std::vector<Layer>& layers);

// A batch. Rows of X lie n_in apart, rows of Y n_targets apart.
template <class T>
struct Batch {
  int64_t n;
  const T* X;
  const T* Y;
  const T* weight;
  int64_t n_targets;
  double weight_sum;
};

template <class T>
double sum_of_weights(const T* weight, int64_t n) {
  double sum = 0;
  for (int64_t r = 0; r < n; ++r) sum += static_cast<double>(weight[r]);
  return sum;
}

// Which dropout masks a step draws.
struct DropoutKey {
  uint64_t seed;
  int64_t step, start;
};

template <class T>
class Network {
 public:
  // Buffers for up to `capacity` rows at a time; those of backpropagation only where it will be asked for.
  Network(const std::vector<Layer>& layers, int64_t capacity, bool backpropagates);

  const Layout<T>& layout() const { return layout_; }

  // A of every layer for n rows X, from packed parameters.
  void forward(const T* parameters, const T* X, int64_t n);
  // Row r of the last layer's A.
  const T* output(int64_t r) const { return A_.back().data() + r * width_.back(); }
  // What rows `first .. first + n` of a batch, just gone forward, add to the batch's loss.
  double loss(const Loss& loss, const Batch<T>& batch, int64_t first, int64_t n);
  // The same after a forward pass, with dropout if a key is given; and what they add to the batch's gradient, packed.
  double gradient(const T* parameters, const Loss& loss, const Batch<T>& batch, int64_t first, int64_t n,
                  const DropoutKey* key, T* gradient);

 private:
  void forward(const T* parameters, const T* X, int64_t n, int64_t first, const DropoutKey* key);
  double last_layer(const Loss& loss, const Batch<T>& batch, int64_t first, int64_t n, bool with_gradient);
  void backward(const T* parameters, const T* X, int64_t n, T* gradient);
  void draw_mask(std::size_t l, int64_t n, int64_t first, const DropoutKey& key);

  const std::vector<Layer> layers_;
  const Layout<T> layout_;
  const Kernels<T>& kernels_;
  std::vector<int64_t> width_;             // columns of layer l with padding
  std::vector<Buffer<T>> Z_, A_, dZ_;      // (capacity, width[l])
  std::vector<Buffer<T>> mask_, dropped_;  // where layer l drops neurons: its mask, and A * mask
  bool masked_ = false;                    // whether the last forward pass dropped neurons
  Buffer<T> Wt_;                           // one layer's transposed weights
};

}  // namespace fallline

// Forward and backpropagation of one batch, in buffers that are made once. The readable twin is
// src/fallline/engines/reference.py.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "core/layout.hpp"

namespace fallline {

// A batch. Rows of X lie n_in apart, rows of Y n_targets apart.
template <class T>
struct Batch {
  int64_t n;
  const T* X;
  const T* Y;
  const T* weight;
  int64_t n_targets;
};

// Which dropout masks a step draws.
struct DropoutKey {
  uint64_t seed;
  int64_t step, start;
};

template <class T>
class Network {
 public:
  // Buffers for batches of up to `capacity` rows; those of backpropagation only where it will be asked for.
  Network(const std::vector<Layer>& layers, int64_t capacity, bool backpropagates);

  const Layout<T>& layout() const { return layout_; }

  // A of every layer, from packed parameters. Masks are drawn where a key is given and a layer drops neurons.
  void forward(const T* parameters, const T* X, int64_t n, const DropoutKey* key = nullptr);
  // Row r of the last layer's A.
  const T* output(int64_t r) const { return A_.back().data() + r * width_.back(); }
  // Weighted sum over the rows of the loss after a forward pass, divided by the weight's sum.
  double loss(const Loss& loss, const Batch<T>& batch);
  // Forward, loss, and its packed gradient.
  double gradient(const T* parameters, const Loss& loss, const Batch<T>& batch, const DropoutKey* key, T* gradient);

 private:
  double last_layer(const Loss& loss, const Batch<T>& batch, bool with_gradient);
  void backward(const T* parameters, const T* X, int64_t n, T* gradient);
  void draw_mask(std::size_t l, int64_t n, const DropoutKey& key);

  const std::vector<Layer> layers_;
  const Layout<T> layout_;
  const Kernels<T>& kernels_;
  std::vector<int64_t> width_;                // columns of layer l with padding
  std::vector<Buffer<T>> Z_, A_, dZ_;         // (capacity, width[l])
  std::vector<Buffer<T>> mask_, dropped_;     // where layer l drops neurons: its mask, and A * mask
  bool masked_ = false;                       // whether the last forward pass dropped neurons
  Buffer<T> Wt_, log_sum_;                    // one layer's transposed weights; (capacity,)
};

}  // namespace fallline

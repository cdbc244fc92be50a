// Forward and backpropagation for a piece of a batch, in buffers that are made once. The readable twin is
// src/fallline/engines/reference.py.
//
// Rows do not depend on each other until the gradient is summed over them. So threads share out the rows: each takes
// its own from the data, goes forward with them to the loss and back to the dZ of every layer; then they wait for each
// other, and share out the weights: each sums up the gradient of its own, and may take the step at once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/buffer.hpp"
#include "core/inputs.hpp"
#include "core/layout.hpp"

namespace fallline {

// Rows of the data, in the order in which they are visited: the r-th of n is order[r], or r itself where order is null.
// Each has its weight; null where nothing is measured.
template <class T>
struct Visit {
  const Data<T>* data;
  int64_t n;
  const int64_t* order;
  const T* weight;

  int64_t row(int64_t r) const { return order ? order[r] : r; }
};

// All rows of the data, as they come.
template <class T>
Visit<T> in_order(const Data<T>& data) {
  return {&data, data.n, nullptr, data.weight};
}

// Which dropout masks a step draws.
struct DropoutKey {
  uint64_t seed;
  int64_t step, start;
};

// Rows, columns or panels first to end; of n, part `part` of `parts`.
struct Part {
  Part(int64_t from, int64_t to) : first(from), end(to) {}
  Part(int64_t n, int part, int parts) : first(n * part / parts), end(n * (part + 1) / parts) {}
  int64_t first, end;
  int64_t n() const { return end - first; }
};

// A start's parameters and moments, packed; m and v are null where the rule has none.
template <class T>
struct Parameters {
  T *theta, *m, *v;
};

template <class T>
class Network {
 public:
  enum class Use { predict, measure, train };

  // Buffers for up to `capacity` rows at a time, worked off by up to `threads` threads. Neurons are dropped only where
  // this trains. A network that predicts needs no loss.
  Network(const Shape& shape, int64_t capacity, Use use, int threads, const Loss& loss = {}, int64_t n_targets = 0,
          bool bf16 = false);

  const Layout<T>& layout() const { return layout_; }

  // Copies n rows of the data, from visit `from` on, to rows `first`, `first` + 1, ...; whether all of X is finite, and
  // its codes are some. Those that this thread takes next, from visit `then` on, if there are any, are brought nearer
  // meanwhile.
  bool take(const Visit<T>& visit, int64_t from, int64_t first, int64_t n, int64_t then);
  // Their shares of the batch: each one's weight times `per_weight`.
  void weigh(const Visit<T>& visit, int64_t from, int64_t first, int64_t n, double per_weight);
  // Those rows forward. Dropout masks are drawn for rows `of_batch`, `of_batch` + 1, ... of the batch.
  void forward(const T* parameters, int64_t first, int64_t n, int thread, const DropoutKey& key = {},
               int64_t of_batch = 0);
  // The same in three steps: what the first layer takes, its Z and A, and what follows from them. Threads may share out
  // the first layer's columns instead of rows, and had better where it `divides_first` for n rows.
  bool divides_first(int64_t n, int threads) const;
  Part columns_of_first(int part, int parts) const;
  void forward_inputs(const T* parameters, int64_t first, int64_t n);
  void forward_first(const T* parameters, Part rows, Part columns, int thread);
  void forward_from_first(const T* parameters, int64_t first, int64_t n, int thread, const DropoutKey& key,
                          int64_t of_batch);
  // The same in two halves, for many networks that differ in a plane: Z of the first layer, and what follows from it.
  Panels<T> first_Z() const { return values_.front().Z; }
  void forward_to_first_Z(const T* parameters, int64_t first, int64_t n, int thread);
  void forward_from_first_Z(const T* parameters, int64_t first, int64_t n, int thread);
  // Their losses, and dZ of the last layer where this trains.
  void loss(int64_t first, int64_t n, int thread);
  // dZ of the layers before, and dX for the inputs.
  void back(const T* parameters, int64_t first, int64_t n, int thread);

  // This thread's part of the gradient of rows 0 to n, packed.
  void gradient(const T* parameters, int64_t n, int part, int parts, T* gradient);
  // This thread's part of the step against that gradient; `gradient` is room that may be written to, and afterwards has
  // that of the biases. `squares`, which may be null, has `n_squares` numbers, zero at first, and gets the sums of
  // squares of the weights' gradient.
  void descend(Rule rule, const StepArgs<T>& step, int64_t n, int part, int parts, const Parameters<T>& at, T* gradient,
               double* squares);
  int64_t n_squares() const;

  // Sum over rows 0 to n of each one's share times its loss, in their order.
  double loss_sum(int64_t n) const;
  // Copies the last layer's A of n rows to A (n, n_out).
  void read_output(int64_t first, int64_t n, T* A) const;

 private:
  struct Values {
    Panels<T> Z, A, dZ, mask, dropped;  // (capacity, n_out); at is null where there is none
  };
  Panels<T> room(int64_t columns);
  Panels<const T> input(std::size_t l) const;   // what layer l takes
  Activate<T> activation(std::size_t l) const;  // elementwise, where the loss does not see to it
  Part all_columns(std::size_t l) const;
  void forward_layer(std::size_t l, const T* parameters, Part rows, Part columns, int thread, Activate<T> activate);
  void draw_mask(std::size_t l, int64_t first, int64_t n, const DropoutKey& key, int64_t of_batch);
  const Products<T>& products(std::size_t l) const;
  Gradient<T> gradient_call(std::size_t l, int64_t n, int part, int parts, T* gradient);
  Part input_units(int part, int parts) const;

  const std::vector<Layer> layers_;
  const int64_t n_in_;              // columns of X
  const double rate_, scale_rate_;  // of the inputs
  const Layout<T> layout_;
  const Kernels<T>& kernels_;
  const bool bf16_;
  const int64_t stride_;  // from panel to panel
  const Use use_;
  const Loss loss_;
  const int64_t n_targets_;
  std::vector<Buffer<T>> rooms_;
  std::optional<InputStage<T>> inputs_;
  Panels<T> X_, dX_;  // dX_.at is null where there are no inputs to learn
  std::vector<Values> values_;
  Buffer<T> Y_, share_, losses_;
  Buffer<double> exact_share_;
  Buffer<T> quantiles_;
  std::vector<Buffer<T>> scratch_;  // for each thread
};

}  // namespace fallline

// What stands before the first layer, for a piece of a batch: numbers and periodic functions of them, rows of tables,
// all times a scale. The readable twin is src/fallline/inputs.py.
//
// Here a column lies together, its rows one after the other; the first layer takes panels. Columns do not depend on
// each other, so threads that sum up the gradient share out the units of the layout.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "core/layout.hpp"

namespace fallline {

template <class T>
class InputStage {
 public:
  // Buffers for up to `capacity` rows, worked off by up to `threads` threads; `trains`: gradients will be asked for.
  InputStage(const Inputs& inputs, const Layout<T>& layout, int64_t capacity, bool trains, int threads);

  // Row r of n, at rows[r], becomes row first + r; whether its numbers are finite and its codes have a row in their
  // table.
  bool take(int64_t first, int64_t n, const T* const* rows);
  // What the first layer takes of rows first to first + n.
  void forward(const T* parameters, int64_t first, int64_t n, Panels<T> X);

  // From dX, the gradient for what the first layer took of rows 0 to n, follows that of the parameters of units first
  // to end. It replaces what `gradient` holds there.
  void gradient(const T* parameters, int64_t n, Panels<const T> dX, int64_t first, int64_t end, int thread,
                T* gradient);

 private:
  Periodic<T> column(const PackedInput& unit, const T* parameters, int64_t first, int64_t n, T* e);

  const Inputs inputs_;
  const std::vector<PackedInput> units_;
  const Kernels<T>& kernels_;
  const int64_t rows_;              // from column to column, whole panels of them
  Buffer<T> columns_;               // (n_in, rows_): X
  Buffer<T> values_;                // (n_out, rows_): what they become, before the scale
  std::vector<Buffer<T>> scratch_;  // for each thread: de (widest, rows_) and a column more
};

}  // namespace fallline

#include "core/inputs.hpp"

#include <algorithm>
#include <cmath>

namespace fallline {

template <class T>
InputStage<T>::InputStage(const Inputs& inputs, const Layout<T>& layout, int64_t capacity, bool trains, int threads)
    : inputs_(inputs),
      units_(layout.inputs()),
      kernels_(kernels<T>()),
      rows_(padded<T>(capacity) + panel<T>),  // not a power of two, so that columns do not compete for the same lines
      columns_(inputs.n_in() * rows_),
      values_(inputs.n_out() * rows_) {
  int64_t widest = 1;
  for (const PackedInput& unit : units_) widest = std::max(widest, unit.n_features);
  for (int t = 0; t < threads; ++t) scratch_.emplace_back(trains ? (widest + 1) * rows_ : 0);
}

template <class T>
bool InputStage<T>::take(int64_t first, int64_t n, const T* const* rows) {
  const int64_t n_in = inputs_.n_in(), n_numbers = inputs_.embedded + inputs_.plain;
  T difference = 0;  // of each number from itself: NaN where it is not finite
  bool known = true;
  for (int64_t j = 0; j < n_in; ++j) {
    T* const column = columns_.data() + j * rows_ + first;
    for (int64_t r = 0; r < n; ++r) {
      column[r] = rows[r][j];
      difference += rows[r][j] - rows[r][j];
    }
    if (j < n_numbers) continue;
    const T levels = static_cast<T>(inputs_.tables[static_cast<std::size_t>(j - n_numbers)].levels);
    for (int64_t r = 0; r < n; ++r)
      if (!(column[r] >= 0 && column[r] < levels && column[r] == std::floor(column[r]))) {
        known = false;
        column[r] = 0;
      }
  }
  return known && difference == 0;
}

template <class T>
Periodic<T> InputStage<T>::column(const PackedInput& unit, const T* parameters, int64_t first, int64_t n, T* e) {
  return {.n = n,
          .frequencies = inputs_.frequencies,
          .n_out = inputs_.size - 1,
          .x = columns_.data() + unit.column * rows_ + first,
          .w = parameters + unit.w,
          .p = parameters + unit.p,
          .M = parameters + unit.M,
          .c = parameters + unit.c,
          .e = e,
          .stride = rows_};
}

template <class T>
void InputStage<T>::forward(const T* parameters, int64_t first, int64_t n, Panels<T> X) {
  constexpr int64_t N = panel<T>;
  for (const PackedInput& unit : units_) {
    const T* const x = columns_.data() + unit.column * rows_ + first;
    T* const values = values_.data() + unit.feature * rows_ + first;
    if (unit.kind == PackedInput::embedded) {
      std::copy_n(x, n, values);
      kernels_.periodic(column(unit, parameters, first, n, values + rows_));
    } else if (unit.kind == PackedInput::plain) {
      for (int64_t j = 0; j < unit.n_features; ++j) std::copy_n(x + j * rows_, n, values + j * rows_);
    } else {
      const T* const table = parameters + unit.table;
      for (int64_t j = 0; j < unit.n_features; ++j)
        for (int64_t r = 0; r < n; ++r) values[j * rows_ + r] = table[static_cast<int64_t>(x[r]) * unit.n_features + j];
    }
    for (int64_t j = 0; j < unit.n_features; ++j) {
      const int64_t feature = unit.feature + j;
      const T scale = parameters[unit.scale + j], *const value = values + j * rows_;
      T* const to = X.at + feature / N * X.stride + feature % N;
      for (int64_t r = 0; r < n; ++r) to[(first + r) * N] = value[r] * scale;
    }
  }
}

template <class T>
void InputStage<T>::gradient(const T* parameters, int64_t n, Panels<const T> dX, int64_t first, int64_t end, int thread,
                             T* gradient) {
  constexpr int64_t N = panel<T>;
  T* const de = scratch_[static_cast<std::size_t>(thread)].data();
  for (int64_t u = first; u < end; ++u) {
    const PackedInput& unit = units_[static_cast<std::size_t>(u)];
    const T* const x = columns_.data() + unit.column * rows_;
    std::fill_n(gradient + unit.learned, unit.n_learned, T(0));
    std::fill_n(gradient + unit.scale, unit.n_scale, T(0));
    for (int64_t j = 0; j < unit.n_features; ++j) {
      const int64_t feature = unit.feature + j;
      const T scale = parameters[unit.scale + j], *const value = values_.data() + feature * rows_;
      const T* const from = dX.at + feature / N * dX.stride + feature % N;
      T sum = 0;
      for (int64_t r = 0; r < n; ++r) {
        const T d = from[r * N];
        sum += d * value[r];
        de[j * rows_ + r] = d * scale;
      }
      gradient[unit.scale + j] = sum;
    }
    if (unit.kind == PackedInput::embedded) {
      kernels_.periodic_gradient({.column = column(unit, parameters, 0, n, de + rows_),
                                  .dw = gradient + unit.w,
                                  .dp = gradient + unit.p,
                                  .dM = gradient + unit.M,
                                  .dc = gradient + unit.c,
                                  .waves = de + unit.n_features * rows_});
    } else if (unit.kind == PackedInput::code) {
      T* const table = gradient + unit.table;
      for (int64_t r = 0; r < n; ++r) {
        T* const row = table + static_cast<int64_t>(x[r]) * unit.n_features;
        for (int64_t j = 0; j < unit.n_features; ++j) row[j] += de[j * rows_ + r];
      }
    }
  }
}

template class InputStage<float>;
template class InputStage<double>;

}  // namespace fallline

// Losses and the last activation, row by row; src/fallline/losses.py says the same in NumPy and explains the choices.
#pragma once

#include <cstdint>

#include "api.hpp"

namespace fallline {

// One row at the end of the network.
template <class T>
struct LastRow {
  int64_t n_out, n_targets;
  const T* Z;
  const T* A;
  T log_sum;  // softmax: log of the sum of exp(Z), so that log p = Z - log_sum
  const T* Y;
};

// Softmax of one row, A from Z; gives log_sum.
template <class T>
T softmax_row(int64_t n_out, const T* Z, T* A);

// The row's loss; dZ, where it is not null, becomes `share` times its gradient.
template <class T>
T row_loss(const Loss& loss, Activation output, const LastRow<T>& row, T share, T* dZ);

}  // namespace fallline

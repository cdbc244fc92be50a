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
  T top, log_sum;  // softmax: the largest Z, and log of the sum of exp(Z - top): log p = (Z - top) - log_sum
  const T* Y;
};

// Softmax of one row, A from Z.
template <class T>
void softmax_row(int64_t n_out, const T* Z, T* A);

// Fills in `top` and `log_sum` of a row.
template <class T>
void log_sum_exp(LastRow<T>& row);

// The row's loss; dZ, where it is not null, becomes `share` times its gradient.
template <class T>
T row_loss(const Loss& loss, Activation output, const LastRow<T>& row, T share, T* dZ);

}  // namespace fallline

#include "core/losses.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fallline {
namespace {

template <class T>
T softplus(T z) {
  return std::max(z, T(0)) + std::log1p(std::exp(-std::abs(z)));
}

template <class T>
T sigmoid(T z) {
  return T(1) / (T(1) + std::exp(-z));
}

template <class T>
T sign(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x;
}

// log of the softmax of Z; the parts are kept apart, since their sum would lose what a confident row is about
template <class T>
T log_softmax(const LastRow<T>& row, int64_t j) {
  return (row.Z[j] - row.top) - row.log_sum;
}

// log p_j, for an output that gives probabilities
template <class T>
T log_probability(Activation output, const LastRow<T>& row, int64_t j) {
  return output == Activation::softmax ? log_softmax(row, j) : -softplus(-row.Z[j]);
}

// Chain rule through the last activation, in place: dA becomes dZ.
template <class T>
void through_output(Activation output, const LastRow<T>& row, T* d) {
  if (output == Activation::sigmoid) {
    for (int64_t j = 0; j < row.n_out; ++j) d[j] *= row.A[j] * (T(1) - row.A[j]);
  } else if (output == Activation::softmax) {
    T mean = 0;
    for (int64_t j = 0; j < row.n_out; ++j) mean += d[j] * row.A[j];
    for (int64_t j = 0; j < row.n_out; ++j) d[j] = row.A[j] * (d[j] - mean);
  }
}

// Value and slope of one output's error, for the losses that look at A alone.
template <class T>
struct Point {
  T value, slope;
};

template <class T>
Point<T> point_loss(const Loss& loss, T a, T y, int64_t output) {
  const T error = a - y;
  switch (loss.kind) {
    case LossKind::squared_error:
      return {error * error, 2 * error};
    case LossKind::quadratic:
      return {T(0.5) * error * error, error};
    case LossKind::absolute_error:
      return {std::abs(error), sign(error)};
    case LossKind::huber: {
      const T delta = T(loss.delta), inside = error > delta ? delta : error < -delta ? -delta : error;
      return {inside * (error - T(0.5) * inside), inside};
    }
    default: {  // quantile
      const T p = T(loss.quantiles[static_cast<std::size_t>(output) % loss.quantiles.size()]);
      return {error < 0 ? -p * error : (T(1) - p) * error, error < 0 ? -p : error > 0 ? T(1) - p : error};
    }
  }
}

template <class T>
T poisson(Activation output, const LastRow<T>& row, T* dZ) {
  T value = 0, total = 0;
  for (int64_t j = 0; j < row.n_out; ++j) {
    const bool linear = output == Activation::identity;
    const T rate = linear ? std::exp(row.Z[j]) : row.A[j];
    const T log_rate = linear ? row.Z[j] : log_probability(output, row, j);
    value += rate - row.Y[j] * log_rate;
    total += rate - row.Y[j];
    if (dZ) dZ[j] = (rate - row.Y[j]) * (output == Activation::sigmoid ? sigmoid(-row.Z[j]) : T(1));
  }
  if (dZ && output == Activation::softmax)
    for (int64_t j = 0; j < row.n_out; ++j) dZ[j] -= row.A[j] * total;
  return value;
}

// log(1 - p_j) for the softmax p: the log-sum-exp of all the other outputs, so that nothing cancels.
template <class T>
T log_all_but(const LastRow<T>& row, int64_t j) {
  T top = -std::numeric_limits<T>::infinity(), sum = 0;
  for (int64_t i = 0; i < row.n_out; ++i)
    if (i != j) top = std::max(top, row.Z[i]);
  for (int64_t i = 0; i < row.n_out; ++i)
    if (i != j) sum += std::exp(row.Z[i] - top);
  return (top - row.top) + std::log(sum) - row.log_sum;
}

template <class T>
T binary_cross_entropy(Activation output, const LastRow<T>& row, T* dZ) {
  T value = 0;
  if (output != Activation::softmax) {
    for (int64_t j = 0; j < row.n_out; ++j) {
      const T z = row.Z[j], y = row.Y[j];
      value += y * softplus(-z) + (T(1) - y) * softplus(z);
      if (dZ) dZ[j] = (T(1) - y) * sigmoid(z) - y * sigmoid(-z);
    }
    return value;
  }
  T total = 0;
  for (int64_t j = 0; j < row.n_out; ++j) total += row.Y[j];
  if (dZ)
    for (int64_t i = 0; i < row.n_out; ++i) dZ[i] = row.A[i] * (total - row.Y[i]);
  for (int64_t j = 0; j < row.n_out; ++j) {
    const T log_p = log_softmax(row, j), log_q = log_all_but(row, j), rest = (T(1) - row.Y[j]) * row.A[j];
    value -= row.Y[j] * log_p + (T(1) - row.Y[j]) * log_q;
    if (!dZ) continue;
    dZ[j] += rest - row.Y[j] * std::exp(log_q);
    for (int64_t i = 0; i < row.n_out; ++i)  // p_i / (1 - p_j) <= 1, formed as one exponential
      if (i != j) dZ[i] -= rest * std::exp(log_softmax(row, i) - log_q);
  }
  return value;
}

template <class T>
T categorical_cross_entropy(Activation output, const LastRow<T>& row, T* dZ) {
  T value = 0, total = 0;
  if (output == Activation::sigmoid) {  // p = A / sum A, from the logarithms of A
    T top = -std::numeric_limits<T>::infinity(), sum = 0;
    for (int64_t j = 0; j < row.n_out; ++j) top = std::max(top, -softplus(-row.Z[j]));
    for (int64_t j = 0; j < row.n_out; ++j) sum += std::exp(-softplus(-row.Z[j]) - top);
    for (int64_t j = 0; j < row.n_out; ++j) total += row.Y[j];
    for (int64_t j = 0; j < row.n_out; ++j) {
      const T log_p = (-softplus(-row.Z[j]) - top) - std::log(sum);
      value -= row.Y[j] * log_p;
      if (dZ) dZ[j] = (total * std::exp(log_p) - row.Y[j]) * sigmoid(-row.Z[j]);
    }
    return value;
  }
  for (int64_t j = 0; j < row.n_out; ++j) {
    value -= row.Y[j] * log_softmax(row, j);
    total += row.Y[j];
  }
  if (dZ)
    for (int64_t j = 0; j < row.n_out; ++j) {
      const T p = output == Activation::softmax ? row.A[j] : std::exp(log_softmax(row, j));
      dZ[j] = total * p - row.Y[j];
    }
  return value;
}

}  // namespace

template <class T>
void softmax_row(int64_t n_out, const T* Z, T* A) {
  const T top = *std::max_element(Z, Z + n_out);
  T sum = 0;
  for (int64_t j = 0; j < n_out; ++j) sum += A[j] = std::exp(Z[j] - top);
  for (int64_t j = 0; j < n_out; ++j) A[j] /= sum;
}

template <class T>
void log_sum_exp(LastRow<T>& row) {
  row.top = *std::max_element(row.Z, row.Z + row.n_out);
  T sum = 0;
  for (int64_t j = 0; j < row.n_out; ++j) sum += std::exp(row.Z[j] - row.top);
  row.log_sum = std::log(sum);
}

template <class T>
T row_loss(const Loss& loss, Activation output, const LastRow<T>& row, T share, T* dZ) {
  T value = 0, scale = T(1) / T(row.n_out);  // the mean over the outputs, but for the two sums
  switch (loss.kind) {
    case LossKind::poisson:
      value = poisson(output, row, dZ);
      break;
    case LossKind::binary_cross_entropy:
      value = binary_cross_entropy(output, row, dZ);
      break;
    case LossKind::categorical_cross_entropy:
      value = categorical_cross_entropy(output, row, dZ);
      scale = 1;
      break;
    default: {
      const int64_t repeats = row.n_out / row.n_targets;  // quantile: several outputs for one target
      for (int64_t j = 0; j < row.n_out; ++j) {
        const Point<T> at = point_loss(loss, row.A[j], row.Y[j / repeats], j);
        value += at.value;
        if (dZ) dZ[j] = at.slope;
      }
      if (dZ) through_output(output, row, dZ);
      if (loss.kind == LossKind::quadratic) scale = 1;
    }
  }
  if (dZ)
    for (int64_t j = 0; j < row.n_out; ++j) dZ[j] *= scale * share;
  return value * scale;
}

#define FALLLINE_INSTANTIATE(T)                        \
  template void softmax_row<T>(int64_t, const T*, T*); \
  template void log_sum_exp<T>(LastRow<T>&);           \
  template T row_loss<T>(const Loss&, Activation, const LastRow<T>&, T, T*);
FALLLINE_INSTANTIATE(float)
FALLLINE_INSTANTIATE(double)

}  // namespace fallline

#include "core/network.hpp"

#include <algorithm>
#include <cmath>

#include "core/losses.hpp"
#include "core/philox.hpp"

namespace fallline {

int64_t piece_rows(const std::vector<Layer>& layers) {
  return std::clamp<int64_t>(500'000'000 / n_parameters(layers), 128, 1024);
}

template <class T>
Network<T>::Network(const std::vector<Layer>& layers, int64_t capacity, bool backpropagates)
    : layers_(layers), layout_(layers), kernels_(kernels<T>()) {
  int64_t largest = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    const int64_t width = padded<T>(layer.n_out);
    const bool drops = backpropagates && layer.dropout > 0;
    width_.push_back(width);
    Z_.emplace_back(capacity * width);
    A_.emplace_back(capacity * width);
    dZ_.emplace_back(backpropagates ? capacity * width : 0);
    mask_.emplace_back(drops ? capacity * width : 0);
    dropped_.emplace_back(drops ? capacity * width : 0);
    if (l > 0) largest = std::max(largest, layer.n_out * padded<T>(layer.n_in));
  }
  Wt_ = Buffer<T>(backpropagates ? largest : 0);
}

template <class T>
void Network<T>::draw_mask(std::size_t l, int64_t n, int64_t first, const DropoutKey& key) {
  const Layer& layer = layers_[l];
  const double threshold = std::nearbyint(layer.dropout * 4294967296.0);
  const T kept = T(1 / (1 - layer.dropout));
  const int64_t layer_and_start = static_cast<int64_t>(l) + 65536 * key.start;
  Words words(key.seed, key.step, layer_and_start, Purpose::dropout, first * layer.n_out);
  for (int64_t r = 0; r < n; ++r) {
    T* mask = mask_[l].data() + r * width_[l];
    for (int64_t j = 0; j < layer.n_out; ++j) mask[j] = words.next() >= threshold ? kept : T(0);
  }
}

template <class T>
void Network<T>::forward(const T* parameters, const T* X, int64_t n) {
  forward(parameters, X, n, 0, nullptr);
}

template <class T>
void Network<T>::forward(const T* parameters, const T* X, int64_t n, int64_t first, const DropoutKey* key) {
  masked_ = key != nullptr;
  const T* in = X;
  int64_t in_row = layers_[0].n_in;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Layer& layer = layers_[l];
    const Packed& at = layout_[l];
    const int64_t width = width_[l];
    T *Z = Z_[l].data(), *A = A_[l].data();
    kernels_.matmul({.m = n,
                     .k = layer.n_in,
                     .n_panels = width / panel<T>,  //
                     .a = in,
                     .a_row = in_row,
                     .a_col = 1,  //
                     .b = parameters + at.W,
                     .b_panel = layer.n_in * panel<T>,
                     .b_row = panel<T>,  //
                     .c = Z,
                     .c_panel = panel<T>,
                     .c_row = width,
                     .bias = parameters + at.b});
    if (layer.activation == Activation::softmax) {
      for (int64_t r = 0; r < n; ++r) softmax_row(layer.n_out, Z + r * width, A + r * width);
    } else {
      kernels_.activate[static_cast<int>(layer.activation)](n * width, Z, A);
    }
    in = A;
    in_row = width;
    if (key && layer.dropout > 0) {
      draw_mask(l, n, first, *key);
      T* dropped = dropped_[l].data();
      for (int64_t i = 0; i < n * width; ++i) dropped[i] = A[i] * mask_[l][i];
      in = dropped;
    }
  }
}

template <class T>
double Network<T>::last_layer(const Loss& loss, const Batch<T>& batch, int64_t first, int64_t n, bool with_gradient) {
  const Layer& last = layers_.back();
  const int64_t width = width_.back();
  const bool of_log_softmax =
      last.activation == Activation::softmax ||
      (last.activation == Activation::identity && loss.kind == LossKind::categorical_cross_entropy);
  const double per_weight = batch.weight_sum > 0 ? 1 / batch.weight_sum : 0;  // no weight: loss and gradient are 0
  double value = 0;
  for (int64_t r = 0; r < n; ++r) {
    T* dZ = with_gradient ? dZ_.back().data() + r * width : nullptr;
    const double share = static_cast<double>(batch.weight[first + r]) * per_weight;
    LastRow<T> row{last.n_out,
                   batch.n_targets,
                   Z_.back().data() + r * width,
                   A_.back().data() + r * width,
                   0,
                   0,
                   batch.Y + (first + r) * batch.n_targets};
    if (of_log_softmax) log_sum_exp(row);
    value += share * static_cast<double>(row_loss(loss, last.activation, row, static_cast<T>(share), dZ));
  }
  return value;
}

template <class T>
double Network<T>::loss(const Loss& loss, const Batch<T>& batch, int64_t first, int64_t n) {
  return last_layer(loss, batch, first, n, false);
}

template <class T>
double Network<T>::gradient(const T* parameters, const Loss& loss, const Batch<T>& batch, int64_t first, int64_t n,
                            const DropoutKey* key, T* gradient) {
  const T* X = batch.X + first * layers_[0].n_in;
  forward(parameters, X, n, first, key);
  const double value = last_layer(loss, batch, first, n, true);
  backward(parameters, X, n, gradient);
  return value;
}

// From Z = A_prev W + b follow dW, db and dA_prev; from A_prev = f(Z_prev) follows dZ_prev.
template <class T>
void Network<T>::backward(const T* parameters, const T* X, int64_t n, T* gradient) {
  for (std::size_t l = layers_.size(); l-- > 0;) {
    const Layer& layer = layers_[l];
    const Packed& at = layout_[l];
    const int64_t width = width_[l];
    const T* dZ = dZ_[l].data();
    const bool previous_drops = l > 0 && masked_ && layers_[l - 1].dropout > 0;
    const T* A_prev = l == 0 ? X : previous_drops ? dropped_[l - 1].data() : A_[l - 1].data();
    const int64_t prev_row = l == 0 ? layer.n_in : width_[l - 1];

    // dW (n_in, n_out) = A_prev^T dZ, straight into the packed gradient
    kernels_.matmul({.m = layer.n_in,
                     .k = n,
                     .n_panels = width / panel<T>,  //
                     .a = A_prev,
                     .a_row = 1,
                     .a_col = prev_row,  //
                     .b = dZ,
                     .b_panel = panel<T>,
                     .b_row = width,  //
                     .c = gradient + at.W,
                     .c_panel = layer.n_in * panel<T>,
                     .c_row = panel<T>,
                     .bias = nullptr});
    kernels_.column_sums(n, width / panel<T>, dZ, width, gradient + at.b);
    if (l == 0) return;

    // dA_prev (n, n_in) = dZ W^T, then dZ_prev in its place
    kernels_.transpose(layer.n_in, layer.n_out, parameters + at.W, Wt_.data());
    T* dA = dZ_[l - 1].data();
    kernels_.matmul({.m = n,
                     .k = layer.n_out,
                     .n_panels = prev_row / panel<T>,  //
                     .a = dZ,
                     .a_row = width,
                     .a_col = 1,  //
                     .b = Wt_.data(),
                     .b_panel = layer.n_out * panel<T>,
                     .b_row = panel<T>,  //
                     .c = dA,
                     .c_panel = panel<T>,
                     .c_row = prev_row,
                     .bias = nullptr});
    if (previous_drops)
      for (int64_t i = 0; i < n * prev_row; ++i) dA[i] *= mask_[l - 1][i];
    kernels_.backward[static_cast<int>(layers_[l - 1].activation)](n * prev_row, Z_[l - 1].data(), A_[l - 1].data(), dA,
                                                                   dA);
  }
}

template class Network<float>;
template class Network<double>;

}  // namespace fallline

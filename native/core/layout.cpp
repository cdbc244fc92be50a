#include "core/layout.hpp"

#include <algorithm>

namespace fallline {

int64_t n_parameters(const std::vector<Layer>& layers) {
  int64_t n = 0;
  for (const Layer& layer : layers) n += (layer.n_in + 1) * layer.n_out;
  return n;
}

template <class T>
Layout<T>::Layout(const std::vector<Layer>& layers) : layers_(layers), flat_size_(n_parameters(layers)) {
  for (const Layer& layer : layers) {
    const bool turned = layer.n_out <= most_turned<T>;
    const int64_t n_weights = turned ? padded<T>(layer.n_in) * layer.n_out : layer.n_in * padded<T>(layer.n_out);
    const int64_t n_bias = padded<T>(layer.n_out), stride = (turned ? layer.n_out : layer.n_in) * panel<T>;
    packed_.push_back({packed_size_, n_weights, packed_size_ + n_weights, n_bias, turned, stride});
    packed_size_ += n_weights + n_bias;
  }
}

namespace {

// Calls copy(flat, packed, n) for every run of numbers that lie together in both blocks: the part of a row of W that
// falls into one panel, a single weight where W is turned, and the bias.
template <class T, class Copy>
void for_each_run(const std::vector<Layer>& layers, const std::vector<Packed>& packed, Copy copy) {
  int64_t flat = 0;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const int64_t n_in = layers[l].n_in, n_out = layers[l].n_out;
    for (int64_t i = 0; i < n_in; ++i)
      for (int64_t j = 0, n; j < n_out; j += n, flat += n) {
        n = packed[l].turned ? 1 : std::min(panel<T>, n_out - j);
        const int64_t row = packed[l].turned ? j : i, column = packed[l].turned ? i : j;
        copy(flat, packed[l].W + column / panel<T> * packed[l].stride + row * panel<T> + column % panel<T>, n);
      }
    copy(flat, packed[l].b, n_out);
    flat += n_out;
  }
}

}  // namespace

template <class T>
void Layout<T>::pack(const T* flat, T* packed) const {
  std::fill(packed, packed + packed_size_, T(0));
  for_each_run<T>(layers_, packed_,
                  [&](int64_t from, int64_t to, int64_t n) { std::copy_n(flat + from, n, packed + to); });
}

template <class T>
void Layout<T>::unpack(const T* packed, T* flat) const {
  for_each_run<T>(layers_, packed_,
                  [&](int64_t to, int64_t from, int64_t n) { std::copy_n(packed + from, n, flat + to); });
}

template class Layout<float>;
template class Layout<double>;

}  // namespace fallline

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
    const int64_t width = padded<T>(layer.n_out);
    packed_.push_back({packed_size_, layer.n_in * width, packed_size_ + layer.n_in * width, width});
    packed_size_ += (layer.n_in + 1) * width;
  }
}

template <class T>
void Layout<T>::pack(const T* flat, T* packed) const {
  std::fill(packed, packed + packed_size_, T(0));
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const auto& [n_in, n_out, activation, dropout] = layers_[l];
    T* W = packed + packed_[l].W;
    for (int64_t i = 0; i < n_in; ++i)
      for (int64_t j = 0; j < n_out; ++j) W[(j / panel<T>)*n_in * panel<T> + i * panel<T> + j % panel<T>] = *flat++;
    std::copy(flat, flat + n_out, packed + packed_[l].b);
    flat += n_out;
  }
}

template <class T>
void Layout<T>::unpack(const T* packed, T* flat) const {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const auto& [n_in, n_out, activation, dropout] = layers_[l];
    const T* W = packed + packed_[l].W;
    for (int64_t i = 0; i < n_in; ++i)
      for (int64_t j = 0; j < n_out; ++j) *flat++ = W[(j / panel<T>)*n_in * panel<T> + i * panel<T> + j % panel<T>];
    flat = std::copy(packed + packed_[l].b, packed + packed_[l].b + n_out, flat);
  }
}

template class Layout<float>;
template class Layout<double>;

}  // namespace fallline

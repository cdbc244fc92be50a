// Where a layer's weights and bias lie: in the flat block that Python sees, and in the packed block that kernels use.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/registry.hpp"

namespace fallline {

template <class T>
int64_t panels(int64_t columns) {
  return (columns + panel<T> - 1) / panel<T>;
}

// Columns with their padding.
template <class T>
int64_t padded(int64_t columns) {
  return panels<T>(columns) * panel<T>;
}

// A layer in the packed block: all panels of W, then b in whole panels.
struct Packed {
  int64_t W, n_weights;  // offset and size, padding included
  int64_t b, n_bias;
  bool turned;     // W lies as (n_out, n_in)
  int64_t stride;  // from panel to panel of W
};

template <class T>
class Layout {
 public:
  explicit Layout(const std::vector<Layer>& layers);

  int64_t flat_size() const { return flat_size_; }
  int64_t packed_size() const { return packed_size_; }
  const Packed& operator[](std::size_t l) const { return packed_[l]; }
  const std::vector<Packed>& all() const { return packed_; }

  void pack(const T* flat, T* packed) const;  // padding becomes zero
  void unpack(const T* packed, T* flat) const;

 private:
  std::vector<Layer> layers_;
  std::vector<Packed> packed_;
  int64_t flat_size_ = 0, packed_size_ = 0;
};

}  // namespace fallline

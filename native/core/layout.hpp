// Where the parameters of inputs and layers lie: in the flat block that Python sees, and in the packed block that
// kernels use.
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

// Columns of X that become columns of what the first layer takes, with their own parameters in the packed block, each
// array in whole panels: a number that is embedded, up to a panel of plain ones, or a code.
struct PackedInput {
  enum Kind { embedded, plain, code } kind;
  int64_t column;               // of X, the first of those
  int64_t feature, n_features;  // what they become
  int64_t w, p, M, c;           // offsets; of a number that is embedded
  int64_t table, levels;        // of a code
  int64_t learned, n_learned;   // all of these
  int64_t scale, n_scale;
};

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
  explicit Layout(const Shape& shape);

  int64_t flat_size() const { return flat_size_; }
  int64_t packed_size() const { return packed_size_; }
  const Packed& operator[](std::size_t l) const { return packed_[l]; }
  const std::vector<Packed>& all() const { return packed_; }
  const std::vector<PackedInput>& inputs() const { return packed_inputs_; }

  void pack(const T* flat, T* packed) const;  // padding becomes zero
  void unpack(const T* packed, T* flat) const;

 private:
  void add_inputs();
  template <class Copy>
  void for_each_run(Copy copy) const;

  Shape shape_;
  std::vector<PackedInput> packed_inputs_;
  std::vector<Packed> packed_;
  int64_t flat_size_ = 0, packed_size_ = 0;
};

}  // namespace fallline

#include "core/layout.hpp"

#include <algorithm>

namespace fallline {

int64_t Inputs::n_out() const {
  int64_t n = embedded * size + plain;
  for (const Table& table : tables) n += table.size;
  return n;
}

int64_t Inputs::n_parameters() const {
  if (n_in() == 0) return 0;
  int64_t n = n_out() + embedded * (2 * frequencies + (frequencies + 1) * (size - 1));
  for (const Table& table : tables) n += table.levels * table.size;
  return n;
}

int64_t n_parameters(const Shape& shape) {
  int64_t n = shape.inputs.n_parameters();
  for (const Layer& layer : shape.layers) n += (layer.n_in + 1) * layer.n_out;
  return n;
}

template <class T>
Layout<T>::Layout(const Shape& shape) : shape_(shape), flat_size_(n_parameters(shape)) {
  if (shape.has_inputs()) add_inputs();
  for (const Layer& layer : shape.layers) {
    const bool turned = layer.n_out <= most_turned<T>;
    const int64_t n_weights = turned ? padded<T>(layer.n_in) * layer.n_out : layer.n_in * padded<T>(layer.n_out);
    const int64_t n_bias = padded<T>(layer.n_out), stride = (turned ? layer.n_out : layer.n_in) * panel<T>;
    packed_.push_back({packed_size_, n_weights, packed_size_ + n_weights, n_bias, turned, stride});
    packed_size_ += n_weights + n_bias;
  }
}

template <class T>
void Layout<T>::add_inputs() {
  const Inputs& inputs = shape_.inputs;
  const int64_t h = inputs.frequencies, waves = inputs.size - 1;
  int64_t column = 0, feature = 0;
  const auto room = [&](int64_t n) {
    const int64_t at = packed_size_;
    packed_size_ += padded<T>(n);
    return at;
  };
  const auto add = [&](PackedInput unit, int64_t n_columns) {
    unit.n_learned = packed_size_ - unit.learned;
    unit.scale = room(unit.n_features);
    unit.n_scale = packed_size_ - unit.scale;
    packed_inputs_.push_back(unit);
    column += n_columns;
    feature += unit.n_features;
  };
  for (int64_t j = 0; j < inputs.embedded; ++j) {
    PackedInput unit{};
    unit.kind = PackedInput::embedded;
    unit.column = column;
    unit.feature = feature;
    unit.n_features = inputs.size;
    unit.learned = unit.w = room(h);
    unit.p = room(h);
    unit.M = room(h * waves);
    unit.c = room(waves);
    add(unit, 1);
  }
  for (int64_t j = 0; j < inputs.plain; j += panel<T>) {
    PackedInput unit{};
    unit.kind = PackedInput::plain;
    unit.column = column;
    unit.feature = feature;
    unit.n_features = std::min(panel<T>, inputs.plain - j);
    unit.learned = packed_size_;
    add(unit, unit.n_features);
  }
  for (const Inputs::Table& table : inputs.tables) {
    PackedInput unit{};
    unit.kind = PackedInput::code;
    unit.column = column;
    unit.feature = feature;
    unit.n_features = table.size;
    unit.levels = table.levels;
    unit.learned = unit.table = room(table.levels * table.size);
    add(unit, 1);
  }
}

// Calls copy(flat, packed, n) for every run of numbers that lie together in both blocks: an array of an input's; the
// part of a row of W that falls into one panel, a single weight where W is turned, and the bias.
template <class T>
template <class Copy>
void Layout<T>::for_each_run(Copy copy) const {
  const Inputs& inputs = shape_.inputs;
  const int64_t h = inputs.frequencies, waves = inputs.size - 1, h_waves = h * waves;
  int64_t flat = 0;
  for (const PackedInput& unit : packed_inputs_) {
    copy(flat, unit.scale, unit.n_features);
    flat += unit.n_features;
  }
  const auto each_embedded = [&](int64_t PackedInput::* array, int64_t n) {
    for (int64_t j = 0; j < inputs.embedded; ++j, flat += n)
      copy(flat, packed_inputs_[static_cast<std::size_t>(j)].*array, n);
  };
  each_embedded(&PackedInput::w, h);
  each_embedded(&PackedInput::p, h);
  each_embedded(&PackedInput::M, h_waves);
  each_embedded(&PackedInput::c, waves);
  for (const PackedInput& unit : packed_inputs_) {
    if (unit.kind != PackedInput::code) continue;
    copy(flat, unit.table, unit.levels * unit.n_features);
    flat += unit.levels * unit.n_features;
  }
  for (std::size_t l = 0; l < packed_.size(); ++l) {
    const int64_t n_in = shape_.layers[l].n_in, n_out = shape_.layers[l].n_out;
    for (int64_t i = 0; i < n_in; ++i)
      for (int64_t j = 0, n; j < n_out; j += n, flat += n) {
        n = packed_[l].turned ? 1 : std::min(panel<T>, n_out - j);
        const int64_t row = packed_[l].turned ? j : i, column = packed_[l].turned ? i : j;
        copy(flat, packed_[l].W + column / panel<T> * packed_[l].stride + row * panel<T> + column % panel<T>, n);
      }
    copy(flat, packed_[l].b, n_out);
    flat += n_out;
  }
}

template <class T>
void Layout<T>::pack(const T* flat, T* packed) const {
  std::fill(packed, packed + packed_size_, T(0));
  for_each_run([&](int64_t from, int64_t to, int64_t n) { std::copy_n(flat + from, n, packed + to); });
}

template <class T>
void Layout<T>::unpack(const T* packed, T* flat) const {
  for_each_run([&](int64_t to, int64_t from, int64_t n) { std::copy_n(packed + from, n, flat + to); });
}

template class Layout<float>;
template class Layout<double>;

}  // namespace fallline

// What several of the tests need: every table of kernels, buffers with guards, numbers to fill them with.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "core/buffer.hpp"
#include "core/layout.hpp"
#include "kernels/registry.hpp"
#include "tests/check.hpp"

namespace fallline {

namespace test {

template <class T>
constexpr T nan_of = std::numeric_limits<T>::quiet_NaN();

// For the time of a scope, another instruction set.
class With {
 public:
  explicit With(const std::string& name) : before_(instruction_set()) { use_instruction_set(name); }
  ~With() { use_instruction_set(before_); }
  With(const With&) = delete;

 private:
  std::string before_;
};

// Every table that this processor runs; the wide one is for tests alone, see native/CMakeLists.txt.
template <class T>
std::vector<const Kernels<T>*> tables() {
  std::vector<const Kernels<T>*> all;
  for (const std::string& name : instruction_sets()) {
    const With with(name);
    all.push_back(&kernels<T>());
  }
  return all;
}

// n numbers for a kernel to write, aligned to 64 bytes; the bytes before and after them must stay as they are.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t n) : n_(n), buffer_(n + 2 * room) {
    std::memset(static_cast<void*>(buffer_.data()), 0xA5, sizeof(T) * static_cast<std::size_t>(n + 2 * room));
    untouched_ = buffer_[0];
  }
  T* data() { return buffer_.data() + room; }
  T& operator[](int64_t i) { return buffer_[room + i]; }
  bool untouched(int64_t i) const { return std::memcmp(&buffer_[room + i], &untouched_, sizeof(T)) == 0; }
  bool intact() const {
    for (int64_t i = 0; i < room; ++i)
      if (!untouched(i - room) || !untouched(n_ + i)) return false;
    return true;
  }

 private:
  static constexpr int64_t room = 2 * panel<T>;
  int64_t n_;
  Buffer<T> buffer_;
  T untouched_;
};

template <class T>
bool same_bits(T x, T y) {
  return std::memcmp(&x, &y, sizeof x) == 0;
}

template <class T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0);
}

// A small generator (Knuth's MMIX), so that these tests do not lean on the code they test.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 2862933555777941757u + 3037000493u) {}
  uint32_t word() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }
  int whole(int low, int high) { return low + static_cast<int>(word() % static_cast<uint32_t>(high - low + 1)); }
  double between(double low, double high) { return low + (high - low) * (word() / 4294967296.0); }

 private:
  uint64_t state_;
};

template <class T>
std::vector<T> randoms(std::size_t n, double low, double high, uint64_t seed) {
  Dice dice(seed);
  std::vector<T> x(n);
  for (T& value : x) value = static_cast<T>(dice.between(low, high));
  return x;
}

}  // namespace test
}  // namespace fallline

// Memory that begins on a cache line, as contract.md asks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace fallline {

// n numbers, all zero at first.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t n) : Buffer(n, uninitialized) { std::memset(data_.get(), 0, bytes(n)); }
  // Room for what is written before it is read.
  enum Uninitialized { uninitialized };
  Buffer(int64_t n, Uninitialized)
      : size_(n), data_(static_cast<T*>(::operator new[](bytes(n), std::align_val_t{64}))) {}
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) { return data_.get()[i]; }
  const T& operator[](int64_t i) const { return data_.get()[i]; }

 private:
  static std::size_t bytes(int64_t n) { return sizeof(T) * static_cast<std::size_t>(std::max<int64_t>(n, 1)); }
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  int64_t size_ = 0;
  std::unique_ptr<T, Free> data_;
};

}  // namespace fallline

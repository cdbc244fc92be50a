// Memory that begins on a cache line, as contract.md asks; large blocks in huge pages, where the system has them, since
// the kernels walk through them in long strides.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

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
      : size_(n),
        data_(static_cast<T*>(::operator new[](bytes(n), std::align_val_t{alignment(n)})), Free{alignment(n)}) {
#ifdef __linux__
    if (alignment(n) == huge_page) madvise(data_.get(), bytes(n), MADV_HUGEPAGE);
#endif
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) { return data_.get()[i]; }
  const T& operator[](int64_t i) const { return data_.get()[i]; }

 private:
  static std::size_t bytes(int64_t n) { return sizeof(T) * static_cast<std::size_t>(std::max<int64_t>(n, 1)); }
  static constexpr std::size_t huge_page = std::size_t{2} << 20;
  static std::size_t alignment(int64_t n) { return bytes(n) >= huge_page ? huge_page : 64; }
  struct Free {
    std::size_t alignment = 64;
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t{alignment}); }
  };
  int64_t size_ = 0;
  std::unique_ptr<T, Free> data_;
};

}  // namespace fallline

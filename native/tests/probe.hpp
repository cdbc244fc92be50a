// Functions of vec.hpp that no kernel hands out as they are, for the tests to call.
#pragma once

#include <cstdint>

namespace fallline::test {

// f(n, x, y): y = f(x), for n in whole panels.
template <class T>
struct Probe {
  void (*logarithm)(int64_t n, const T* x, T* y);
  void (*exponential_of_negative)(int64_t n, const T* x, T* y);
};

}  // namespace fallline::test

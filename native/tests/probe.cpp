// Built once for each instruction set, with the flags of its kernels; what holds for a kernel file holds here.
#include "tests/probe.hpp"

namespace fallline::test::FALLLINE_KERNELS {

namespace {
#include "kernels/coefficients.hpp"
// comes after it
#include "kernels/vec.hpp"

template <class T>
static void logarithms(int64_t n, const T* x, T* y) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(y + i, logarithm<T>(load(x + i)));
}

template <class T>
static void exponentials(int64_t n, const T* x, T* y) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(y + i, exponential_of_negative<T>(load(x + i)));
}
}  // namespace

extern const Probe<float> probe_float;
extern const Probe<double> probe_double;
constexpr Probe<float> probe_float = {logarithms<float>, exponentials<float>};
constexpr Probe<double> probe_double = {logarithms<double>, exponentials<double>};

}  // namespace fallline::test::FALLLINE_KERNELS

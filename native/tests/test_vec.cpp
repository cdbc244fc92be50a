// The functions of vec.hpp that the activations' tests do not reach, in units in the last place of long double's
// answer.
#include <algorithm>

#include "tests/probe.hpp"
#include "tests/support.hpp"

namespace fallline::test {

#if defined(FALLLINE_NEON)
#define FALLLINE_PROBES(X) X(wide) X(neon)
#elif defined(FALLLINE_X86)
#define FALLLINE_PROBES(X) X(wide) X(baseline) X(avx2) X(avx512)
#else
#define FALLLINE_PROBES(X) X(wide) X(baseline)
#endif

#define FALLLINE_DECLARE(isa)              \
  namespace isa {                          \
  extern const Probe<float> probe_float;   \
  extern const Probe<double> probe_double; \
  }
FALLLINE_PROBES(FALLLINE_DECLARE)
#undef FALLLINE_DECLARE

namespace {

using Real = long double;

template <class T>
struct Named {
  const char* name;
  const Probe<T>* probe;
};

// Those that this processor runs.
template <class T>
std::vector<Named<T>> probes() {
  const std::vector<std::string> runnable = instruction_sets();
  std::vector<Named<T>> found;
  const auto add = [&](const char* name, const auto& f32, const auto& f64) {
    if (std::find(runnable.begin(), runnable.end(), name) == runnable.end()) return;
    if constexpr (std::is_same_v<T, float>)
      found.push_back({name, &f32});
    else
      found.push_back({name, &f64});
  };
#define FALLLINE_ADD(isa) add(#isa, isa::probe_float, isa::probe_double);
  FALLLINE_PROBES(FALLLINE_ADD)
#undef FALLLINE_ADD
  return found;
}

template <class T>
Buffer<T> in_panels(const std::vector<T>& x) {
  Buffer<T> padded_x(padded<T>(static_cast<int64_t>(x.size())));
  std::copy(x.begin(), x.end(), padded_x.data());
  return padded_x;
}

template <class T>
Real units(T got, Real truth) {
  if (truth == 0) return got == 0 ? 0 : 1e9L;
  const int exponent = std::max(std::ilogb(truth), std::numeric_limits<T>::min_exponent - 1);
  const Real error = std::ldexp(std::abs(Real(got) - truth), std::numeric_limits<T>::digits - 1 - exponent);
  return error <= 1e9L ? error : 1e9L;  // NaN too
}

}  // namespace

TEST_BOTH(logarithm_is_accurate) {
  using Limits = std::numeric_limits<T>;
  const int n = figures ? 400'000 : 40'000;
  Dice dice(1);
  std::vector<T> x = {1,
                      std::nextafter(T(1), T(0)),
                      std::nextafter(T(1), T(2)),
                      Limits::min(),
                      Limits::max(),
                      Limits::denorm_min(),
                      std::nextafter(Limits::min(), T(0)),
                      T(std::sqrt(0.5)),
                      T(std::sqrt(2.0))};
  for (int i = 0; i < n; ++i) {
    const int exponent = dice.whole(Limits::min_exponent - Limits::digits, Limits::max_exponent);
    x.push_back(std::ldexp(static_cast<T>(dice.between(0.5, 1)), exponent));  // all magnitudes, subnormals too
    x.push_back(static_cast<T>(dice.between(0.4, 2.2)));                      // where the logarithm is small
    x.push_back(static_cast<T>(1 + dice.between(-1, 1) * std::ldexp(1.0, dice.whole(-26, -1))));
    x.push_back(static_cast<T>(dice.between(1, 300)));  // sums of exponentials
  }
  std::erase(x, T(0));
  const Buffer<T> in = in_panels(x);
  Buffer<T> out(in.size());
  for (const auto& [name, probe] : probes<T>()) {
    probe->logarithm(in.size(), in.data(), out.data());
    Real worst = 0;
    T at = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Real error = units(out[static_cast<int64_t>(i)], std::log(Real(x[i])));
      if (error > worst) worst = error, at = x[i];
    }
    CHECK(worst <= 1, "%s: %.3Lf units at %.17g", name, worst, double(at));
    if (figures)
      std::printf("  logarithm %-8s %s %.3Lf units at %.9g\n", name, sizeof(T) == 4 ? "f32" : "f64", worst, double(at));
  }
}

TEST_BOTH(logarithm_at_the_edges) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const Buffer<T> in =
      in_panels<T>({0, -T(0), infinity, -1, -infinity, nan_of<T>, -nan_of<T>, -std::numeric_limits<T>::denorm_min()});
  Buffer<T> out(in.size());
  for (const auto& [name, probe] : probes<T>()) {
    probe->logarithm(in.size(), in.data(), out.data());
    CHECK(out[0] == -infinity && out[1] == -infinity && out[2] == infinity, "%s: %g %g %g", name, double(out[0]),
          double(out[1]), double(out[2]));
    for (int64_t i = 3; i < 8; ++i) CHECK(std::isnan(out[i]), "%s: log %g is %g", name, double(in[i]), double(out[i]));
  }
}

TEST_BOTH(exponential_of_negative_is_accurate) {
  using Limits = std::numeric_limits<T>;
  const T lowest = std::log(Limits::denorm_min());  // below: 0
  std::vector<T> x = {0, -T(0), -Limits::denorm_min(), -Limits::epsilon()};
  for (int i = 0; i < 40'000; ++i) x.push_back(i % 2 ? lowest * T(i) / 40'000 : -T(i) / 10'000);
  const std::size_t n_positive = x.size();
  for (const T low : {lowest * T(1.02), lowest * 2, -T(1e30), -Limits::infinity()}) x.push_back(low);
  x.push_back(nan_of<T>);
  const Buffer<T> in = in_panels(x);
  Buffer<T> out(in.size());
  for (const auto& [name, probe] : probes<T>()) {
    probe->exponential_of_negative(in.size(), in.data(), out.data());
    Real worst = 0;
    T at = 0;
    for (std::size_t i = 0; i < n_positive; ++i) {
      const Real error = units(out[static_cast<int64_t>(i)], std::exp(Real(x[i])));
      if (error > worst) worst = error, at = x[i];
    }
    CHECK(worst <= 1.5L, "%s: %.3Lf units at %.17g", name, worst, double(at));
    if (figures)
      std::printf("  exponential %-8s %s %.3Lf units at %.9g\n", name, sizeof(T) == 4 ? "f32" : "f64", worst,
                  double(at));
    for (std::size_t i = n_positive; i + 1 < x.size(); ++i)
      CHECK(out[static_cast<int64_t>(i)] == 0, "%s: exp %g", name, double(x[i]));
    CHECK(std::isnan(out[static_cast<int64_t>(x.size()) - 1]), "%s", name);
  }
}

}  // namespace fallline::test

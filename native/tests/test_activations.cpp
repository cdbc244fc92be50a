// Activations and their derivatives against long double, in units in the last place.
#include <algorithm>

#include "tests/support.hpp"

namespace fallline::test {
namespace {

using Real = long double;

Real logistic(Real z) { return z >= 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z)); }
Real normal_cdf(Real z) { return std::erfc(-z / std::sqrt(Real(2))) / 2; }
Real normal_pdf(Real z) { return std::exp(-z * z / 2) * 0.398942280401432677939946059934381868L; }

// tanh(softplus(z)) and one minus it: with w = exp(z), w (w + 2) / (w (w + 2) + 2).
Real mish_gate(Real z) {
  const Real w = std::exp(-std::abs(z));
  return z > 0 ? (1 + 2 * w) / (1 + 2 * w + 2 * w * w) : w * (w + 2) / (w * (w + 2) + 2);
}
Real mish_rest(Real z) {
  const Real w = std::exp(-std::abs(z));
  return z > 0 ? 2 * w * w / (1 + 2 * w + 2 * w * w) : 2 / (w * (w + 2) + 2);
}

constexpr Real selu_alpha = 1.67326324235437728481704299167L, selu_scale = 1.05070098735548049341933498529L;

// The largest error allowed, in units in the last place of max(|truth|, floor); for |z| > until the floor is 0. With
// floor 0 the bound is a relative one (down to numbers so small that a factor of theirs may be subnormal), with floor 1
// an absolute one where |truth| < 1. native/kernels/contract.md has the same figures.
struct Bound {
  Real floor, f32, f64, until = std::numeric_limits<Real>::infinity();
};

struct Function {
  Activation kind;
  const char* name;
  Real (*value)(Real z);
  Real (*derivative)(Real z);
  Bound value_bound, derivative_bound;
};

const Function functions[] = {
    {Activation::identity, "identity", [](Real z) { return z; }, [](Real) { return Real(1); }, {0, 0, 0}, {0, 0, 0}},
    {Activation::sigmoid,
     "sigmoid",
     logistic,
     [](Real z) { return logistic(z) * logistic(-z); },
     {0, 2.5L, 2.5L},
     {1, 0.8L, 0.8L}},
    {Activation::tanh,
     "tanh",
     [](Real z) { return std::tanh(z); },
     [](Real z) { return 1 / (std::cosh(z) * std::cosh(z)); },
     {0, 3, 3},
     {1, 3, 3}},
    {Activation::relu,
     "relu",
     [](Real z) { return z > 0 ? z : 0; },
     [](Real z) { return Real(z > 0 ? 1 : 0); },
     {0, 0, 0},
     {0, 0, 0}},
    {Activation::leaky_relu,
     "leaky_relu",
     [](Real z) { return z > 0 ? z : z / 100; },
     [](Real z) { return z > 0 ? 1 : Real(1) / 100; },
     {0, 1, 1},
     {0, 0.5L, 0.5L}},
    {Activation::elu,
     "elu",
     [](Real z) { return z > 0 ? z : std::expm1(z); },
     [](Real z) { return z > 0 ? 1 : std::exp(z); },
     {0, 1.25L, 1.25L},
     {1, 0.5L, 0.5L}},
    {Activation::selu,
     "selu",
     [](Real z) { return selu_scale * (z > 0 ? z : selu_alpha * std::expm1(z)); },
     [](Real z) { return selu_scale * (z > 0 ? 1 : selu_alpha * std::exp(z)); },
     {0, 2.25L, 3.25L},
     {1, 2, 2.5L}},
    {Activation::gelu,
     "gelu",
     [](Real z) { return z * normal_cdf(z); },
     [](Real z) { return normal_cdf(z) + z * normal_pdf(z); },
     {0, 5, 5},
     {0.25L, 4, 4, 4}},
    {Activation::silu,
     "silu",
     [](Real z) { return z * logistic(z); },
     [](Real z) { return logistic(z) * (1 + z * logistic(-z)); },
     {0, 3, 3},
     {0.25L, 5.5L, 5.5L, 4}},
    {Activation::mish,
     "mish",
     [](Real z) { return z * mish_gate(z); },
     [](Real z) { return mish_gate(z) + z * mish_rest(z) * (1 + mish_gate(z)) * logistic(z); },
     {0, 4.5L, 4.5L},
     {0.25L, 6, 6, 4}},
    {Activation::softplus,
     "softplus",
     [](Real z) { return (z > 0 ? z : 0) + std::log1p(std::exp(-std::abs(z))); },
     logistic,
     {0, 3, 3},
     {0, 2.5L, 2.5L}},
};
static_assert(std::size(functions) == n_activations);

// Finite points: evenly spaced, evenly spaced in their bits (so, roughly, in their logarithm; denormals too), and those
// where something may turn. As many again in whole panels, the rest zeros.
template <class T>
Buffer<T> grid() {
  using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const int64_t n = figures ? 200'000 : 6'000;
  std::vector<T> z = {0,
                      T(88),
                      T(88.7228),
                      T(89),
                      T(103.9),
                      T(104),
                      T(709.78),
                      T(710),
                      T(745.1),
                      T(746),
                      T(1000),
                      std::numeric_limits<T>::min(),
                      std::numeric_limits<T>::denorm_min(),
                      T(1e30),
                      std::numeric_limits<T>::max()};
  const double far = sizeof(T) == 4 ? 110 : 760;
  for (int64_t i = 0; i < n; ++i) {
    z.push_back(static_cast<T>(far * (i + 0.37) / n));
    z.push_back(static_cast<T>(12 * (i + 0.71) / n));
  }
  const T top = 1000;
  Word last;
  std::memcpy(&last, &top, sizeof last);
  for (int64_t i = 0; i < n; ++i) {
    const Word bits = static_cast<Word>(last / Word(n) * Word(i) + Word(i * 7919 % 104729));
    T x;
    std::memcpy(&x, &bits, sizeof x);
    z.push_back(x);
  }
  const int64_t half = static_cast<int64_t>(z.size());
  Buffer<T> both(padded<T>(2 * half));
  for (int64_t i = 0; i < half; ++i) {
    both[i] = z[static_cast<std::size_t>(i)];
    both[half + i] = -z[static_cast<std::size_t>(i)];
  }
  return both;
}

template <class T>
struct Worst {
  Real error = 0;
  T at = 0;
};

// Error in units in the last place of max(|truth|, floor).
template <class T>
Real error_of(T got, Real truth, Real floor) {
  using Limits = std::numeric_limits<T>;
  const Real smallest = Real(1024) * Limits::min(), largest = Limits::max();
  if (std::abs(truth) > largest) return std::isinf(got) && (got > 0) == (truth > 0) ? 0 : 1e9L;
  const Real error = std::abs(Real(got) - truth);
  const int exponent = std::ilogb(std::max({std::abs(truth), floor, smallest}));
  const Real units = std::ldexp(error, std::numeric_limits<T>::digits - 1 - exponent);
  return units <= 1e9L ? units : 1e9L;  // NaN too
}

// truth[i] is that of z[i].
template <class T>
Worst<T> worst(const Buffer<T>& z, const Buffer<T>& got, const std::vector<Real>& truth, const Bound& bound) {
  Worst<T> found;
  for (int64_t i = 0; i < z.size(); ++i) {
    const Real floor = std::abs(z[i]) <= bound.until ? bound.floor : 0;
    const Real error = error_of(got[i], truth[static_cast<std::size_t>(i)], floor);
    if (error > found.error) found = {error, z[i]};
  }
  return found;
}

template <class T>
Buffer<T> ones(int64_t n) {
  Buffer<T> x(n);
  std::fill_n(x.data(), n, T(1));
  return x;
}

template <class T>
struct Answer {
  T value, derivative;
};

// One number through a table.
template <class T>
Answer<T> answer(const Kernels<T>& kernels, Activation kind, T z) {
  Buffer<T> Z(panel<T>), A(panel<T>), d = ones<T>(panel<T>);
  std::fill_n(Z.data(), panel<T>, z);
  kernels.activate[static_cast<int>(kind)](panel<T>, Z.data(), A.data());
  kernels.derive[static_cast<int>(kind)](panel<T>, Z.data(), A.data(), d.data(), d.data());
  return {A[0], d[0]};
}

}  // namespace

TEST_BOTH(activations_are_accurate) {
  const Buffer<T> z = grid<T>();
  const int64_t n = z.size();
  const Buffer<T> dA = ones<T>(n);
  Buffer<T> A(n), dZ(n);
  for (const Function& f : functions) {
    std::vector<Real> value, derivative;
    for (int64_t i = 0; i < n; ++i) {
      value.push_back(f.value(z[i]));
      derivative.push_back(f.derivative(z[i]));
    }
    for (const Kernels<T>* kernels : tables<T>()) {
      kernels->activate[static_cast<int>(f.kind)](n, z.data(), A.data());
      kernels->derive[static_cast<int>(f.kind)](n, z.data(), A.data(), dA.data(), dZ.data());
      const auto look = [&](const char* what, const Buffer<T>& got, const std::vector<Real>& truth,
                            const Bound& bound) {
        const Worst<T> found = worst(z, got, truth, bound);
        const Real allowed = sizeof(T) == 4 ? bound.f32 : bound.f64;
        CHECK(found.error <= allowed, "%s of %s, %s: %.2Lf units at %.9g, %.2Lf allowed", what, f.name,
              kernels->instruction_set, found.error, double(found.at), allowed);
        if (!figures) return;
        std::printf("  %-10s %-10s %-8s %s %5.2Lf of %.2Lf units, at %.9g\n", f.name, what, kernels->instruction_set,
                    sizeof(T) == 4 ? "f32" : "f64", found.error, allowed, double(found.at));
      };
      look("value", A, value, f.value_bound);
      look("derivative", dZ, derivative, f.derivative_bound);
    }
  }
}

// Where exp(z) is subnormal it is rounded once: sigmoid and softplus are exp(z) there.
TEST_BOTH(exponentials_fade_through_subnormals) {
  const double first = sizeof(T) == 4 ? 87 : 708, last = sizeof(T) == 4 ? 105 : 747;
  for (const Kernels<T>* kernels : tables<T>())
    for (const Activation kind : {Activation::sigmoid, Activation::softplus}) {
      Real error = 0;
      for (int i = 0; i < 2000; ++i) {
        const T z = T(-first - (last - first) * i / 2000);
        const Real unit =
            std::max(Real(std::numeric_limits<T>::denorm_min()), std::exp(Real(z)) * std::numeric_limits<T>::epsilon());
        error = std::max(error, std::abs(answer(*kernels, kind, z).value - std::exp(Real(z))) / unit);
      }
      CHECK(error <= 2, "%s, %s: %.2Lf", functions[static_cast<int>(kind)].name, kernels->instruction_set, error);
    }
}

// NaN in, NaN out. A derivative that looks at the sign alone takes NaN for a number that is not positive.
TEST_BOTH(activations_keep_nan) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const Function& f : functions)
      for (const T nan : {nan_of<T>, -nan_of<T>}) {
        const auto [value, derivative] = answer(*kernels, f.kind, nan);
        const bool piecewise =
            f.kind == Activation::identity || f.kind == Activation::relu || f.kind == Activation::leaky_relu;
        CHECK(std::isnan(value), "%s, %s", f.name, kernels->instruction_set);
        CHECK(std::isnan(derivative) || piecewise, "derivative of %s, %s", f.name, kernels->instruction_set);
      }
}

// Limits at plus and minus infinity. NaN stands for infinity times 0, as in NumPy and PyTorch.
TEST_BOTH(activations_at_infinity) {
  const T infinity = std::numeric_limits<T>::infinity(), nan = nan_of<T>;
  struct Limits {
    Activation kind;
    T value_below, value_above, derivative_below, derivative_above;
  };
  const T low = T(-selu_scale * selu_alpha), scale = T(selu_scale), slope = T(0.01);
  const Limits limits[] = {
      {Activation::identity, -infinity, infinity, 1, 1},
      {Activation::sigmoid, 0, 1, 0, 0},
      {Activation::tanh, -1, 1, 0, 0},
      {Activation::relu, 0, infinity, 0, 1},
      {Activation::leaky_relu, -infinity, infinity, slope, 1},
      {Activation::elu, -1, infinity, 0, 1},
      {Activation::selu, low, infinity, 0, scale},
      {Activation::gelu, 0, infinity, 0, 1},
      {Activation::silu, nan, infinity, nan, nan},
      {Activation::mish, nan, infinity, nan, nan},
      {Activation::softplus, 0, infinity, 0, 1},
  };
  const auto agrees = [](T got, T truth) {
    return std::isnan(truth) ? std::isnan(got) : std::isinf(truth) ? got == truth : std::abs(got - truth) <= T(1e-6);
  };
  for (const Kernels<T>* kernels : tables<T>())
    for (const Limits& limit : limits) {
      const auto below = answer(*kernels, limit.kind, -infinity), above = answer(*kernels, limit.kind, infinity);
      const char* name = functions[static_cast<int>(limit.kind)].name;
      CHECK(agrees(below.value, limit.value_below), "%s, %s: %g", name, kernels->instruction_set, double(below.value));
      CHECK(agrees(above.value, limit.value_above), "%s, %s: %g", name, kernels->instruction_set, double(above.value));
      CHECK(agrees(below.derivative, limit.derivative_below), "%s, %s: %g", name, kernels->instruction_set,
            double(below.derivative));
      CHECK(agrees(above.derivative, limit.derivative_above), "%s, %s: %g", name, kernels->instruction_set,
            double(above.derivative));
    }
}

// The chain rule multiplies by dA, also in place; nothing is written beyond n; a number's lane does not matter.
TEST_BOTH(activations_lane_by_lane) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const Function& f : functions) {
      const int at = static_cast<int>(f.kind);
      for (const int64_t n : {int64_t(0), panel<T>, 3 * panel<T>}) {
        Buffer<T> z(n), dA(n);
        Guarded<T> A(n), dZ(n), in_place(n);
        for (int64_t i = 0; i < n; ++i) {
          z[i] = static_cast<T>(i * 0.31 - 4);
          dA[i] = in_place[i] = i % 2 ? T(-4) : T(0.5);  // powers of two: no rounding
        }
        kernels->activate[at](n, z.data(), A.data());
        kernels->derive[at](n, z.data(), A.data(), dA.data(), dZ.data());
        kernels->derive[at](n, z.data(), A.data(), in_place.data(), in_place.data());
        bool right = A.intact() && dZ.intact() && in_place.intact();
        for (int64_t i = 0; i < n; ++i) {
          const auto alone = answer(*kernels, f.kind, z[i]);
          right &=
              same_bits<T>(A[i], alone.value) && dZ[i] == dA[i] * alone.derivative && same_bits<T>(dZ[i], in_place[i]);
        }
        CHECK(right, "%s, %s: n=%ld", f.name, kernels->instruction_set, long(n));
      }
    }
}

}  // namespace fallline::test

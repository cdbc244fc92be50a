// A small vector type over the vector extensions of GCC and Clang: one source for all instruction sets.
// Included by kernels.cpp alone, inside the namespace of an instruction set; FALLLINE_VECTOR_BYTES is its register.
#pragma once

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
};
template <>
struct VecOf<float> {
  typedef float type __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
  typedef int bits __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
};
template <>
struct VecOf<double> {
  typedef double type __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
  typedef long long bits __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
};
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
using Bits = typename VecOf<T>::bits;

template <class T>
constexpr int lanes = FALLLINE_VECTOR_BYTES / sizeof(T);

template <class T>
static inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
static inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

template <class T>
static inline Vec<T> all(T x) {
  return x - Vec<T>{};
}

template <class T>
static inline Vec<T> square_root(Vec<T> x) {
  for (int i = 0; i < lanes<T>; ++i) x[i] = sizeof(T) == 4 ? __builtin_sqrtf(x[i]) : __builtin_sqrt(x[i]);
  return x;
}

// NaN stays: a comparison with NaN is false, and the second branch keeps x.
template <class T>
static inline Vec<T> at_most(Vec<T> x, T bound) {
  return x > bound ? all<T>(bound) : x;
}
template <class T>
static inline Vec<T> at_least(Vec<T> x, T bound) {
  return x < bound ? all<T>(bound) : x;
}
template <class T>
static inline Vec<T> magnitude(Vec<T> x) {
  return x < T(0) ? -x : x;
}

// What the exponential's range reduction needs of a type.
template <class T>
struct Exponential;
template <>
struct Exponential<float> {
  static constexpr float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float highest = 89.0f, lowest = -104.0f;  // beyond: infinity, 0
  static constexpr int bias = 127, mantissa = 23, terms = 7;
};
template <>
struct Exponential<double> {
  static constexpr double shifter = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double ln2_high = 0.6931471803691238, ln2_low = 1.9082149292705877e-10;
  static constexpr double highest = 710.0, lowest = -746.0;
  static constexpr int bias = 1023, mantissa = 52, terms = 13;
};

template <class T>
static constexpr T inverse_factorial(int n) {
  T product = 1;
  for (int i = 2; i <= n; ++i) product *= T(i);
  return T(1) / product;
}

template <class T>
struct Reduced {
  Vec<T> series;       // exp(r) - 1 for x = n ln 2 + r, |r| <= ln(2) / 2
  Vec<T> scale, rest;  // 2^n = scale * rest, each of them a normal number
};

// Taylor's series: its remainder lies below half a unit in the last place for |r| <= ln(2) / 2.
template <class T>
static inline Reduced<T> reduce(Vec<T> x) {
  using E = Exponential<T>;
  x = at_least<T>(at_most<T>(x, E::highest), E::lowest);
  const Vec<T> shifted = x * T(1.4426950408889634) + E::shifter;
  const Vec<T> n = shifted - E::shifter;
  const Vec<T> r = (x - n * E::ln2_high) - n * E::ln2_low;
  Vec<T> sum = all<T>(inverse_factorial<T>(E::terms));
#pragma GCC unroll 16
  for (int i = E::terms - 1; i >= 1; --i) sum = sum * r + inverse_factorial<T>(i);
  Bits<T> power;
  __builtin_memcpy(&power, &shifted, sizeof power);
  Bits<T> zero_power;
  const Vec<T> zero_shifted = all<T>(E::shifter);
  __builtin_memcpy(&zero_power, &zero_shifted, sizeof power);
  const Bits<T> whole = power - zero_power, half = whole >> 1;
  const Bits<T> a = (half + E::bias) << E::mantissa, b = (whole - half + E::bias) << E::mantissa;
  Reduced<T> out;
  out.series = sum * r;
  __builtin_memcpy(&out.scale, &a, sizeof a);
  __builtin_memcpy(&out.rest, &b, sizeof b);
  return out;
}

template <class T>
static inline Vec<T> exponential(Vec<T> x) {
  const Reduced<T> e = reduce<T>(x);
  return (e.series + T(1)) * e.scale * e.rest;
}

// exp(x) - 1 without cancellation, for x <= 0.
template <class T>
static inline Vec<T> exponential_minus_1(Vec<T> x) {
  const Reduced<T> e = reduce<T>(x);
  const Vec<T> power = e.scale * e.rest;
  return e.series * power + (power - T(1));
}

// log(1 + u) for 0 <= u <= 1: 2 artanh(s) with s = u / (2 + u) <= 1/3, a series in s^2 <= 1/9.
template <class T>
static inline Vec<T> log_1_plus(Vec<T> u) {
  constexpr int terms = sizeof(T) == 4 ? 8 : 18;
  const Vec<T> s = u / (u + T(2)), s2 = s * s;
  Vec<T> sum = all<T>(T(1) / T(2 * terms - 1));
#pragma GCC unroll 32
  for (int i = terms - 1; i >= 1; --i) sum = sum * s2 + T(1) / T(2 * i - 1);
  return T(2) * s * sum;
}

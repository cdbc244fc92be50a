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
  typedef int ints __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
};
template <>
struct VecOf<double> {
  typedef double type __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
  typedef long long bits __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
  typedef int ints __attribute__((vector_size(FALLLINE_VECTOR_BYTES / 2)));
};
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
using Bits = typename VecOf<T>::bits;
template <class T>
using IntsFor = typename VecOf<T>::ints;  // as many as a vector has lanes

typedef unsigned long long Halves __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));

// The lower half of each lane times that of the other's. GCC does not see that one instruction does it.
static inline Halves product_of_lower(Halves a, Halves b) {
#if defined(__x86_64__) && !defined(__clang__) && (FALLLINE_VECTOR_BYTES < 64 || defined(__AVX512F__))
  typedef int Ints __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
  typedef long long Longs __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
  const Ints x = (Ints)a, y = (Ints)b;
#if FALLLINE_VECTOR_BYTES == 16
  const Longs product = __builtin_ia32_pmuludq128(x, y);
#elif FALLLINE_VECTOR_BYTES == 32
  const Longs product = __builtin_ia32_pmuludq256(x, y);
#else
  const Longs product = __builtin_ia32_pmuludq512_mask(x, y, Longs{}, -1);
#endif
  return (Halves)product;
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

template <class T>
constexpr int lanes = FALLLINE_VECTOR_BYTES / sizeof(T);

// A vector anywhere in memory. (A memcpy would do, but GCC 12 then moves sums through integer registers.)
template <class T>
struct Unaligned {
  typedef T type __attribute__((vector_size(FALLLINE_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};

template <class T>
static inline Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Unaligned<T>::type*>(p);
}

template <class T>
static inline void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Unaligned<T>::type*>(p) = v;
}

// A product as it is, not contracted with a sum that follows: where either of two products could be, this leaves one,
// and the formula has the same bits wherever it is compiled.
template <class T>
static inline Vec<T> rounded(Vec<T> x) {
#if defined(__x86_64__) && \
    (FALLLINE_VECTOR_BYTES <= 16 || defined(__AVX512F__) || (FALLLINE_VECTOR_BYTES == 32 && defined(__AVX__)))
  __asm__("" : "+v"(x));  // a vector that fills several registers is that of a build without contraction
#elif defined(__aarch64__) && FALLLINE_VECTOR_BYTES == 16
  __asm__("" : "+w"(x));
#elif defined(__aarch64__)
  __asm__("" : "+m"(x));  // the wide kernels of the tests, by way of memory
#endif
  return x;
}

template <class T>
static inline Vec<T> all(T x) {
  return x - Vec<T>{};
}

template <class T>
static inline Bits<T> to_bits(Vec<T> x) {
  Bits<T> b;
  __builtin_memcpy(&b, &x, sizeof b);
  return b;
}
template <class T>
static inline Vec<T> from_bits(Bits<T> b) {
  Vec<T> x;
  __builtin_memcpy(&x, &b, sizeof x);
  return x;
}

// GCC makes one instruction of the loop, for each register (seen in the baseline, AVX2 and AVX-512 builds).
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
  return from_bits<T>(to_bits<T>(x) & ~to_bits<T>(all<T>(-0.0)));
}
template <class T>
static inline Vec<T> minus_magnitude(Vec<T> x) {
  return from_bits<T>(to_bits<T>(x) | to_bits<T>(all<T>(-0.0)));
}
template <class T>
static inline Vec<T> with_sign_of(Vec<T> sign, Vec<T> x) {
  const Bits<T> mask = to_bits<T>(all<T>(-0.0));
  return from_bits<T>((to_bits<T>(x) & ~mask) | (to_bits<T>(sign) & mask));
}

// x, but zero from lane n on, be it NaN.
template <class T>
static inline Vec<T> first_lanes(Vec<T> x, int64_t n) {
  Bits<T> lane;
  for (int i = 0; i < lanes<T>; ++i) lane[i] = i;
  const auto end = static_cast<decltype(lane[0] + 0)>(n < lanes<T> ? n : lanes<T>);
  return from_bits<T>(to_bits<T>(x) & (lane < end));
}

// Horner's rule; c[0] is the constant term.
template <class T, int n>
static inline Vec<T> polynomial(const T (&c)[n], Vec<T> x) {
  Vec<T> sum = all<T>(c[n - 1]);
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; --i) sum = sum * x + c[i];
  return sum;
}

// What the exponential's range reduction needs of a type.
template <class T>
struct Exponential;
template <>
struct Exponential<float> {
  static constexpr int mantissa = 23, bias = 127, lift = 64;
  static constexpr float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float lowest = -104.0f, lowest_minus_1 = -25.0f;  // below: exp(x) is 0, exp(x) - 1 is -1
  static constexpr float unlift = 0x1p-64f;
};
template <>
struct Exponential<double> {
  static constexpr int mantissa = 52, bias = 1023, lift = 512;
  static constexpr double shifter = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double ln2_high = 0.6931471803691238, ln2_low = 1.9082149292705877e-10;
  static constexpr double lowest = -746.0, lowest_minus_1 = -50.0;
  static constexpr double unlift = 0x1p-512;
};

template <class T>
struct Reduced {
  Vec<T> series;  // exp(r) - 1 for x - less = n ln 2 + r, |r| <= ln(2) / 2
  Vec<T> power;   // 2^(n + lift)
};

// For x <= 0, and a small number besides that x has no digits for. n + lift must be the exponent of a normal number.
// The sum n + lift + bias stands in the last bits of `shifted`, and a shift makes it an exponent.
template <class T, int lift>
static inline Reduced<T> reduce(Vec<T> x, Vec<T> less) {
  using E = Exponential<T>;
  constexpr T shifter = E::shifter + T(E::bias + lift);
  const Vec<T> shifted = (x - less) * T(1.4426950408889634) + shifter, n = shifted - shifter;
  const Vec<T> r = (x - n * E::ln2_high) - n * E::ln2_low - less;
  return {polynomial(Coefficients<T>::exponential, r) * (r * r) + r, from_bits<T>(to_bits<T>(shifted) << E::mantissa)};
}

// exp(x) for x <= 0. The last product alone rounds where the result is subnormal.
template <class T>
static inline Vec<T> exponential_of_negative(Vec<T> x) {
  using E = Exponential<T>;
  const Reduced<T> e = reduce<T, E::lift>(at_least<T>(x, E::lowest), Vec<T>{});
  return (e.series * e.power + e.power) * E::unlift;
}

// exp(x) for any x, as the square of exp(x / 2), whose power of two is a normal number.
template <class T>
static inline Vec<T> exponential(Vec<T> x) {
  constexpr T highest = sizeof(T) == 4 ? T(90) : T(711);  // beyond: infinity
  const Vec<T> half = T(0.5) * at_least<T>(at_most<T>(x, highest), Exponential<T>::lowest);
  const Reduced<T> e = reduce<T, 0>(half, Vec<T>{});
  const Vec<T> root = e.series * e.power + e.power;
  return root * root;
}

// exp(x) - 1 for x <= 0, without cancellation.
template <class T>
static inline Vec<T> exponential_minus_1(Vec<T> x) {
  const Reduced<T> e = reduce<T, 0>(at_least<T>(x, Exponential<T>::lowest_minus_1), Vec<T>{});
  return e.series * e.power + (e.power - T(1));
}

// log(1 + u) for 0 <= u <= 1: 2 artanh(s) with s = u / (2 + u) <= 1/3.
template <class T>
static inline Vec<T> log_1_plus(Vec<T> u) {
  const Vec<T> s = u / (u + T(2)), s2 = s * s;
  return T(2) * (s + s * (s2 * polynomial(Coefficients<T>::artanh, s2)));
}

// Phi(-u) = exp(-u^2 / 2) Mills(u) for 0 <= u <= widest, Phi the normal distribution function. Beyond, it is 0.
template <class T>
struct Gaussian;
template <>
struct Gaussian<float> {
  static constexpr float widest = 15.0f;
  static constexpr int upper_digits = ~0xfff;  // 12 of 24
};
template <>
struct Gaussian<double> {
  static constexpr double widest = 39.5;
  static constexpr long long upper_digits = ~0x7ffffffll;  // 26 of 53
};

// exp(-u^2 / 2) 2^lift. A rounded u^2 would cost u^2 / 4 units in the last place: `high` has half of u's digits, so its
// square is exact, and u^2 = high^2 + (u - high) (u + high) (as in Cody's CALERF).
template <class T>
static inline Vec<T> lifted_gaussian(Vec<T> u) {
  const Vec<T> high = from_bits<T>(to_bits<T>(u) & Gaussian<T>::upper_digits);
  const Reduced<T> e = reduce<T, Exponential<T>::lift>(T(-0.5) * high * high, T(0.5) * (u - high) * (u + high));
  return e.series * e.power + e.power;
}

// exp(u^2 / 2) Phi(-u) for u >= 0, as P / (slope u P + R). All coefficients are positive, so nothing cancels; and where
// u is large, P's rounding errors do. Mills's ratio over sqrt(2 pi).
template <class T>
static inline Vec<T> mills(Vec<T> u) {
  using C = Coefficients<T>;
  const Vec<T> p = polynomial(C::mills_p, u);
  return p / (C::mills_slope * u * p + polynomial(C::mills_r, u));
}

// What the logarithm needs of a type.
template <class T>
struct Logarithm;
template <>
struct Logarithm<float> {
  static constexpr int root_half = 0x3f3504f3, terms = 4;  // sqrt(1/2), its bits
  static constexpr float smallest_normal = 0x1p-126f;
};
template <>
struct Logarithm<double> {
  static constexpr long long root_half = 0x3fe6a09e667f3bcd;
  static constexpr int terms = 10;
  static constexpr double smallest_normal = 0x1p-1022;
};

// x = 2^n (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), and log(1 + f) = 2 artanh(s), s = f / (2 + f), whose series
// in s^2 <= 0.03 is put together as in fdlibm's e_log.c, so that f enters the sum exactly.
template <class T>
static inline Vec<T> logarithm(Vec<T> x) {
  using E = Exponential<T>;
  using G = Logarithm<T>;
  constexpr T infinity = T(__builtin_inf());
  constexpr T scaled = E::shifter + T(E::mantissa + 1);
  const auto subnormal = x < G::smallest_normal;
  const Bits<T> bits = to_bits<T>(magnitude<T>(subnormal ? x * T(2LL << E::mantissa) : x));
  const Bits<T> whole = (bits - G::root_half) >> E::mantissa;
  const Vec<T> n =
      from_bits<T>(whole + to_bits<T>(all<T>(E::shifter))) - (subnormal ? all<T>(scaled) : all<T>(E::shifter));
  const Vec<T> f = from_bits<T>(bits - (whole << E::mantissa)) - T(1);
  const Vec<T> s = f / (f + T(2)), s2 = s * s, half_square = T(0.5) * f * f;
  Vec<T> sum = all<T>(T(2) / T(2 * G::terms + 1));
#pragma GCC unroll 16
  for (int i = G::terms - 1; i >= 1; --i) sum = sum * s2 + T(2) / T(2 * i + 1);
  const Vec<T> low = s * (half_square + sum * s2) + n * E::ln2_low;
  const Vec<T> log = n * E::ln2_high - ((half_square - low) - f);
  const Vec<T> at_edge = x == T(0) ? all<T>(-infinity) : all<T>(T(__builtin_nan("")));
  return x > T(0) ? (x < infinity ? log : x) : at_edge;
}

// Products of operands rounded to bf16 (the upper half of a float), summed in float: the processor multiplies two pairs
// of them at a time. So operands stand in pairs: a word holds row k in its lower half and row k + 1 in its upper.
// Blocks of them are made just before their use; everything else in the engine stays float. Built for AVX-512 BF16,
// whose other kernels are those of AVX-512; and for the tests, where the build lacks the instructions and the same is
// done in steps.
#include "kernels/registry.hpp"

#ifdef __AVX512BF16__
#include <immintrin.h>  // its functions are inlined
#endif

namespace fallline::FALLLINE_KERNELS {

namespace {
// the order of these matters, as in kernels.cpp
#include "kernels/coefficients.hpp"
#include "kernels/vec.hpp"
// and all of these come after them
#include "kernels/activations.inl.hpp"
#include "kernels/steps.inl.hpp"
#include "kernels/tiles.inl.hpp"
// and the products take steps
#include "kernels/products.inl.hpp"

typedef unsigned Words __attribute__((vector_size(FALLLINE_VECTOR_BYTES)));
typedef unsigned short Halfwords __attribute__((vector_size(FALLLINE_VECTOR_BYTES / 2)));
typedef Words WordsAnywhere __attribute__((aligned(4), may_alias));
typedef Halfwords HalfwordsAnywhere __attribute__((aligned(2), may_alias));
typedef unsigned WordAnywhere __attribute__((may_alias));

#ifdef __AVX512BF16__

static inline Halfwords to_bf16(Vec<float> x) { return (Halfwords)_mm512_cvtneps_pbh((__m512)x); }

// a in the lower halves, b in the upper ones.
static inline Words to_pairs(Vec<float> a, Vec<float> b) {
  typedef short Order __attribute__((vector_size(64)));
  constexpr Order in_turn = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                             8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (Words)_mm512_permutexvar_epi16((__m512i)in_turn, (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a));
}

static inline Vec<float> add_products(Vec<float> sum, Words a, Words b) {
  return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

#else

// In the upper half of a word, its lower half zero; ties to even, NaN stays.
static inline Words upper_half(Vec<float> x) {
  const Words bits = (Words)x;
  const Words nearest = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 0x400000;
  return (x == x ? nearest : quiet) & 0xffff0000;
}

static inline Halfwords to_bf16(Vec<float> x) { return __builtin_convertvector(upper_half(x) >> 16, Halfwords); }

static inline Words to_pairs(Vec<float> a, Vec<float> b) { return upper_half(a) >> 16 | upper_half(b); }

// Products of two bf16 are exact; the upper ones come first.
static inline Vec<float> add_products(Vec<float> sum, Words a, Words b) {
  sum += (Vec<float>)(a & 0xffff0000) * (Vec<float>)(b & 0xffff0000);
  return sum + (Vec<float>)(a << 16) * (Vec<float>)(b << 16);
}

#endif

struct Pairs {
  static Words right(const float* b) { return *reinterpret_cast<const WordsAnywhere*>(b); }
  static Words left(const float* a) { return *reinterpret_cast<const WordAnywhere*>(a) + Words{}; }
  static Vec<float> add(Vec<float> sum, Words a, Words b) { return add_products(sum, a, b); }
};

struct Bf16 {
  using Matrix = Panels<const float>;
  static constexpr int64_t N = panel<float>, block = block_k<float> / 2 * N;  // words in a panel of a block
  static constexpr int64_t scratch = (tile_panels<float> + 1) * block;
  static constexpr int V = panel_vectors<float>, L = lanes<float>;

  template <int P>
  static Matrix right(int64_t length, Matrix B, float* scratch) {
    for (int p = 0; p < P; ++p) pair_rows(length, B.at + p * B.stride, scratch + p * block);
    return {scratch, block};
  }

  static const float* left(int64_t length, const float* A, float* scratch) {
    return pair_rows(length, A, scratch + tile_panels<float> * block);
  }

  template <int R, int P>
  static void product(int64_t length, Matrix A, Matrix B, const Place<float>& place, float* scratch) {
    float* const a = scratch + tile_panels<float> * block;
    constexpr int64_t row = block_k<float> / 2;
    for (int r = 0; r < R; ++r) pair_columns(length, {A.at + r * N, A.stride}, a + r * row);
    tile<float, Pairs, R, P>(
        row, B.stride, [&](int r, int p, int v) { return place.begin(r, p, v); },
        [&](auto add) __attribute__((always_inline)) { walk_rows<float>((length + 1) / 2, a, 1, B.at, N, add); },
        [&](int r, int p, int v, Vec<float> sum) { store(place.at(r, p, v), sum); });
  }

  template <int R, int P, class Begin, class Finish>
  static void transposed_product(int64_t length, const float* a, Matrix B, Begin begin, Finish finish) {
    tile<float, Pairs, R, P>(
        1, B.stride, begin,
        [&](auto add) __attribute__((always_inline)) { walk_rows<float>((length + 1) / 2, a, N, B.at, N, add); },
        finish);
  }

 private:
  // Rows of a panel, two by two; a last one alone is paired with zeros.
  static const float* pair_rows(int64_t length, const float* from, float* to) {
    const auto put = [&](int64_t k, int v, Words words) {
      *reinterpret_cast<WordsAnywhere*>(to + k / 2 * N + v * L) = words;
    };
    int64_t k = 0;
    for (; k + 2 <= length; k += 2)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) put(k, v, to_pairs(load(from + k * N + v * L), load(from + (k + 1) * N + v * L)));
    if (k < length)
      for (int v = 0; v < V; ++v) put(k, v, to_pairs(load(from + k * N + v * L), Vec<float>{}));
    return to;
  }

  // Neighbours of a row, two by two; what stands behind its last number may be anything, and becomes zero.
  static void pair_columns(int64_t length, Matrix row, float* to) {
    const auto put = [&](int64_t k, int v, Vec<float> x) {
      *reinterpret_cast<HalfwordsAnywhere*>(reinterpret_cast<unsigned char*>(to + k / 2) + v * L * 2) = to_bf16(x);
    };
    int64_t k = 0;
    for (; k + N <= length; k += N)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) put(k, v, load(row.at + k / N * row.stride + v * L));
    if (k < length)
      for (int v = 0; v < V; ++v)
        put(k, v, first_lanes<float>(load(row.at + k / N * row.stride + v * L), length - k - v * L));
  }
};

}  // namespace

extern const Products<float> bf16_products;
extern const int64_t bf16_scratch;
constexpr Products<float> bf16_products = products<float, Bf16, false>();
constexpr int64_t bf16_scratch = Bf16::scratch;

}  // namespace fallline::FALLLINE_KERNELS

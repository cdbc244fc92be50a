// Which kernels run: asks the processor once, at first use. Compiled for the baseline, like all of core/.
#include "kernels/registry.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#ifdef FALLLINE_X86
#include <cpuid.h>
#endif

namespace fallline {

#if defined(FALLLINE_NEON)
#define FALLLINE_BUILT(X) X(neon)
#define FALLLINE_LAST
#elif defined(FALLLINE_X86)
#define FALLLINE_BUILT(X) X(baseline) X(avx2) X(avx512)
#define FALLLINE_LAST "avx512_bf16"
#else
#define FALLLINE_BUILT(X) X(baseline)
#define FALLLINE_LAST
#endif
#ifdef FALLLINE_TESTS  // see native/CMakeLists.txt
#define FALLLINE_SETS(X) X(wide) FALLLINE_BUILT(X)
#else
#define FALLLINE_SETS(X) FALLLINE_BUILT(X)
#endif

#define FALLLINE_DECLARE(isa)                  \
  namespace isa {                              \
  extern const Kernels<float> kernels_float;   \
  extern const Kernels<double> kernels_double; \
  }
FALLLINE_SETS(FALLLINE_DECLARE)
#undef FALLLINE_DECLARE

#define FALLLINE_DECLARE(isa)                 \
  namespace isa {                             \
  extern const Products<float> bf16_products; \
  extern const int64_t bf16_scratch;          \
  }
FALLLINE_DECLARE(avx512_bf16)
FALLLINE_DECLARE(wide)
#undef FALLLINE_DECLARE

#define FALLLINE_NAME(isa) #isa,

namespace {

#ifdef FALLLINE_X86
struct Features {
  bool avx2 = false, avx512 = false, avx512_bf16 = false;
};

// What the processor has and the operating system saves (XCR0): Intel SDM volume 1, sections 14.3 and 15.2.
Features features() {
  Features found;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return found;
  const bool fma = c & (1u << 12), saves = c & (1u << 27);
  if (!fma || !saves) return found;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const bool saves_ymm = (low & 0x6) == 0x6, saves_zmm = (low & 0xe6) == 0xe6;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
  const unsigned avx512_f_dq_bw_vl = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);
  found.avx2 = saves_ymm && (b & (1u << 5));
  found.avx512 = found.avx2 && saves_zmm && (b & avx512_f_dq_bw_vl) == avx512_f_dq_bw_vl;
  if (found.avx512 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) found.avx512_bf16 = a & (1u << 5);
  return found;
}
#endif

struct Set {
  const Kernels<float>* f32;
  const Kernels<double>* f64;
};

// The kernels of a set, with products of bf16 beside them.
[[maybe_unused]] Kernels<float> with_bf16(Kernels<float> kernels, const char* name, const Products<float>& products,
                                          int64_t scratch) {
  kernels.instruction_set = name;
  kernels.bf16 = products;
  kernels.product_scratch += scratch;
  return kernels;
}

// What this processor runs, worst first.
std::vector<Set> runnable() {
  std::vector<Set> sets;
#define FALLLINE_SET(isa) sets.push_back({&isa::kernels_float, &isa::kernels_double});
  FALLLINE_SETS(FALLLINE_SET)
#undef FALLLINE_SET
#ifdef FALLLINE_X86
  const Features has = features();
  if (!has.avx512) sets.pop_back();
  if (!has.avx2) sets.pop_back();
  if (has.avx512_bf16) {
    static const Kernels<float> avx512_bf16 =
        with_bf16(avx512::kernels_float, "avx512_bf16", avx512_bf16::bf16_products, avx512_bf16::bf16_scratch);
    sets.push_back({&avx512_bf16, &avx512::kernels_double});
  }
#endif
#ifdef FALLLINE_TESTS
  static const Kernels<float> wide = with_bf16(wide::kernels_float, "wide", wide::bf16_products, wide::bf16_scratch);
  sets[0].f32 = &wide;
#endif
  return sets;
}

Set find(const std::string& name) {
  std::string names;
  for (const Set& set : runnable()) {
    if (name == set.f32->instruction_set) return set;
    names += (names.empty() ? "" : ", ") + std::string(set.f32->instruction_set);
  }
  throw std::invalid_argument("instruction set '" + name + "' is not one of those this processor runs: " + names);
}

// FALLLINE_ISA caps the choice: the best one that runs here, up to the one it names.
Set choose() {
  const std::vector<Set> sets = runnable();
  const char* cap = std::getenv("FALLLINE_ISA");
  if (!cap) return sets.back();
  const std::vector<std::string> known = {FALLLINE_SETS(FALLLINE_NAME) FALLLINE_LAST};
  const auto at = std::find(known.begin(), known.end(), cap);
  if (at == known.end()) {
    std::string names;
    for (const std::string& name : known) names += (names.empty() ? "" : ", ") + name;
    throw std::invalid_argument("FALLLINE_ISA is '" + std::string(cap) + "'; it must be one of " + names);
  }
  const std::size_t highest = static_cast<std::size_t>(at - known.begin());
  return sets[std::min(highest, sets.size() - 1)];
}

Set& in_use() {
  static Set set = choose();
  return set;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return *in_use().f32;
}

template <>
const Kernels<double>& kernels<double>() {
  return *in_use().f64;
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Set& set : runnable()) names.emplace_back(set.f32->instruction_set);
  return names;
}

std::string instruction_set() { return in_use().f32->instruction_set; }

bool has_bf16() { return in_use().f32->bf16.forward; }

void use_instruction_set(const std::string& name) { in_use() = find(name); }

}  // namespace fallline

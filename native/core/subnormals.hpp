// Numbers below the least normal one, which processors work off many times more slowly than others.
#pragma once

#include <cstdint>

namespace fallline {

// While it lives, subnormal numbers count as zero in this thread. Adam's moments of a neuron that no longer fires halve
// every seven steps, so after a thousand steps they would be such numbers for ever.
class SubnormalsAreZero {
 public:
  SubnormalsAreZero() : before_(read()) { write(before_ | zero_in_and_out); }
  ~SubnormalsAreZero() { write(before_); }
  SubnormalsAreZero(const SubnormalsAreZero&) = delete;

 private:
#if defined(__x86_64__) || defined(_M_X64)
  using Word = unsigned;
  static constexpr Word zero_in_and_out = 0x8040;  // MXCSR: FTZ and DAZ
  static Word read() { return __builtin_ia32_stmxcsr(); }
  static void write(Word word) { __builtin_ia32_ldmxcsr(word); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word zero_in_and_out = 1u << 24;  // FPCR: FZ
  static Word read() {
    Word word;
    __asm__ volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { __asm__ volatile("msr fpcr, %0" : : "r"(word)); }
#else
  using Word = unsigned;
  static constexpr Word zero_in_and_out = 0;
  static Word read() { return 0; }
  static void write(Word) {}
#endif
  const Word before_;
};

}  // namespace fallline

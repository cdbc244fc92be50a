// Counter-based random numbers, the same as src/fallline/philox.py, which explains them.
// Philox4x32-10: Salmon, Moraes, Dror & Shaw 2011. All counters 0 give 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

namespace fallline {

inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

enum class Purpose : uint32_t { rows = 0, dropout = 1 };

// The sequence of words that belongs to (seed, a, b, purpose), read from word `first` on.
class Words {
 public:
  Words(uint64_t seed, int64_t a, int64_t b, Purpose purpose, int64_t first = 0)
      : k0_(static_cast<uint32_t>(seed)),
        k1_(static_cast<uint32_t>(seed >> 32)),
        counter_{static_cast<uint32_t>(first / 4), static_cast<uint32_t>(a), static_cast<uint32_t>(b),
                 static_cast<uint32_t>(purpose) | static_cast<uint32_t>(a >> 32) << 8} {
    for (int64_t i = 0; i < first % 4; ++i) next();
  }

  uint32_t next() {
    if (place_ == 4) {
      block_ = philox(counter_, k0_, k1_);
      ++counter_[0];
      place_ = 0;
    }
    return block_[place_++];
  }

 private:
  uint32_t k0_, k1_;
  std::array<uint32_t, 4> counter_, block_{};
  unsigned place_ = 4;
};

// The order in which an epoch visits n rows: Fisher-Yates (Knuth 3.4.2 P).
inline void row_order(uint64_t seed, int64_t epoch, int64_t n, int64_t* order) {
  for (int64_t i = 0; i < n; ++i) order[i] = i;
  Words words(seed, epoch, 0, Purpose::rows);
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[(words.next() * static_cast<uint64_t>(i + 1)) >> 32]);
}

}  // namespace fallline

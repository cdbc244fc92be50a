// Dropout masks: the words of core/philox.hpp, many counters at a time.

constexpr int64_t words_at_a_time = 64;

// What Philox4x32-10 needs beside the counter's first word: the other three, and each round's keys, in all lanes.
struct Cipher {
  Halves count, c1, c2, c3, k0[10], k1[10];  // count: 0, 1, 2, ...
};

// Not inline: GCC would make the keys anew in every round.
__attribute__((noinline)) static Cipher cipher(uint32_t c1, uint32_t c2, uint32_t c3, uint64_t seed) {
  const Halves zero{};
  Cipher out{zero, zero + c1, zero + c2, zero + c3, {}, {}};
  for (uint32_t j = 0; j < FALLLINE_VECTOR_BYTES / 8; ++j) out.count[j] = j;
  for (uint32_t round = 0; round < 10; ++round) {
    out.k0[round] = zero + static_cast<uint32_t>(static_cast<uint32_t>(seed) + round * 0x9E3779B9);
    out.k1[round] = zero + static_cast<uint32_t>(static_cast<uint32_t>(seed >> 32) + round * 0xBB67AE85);
  }
  return out;
}

// Words of 16 counters from `block` on, a counter in each lane of 64 bits. What the upper halves hold does not matter
// until the end: a product reads the lower ones, and the rest is bit by bit.
static inline void philox_words(const Cipher& cipher, uint32_t block, uint32_t* words) {
  constexpr int64_t L = FALLLINE_VECTOR_BYTES / 8, chains = 2;  // a round waits for the one before: two go side by side
  const Halves zero{}, m0 = zero + 0xD2511F53, m1 = zero + 0xCD9E8D57;
  for (int64_t i = 0; i < words_at_a_time / 4; i += chains * L) {
    Halves x0[chains], x1[chains], x2[chains], x3[chains];
#pragma GCC unroll 2
    for (int64_t c = 0; c < chains; ++c) {
      x0[c] = zero + (block + static_cast<uint32_t>(i + c * L)) + cipher.count;
      x1[c] = cipher.c1;
      x2[c] = cipher.c2;
      x3[c] = cipher.c3;
    }
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round)
#pragma GCC unroll 2
      for (int64_t c = 0; c < chains; ++c) {
        const Halves p0 = product_of_lower(m0, x0[c]), p1 = product_of_lower(m1, x2[c]);
        x0[c] = (p1 >> 32) ^ (x1[c] ^ cipher.k0[round]);
        x1[c] = p1;
        x2[c] = (p0 >> 32) ^ (x3[c] ^ cipher.k1[round]);
        x3[c] = p0;
      }
#pragma GCC unroll 2
    for (int64_t c = 0; c < chains; ++c) {
      const Halves first = (x0[c] & 0xffffffff) | (x1[c] << 32), second = (x2[c] & 0xffffffff) | (x3[c] << 32);
      for (int64_t j = 0; j < L; ++j) {
        const uint64_t pairs[] = {first[j], second[j]};
        __builtin_memcpy(words + 4 * (i + c * L + j), pairs, sizeof pairs);
      }
    }
  }
}

// Row by row, panel by panel, from a small store of words that is drawn again where it ends: a panel needs `panel<T>`
// of them, from any place on; those beyond its columns are the next row's.
template <class T>
static void dropout_mask(const MaskRows<T>& rows) {
  constexpr int64_t P = panel<T>, capacity = 4 * words_at_a_time;
  const Cipher keys = cipher(static_cast<uint32_t>(rows.step), static_cast<uint32_t>(rows.layer_and_start),
                             1 | static_cast<uint32_t>(rows.step >> 32) << 8, rows.seed);  // 1: Purpose::dropout
  // word >= threshold, among whole numbers; no word reaches 2^32
  const bool none = rows.threshold > 4294967295.0;
  const uint32_t whole = none ? 0 : static_cast<uint32_t>(rows.threshold), limit = whole + (whole < rows.threshold);
  const Bits<T> kept = to_bits<T>(all<T>(none ? T(0) : rows.kept));
  constexpr uint32_t top = 0x80000000;  // turned over, it makes a comparison of signed numbers one of unsigned
  Bits<T> column;
  for (int i = 0; i < lanes<T>; ++i) column[i] = i;
  const int64_t n_panels = (rows.n_out + P - 1) / P, end = (rows.first + rows.n) * rows.n_out;
  alignas(64) uint32_t words[capacity];
  int64_t drawn_from = 0, drawn_to = 0;
  for (int64_t r = 0; r < rows.n; ++r)
    for (int64_t p = 0; p < n_panels; ++p) {
      const int64_t start = (rows.first + r) * rows.n_out + p * P, left = rows.n_out - p * P;
      if (start < drawn_from || start + P > drawn_to) {
        drawn_from = drawn_to = start / 4 * 4;
        for (uint32_t* at = words; at < words + capacity && drawn_to < end + P; at += words_at_a_time) {
          philox_words(keys, static_cast<uint32_t>(drawn_to / 4), at);
          drawn_to += words_at_a_time;
        }
      }
      const uint32_t* word = words + (start - drawn_from);
      T* mask = rows.mask + p * rows.m_panel + r * P;
      for (int64_t j = 0; j < P; j += lanes<T>) {
        IntsFor<T> turned;
        __builtin_memcpy(&turned, word + j, sizeof turned);
        turned ^= static_cast<int>(top);
        const Bits<T> stays = __builtin_convertvector(turned, Bits<T>) >= static_cast<int>(limit ^ top);
        store(mask + j, from_bits<T>(stays & (column < static_cast<int>(left - j)) & kept));
      }
    }
}

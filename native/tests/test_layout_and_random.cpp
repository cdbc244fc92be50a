// The packed block, the counter-based random numbers, and the choice of the instruction set.
#include <algorithm>
#include <map>
#include <stdexcept>

#include "core/philox.hpp"
#include "tests/support.hpp"

namespace fallline::test {

TEST_BOTH(layout_goes_there_and_back) {
  constexpr int64_t N = panel<T>;
  const std::vector<std::vector<int64_t>> nets = {{1, 1},       {3, 20, 2},      {784, 30, 10},
                                                  {16, 16, 16}, {17, 33, 15, 1}, {40, 4, 40, 3}};
  for (const std::vector<int64_t>& sizes : nets) {
    std::vector<Layer> layers;
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) layers.push_back({sizes[l], sizes[l + 1], Activation::relu});
    const Layout<T> layout(layers);
    std::vector<T> flat(static_cast<std::size_t>(n_parameters(layers))), back(flat.size());
    for (std::size_t i = 0; i < flat.size(); ++i) flat[i] = T(i + 1);
    Guarded<T> packed(layout.packed_size());
    for (int64_t i = 0; i < layout.packed_size(); ++i) packed[i] = nan_of<T>;
    layout.pack(flat.data(), packed.data());
    layout.unpack(packed.data(), back.data());
    CHECK(same_bits(flat, back) && packed.intact(), "first layer %ld to %ld", long(sizes[0]), long(sizes[1]));

    std::size_t place = 0;  // in the flat block
    bool right = true;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const int64_t n_in = layers[l].n_in, n_out = layers[l].n_out;
      right &= layout[l].W % N == 0 && layout[l].b % N == 0 && layout[l].n_bias % N == 0;
      right &= layout[l].turned == (n_out <= N / 4);
      const int64_t n_rows = layout[l].turned ? n_out : n_in, n_columns = layout[l].turned ? n_in : n_out;
      right &= layout[l].stride == n_rows * N;
      for (int64_t row = 0; row < n_rows; ++row)
        for (int64_t column = 0; column < padded<T>(n_columns); ++column) {
          const int64_t i = layout[l].turned ? column : row, j = layout[l].turned ? row : column;
          const T wanted = column < n_columns ? flat[place + std::size_t(i * n_out + j)] : T(0);
          right &= wanted == packed[layout[l].W + column / N * layout[l].stride + row * N + column % N];
        }
      place += std::size_t(n_in * n_out);
      for (int64_t j = 0; j < padded<T>(n_out); ++j)
        right &= (j < n_out ? flat[place++] : T(0)) == packed[layout[l].b + j];
    }
    CHECK(right && place == flat.size(), "first layer %ld to %ld", long(sizes[0]), long(sizes[1]));
  }
}

// Random123, kat_vectors.
TEST(philox_known_answers) {
  struct Answer {
    std::array<uint32_t, 4> counter;
    uint32_t k0, k1;
    std::array<uint32_t, 4> words;
  };
  constexpr uint32_t ones = 0xffffffff;
  const Answer answers[] = {
      {{0, 0, 0, 0}, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{ones, ones, ones, ones}, ones, ones, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       0xa4093822,
       0x299f31d0,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Answer& answer : answers)
    CHECK(philox(answer.counter, answer.k0, answer.k1) == answer.words, "counter %08x", answer.counter[0]);

  Words words(0x299f31d0a4093822, 7, 9, Purpose::dropout);
  for (uint32_t block = 0; block < 3; ++block)
    for (const uint32_t word : philox({block, 7, 9, 1}, 0xa4093822, 0x299f31d0))
      CHECK(words.next() == word, "block %u", block);
}

// Word for word what Words gives, whatever the row to begin with; padding is 0, and nothing lies outside.
TEST_BOTH(dropout_masks_are_those_of_the_words) {
  constexpr int64_t N = panel<T>, n = 37;
  constexpr uint64_t seed = 0x9abcdef012345678;
  constexpr int64_t step = (int64_t{5} << 32) + 3000000000, layer_and_start = 3 + 65536 * 7;
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n_out : {1, 3, 10, 17, 64, 300})
      for (const int64_t first : {int64_t(0), int64_t(5), int64_t(1000), int64_t(17179869184) / n_out - 5})
        for (const double threshold : {0.0, 1.0, 1288490189.0, 2147483648.5, 4294967295.0, 4294967296.0}) {
          const int64_t n_panels = padded<T>(n_out) / N, m_panel = (n + 2) * N;
          Guarded<T> mask(n_panels * m_panel);
          kernels->dropout_mask({.seed = seed,
                                 .step = step,
                                 .layer_and_start = layer_and_start,
                                 .first = first,
                                 .n = n,
                                 .n_out = n_out,
                                 .threshold = threshold,
                                 .kept = T(1.25),
                                 .mask = mask.data(),
                                 .m_panel = m_panel});
          Words words(seed, step, layer_and_start, Purpose::dropout, first * n_out);
          bool right = mask.intact();
          for (int64_t r = 0; r < n; ++r)
            for (int64_t j = 0; j < n_panels * N; ++j) {
              const T wanted = j < n_out && words.next() >= threshold ? T(1.25) : T(0);
              right &= same_bits(mask[j / N * m_panel + r * N + j % N], wanted);
            }
          for (int64_t p = 0; p < n_panels; ++p)
            for (int64_t i = n * N; i < m_panel; ++i) right &= mask.untouched(p * m_panel + i);
          CHECK(right, "%s: n_out=%ld first=%ld threshold=%.1f", kernels->instruction_set, long(n_out), long(first),
                threshold);
          mask[0] = 0;
          kernels->dropout_mask({seed, step, layer_and_start, first, 0, n_out, threshold, T(1), mask.data(), m_panel});
          CHECK(mask[0] == 0 && mask.intact(), "%s: no rows", kernels->instruction_set);
        }
}

TEST(row_order_is_a_fair_permutation) {
  for (const int64_t n : {1, 2, 10, 1000}) {
    std::vector<int64_t> order(static_cast<std::size_t>(n)), again(order), other(order), wanted(order);
    for (int64_t i = 0; i < n; ++i) wanted[static_cast<std::size_t>(i)] = i;
    row_order(5, 3, n, order.data());
    row_order(5, 3, n, again.data());
    CHECK(order == again, "n=%ld", long(n));
    for (const auto& [seed, epoch] : std::vector<std::pair<uint64_t, int64_t>>{{5, 4}, {6, 3}, {5 + (1ull << 32), 3}}) {
      row_order(seed, epoch, n, other.data());
      CHECK(n < 10 || other != order, "n=%ld seed=%ld", long(n), long(seed));
    }
    std::sort(order.begin(), order.end());
    CHECK(order == wanted, "n=%ld", long(n));
  }
  std::map<std::vector<int64_t>, int> seen;
  for (int64_t epoch = 0; epoch < 6000; ++epoch) {
    std::vector<int64_t> order(3);
    row_order(1, epoch, 3, order.data());
    ++seen[order];
  }
  CHECK(seen.size() == 6, "%zu", seen.size());
  for (const auto& [order, count] : seen)  // 1000 expected, standard deviation 29
    CHECK(count > 850 && count < 1150, "%ld %ld %ld: %d times", long(order[0]), long(order[1]), long(order[2]), count);
}

TEST(instruction_set_can_be_chosen) {
  const std::string before = instruction_set();
  for (const std::string& name : instruction_sets()) {
    use_instruction_set(name);
    CHECK(instruction_set() == name, "%s", name.c_str());
    CHECK(kernels<float>().instruction_set == name && kernels<double>().instruction_set == name, "%s", name.c_str());
  }
  bool refused = false;
  try {
    use_instruction_set("abacus");
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused && instruction_set() == instruction_sets().back(), "%s", instruction_set().c_str());
  use_instruction_set(before);
}

}  // namespace fallline::test

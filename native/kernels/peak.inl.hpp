// The processor's peak, which the products are measured against.

// Fused multiply-adds in twelve chains, none of which waits for another; their sums go to `sink`, one panel.
template <class T>
static double multiply_add(T* sink) {
  constexpr int chains = 12, rounds = 1 << 17;
  const Vec<T> x = load(sink), y = all<T>(T(0.001));
  Vec<T> sum[chains];
  for (int s = 0; s < chains; ++s) sum[s] = x * T(s);
  for (int i = 0; i < rounds; ++i)
#pragma GCC unroll 16
    for (int s = 0; s < chains; ++s) sum[s] = sum[s] * x + y;
  for (int s = 1; s < chains; ++s) sum[0] += sum[s];
  store(sink, sum[0]);
  return 2.0 * lanes<T> * chains * rounds;
}

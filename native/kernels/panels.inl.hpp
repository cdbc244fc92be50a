// What else is done to matrices in panels: sums over their rows, and the user's rows into them.

// sums[j] = sum over the rows of dZ, for panels [first, last); four panels at a time, so that the adders are busy.
template <class T>
static void column_sums(int64_t n, int64_t n_panels, Panels<const T> dZ, T* sums) {
  constexpr int V = panel_vectors<T>, L = lanes<T>, N = panel<T>;
  constexpr int G = V < 4 ? 4 / V : 1;
  const auto sum_up = [&](auto count, int64_t q) {
    constexpr int P = decltype(count)::rows;
    Vec<T> sum[P * V] = {};
    for (int64_t r = 0; r < n; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < P * V; ++v) sum[v] += load(dZ.at + (q + v / V) * dZ.stride + r * N + (v % V) * L);
#pragma GCC unroll 4
    for (int v = 0; v < P * V; ++v) store(sums + q * N + v * L, sum[v]);
  };
  int64_t q = 0;
  for (; q + G <= n_panels; q += G) sum_up(Height<G>{}, q);
  for (; q < n_panels; ++q) sum_up(Height<1>{}, q);
}

// Rows of the user's data into panels; whether all their numbers are finite.
template <class T>
static bool rows_to_panels(int64_t n, int64_t n_columns, const T* const* rows, Panels<T> to) {
  constexpr int V = panel_vectors<T>, L = lanes<T>, N = panel<T>;
  Vec<T> zero{};  // NaN as soon as a number is not finite
  T rest_zero = 0;
  int64_t j = 0;
  for (; j + N <= n_columns; j += N)
    for (int64_t r = 0; r < n; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Vec<T> x = load(rows[r] + j + v * L);
        store(to.at + j / N * to.stride + r * N + v * L, x);
        zero += x - x;
      }
  for (; j < n_columns; ++j)
    for (int64_t r = 0; r < n; ++r) {
      const T x = rows[r][j];
      to.at[j / N * to.stride + r * N + j % N] = x;
      rest_zero += x - x;
    }
  for (int i = 0; i < L; ++i) rest_zero += zero[i];
  return rest_zero == 0;
}

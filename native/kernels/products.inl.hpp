// The three matrix products of a dense layer, over matrices in panels (see contract.md):
//   forward   Z = A_prev W + b     backward   dA_prev = dZ W^T     gradient   dW = A_prev^T dZ, and the step it is for
// Each is cut into register tiles. A tile sums over k from 0 upwards, so neither the tile nor the block of k that an
// element falls into changes a bit of it.

// Panels side by side in a tile, and its rows: as many sums as registers hold beside a row of B and one number of A.
template <class T>
constexpr int tile_panels = FALLLINE_VECTOR_BYTES == 64 ? 2 : 1;
template <class T>
constexpr int tile_rows = FALLLINE_VECTOR_BYTES == 64   ? 12
                          : FALLLINE_VECTOR_BYTES == 32 ? 6
                                                        : FALLLINE_SSE_TILE_ROWS;
// Rows of a tile of dW: a divisor-like share of a panel's columns, so that tiles do not straddle panels.
template <class T>
constexpr int gradient_tile_rows = FALLLINE_VECTOR_BYTES == 64 ? 8 : tile_rows<T>;

template <class T>
constexpr int panel_vectors = 64 / FALLLINE_VECTOR_BYTES;

// Rows of B that stay in the first-level cache while all of A passes by.
template <class T>
constexpr int64_t block_k = 12 * panel<T> * (FALLLINE_VECTOR_BYTES == 64 ? 1 : 2) * (sizeof(T) == 8 ? 2 : 1);

// Cuts n rows into tiles of at most R rows, of nearly equal height, and calls use(R as a constant, first row) for each.
template <int N>
struct Height {
  static constexpr int rows = N;
};
template <int R, class Use>
static inline void with_height(int64_t rows, Use use) {
  if constexpr (R > 0) {
    if (rows == R)
      use(Height<R>{});
    else
      with_height<R - 1>(rows, use);
  }
}
template <int R, class Use>
static inline void for_each_tile(int64_t n, Use use) {
  const int64_t tiles = (n + R - 1) / R;
  for (int64_t t = 0, first = 0; t < tiles; ++t) {
    const int64_t rows = (n - first + tiles - t - 1) / (tiles - t);
    if (rows == R)
      use(Height<R>{}, first);
    else
      with_height<R - 1>(rows, [&](auto height) { use(height, first); });
    first += rows;
  }
}

// R rows of P panels of C = A B: sums over k columns of A, which begin at the first column of a panel. Rows of B are
// `b_row` apart, in panels that is panel<T>.
template <class T, int R, int P>
static inline __attribute__((always_inline)) void straight_tile(int64_t k, Panels<const T> A, Panels<const T> B,
                                                                int64_t b_row, Panels<T> C, const T* bias,
                                                                bool accumulate) {
  constexpr int V = panel_vectors<T>, L = lanes<T>, N = panel<T>;
  Vec<T> sum[R][P * V];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v)
      sum[r][v] = accumulate ? load(C.at + (v / V) * C.stride + r * N + (v % V) * L)
                  : bias     ? load(bias + v * L)
                             : Vec<T>{};
  const T *a = A.at, *b = B.at;
  for (; k > 0; k -= N, a += A.stride) {
    const T* const end = a + (k < N ? k : N);
    for (const T* x = a; x < end; ++x, b += b_row) {
      Vec<T> row[P * V];
#pragma GCC unroll 8
      for (int v = 0; v < P * V; ++v) row[v] = load(b + (v / V) * B.stride + (v % V) * L);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const Vec<T> number = all<T>(x[r * N]);
#pragma GCC unroll 8
        for (int v = 0; v < P * V; ++v) sum[r][v] += number * row[v];
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) store(C.at + (v / V) * C.stride + r * N + (v % V) * L, sum[r][v]);
}

// Calls use(P as a constant, first panel) for group after group of panels.
template <class T, class Use>
static inline void for_each_group(int64_t n_panels, Use use) {
  constexpr int P = tile_panels<T>;
  int64_t p = 0;
  for (; p + P <= n_panels; p += P) use(Height<P>{}, p);
  if constexpr (P > 1)
    if (p < n_panels) use(Height<1>{}, p);
}

template <class T>
static inline int64_t panels_of(int64_t columns) {
  return (columns + panel<T> - 1) / panel<T>;
}

// Z = A_prev W + b, then A = f(Z)
template <class T>
static void forward(const Forward<T>& p) {
  constexpr int64_t N = panel<T>, K = block_k<T>;
  int64_t k = 0;
  do {  // once even where there are no inputs
    const int64_t length = p.n_in - k < K ? p.n_in - k : K;
    const bool last = k + length >= p.n_in;
    for_each_group<T>(panels_of<T>(p.n_out), [&](auto panels, int64_t q) {
      constexpr int P = decltype(panels)::rows;
      const Panels<const T> W{p.W.at + q * p.W.stride + k * N, p.W.stride};
      for_each_tile<tile_rows<T>>(p.n, [&](auto height, int64_t r) {
        straight_tile<T, decltype(height)::rows, P>(
            length, {p.A_prev.at + (k / N) * p.A_prev.stride + r * N, p.A_prev.stride}, W, N,
            {p.Z.at + q * p.Z.stride + r * N, p.Z.stride}, p.b + q * N, k > 0);
      });
      if (last && p.activate)
        for (int64_t i = q; i < q + P; ++i) p.activate(p.n * N, p.Z.at + i * p.Z.stride, p.A.at + i * p.A.stride);
    });
    k += length;
  } while (k < p.n_in);
}

// z = a_prev W + b, then a = f(z), for one row and weights as Python has them, row by row: for a single prediction it
// would take longer to pack W than to multiply by it. Each sum runs as in `forward`, to the same bits. A few rows of W
// at a time, all their columns, so that memory is read in one stream.
template <class T>
static void forward_row(const ForwardRow<T>& p) {
  constexpr int64_t N = panel<T>, K = N;
  constexpr int G = 8 * FALLLINE_VECTOR_BYTES / 64;  // panels side by side: eight sums, to hide an addition's latency
  if (p.n_out < N) {
    T* to = p.scratch;
    for (int64_t i = 0; i < p.n_in; ++i, to += N)
      for (int64_t c = 0; c < p.n_out; ++c) to[c] = p.W[i * p.n_out + c];
    for (int64_t c = 0; c < p.n_out; ++c) to[c] = p.b[c];
    straight_tile<T, 1, 1>(p.n_in, {p.a_prev, N}, {p.scratch, N}, N, {p.z, N}, to, false);
  } else {
    const int64_t whole = p.n_out / N * N, rest = p.n_out % N;
    T* const last = p.scratch;  // the last N columns, some of which the panel before has too
    for (int64_t k = 0; k < p.n_in; k += K) {
      const int64_t length = p.n_in - k < K ? p.n_in - k : K;
      const T* W = p.W + k * p.n_out;
      const auto tile = [&](auto panels, int64_t column, T* z) {
        straight_tile<T, 1, decltype(panels)::rows>(length, {p.a_prev + k, N}, {W + column, N}, p.n_out, {z, N},
                                                    p.b + column, k > 0);
      };
      int64_t j = 0;
      for (; j + G * N <= whole; j += G * N) tile(Height<G>{}, j, p.z + j);
      for (; j < whole; j += N) tile(Height<1>{}, j, p.z + j);
      if (rest > 0) tile(Height<1>{}, p.n_out - N, last);
    }
    for (int64_t c = 0; c < rest; ++c) p.z[whole + c] = last[N - rest + c];
  }
  if (p.activate) p.activate(panels_of<T>(p.n_out) * N, p.z, p.z);
}

// A square of panel<T> rows and columns, turned: to[j * panel + i] = from[i * panel + j].
template <class T>
static inline void turn(const T* from, T* to) {
  constexpr int N = panel<T>;
#if !__has_builtin(__builtin_shufflevector)  // GCC before 12
  for (int i = 0; i < N; ++i)
    for (int j = 0; j < N; ++j) to[j * N + i] = from[i * N + j];
#else
  typedef T V __attribute__((vector_size(16)));
  const auto get = [](const T* x) {
    V v;
    __builtin_memcpy(&v, x, sizeof v);
    return v;
  };
  const auto put = [](T* x, V v) { __builtin_memcpy(x, &v, sizeof v); };
  if constexpr (sizeof(T) == 4) {
    for (int i = 0; i < N; i += 4)
      for (int j = 0; j < N; j += 4) {
        const T* f = from + i * N + j;
        T* t = to + j * N + i;
        const V a = get(f), b = get(f + N), c = get(f + 2 * N), d = get(f + 3 * N);
        const V ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
        const V AB = __builtin_shufflevector(a, b, 2, 6, 3, 7), CD = __builtin_shufflevector(c, d, 2, 6, 3, 7);
        put(t, __builtin_shufflevector(ab, cd, 0, 1, 4, 5));
        put(t + N, __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
        put(t + 2 * N, __builtin_shufflevector(AB, CD, 0, 1, 4, 5));
        put(t + 3 * N, __builtin_shufflevector(AB, CD, 2, 3, 6, 7));
      }
  } else {
    for (int i = 0; i < N; i += 2)
      for (int j = 0; j < N; j += 2) {
        const V a = get(from + i * N + j), b = get(from + (i + 1) * N + j);
        put(to + j * N + i, __builtin_shufflevector(a, b, 0, 2));
        put(to + (j + 1) * N + i, __builtin_shufflevector(a, b, 1, 3));
      }
  }
#endif
}

// Rows of W^T for `length` outputs from the first of panel `first` on, columns for the inputs of panel q: (length, N).
template <class T>
static inline void transposed_block(const Panels<const T>& W, int64_t n_in, int64_t first, int64_t length, int64_t q,
                                    T* Wt) {
  constexpr int64_t N = panel<T>;
  const int64_t rows = n_in - q * N < N ? n_in - q * N : N;
  alignas(64) T partial[N * N];
  for (int64_t p = 0; p * N < length; ++p) {
    const T* square = W.at + (first + p) * W.stride + q * N * N;
    if (rows < N) {
      __builtin_memset(partial, 0, sizeof partial);
      __builtin_memcpy(partial, square, sizeof(T) * static_cast<size_t>(rows * N));
      square = partial;
    }
    turn<T>(square, Wt + p * N * N);
  }
}

// dA_prev = dZ W^T, then dZ_prev = dA_prev * mask * f'(Z_prev)
template <class T>
static void backward(const Backward<T>& p) {
  constexpr int64_t N = panel<T>, K = block_k<T>;
  for (int64_t k = 0; k < p.n_out; k += K) {
    const int64_t length = p.n_out - k < K ? p.n_out - k : K;
    const bool last = k + length == p.n_out;
    for_each_group<T>(panels_of<T>(p.n_in), [&](auto panels, int64_t q) {
      constexpr int P = decltype(panels)::rows;
      for (int i = 0; i < P; ++i) transposed_block<T>(p.W, p.n_in, k / N, length, q + i, p.scratch + i * K * N);
      for_each_tile<tile_rows<T>>(p.n, [&](auto height, int64_t r) {
        straight_tile<T, decltype(height)::rows, P>(
            length, {p.dZ.at + (k / N) * p.dZ.stride + r * N, p.dZ.stride}, {p.scratch, K * N}, N,
            {p.dZ_prev.at + q * p.dZ_prev.stride + r * N, p.dZ_prev.stride}, nullptr, k > 0);
      });
      if (!last) return;
      for (int64_t i = q; i < q + P; ++i) {
        T* d = p.dZ_prev.at + i * p.dZ_prev.stride;
        if (p.mask.at) multiply<T>(p.n * N, d, p.mask.at + i * p.mask.stride, d);
        p.derive(p.n * N, p.Z_prev.at + i * p.Z_prev.stride, p.A_prev.at + i * p.A_prev.stride, d, d);
      }
    });
  }
}

// R rows (inputs, within one panel of A_prev) of P panels of dW, summed over n rows of the batch; each vector of the
// sum goes to finish(row, panel, vector in the panel, sum).
template <class T, int R, int P, class Begin, class Finish>
static inline __attribute__((always_inline)) void gradient_tile(int64_t n, const T* a, Panels<const T> dZ, Begin begin,
                                                                Finish finish) {
  constexpr int V = panel_vectors<T>, L = lanes<T>, N = panel<T>;
  Vec<T> sum[R][P * V];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < P * V; ++v) sum[r][v] = begin(r, v / V, v % V);
  const T* b = dZ.at;
  for (const T* const end = b + n * N; b < end; b += N, a += N) {
    Vec<T> row[P * V];
#pragma GCC unroll 4
    for (int v = 0; v < P * V; ++v) row[v] = load(b + (v / V) * dZ.stride + (v % V) * L);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const Vec<T> number = all<T>(a[r]);
#pragma GCC unroll 4
      for (int v = 0; v < P * V; ++v) sum[r][v] += number * row[v];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < P * V; ++v) finish(r, v / V, v % V, sum[r][v]);
}

// What a rule of this name does with a gradient is to keep it.
template <class T>
struct Keep {
  static constexpr int n_moments = 0;
};
template <class T, template <class> class R>
constexpr bool keeps = false;
template <class T>
constexpr bool keeps<T, Keep> = true;

// dW = A_prev^T dZ and db, this thread's part of them; with a rule the step is taken where the sum stands, in
// registers.
template <class T, template <class> class Rule>
static void gradient(const Gradient<T>& p) {
  constexpr int64_t N = panel<T>, K = block_k<T>;
  constexpr int L = lanes<T>, n_moments = Rule<T>::n_moments;
  const int64_t in_panels = panels_of<T>(p.n_in), out_panels = panels_of<T>(p.n_out);
  const int64_t groups = (out_panels + tile_panels<T> - 1) / tile_panels<T>;
  const int64_t begin = groups * in_panels * p.part / p.parts, end = groups * in_panels * (p.part + 1) / p.parts;
  for_each_group<T>(out_panels, [&](auto panels, int64_t q) {
    constexpr int P = decltype(panels)::rows;
    const int64_t first = q / tile_panels<T> * in_panels;
    const int64_t from = begin > first ? begin - first : 0, to = end - first < in_panels ? end - first : in_panels;
    if (from >= to) return;
    // Rows of the batch in blocks, so that the panels of dZ stay in the cache; the sums wait in dW.
    for (int64_t k = 0; k < p.n || k == 0; k += K) {
      const int64_t length = p.n - k < K ? p.n - k : K;
      const bool last = k + length >= p.n;
      const Panels<const T> dZ{p.dZ.at + q * p.dZ.stride + k * N, p.dZ.stride};
      for (int64_t i = from; i < to; ++i) {
        const T* A = p.A_prev.at + i * p.A_prev.stride + k * N;
        const int64_t rows = p.n_in - i * N < N ? p.n_in - i * N : N;
        for_each_tile<gradient_tile_rows<T>>(rows, [&](auto height, int64_t r) {
          constexpr int R = decltype(height)::rows;
          const int64_t at = q * p.stride + (i * N + r) * N;
          const auto waiting = [&](int row, int panel_index, int v) {
            return k > 0 ? load(p.dW + at + panel_index * p.stride + row * N + v * L) : Vec<T>{};
          };
          const auto keep = [&](int row, int panel_index, int v, Vec<T> sum) {
            store(p.dW + at + panel_index * p.stride + row * N + v * L, sum);
          };
          if constexpr (keeps<T, Rule>) {
            gradient_tile<T, R, P>(length, A + r, dZ, waiting, keep);
          } else {
            if (!last) {
              gradient_tile<T, R, P>(length, A + r, dZ, waiting, keep);
              return;
            }
            for (int j = 0; j < P; ++j)
              for (int row = 0; row < R; ++row) {
                const int64_t line = at + j * p.stride + row * N;
                __builtin_prefetch(p.W + line, 1);
                if constexpr (n_moments > 0) __builtin_prefetch(p.m + line, 1);
                if constexpr (n_moments > 1) __builtin_prefetch(p.v + line, 1);
              }
            // The sums leave their registers for the nearest cache, so that the rule has all of them to itself.
            alignas(64) T sums[P * R * N];
            gradient_tile<T, R, P>(length, A + r, dZ, waiting, [&](int row, int panel_index, int v, Vec<T> sum) {
              store(sums + (panel_index * R + row) * N + v * L, sum);
            });
            if (p.squares) {
              double& square = p.squares[q * in_panels + i];
              square = (r > 0 ? square : 0.0) + sum_of_squares<T>(P * R * N, sums);
            }
            for (int j = 0; j < P; ++j) {
              const int64_t place = at + j * p.stride;
              step<T, Rule>(R * N, p.W + place, sums + j * R * N, p.m ? p.m + place : nullptr,
                            p.v ? p.v + place : nullptr, *p.step);
            }
          }
        });
      }
    }
  });
}

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

// Register tiles, of which the products are made. A tile sums over k from 0 upwards, so neither the tile nor the block
// of k that an element falls into changes a bit of it.

// Panels side by side in a tile, and its rows: as many sums as registers hold beside a row of B and one number of A.
template <class T>
constexpr int tile_panels = FALLLINE_VECTOR_BYTES == 64 ? 2 : 1;
#ifdef __aarch64__
constexpr int rows_of_16_bytes = 6;  // 32 registers of 16 bytes
#else
constexpr int rows_of_16_bytes = 2;  // 16 of them
#endif
template <class T>
constexpr int tile_rows = FALLLINE_VECTOR_BYTES == 64   ? 12
                          : FALLLINE_VECTOR_BYTES == 32 ? 6
                                                        : rows_of_16_bytes;
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

// R rows of P panels of sums of products. A sum begins as begin(row, panel, vector in the panel); walk(add) calls
// add(a, b) for one k after the other, row r's number of A standing at a + r * a_row, a row of B at b, its panels
// `b_stride` apart; a sum goes to finish(row, panel, vector in the panel, sum). M::right and M::left load what M::add
// multiplies.
template <class T, class M, int R, int P, class Begin, class Walk, class Finish>
static inline __attribute__((always_inline)) void tile(int64_t a_row, int64_t b_stride, Begin begin, Walk walk,
                                                       Finish finish) {
  constexpr int V = panel_vectors<T>, L = lanes<T>;
  Vec<T> sum[R][P * V];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) sum[r][v] = begin(r, v / V, v % V);
  walk([&](const T* a, const T* b) __attribute__((always_inline)) {
    decltype(M::right(b)) row[P * V];
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) row[v] = M::right(b + (v / V) * b_stride + (v % V) * L);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const auto number = M::left(a + r * a_row);
#pragma GCC unroll 8
      for (int v = 0; v < P * V; ++v) sum[r][v] = M::add(sum[r][v], number, row[v]);
    }
  });
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < P * V; ++v) finish(r, v / V, v % V, sum[r][v]);
}

// Multiplies numbers as they are; Pairs (bf16.cpp) has the same functions.
template <class T>
struct Numbers {
  static Vec<T> right(const T* b) { return load(b); }
  static Vec<T> left(const T* a) { return all<T>(*a); }
  static Vec<T> add(Vec<T> sum, Vec<T> a, Vec<T> b) { return sum + a * b; }
};

// How a sum of C = A B begins, and where it goes: C's own number or, at first, the bias or zero.
template <class T>
struct Place {
  Panels<T> C;
  const T* bias;
  bool accumulate;

  T* at(int r, int p, int v) const { return C.at + p * C.stride + r * panel<T> + v * lanes<T>; }
  Vec<T> begin(int r, int p, int v) const {
    return accumulate ? load(at(r, p, v)) : bias ? load(bias + p * panel<T> + v * lanes<T>) : Vec<T>{};
  }
};

// Calls add(a, b) for n rows of B, `b_next` apart, and as many steps in A. With AVX2 two at a time: where somebody
// else's thread runs on the same core, this one has half of the core's operations a cycle, and then those of the loop
// count.
template <class T, class Add>
static inline __attribute__((always_inline)) void walk_rows(int64_t n, const T* a, int64_t a_next, const T* b,
                                                            int64_t b_next, Add add) {
  const T* const end = b + n * b_next;
  if constexpr (FALLLINE_VECTOR_BYTES == 32) {
    for (const T* const last = end - b_next; b < last; b += 2 * b_next, a += 2 * a_next) {
      add(a, b);
      add(a + a_next, b + b_next);
    }
    if (b < end) add(a, b);
  } else {
    for (; b < end; b += b_next, a += a_next) add(a, b);
  }
}

// R rows of P panels of C = A B: sums over k columns of A, which begin at the first column of a panel. Rows of B are
// `b_row` apart, in panels that is panel<T>.
template <class T, int R, int P>
static inline __attribute__((always_inline)) void straight_tile(int64_t k, Panels<const T> A, Panels<const T> B,
                                                                int64_t b_row, const Place<T>& place) {
  constexpr int N = panel<T>;
  tile<T, Numbers<T>, R, P>(
      N, B.stride, [&](int r, int p, int v) { return place.begin(r, p, v); },
      [&](auto add) __attribute__((always_inline)) {
        const T *a = A.at, *b = B.at;
        for (; k > 0; k -= N, a += A.stride, b += N * b_row) walk_rows<T>(k < N ? k : N, a, 1, b, b_row, add);
      },
      [&](int r, int p, int v, Vec<T> sum) { store(place.at(r, p, v), sum); });
}

// Lines of memory that are needed next, fetched a few at a time beside the work on what is there: `stretches` of
// `lines` each, which begin `distance` apart. Into the second-level cache, for the first is full.
template <class T>
struct Ahead {
  const T* at = nullptr;
  int64_t stretches = 0, lines = 0, distance = 0, line = 0;

  int64_t share_of(int64_t n) const { return stretches > 0 ? (stretches * lines + n - 1) / n : 0; }
  void fetch(int64_t n) {
    for (; n > 0 && stretches > 0; --n) {
      __builtin_prefetch(at + line * panel<T>, 0, 2);
      if (++line < lines) continue;
      line = 0;
      at += distance;
      --stretches;
    }
  }
};

// Whether weights do not stay near the core from one use to the next, and rows are enough to fetch them beside.
template <class T>
static inline bool worth_fetching(int64_t n, int64_t n_in, int64_t n_out) {
  return n >= 8 * tile_rows<T> && n_in * n_out * static_cast<int64_t>(sizeof(T)) > (256 << 10);
}

// Calls use(how many as a constant, first panel) for group after group of P panels, and for each one left.
template <int P, class Use>
static inline void for_each_group(int64_t n_panels, Use use) {
  int64_t p = 0;
  for (; p + P <= n_panels; p += P) use(Height<P>{}, p);
  for (; p < n_panels; ++p) use(Height<1>{}, p);
}

template <class T>
static inline int64_t panels_of(int64_t columns) {
  return (columns + panel<T> - 1) / panel<T>;
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

// How the products multiply: numbers as they are. Bf16 (bf16.cpp) has the same functions.
template <class T>
struct Exact {
  static constexpr int64_t scratch = 0;

  // `length` rows of P panels of B, as the products want them.
  template <int P>
  static Panels<const T> right(int64_t, Panels<const T> B, T*) {
    return B;
  }
  // `length` rows of a panel of A, as `transposed_product` wants them.
  static const T* left(int64_t, const T* A, T*) { return A; }

  // R rows of P panels of A B.
  template <int R, int P>
  static void product(int64_t length, Panels<const T> A, Panels<const T> B, const Place<T>& place, T*) {
    straight_tile<T, R, P>(length, A, B, panel<T>, place);
  }
  // R rows of P panels of A^T B, summed over `length` rows of both; the R columns of A stand in one panel.
  template <int R, int P, class Begin, class Finish>
  static void transposed_product(int64_t length, const T* a, Panels<const T> B, Begin begin, Finish finish) {
    tile<T, Numbers<T>, R, P>(
        1, B.stride, begin,
        [&](auto add) __attribute__((always_inline)) { walk_rows<T>(length, a, panel<T>, B.at, panel<T>, add); },
        finish);
  }
};

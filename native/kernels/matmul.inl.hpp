// Matrix products over panels: C (m, n) = A (m, k) B (k, n) + bias. See contract.md for the layouts.

// Rows of C that a register tile holds: as many as leave registers for a row of B and one number of A.
template <class T>
constexpr int tile_rows = FALLLINE_VECTOR_BYTES == 64   ? 12
                          : FALLLINE_VECTOR_BYTES == 32 ? 6
                                                        : FALLLINE_SSE_TILE_ROWS;

template <class T>
constexpr int panel_vectors = 64 / FALLLINE_VECTOR_BYTES;

// R rows of one panel of C, accumulated over k in registers.
template <class T, int R>
static inline void tile(int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* b, int64_t b_row, T* c,
                        int64_t c_row, const T* bias) {
  constexpr int V = panel_vectors<T>;
  Vec<T> sum[R][V];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = bias ? load(bias + v * lanes<T>) : Vec<T>{};
  for (int64_t i = 0; i < k; ++i) {
    Vec<T> row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) row[v] = load(b + v * lanes<T>);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const Vec<T> x = all<T>(a[r * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] += x * row[v];
    }
    a += a_col;
    b += b_row;
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(c + r * c_row + v * lanes<T>, sum[r][v]);
}

// The last rows of a panel: `rows` of them, fewer than a full tile.
template <class T, int R>
static void last_rows(int rows, const Matmul<T>& p, const T* a, const T* b, T* c, const T* bias) {
  if constexpr (R > 0) {
    if (rows == R)
      tile<T, R>(p.k, a, p.a_row, p.a_col, b, p.b_row, c, p.c_row, bias);
    else
      last_rows<T, R - 1>(rows, p, a, b, c, bias);
  }
}

template <class T>
static void matmul(const Matmul<T>& p) {
  constexpr int R = tile_rows<T>;
  for (int64_t panel_index = 0; panel_index < p.n_panels; ++panel_index) {
    const T* b = p.b + panel_index * p.b_panel;
    const T* bias = p.bias ? p.bias + panel_index * panel<T> : nullptr;
    const T* a = p.a;
    T* c = p.c + panel_index * p.c_panel;
    int64_t rows = p.m;
    for (; rows >= R; rows -= R, a += R * p.a_row, c += R * p.c_row)
      tile<T, R>(p.k, a, p.a_row, p.a_col, b, p.b_row, c, p.c_row, bias);
    last_rows<T, R - 1>(static_cast<int>(rows), p, a, b, c, bias);
  }
}

// W packed (n_in, n_out) to W^T packed (n_out, n_in); the padding of W^T becomes zero.
template <class T>
static void transpose(int64_t n_in, int64_t n_out, const T* W, T* Wt) {
  constexpr int64_t N = panel<T>;
  const int64_t in_panels = (n_in + N - 1) / N;
  for (int64_t q = 0; q < in_panels; ++q) {            // panel of W^T: N inputs
    for (int64_t j = 0; j < n_out; ++j) {              // row of W^T: one output
      const T* from = W + (j / N) * n_in * N + j % N;  // column j of W, rows N apart
      T* to = Wt + (q * n_out + j) * N;
      for (int64_t c = 0; c < N; ++c) to[c] = q * N + c < n_in ? from[(q * N + c) * N] : T(0);
    }
  }
}

template <class T>
static void column_sums(int64_t m, int64_t n_panels, const T* dZ, int64_t row, T* sums) {
  for (int64_t c = 0; c < n_panels * panel<T>; c += lanes<T>) {
    Vec<T> sum{};
    for (int64_t r = 0; r < m; ++r) sum += load(dZ + r * row + c);
    store(sums + c, sum);
  }
}

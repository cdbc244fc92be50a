// The three matrix products of a dense layer, over matrices in panels (see contract.md):
//   forward   Z = A_prev W + b     backward   dA_prev = dZ W^T     gradient   dW = A_prev^T dZ, and the step it is for
// M says how they multiply: Exact, or Bf16.

// Z = A_prev W + b, then A = f(Z)
template <class T, class M>
static void forward(const Forward<T>& p) {
  constexpr int64_t N = panel<T>, K = block_k<T>, R = tile_rows<T>;
  const int64_t out_panels = panels_of<T>(p.n_out), n_tiles = (p.n + R - 1) / R;
  const bool fetches = worth_fetching<T>(p.n, p.n_in, p.n_out);
  int64_t k = 0;
  do {  // once even where there are no inputs
    const int64_t length = p.n_in - k < K ? p.n_in - k : K;
    const bool last = k + length >= p.n_in;
    for_each_group<tile_panels<T>>(out_panels, [&](auto panels, int64_t q) {
      constexpr int P = decltype(panels)::rows;
      const auto W = M::template right<P>(length, {p.W.at + q * p.W.stride + k * N, p.W.stride}, p.scratch);
      Ahead<T> next;
      if (fetches && q + 2 * P <= out_panels) next = {p.W.at + (q + P) * p.W.stride + k * N, P, length, p.W.stride};
      const int64_t share = next.share_of(n_tiles);
      for_each_tile<tile_rows<T>>(p.n, [&](auto height, int64_t r) {
        next.fetch(share);
        M::template product<decltype(height)::rows, P>(
            length, {p.A_prev.at + (k / N) * p.A_prev.stride + r * N, p.A_prev.stride}, W,
            {{p.Z.at + q * p.Z.stride + r * N, p.Z.stride}, p.b + q * N, k > 0}, p.scratch);
      });
      if (last && p.activate)
        for (int64_t i = q; i < q + P; ++i) p.activate(p.n * N, p.Z.at + i * p.Z.stride, p.A.at + i * p.A.stride);
    });
    k += length;
  } while (k < p.n_in);
}

// The same over W turned: each z is a scalar product of two rows, summed in as many parts as a panel has numbers; then
// the upper half of the parts is added to the lower, until one is left. So vectors of any width give the same sums.
template <class T>
static void forward_turned(const Forward<T>& p) {
  constexpr int V = panel_vectors<T>, L = lanes<T>, N = panel<T>;
  for (int64_t j = 0; j < p.n_out; ++j)
    for_each_tile<8 / V>(p.n, [&](auto height, int64_t first) {
      constexpr int R = decltype(height)::rows;
      const T *a = p.A_prev.at + first * N, *w = p.W.at + j * N;
      Vec<T> sum[R][V] = {};
      int64_t k = p.n_in;
      for (; k >= N; k -= N, a += p.A_prev.stride, w += p.W.stride)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[r][v] += load(a + r * N + v * L) * load(w + v * L);
      if (k > 0)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[r][v] += first_lanes<T>(load(a + r * N + v * L), k - v * L) * load(w + v * L);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        alignas(64) T parts[N];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) store(parts + v * L, sum[r][v]);
#pragma GCC unroll 4
        for (int half = N / 2; half > 0; half /= 2)
          for (int i = 0; i < half; ++i) parts[i] += parts[half + i];
        p.Z.at[(first + r) * N + j] = parts[0] + p.b[j];
      }
    });
  if (p.activate) p.activate(p.n * N, p.Z.at, p.A.at);
}

// z = a_prev W + b, then a = f(z), for one row and weights as Python has them, row by row: for a single prediction it
// would take longer to pack all of W than to multiply by it; only layers narrower than a panel are packed. Each sum
// runs as in `forward`, or as in `forward_turned` where that is the layer's, to the same bits. A few rows of W at a
// time, all their columns, so that memory is read in one stream.
template <class T>
static void forward_row(const ForwardRow<T>& p) {
  constexpr int64_t N = panel<T>, K = N;
  constexpr int G = 8 * FALLLINE_VECTOR_BYTES / 64;  // panels side by side: eight sums, to hide an addition's latency
  if (p.n_out <= most_turned<T>) {
    const int64_t stride = p.n_out * N;
    for (int64_t i = 0; i < panels_of<T>(p.n_in) * N; ++i)
      for (int64_t j = 0; j < p.n_out; ++j)
        p.scratch[i / N * stride + j * N + i % N] = i < p.n_in ? p.W[i * p.n_out + j] : T(0);
    forward_turned<T>(
        {1, p.n_in, p.n_out, {p.a_prev, N}, {p.scratch, stride}, p.b, {p.z, N}, {p.z, N}, p.activate, nullptr});
    return;
  }
  if (p.n_out < N) {
    T* to = p.scratch;
    for (int64_t i = 0; i < p.n_in; ++i, to += N)
      for (int64_t c = 0; c < p.n_out; ++c) to[c] = p.W[i * p.n_out + c];
    for (int64_t c = 0; c < p.n_out; ++c) to[c] = p.b[c];
    straight_tile<T, 1, 1>(p.n_in, {p.a_prev, N}, {p.scratch, N}, N, {{p.z, N}, to, false});
  } else {
    const int64_t whole = p.n_out / N * N, rest = p.n_out % N;
    T* const last = p.scratch;  // the last N columns, some of which the panel before has too
    for (int64_t k = 0; k < p.n_in; k += K) {
      const int64_t length = p.n_in - k < K ? p.n_in - k : K;
      const T* W = p.W + k * p.n_out;
      const auto tile = [&](auto panels, int64_t column, T* z) {
        straight_tile<T, 1, decltype(panels)::rows>(length, {p.a_prev + k, N}, {W + column, N}, p.n_out,
                                                    {{z, N}, p.b + column, k > 0});
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

// dA_prev = dZ W^T, then dZ_prev = dA_prev * mask * f'(Z_prev)
template <class T, class M, bool turned>
static void backward(const Backward<T>& p) {
  constexpr int64_t N = panel<T>, K = block_k<T>, R = tile_rows<T>;
  const int64_t in_panels = panels_of<T>(p.n_in), n_tiles = (p.n + R - 1) / R;
  const bool fetches = !turned && worth_fetching<T>(p.n, p.n_in, p.n_out);
  for (int64_t k = 0; k < p.n_out; k += K) {
    const int64_t length = p.n_out - k < K ? p.n_out - k : K;
    const bool last = k + length == p.n_out;
    for_each_group<tile_panels<T>>(in_panels, [&](auto panels, int64_t q) {
      constexpr int P = decltype(panels)::rows;
      T* const rest = p.scratch + P * K * N;
      Panels<const T> W{p.W.at + q * p.W.stride, p.W.stride};
      if constexpr (!turned) {
        for (int i = 0; i < P; ++i) transposed_block<T>(p.W, p.n_in, k / N, length, q + i, p.scratch + i * K * N);
        W = M::template right<P>(length, {p.scratch, K * N}, rest);
      }
      Ahead<T> next;  // but for W's last, partial square
      if (fetches && (q + 2 * P) * N <= p.n_in)
        next = {p.W.at + k / N * p.W.stride + (q + P) * N * N, panels_of<T>(length), P * N, p.W.stride};
      const int64_t share = next.share_of(n_tiles);
      for_each_tile<tile_rows<T>>(p.n, [&](auto height, int64_t r) {
        next.fetch(share);
        M::template product<decltype(height)::rows, P>(
            length, {p.dZ.at + (k / N) * p.dZ.stride + r * N, p.dZ.stride}, W,
            {{p.dZ_prev.at + q * p.dZ_prev.stride + r * N, p.dZ_prev.stride}, nullptr, k > 0}, rest);
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

// What a rule of this name does with a gradient is to keep it.
template <class T>
struct Keep {
  static constexpr int n_moments = 0;
};
template <class T, template <class> class R>
constexpr bool keeps = false;
template <class T>
constexpr bool keeps<T, Keep> = true;

// C = A^T B, this thread's part of it: the gradient, with A_prev and dZ for A and B, or the other way round where W
// lies turned. With a rule the step is taken where the sum stands, in registers.
template <class T, class M, template <class> class Rule, bool turned>
static void gradient(const Gradient<T>& p) {
  constexpr int64_t N = panel<T>, K = block_k<T>;
  constexpr int L = lanes<T>, n_moments = Rule<T>::n_moments;
  // Turned, one row of W at a time: enough panels of it to hide an addition's latency.
  constexpr int most_rows = turned ? 1 : gradient_tile_rows<T>;
  constexpr int most_panels = turned ? 8 / panel_vectors<T> : tile_panels<T>;
  const Panels<const T> A = turned ? p.dZ : p.A_prev, B = turned ? p.A_prev : p.dZ;
  const int64_t n_rows = turned ? p.n_out : p.n_in, n_columns = turned ? p.n_in : p.n_out;
  const int64_t row_panels = panels_of<T>(n_rows), column_panels = panels_of<T>(n_columns);
  int64_t unit = 0;  // a panel of rows by a group of panels: what threads share out
  const int64_t groups = column_panels / most_panels + column_panels % most_panels;
  const int64_t begin = groups * row_panels * p.part / p.parts, end = groups * row_panels * (p.part + 1) / p.parts;
  for_each_group<most_panels>(column_panels, [&](auto panels, int64_t q) {
    constexpr int P = decltype(panels)::rows;
    const int64_t from = begin > unit ? begin - unit : 0, to = end - unit < row_panels ? end - unit : row_panels;
    unit += row_panels;
    if (from >= to) return;
    // Rows of the batch in blocks, so that the panels of B stay in the cache; the sums wait in dW.
    for (int64_t k = 0; k < p.n || k == 0; k += K) {
      const int64_t length = p.n - k < K ? p.n - k : K;
      const bool last = k + length >= p.n;
      const auto right = M::template right<P>(length, {B.at + q * B.stride + k * N, B.stride}, p.scratch);
      for (int64_t i = from; i < to; ++i) {
        const T* left = M::left(length, A.at + i * A.stride + k * N, p.scratch);
        const int64_t rows = n_rows - i * N < N ? n_rows - i * N : N;
        for_each_tile<most_rows>(rows, [&](auto height, int64_t r) {
          constexpr int R = decltype(height)::rows;
          const int64_t at = q * p.stride + (i * N + r) * N;
          const auto waiting = [&](int row, int panel_index, int v) {
            return k > 0 ? load(p.dW + at + panel_index * p.stride + row * N + v * L) : Vec<T>{};
          };
          // The padding of A_prev may be anything; W's is zero.
          const auto of_columns = [&](int panel_index, int v, Vec<T> sum) {
            return turned ? first_lanes<T>(sum, n_columns - (q + panel_index) * N - v * L) : sum;
          };
          const auto keep = [&](int row, int panel_index, int v, Vec<T> sum) {
            store(p.dW + at + panel_index * p.stride + row * N + v * L, of_columns(panel_index, v, sum));
          };
          if constexpr (keeps<T, Rule>) {
            M::template transposed_product<R, P>(length, left + r, right, waiting, keep);
          } else {
            if (!last) {
              M::template transposed_product<R, P>(length, left + r, right, waiting, keep);
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
            const auto put_down = [&](int row, int panel_index, int v, Vec<T> sum) {
              store(sums + (panel_index * R + row) * N + v * L, of_columns(panel_index, v, sum));
            };
            M::template transposed_product<R, P>(length, left + r, right, waiting, put_down);
            if (p.squares) {
              double& square = p.squares[q * row_panels + i];
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

template <class T, class M, bool turned>
constexpr Products<T> products() {
  return {.forward = turned ? forward_turned<T> : forward<T, M>,
          .backward = backward<T, M, turned>,
          .gradient = gradient<T, M, Keep, turned>,
          .descend = {gradient<T, M, Sgd, turned>, gradient<T, M, Momentum, turned>, gradient<T, M, Nesterov, turned>,
                      gradient<T, M, RmsProp, turned>, gradient<T, M, AdamRule, turned>}};
}

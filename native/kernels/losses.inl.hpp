// The end of a network: losses, their gradients for Z, and the softmax; src/fallline/losses.py says the same in NumPy
// and explains the choices. A lane is a row: blocks of `lanes` rows are transposed into scratch, one vector for each
// column, so each formula is written for one row, and its sums over the outputs are sums of vectors. A last block of
// fewer rows runs the same code, with copies of its last row in the idle lanes.

// Rows and columns change places by chunks of 16 bytes: so many numbers of a row.
template <class T>
constexpr int chunk = 16 / sizeof(T);
constexpr int vector_chunks = FALLLINE_VECTOR_BYTES / 16;

template <class T>
static inline int64_t whole_chunks(int64_t columns) {
  return (columns + chunk<T> - 1) / chunk<T> * chunk<T>;
}

#if __has_builtin(__builtin_shufflevector)
template <class T, int... I>
static inline Vec<T> pick(Vec<T> a, Vec<T> b) {
  return __builtin_shufflevector(a, b, I...);
}

template <class T, int bytes>
struct Part {
  typedef T type __attribute__((vector_size(bytes)));
};

template <class T, int bytes, int... I>
static inline typename Part<T, bytes>::type join(typename Part<T, bytes / 2>::type a,
                                                 typename Part<T, bytes / 2>::type b,
                                                 std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, I...);
}

// A vector of chunks, half by half; from(i) is where chunk i lies.
template <class T, int bytes, class From>
static inline typename Part<T, bytes>::type gather(From from, int first) {
  if constexpr (bytes == 16) {
    typename Part<T, 16>::type v;
    __builtin_memcpy(&v, from(first), 16);
    return v;
  } else {
    return join<T, bytes>(gather<T, bytes / 2>(from, first), gather<T, bytes / 2>(from, first + bytes / 32),
                          std::make_integer_sequence<int, bytes / sizeof(T)>());
  }
}
#else  // GCC before 12
template <class T, int... I>
static inline Vec<T> pick(Vec<T> a, Vec<T> b) {
  return __builtin_shuffle(a, b, Bits<T>{I...});
}

template <class T, int bytes, class From>
static inline Vec<T> gather(From from, int) {
  Vec<T> v;
  for (int i = 0; i < bytes / 16; ++i) __builtin_memcpy(reinterpret_cast<char*>(&v) + 16 * i, from(i), 16);
  return v;
}
#endif

// In each group of numbers, units of a and b in turn, from the lower or the upper half of their groups.
template <class T, int unit, int group, bool upper, int... I>
static inline Vec<T> interleave(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  constexpr int half = upper ? group / 2 : 0;
  return pick<T, (I / group * group + half + I % group / unit / 2 * unit + I % unit + I / unit % 2 * lanes<T>)...>(a,
                                                                                                                   b);
}
template <class T, int unit, int group, bool upper>
static inline Vec<T> interleave(Vec<T> a, Vec<T> b) {
  return interleave<T, unit, group, upper>(a, b, std::make_integer_sequence<int, lanes<T>>());
}

// The squares of n x n units that the same groups of all vectors form, each one transposed.
template <class T, int unit, int n>
static inline void transpose_squares(Vec<T> (&v)[n]) {
  constexpr int group = n * unit;
  if constexpr (n == 4) {
    const Vec<T> a = interleave<T, unit, group, false>(v[0], v[2]), b = interleave<T, unit, group, true>(v[0], v[2]);
    const Vec<T> c = interleave<T, unit, group, false>(v[1], v[3]), d = interleave<T, unit, group, true>(v[1], v[3]);
    v[0] = interleave<T, unit, group, false>(a, c);
    v[1] = interleave<T, unit, group, true>(a, c);
    v[2] = interleave<T, unit, group, false>(b, d);
    v[3] = interleave<T, unit, group, true>(b, d);
  } else if constexpr (n == 2) {
    const Vec<T> a = v[0];
    v[0] = interleave<T, unit, group, false>(a, v[1]);
    v[1] = interleave<T, unit, group, true>(a, v[1]);
  }
}

// A chunk of each row to vectors of one column each. Lane r is row r, or the last of the `rows` that there are.
template <class T>
[[gnu::always_inline]] static inline void to_lanes(const T* from, int64_t stride, int rows, T* to) {
  Vec<T> v[chunk<T>];
#pragma GCC unroll 4
  for (int i = 0; i < chunk<T>; ++i) {
    const auto row = [=](int c) {
      const int r = i + c * chunk<T>;
      return from + (r < rows ? r : rows - 1) * stride;
    };
    v[i] = gather<T, FALLLINE_VECTOR_BYTES>(row, 0);
  }
  transpose_squares<T, 1>(v);
#pragma GCC unroll 4
  for (int i = 0; i < chunk<T>; ++i) store(to + i * lanes<T>, v[i]);
}

// And back: `columns` vectors, or as many as a vector holds, to a vector of each row, zeros at its end.
template <class T>
[[gnu::always_inline]] static inline void to_rows(const T* from, int64_t columns, int64_t stride, int rows, T* to) {
  constexpr int C = chunk<T>, G = vector_chunks;
  Vec<T> v[C][G] = {};
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
    if (g * C >= columns) break;
    Vec<T> squares[C];
#pragma GCC unroll 4
    for (int i = 0; i < C; ++i) squares[i] = load(from + (g * C + i) * lanes<T>);
    transpose_squares<T, 1>(squares);
#pragma GCC unroll 4
    for (int i = 0; i < C; ++i) v[i][g] = squares[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < C; ++i) {
    transpose_squares<T, C>(v[i]);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g)
      if (i + g * C < rows) store(to + (i + g * C) * stride, v[i][g]);
  }
}

// Rows of a matrix in panels, from its row `row` on.
template <class T>
[[gnu::always_inline]] static inline void from_panels(const T* Z, int64_t z_panel, int64_t row, int64_t n_out, int rows,
                                                      T* z) {
  const T* from = Z + row * panel<T>;
  for (int64_t first = 0; first < n_out; first += panel<T>, from += z_panel)
    for (int64_t j = 0; j < panel<T> && first + j < n_out; j += chunk<T>)
      to_lanes(from + j, panel<T>, rows, z + (first + j) * lanes<T>);
}

template <class T>
[[gnu::always_inline]] static inline void to_panels(const T* z, int64_t z_panel, int64_t row, int64_t n_out, int rows,
                                                    T* Z) {
  T* to = Z + row * panel<T>;
  for (int64_t first = 0; first < n_out; first += panel<T>, to += z_panel)
    for (int64_t j = 0; j < panel<T>; j += lanes<T>) {
      if (first + j < n_out)
        to_rows(z + (first + j) * lanes<T>, n_out - first - j, panel<T>, rows, to + j);
      else
        for (int r = 0; r < rows; ++r) store(to + r * panel<T> + j, Vec<T>{});
    }
}

// A number of each row.
template <class T>
[[gnu::always_inline]] static inline Vec<T> load_some(const T* from, int rows) {
  if (rows == lanes<T>) return load(from);
  T some[lanes<T>];
  for (int r = 0; r < lanes<T>; ++r) some[r] = from[r < rows ? r : rows - 1];
  return load(some);
}

// Rows that lie one after the other. The last chunk ends with the row, so it may hold columns of the one before.
template <class T>
[[gnu::always_inline]] static inline void from_rows(const T* Y, int64_t columns, int rows, T* y) {
  if (columns == 1) return store(y, load_some(Y, rows));
  if (columns < chunk<T>) {
    for (int64_t j = 0; j < columns; ++j)
      for (int r = 0; r < lanes<T>; ++r) y[j * lanes<T> + r] = Y[(r < rows ? r : rows - 1) * columns + j];
    return;
  }
  for (int64_t j = 0; j < columns; j += chunk<T>) {
    const int64_t at = j + chunk<T> <= columns ? j : columns - chunk<T>;
    to_lanes(Y + at, columns, rows, y + at * lanes<T>);
  }
}

// Columns of a block in lanes: column j is the vector at j * lanes.
template <class T>
struct Block {
  const T *z, *y;
  T *e, *d;       // e: for exponentials or activations; d: becomes the gradient for Z
  Vec<T> factor;  // of the gradient
};

template <class T>
struct Softmax {
  Vec<T> top, sum;
};

// e = exp(z - top), and their sum; with(j, z - top) is told on the way. A NaN hides from the maximum, but not from the
// sum.
template <class T, class F>
static inline Softmax<T> exponentials(int64_t n_out, const T* z, T* e, F with) {
  constexpr int L = lanes<T>;
  Vec<T> top = load(z), sum{};
  for (int64_t j = 1; j < n_out; ++j) {
    const Vec<T> x = load(z + j * L);
    top = x > top ? x : top;
  }
  for (int64_t j = 0; j < n_out; ++j) {
    const Vec<T> below = load(z + j * L) - top, x = exponential_of_negative<T>(below);
    with(j, below);
    store(e + j * L, x);
    sum += x;
  }
  return {top, sum};
}

// The same, and e becomes the softmax.
template <class T>
static inline Softmax<T> probabilities(int64_t n_out, const T* z, T* e) {
  constexpr int L = lanes<T>;
  const Softmax<T> s = exponentials(n_out, z, e, [](int64_t, Vec<T>) {});
  const Vec<T> inverse = T(1) / s.sum;
  for (int64_t j = 0; j < n_out; ++j) store(e + j * L, load(e + j * L) * inverse);
  return s;
}

// Value and slope of one output's error, for the losses that look at A alone. point(error, j) gives both.
template <class T>
struct Point {
  Vec<T> value, slope;
};

template <class T, class F>
static inline Vec<T> pointwise(const LastRows<T>& p, const Block<T>& b, F point) {
  constexpr int L = lanes<T>;
  const int64_t n_out = p.n_out, repeats = n_out / p.n_targets;  // quantile: several outputs for one target
  const Activation output = p.output;
  if (output == Activation::softmax) probabilities(n_out, b.z, b.e);
  Vec<T> value{}, mean{};
  const T* y = b.y;
  for (int64_t j = 0, left = repeats; j < n_out; ++j) {
    const Vec<T> z = load(b.z + j * L);
    const Vec<T> a = output == Activation::identity  ? z
                     : output == Activation::sigmoid ? sigmoid_of<T>(z)
                                                     : load(b.e + j * L);
    const Point<T> at = point(a - load(y), j);
    value += at.value;
    Vec<T> d = at.slope;
    if (output == Activation::softmax)
      mean += d * a;
    else
      d *= output == Activation::sigmoid ? a * (T(1) - a) * b.factor : b.factor;
    store(b.d + j * L, d);
    if (--left == 0) left = repeats, y += L;
  }
  if (output == Activation::softmax)
    for (int64_t j = 0; j < n_out; ++j) store(b.d + j * L, load(b.e + j * L) * (load(b.d + j * L) - mean) * b.factor);
  return value;
}

template <class T>
static inline Vec<T> poisson(const LastRows<T>& p, const Block<T>& b) {
  constexpr int L = lanes<T>;
  const int64_t n_out = p.n_out;
  const Activation output = p.output;
  Softmax<T> s{};
  Vec<T> value{}, total{}, log_sum{};
  if (output == Activation::softmax) {
    s = probabilities(n_out, b.z, b.e);
    log_sum = logarithm<T>(s.sum);
  }
  for (int64_t j = 0; j < n_out; ++j) {
    const Vec<T> z = load(b.z + j * L), y = load(b.y + j * L);
    Vec<T> rate, log_rate, slope = all<T>(1);
    if (output == Activation::identity) {
      rate = exponential<T>(z);
      log_rate = z;
    } else if (output == Activation::sigmoid) {
      rate = sigmoid_of<T>(z);
      log_rate = -Softplus<T>::value(-z);
      slope = sigmoid_of<T>(-z);
    } else {
      rate = load(b.e + j * L);
      log_rate = (z - s.top) - log_sum;
    }
    value += rate - y * log_rate;
    total += rate - y;
    store(b.d + j * L, (rate - y) * slope * b.factor);
  }
  if (output == Activation::softmax)
    for (int64_t j = 0; j < n_out; ++j) store(b.d + j * L, load(b.d + j * L) - load(b.e + j * L) * total * b.factor);
  return value;
}

// log(1 - p_j) for the softmax p: the log-sum-exp of all the other outputs, so that nothing cancels.
template <class T>
static inline Vec<T> log_all_but(int64_t n_out, const T* z, int64_t j, Vec<T> top_of_all, Vec<T> log_sum_of_all) {
  constexpr int L = lanes<T>;
  Vec<T> top = all<T>(-T(__builtin_inf())), sum{};
  for (int64_t i = 0; i < n_out; ++i) {
    const Vec<T> x = load(z + i * L);
    if (i != j) top = x > top ? x : top;
  }
  for (int64_t i = 0; i < n_out; ++i)
    if (i != j) sum += exponential_of_negative<T>(load(z + i * L) - top);
  return (top - top_of_all) + logarithm<T>(sum) - log_sum_of_all;
}

// A loss as it is reported; a NaN stays one.
template <class T>
static inline Vec<T> reported(const LastRows<T>& p, Vec<T> value) {
  return value > p.ceiling ? all<T>(p.ceiling) : value;
}

template <class T>
static inline Vec<T> binary_cross_entropy(const LastRows<T>& p, const Block<T>& b) {
  constexpr int L = lanes<T>;
  const int64_t n_out = p.n_out;
  Vec<T> value{}, total{};
  if (p.output != Activation::softmax) {
    for (int64_t j = 0; j < n_out; ++j) {
      const Vec<T> z = load(b.z + j * L), y = load(b.y + j * L);
      value += reported(p, y * Softplus<T>::value(-z) + (T(1) - y) * Softplus<T>::value(z));
      store(b.d + j * L, ((T(1) - y) * sigmoid_of<T>(z) - y * sigmoid_of<T>(-z)) * b.factor);
    }
    return value;
  }
  const Softmax<T> s = probabilities(n_out, b.z, b.e);
  const Vec<T> log_sum = logarithm<T>(s.sum);
  for (int64_t j = 0; j < n_out; ++j) total += load(b.y + j * L);
  for (int64_t j = 0; j < n_out; ++j) store(b.d + j * L, load(b.e + j * L) * (total - load(b.y + j * L)));
  for (int64_t j = 0; j < n_out; ++j) {
    const Vec<T> y = load(b.y + j * L), rest = (T(1) - y) * load(b.e + j * L);
    const Vec<T> log_p = (load(b.z + j * L) - s.top) - log_sum;
    const Vec<T> log_q = log_all_but(n_out, b.z, j, s.top, log_sum);
    value += reported(p, -(y * log_p + (T(1) - y) * log_q));
    store(b.d + j * L, load(b.d + j * L) + (rest - y * exponential_of_negative<T>(log_q)));
    for (int64_t i = 0; i < n_out; ++i) {  // p_i / (1 - p_j) <= 1, formed as one exponential
      if (i == j) continue;
      const Vec<T> log_p_i = (load(b.z + i * L) - s.top) - log_sum;
      store(b.d + i * L, load(b.d + i * L) - rest * exponential_of_negative<T>(log_p_i - log_q));
    }
  }
  for (int64_t j = 0; j < n_out; ++j) store(b.d + j * L, load(b.d + j * L) * b.factor);
  return value;
}

template <class T>
static inline Vec<T> categorical_cross_entropy(const LastRows<T>& p, const Block<T>& b) {
  constexpr int L = lanes<T>;
  const int64_t n_out = p.n_out;
  const T* log_A = b.z;
  const bool of_sigmoid = p.output == Activation::sigmoid;
  if (of_sigmoid) {  // p = A / sum A, the softmax of log A
    for (int64_t j = 0; j < n_out; ++j) store(b.d + j * L, -Softplus<T>::value(-load(b.z + j * L)));
    log_A = b.d;
  }
  // With log p = (Z - top) - log_sum, the two parts are summed apart: no term of either is negative.
  Vec<T> below_top{}, total{};
  const Softmax<T> s = exponentials(n_out, log_A, b.e, [&](int64_t j, Vec<T> below) {
    const Vec<T> y = load(b.y + j * L);
    below_top -= y * below;
    total += y;
  });
  const Vec<T> per_exponential = total / s.sum;
  for (int64_t j = 0; j < n_out; ++j) {
    Vec<T> d = (load(b.e + j * L) * per_exponential - load(b.y + j * L)) * b.factor;
    if (of_sigmoid) d *= sigmoid_of<T>(-load(b.z + j * L));
    store(b.d + j * L, d);
  }
  return reported(p, below_top + total * logarithm<T>(s.sum));
}

// Of a block, the losses' sums over the outputs.
template <class T>
static inline Vec<T> block_loss(const LastRows<T>& p, const Block<T>& b) {
  switch (p.loss) {
    case LossKind::squared_error:
      return pointwise(p, b, [](Vec<T> error, int64_t) { return Point<T>{error * error, error + error}; });
    case LossKind::quadratic:
      return pointwise(p, b, [](Vec<T> error, int64_t) { return Point<T>{T(0.5) * error * error, error}; });
    case LossKind::absolute_error:
      return pointwise(p, b, [](Vec<T> error, int64_t) {
        const Vec<T> sign = error > T(0) ? all<T>(1) : error < T(0) ? all<T>(-1) : error;
        return Point<T>{magnitude<T>(error), sign};
      });
    case LossKind::huber:
      return pointwise(p, b, [delta = p.delta](Vec<T> error, int64_t) {
        const Vec<T> inside = at_least<T>(at_most<T>(error, delta), -delta);
        return Point<T>{inside * (error - T(0.5) * inside), inside};
      });
    case LossKind::quantile:
      return pointwise(p, b, [&p](Vec<T> error, int64_t j) {
        const Vec<T> below = all<T>(-p.quantiles[j % p.n_quantiles]), above = T(1) + below;
        return Point<T>{error * (error < T(0) ? below : above), error < T(0) ? below : error > T(0) ? above : error};
      });
    case LossKind::poisson:
      return poisson(p, b);
    case LossKind::binary_cross_entropy:
      return binary_cross_entropy(p, b);
    case LossKind::categorical_cross_entropy:
      return categorical_cross_entropy(p, b);
  }
  return Vec<T>{};
}

template <class T>
static void loss(const LastRows<T>& p) {
  constexpr int L = lanes<T>;
  const int64_t plane = whole_chunks<T>(p.n_out) * L;
  T *z = p.scratch, *y = z + plane, *e = y + plane, *d = e + plane;
  for (int64_t i = p.n_out * L; i < plane; ++i) d[i] = 0;  // padding of dZ
  const bool is_sum = p.loss == LossKind::quadratic || p.loss == LossKind::categorical_cross_entropy;
  const T scale = is_sum ? T(1) : T(1) / static_cast<T>(p.n_out);
  const auto work = [&](int64_t row, int rows) __attribute__((always_inline)) {
    from_panels(p.Z, p.z_panel, row, p.n_out, rows, z);
    from_rows(p.Y + row * p.n_targets, p.n_targets, rows, y);
    const Vec<T> losses = block_loss<T>(p, {z, y, e, d, load_some(p.share + row, rows) * scale}) * scale;
    __builtin_memcpy(p.losses + row, &losses, sizeof(T) * static_cast<unsigned>(rows));
    if (p.dZ) to_panels(d, p.z_panel, row, p.n_out, rows, p.dZ);
  };
  int64_t row = 0;
  for (; row + L <= p.n; row += L) work(row, L);
  if (row < p.n) work(row, static_cast<int>(p.n - row));
}

template <class T>
static void softmax(int64_t n, int64_t n_out, const T* Z, T* A, int64_t z_panel, T* scratch) {
  constexpr int L = lanes<T>;
  const int64_t plane = whole_chunks<T>(n_out) * L;
  T *z = scratch, *a = z + plane;
  for (int64_t i = n_out * L; i < plane; ++i) a[i] = 0;  // padding of A
  for (int64_t row = 0; row < n; row += L) {
    const int rows = static_cast<int>(n - row < L ? n - row : L);
    from_panels(Z, z_panel, row, n_out, rows, z);
    probabilities(n_out, z, a);
    to_panels(a, z_panel, row, n_out, rows, A);
  }
}

// A column of numbers as periodic functions of itself: e = cos(2 pi (x w + p)) M + c, w and p with `frequencies`
// numbers each, M of shape (frequencies, n_out). Rows are lanes.

// sin(2 pi t) for |t| <= 1/4.
template <class T>
static inline Vec<T> sine_of_turns(Vec<T> t) {
  return t * polynomial(Coefficients<T>::turn_sine, t * t);
}

// u less the nearest whole number; something small where u is so large that it has no fraction.
template <class T>
static inline Vec<T> fraction(Vec<T> u) {
  const Vec<T> whole = (u + Exponential<T>::shifter) - Exponential<T>::shifter;
  return u - whole;
}

// Row r and those after it, zero from row n on. Others' rows are not touched: they may be at work.
template <class T>
static inline Vec<T> load_rows(const T* column, int64_t r, int64_t n) {
  if (r + lanes<T> <= n) return load(column + r);
  T rows[lanes<T>] = {};
  for (int64_t i = 0; i < n - r; ++i) rows[i] = column[r + i];
  return load(rows);
}

template <class T>
static inline void store_rows(T* column, int64_t r, int64_t n, Vec<T> v) {
  if (r + lanes<T> <= n) return store(column + r, v);
  for (int64_t i = 0; i < n - r; ++i) column[r + i] = v[i];
}

template <class T>
static inline T sum_of_lanes(Vec<T> v) {
  T sum = 0;
  for (int i = 0; i < lanes<T>; ++i) sum += v[i];
  return sum;
}

template <class T>
static void periodic(const Periodic<T>& c) {
  constexpr int64_t group = 4;  // outputs whose sums stay in registers
  for (int64_t first = 0; first < c.n_out; first += group) {
    const int64_t n_out = c.n_out - first < group ? c.n_out - first : group;
    for (int64_t r = 0; r < c.n; r += lanes<T>) {
      const Vec<T> x = load_rows(c.x, r, c.n);
      Vec<T> sum[group];
      for (int64_t o = 0; o < n_out; ++o) sum[o] = all<T>(c.c[first + o]);
      for (int64_t i = 0; i < c.frequencies; ++i) {
        const Vec<T> wave = sine_of_turns<T>(T(0.25) - magnitude<T>(fraction<T>(x * c.w[i] + c.p[i])));
        for (int64_t o = 0; o < n_out; ++o) sum[o] += wave * c.M[i * c.n_out + first + o];
      }
      for (int64_t o = 0; o < n_out; ++o) store_rows(c.e + (first + o) * c.stride, r, c.n, sum[o]);
    }
  }
}

template <class T>
static void periodic_gradient(const PeriodicGradient<T>& g) {
  const Periodic<T>& c = g.column;
  for (int64_t o = 0; o < c.n_out; ++o) {
    Vec<T> sum{};
    for (int64_t r = 0; r < c.n; r += lanes<T>) sum += load_rows(c.e + o * c.stride, r, c.n);
    g.dc[o] = sum_of_lanes<T>(sum);
  }
  for (int64_t i = 0; i < c.frequencies; ++i) {
    Vec<T> dw{}, dp{};
    for (int64_t r = 0; r < c.n; r += lanes<T>) {
      const Vec<T> x = load_rows(c.x, r, c.n), part = fraction<T>(x * c.w[i] + c.p[i]), size = magnitude<T>(part);
      Vec<T> slope{};
      for (int64_t o = 0; o < c.n_out; ++o) slope += load_rows(c.e + o * c.stride, r, c.n) * c.M[i * c.n_out + o];
      const Vec<T> sine = sine_of_turns<T>(with_sign_of<T>(part, T(0.25) - magnitude<T>(size - T(0.25))));
      const Vec<T> turn = T(-6.283185307179586) * sine * slope;
      dw += turn * x;
      dp += turn;
      store_rows(g.waves, r, c.n, sine_of_turns<T>(T(0.25) - size));
    }
    g.dw[i] = sum_of_lanes<T>(dw);
    g.dp[i] = sum_of_lanes<T>(dp);
    for (int64_t o = 0; o < c.n_out; ++o) {
      Vec<T> sum{};
      for (int64_t r = 0; r < c.n; r += lanes<T>)
        sum += load_rows(g.waves, r, c.n) * load_rows(c.e + o * c.stride, r, c.n);
      g.dM[i * c.n_out + o] = sum_of_lanes<T>(sum);
    }
  }
}

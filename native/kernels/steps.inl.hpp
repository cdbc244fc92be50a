// What becomes of a gradient: penalties, its norm, and the step rules, one pass over parameters, gradient and moments,
// as in src/fallline/optimizers.py. update(theta, g, m, v, args) changes theta and the moments it uses, in registers;
// n_moments says how many. Everywhere n is a multiple of the panel, so of the vector.

// Gradient of the penalties, l1 sign(W) + l2 W.
template <class T>
static inline Vec<T> penalty_slope(Vec<T> w, T l1, T l2) {
  const Vec<T> sign = w > T(0) ? all<T>(1) : w < T(0) ? all<T>(-1) : w;
  return rounded<T>(rounded<T>(l1 * sign) + l2 * w);
}

template <class T>
static void penalize(int64_t n, const T* W, T l1, T l2, T* dW) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(dW + i, load(dW + i) + penalty_slope<T>(load(W + i), l1, l2));
}

// Summed in double: a float's square may overflow.
template <class T>
static double sum_of_squares(int64_t n, const T* x) {
  constexpr int L = lanes<double>;
  Vec<double> sum{};
  for (int64_t i = 0; i < n; i += L) {
    Vec<double> v;
    for (int j = 0; j < L; ++j) v[j] = static_cast<double>(x[i + j]);
    sum += v * v;
  }
  double total = 0;
  for (int j = 0; j < L; ++j) total += sum[j];
  return total;
}

template <class T>
struct Sgd {
  static constexpr int n_moments = 0;
  static void update(Vec<T>& theta, Vec<T> g, Vec<T>&, Vec<T>&, const StepArgs<T>& s) { theta -= s.learning_rate * g; }
};

template <class T>
struct Momentum {
  static constexpr int n_moments = 1;
  static void update(Vec<T>& theta, Vec<T> g, Vec<T>& m, Vec<T>&, const StepArgs<T>& s) {
    m = s.beta1 * m + g;
    theta -= s.learning_rate * m;
  }
};

template <class T>
struct Nesterov {
  static constexpr int n_moments = 1;
  static void update(Vec<T>& theta, Vec<T> g, Vec<T>& m, Vec<T>&, const StepArgs<T>& s) {
    m = s.beta1 * m + g;
    theta -= s.learning_rate * (g + s.beta1 * m);
  }
};

template <class T>
struct RmsProp {
  static constexpr int n_moments = 1;  // the mean square, in m's place
  static void update(Vec<T>& theta, Vec<T> g, Vec<T>& m, Vec<T>&, const StepArgs<T>& s) {
    m = s.beta2 * m + rounded<T>(s.new2 * g * g);
    theta -= s.learning_rate * g / (square_root<T>(m) + s.epsilon);
  }
};

template <class T>
struct AdamRule {
  static constexpr int n_moments = 2;
  static void update(Vec<T>& theta, Vec<T> g, Vec<T>& m, Vec<T>& v, const StepArgs<T>& s) {
    m = s.beta1 * m + rounded<T>(s.new1 * g);
    v = s.beta2 * v + rounded<T>(s.new2 * g * g);
    theta -= (s.learning_rate * s.m_correction) * m / (square_root<T>(v * s.v_correction) + s.epsilon);
  }
};

// One vector of parameters, with its gradient in a register.
template <class T, template <class> class R>
static inline void step_vector(T* theta, T* m, T* v, Vec<T> g, const StepArgs<T>& s) {
  Vec<T> x = load(theta), first{}, second{};
  if (s.penalized) g += penalty_slope<T>(x, s.l1, s.l2);
  x = rounded<T>(x * s.shrink);
  if constexpr (R<T>::n_moments > 0) first = load(m);
  if constexpr (R<T>::n_moments > 1) second = load(v);
  R<T>::update(x, g, first, second, s);
  store(theta, x);
  if constexpr (R<T>::n_moments > 0) store(m, first);
  if constexpr (R<T>::n_moments > 1) store(v, second);
}

// A function of its own: inlined beside a sum, it would fill the sum's registers with the rule's numbers.
template <class T, template <class> class R>
[[gnu::noinline]] static void step(int64_t n, T* theta, const T* g, T* m, T* v, const StepArgs<T>& args) {
  const StepArgs<T> s = args;  // a copy, which no store can change
  for (int64_t i = 0; i < n; i += lanes<T>)
    step_vector<T, R>(theta + i, m ? m + i : nullptr, v ? v + i : nullptr, load(g + i), s);
}

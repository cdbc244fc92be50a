// What becomes of a gradient: penalties, its norm, and the step rules, one pass over parameters, gradient and moments,
// as in src/fallline/optimizers.py. update(theta, g, m, v, args) changes theta and the moments it uses, in registers;
// n_moments says how many. Everywhere n is a multiple of the panel, so of the vector.

template <class T>
static void penalize(int64_t n, const T* W, T l1, T l2, T* dW) {
  for (int64_t i = 0; i < n; i += lanes<T>) {
    const Vec<T> w = load(W + i), sign = w > T(0) ? all<T>(1) : w < T(0) ? all<T>(-1) : w;
    store(dW + i, load(dW + i) + l1 * sign + l2 * w);
  }
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
    m = s.beta2 * m + s.new2 * g * g;
    theta -= s.learning_rate * g / (square_root<T>(m) + s.epsilon);
  }
};

template <class T>
struct AdamRule {
  static constexpr int n_moments = 2;
  static void update(Vec<T>& theta, Vec<T> g, Vec<T>& m, Vec<T>& v, const StepArgs<T>& s) {
    m = s.beta1 * m + s.new1 * g;
    v = s.beta2 * v + s.new2 * g * g;
    theta -= s.learning_rate * (m * s.m_correction) / (square_root<T>(v * s.v_correction) + s.epsilon);
  }
};

template <class T, template <class> class R>
static void step(int64_t n, T* theta, const T* g, T* m, T* v, const StepArgs<T>& s) {
  for (int64_t i = 0; i < n; i += lanes<T>) {
    Vec<T> x = load(theta + i) * s.shrink, first{}, second{};
    if constexpr (R<T>::n_moments > 0) first = load(m + i);
    if constexpr (R<T>::n_moments > 1) second = load(v + i);
    R<T>::update(x, load(g + i), first, second, s);
    store(theta + i, x);
    if constexpr (R<T>::n_moments > 0) store(m + i, first);
    if constexpr (R<T>::n_moments > 1) store(v + i, second);
  }
}

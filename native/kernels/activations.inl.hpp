// The elementwise activations: value and derivative of each, side by side, as in src/fallline/activations.py.
// derivative(z, a) takes both the sum and the activation, whichever is cheaper to start from.

template <class T>
static inline Vec<T> softplus_of(Vec<T> z) {
  return at_least<T>(z, T(0)) + log_1_plus<T>(exponential<T>(-magnitude<T>(z)));
}

// 1 / (1 + exp(-z)); exp overflows to infinity, whose reciprocal is 0.
template <class T>
static inline Vec<T> sigmoid_of(Vec<T> z) {
  return T(1) / (T(1) + exponential<T>(-z));
}

// -e / (2 + e) with e = exp(-2|z|) - 1, and z's sign
template <class T>
static inline Vec<T> tanh_of(Vec<T> z) {
  const Vec<T> e = exponential_minus_1<T>(T(-2) * magnitude<T>(z));
  const Vec<T> t = -e / (T(2) + e);
  return z < T(0) ? -t : t;
}

static inline float erf_of(float x) { return __builtin_erff(x); }
static inline double erf_of(double x) { return __builtin_erf(x); }

template <class T>
static inline Vec<T> normal_cdf_of(Vec<T> z) {
  for (int i = 0; i < lanes<T>; ++i) z[i] = T(0.5) * (T(1) + erf_of(z[i] * T(0.70710678118654752)));
  return z;
}

template <class T>
struct Identity {
  static Vec<T> value(Vec<T> z) { return z; }
  static Vec<T> derivative(Vec<T>, Vec<T>) { return all<T>(1); }
};

template <class T>
struct Sigmoid {
  static Vec<T> value(Vec<T> z) { return sigmoid_of<T>(z); }
  static Vec<T> derivative(Vec<T>, Vec<T> a) { return a * (T(1) - a); }
};

template <class T>
struct Tanh {
  static Vec<T> value(Vec<T> z) { return tanh_of<T>(z); }
  static Vec<T> derivative(Vec<T>, Vec<T> a) { return T(1) - a * a; }
};

template <class T>
struct Relu {
  static Vec<T> value(Vec<T> z) { return at_least<T>(z, T(0)); }
  static Vec<T> derivative(Vec<T> z, Vec<T>) { return z > T(0) ? all<T>(1) : all<T>(0); }
};

template <class T>
struct LeakyRelu {
  static constexpr T slope = T(0.01);
  static Vec<T> value(Vec<T> z) { return z > T(0) ? z : slope * z; }
  static Vec<T> derivative(Vec<T> z, Vec<T>) { return z > T(0) ? all<T>(1) : all<T>(slope); }
};

template <class T>
struct Elu {
  static Vec<T> value(Vec<T> z) { return z > T(0) ? z : exponential_minus_1<T>(at_most<T>(z, T(0))); }
  static Vec<T> derivative(Vec<T> z, Vec<T> a) { return z > T(0) ? all<T>(1) : a + T(1); }
};

template <class T>
struct Selu {
  static constexpr T alpha = T(1.6732632423543772), scale = T(1.0507009873554805);
  static Vec<T> value(Vec<T> z) { return scale * (z > T(0) ? z : alpha * exponential_minus_1<T>(at_most<T>(z, T(0)))); }
  static Vec<T> derivative(Vec<T> z, Vec<T> a) { return z > T(0) ? all<T>(scale) : a + scale * alpha; }
};

template <class T>
struct Gelu {
  static Vec<T> value(Vec<T> z) { return z * normal_cdf_of<T>(z); }
  static Vec<T> derivative(Vec<T> z, Vec<T>) {
    return normal_cdf_of<T>(z) + z * exponential<T>(T(-0.5) * z * z) * T(0.39894228040143268);
  }
};

template <class T>
struct Silu {
  static Vec<T> value(Vec<T> z) { return z * sigmoid_of<T>(z); }
  static Vec<T> derivative(Vec<T> z, Vec<T>) {
    const Vec<T> s = sigmoid_of<T>(z);
    return s * (T(1) + z * (T(1) - s));
  }
};

template <class T>
struct Mish {
  static Vec<T> value(Vec<T> z) { return z * tanh_of<T>(softplus_of<T>(z)); }
  static Vec<T> derivative(Vec<T> z, Vec<T>) {
    const Vec<T> t = tanh_of<T>(softplus_of<T>(z));
    return t + z * (T(1) - t * t) * sigmoid_of<T>(z);
  }
};

template <class T>
struct Softplus {
  static Vec<T> value(Vec<T> z) { return softplus_of<T>(z); }
  static Vec<T> derivative(Vec<T> z, Vec<T>) { return sigmoid_of<T>(z); }
};

// n is a multiple of the panel, so of the vector.
template <class T, template <class> class F>
static void activate(int64_t n, const T* Z, T* A) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(A + i, F<T>::value(load(Z + i)));
}

template <class T, template <class> class F>
static void backward(int64_t n, const T* Z, const T* A, const T* dA, T* dZ) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(dZ + i, load(dA + i) * F<T>::derivative(load(Z + i), load(A + i)));
}

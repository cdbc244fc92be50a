// The elementwise activations: value and derivative of each, side by side, as in src/fallline/activations.py.
// derivative(z, a) takes both the sum and the activation, whichever is cheaper to start from.

// exp(-|z|) in [0, 1]: from it the logistic functions of z and of -z both come without cancellation or overflow.
template <class T>
static inline Vec<T> decay_of(Vec<T> z) {
  return exponential_of_negative<T>(minus_magnitude<T>(z));
}

// 1 / (1 + exp(-z)), or exp(z) / (1 + exp(z)) where z is negative
template <class T>
static inline Vec<T> sigmoid_of(Vec<T> z) {
  const Vec<T> e = decay_of<T>(z);
  return (z < T(0) ? e : all<T>(1)) / (T(1) + e);
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
  // -e / (2 + e) with e = exp(-2|z|) - 1, and z's sign
  static Vec<T> value(Vec<T> z) {
    const Vec<T> e = exponential_minus_1<T>(T(2) * minus_magnitude<T>(z));
    return with_sign_of<T>(z, e / (T(2) + e));
  }
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

// With u = |z| and E = exp(-u^2 / 2), Phi(-u) = E Mills(u), and Phi(u) = 1 - Phi(-u). Exact limits at infinity.
template <class T>
struct Gelu {
  static constexpr T unlift = Exponential<T>::unlift;
  static Vec<T> bounded(Vec<T> z) { return at_most<T>(magnitude<T>(z), Gaussian<T>::widest); }
  // max(z, 0) - u Phi(-u)
  static Vec<T> value(Vec<T> z) {
    const Vec<T> u = bounded(z);
    return at_least<T>(z, T(0)) - lifted_gaussian<T>(u) * (u * mills<T>(u)) * unlift;
  }
  // Phi(z) + z E / sqrt(2 pi)
  static Vec<T> derivative(Vec<T> z, Vec<T>) {
    const Vec<T> u = bounded(z);
    const Vec<T> below = lifted_gaussian<T>(u) * (mills<T>(u) - u * T(0.39894228040143268)) * unlift;
    return z < T(0) ? below : T(1) - below;
  }
};

// s = sigmoid(z), 1 - s = sigmoid(-z): with e = exp(-|z|), one of them is e / (1 + e) and the other 1 / (1 + e).
template <class T>
struct Silu {
  static Vec<T> value(Vec<T> z) { return z * sigmoid_of<T>(z); }
  // s (1 + z (1 - s))
  static Vec<T> derivative(Vec<T> z, Vec<T>) {
    const Vec<T> e = decay_of<T>(z), one = all<T>(1), q = one / (one + e);
    const Vec<T> above = z < T(0) ? e : one, below = z < T(0) ? one : e;
    return above * q * (((one + z * below) + e) * q);
  }
};

// tanh(softplus(z)) = w (w + 2) / (w (w + 2) + 2) with w = exp(z); over w^2 where z is positive, in powers of
// e = exp(-|z|). The derivative is w (w^3 / 4 + w^2 + (z + 3/2) w + z + 1) / (w^2 / 2 + w + 1)^2, over w^4 likewise.
template <class T>
struct Mish {
  static Vec<T> value(Vec<T> z) {
    const Vec<T> e = decay_of<T>(z);
    const Vec<T> gate = z < T(0) ? e * (e + T(2)) : T(1) + T(2) * e, rest = z < T(0) ? all<T>(2) : T(2) * e * e;
    return z * (gate / (gate + rest));
  }
  static Vec<T> derivative(Vec<T> z, Vec<T>) {
    const Vec<T> e = decay_of<T>(z), one = all<T>(1), quarter = all<T>(T(0.25)), z1 = z + T(1), z32 = z + T(1.5);
    const Vec<T> c0 = z < T(0) ? z1 : quarter, c1 = z < T(0) ? z32 : one;
    const Vec<T> c2 = z < T(0) ? one : z32, c3 = z < T(0) ? quarter : z1;
    const Vec<T> above = c0 + e * (c1 + e * (c2 + e * c3)), factor = z < T(0) ? e : one;
    const Vec<T> below = z < T(0) ? one + e * (one + T(0.5) * e) : T(0.5) + e * (one + e);
    return factor * (above / (below * below));
  }
};

template <class T>
struct Softplus {
  static Vec<T> value(Vec<T> z) { return at_least<T>(z, T(0)) + log_1_plus<T>(decay_of<T>(z)); }
  static Vec<T> derivative(Vec<T> z, Vec<T>) { return sigmoid_of<T>(z); }
};

// n is a multiple of the panel, so of the vector.
template <class T, template <class> class F>
static void activate(int64_t n, const T* Z, T* A) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(A + i, F<T>::value(load(Z + i)));
}

template <class T, template <class> class F>
static void derive(int64_t n, const T* Z, const T* A, const T* dA, T* dZ) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(dZ + i, load(dA + i) * F<T>::derivative(load(Z + i), load(A + i)));
}

// C = A * B, number by number.
template <class T>
static void multiply(int64_t n, const T* A, const T* B, T* C) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(C + i, load(A + i) * load(B + i));
}

// C = O + a U + b V, number by number: a point of the plane through O along U and V.
template <class T>
static void plane_point(int64_t n, const T* O, const T* U, const T* V, T a, T b, T* C) {
  for (int64_t i = 0; i < n; i += lanes<T>) store(C + i, load(O + i) + a * load(U + i) + b * load(V + i));
}

// Step rules against the textbook, one number at a time in long double.
#include "tests/support.hpp"

namespace fallline::test {
namespace {

using Real = long double;

struct Point {
  Real theta, g, m, v;
};

// What src/fallline/optimizers.py writes, on one number.
template <class T>
Point textbook(Rule rule, Point p, const StepArgs<T>& s) {
  const Real rate = s.learning_rate, beta1 = 0.9L, beta2 = 0.999L, epsilon = s.epsilon;  // as the user set them
  p.theta *= s.shrink;
  switch (rule) {
    case Rule::sgd:
      p.theta -= rate * p.g;
      break;
    case Rule::momentum:
      p.m = beta1 * p.m + p.g;
      p.theta -= rate * p.m;
      break;
    case Rule::nesterov:
      p.m = beta1 * p.m + p.g;
      p.theta -= rate * (p.g + beta1 * p.m);
      break;
    case Rule::rmsprop:
      p.m = beta2 * p.m + (1 - beta2) * p.g * p.g;
      p.theta -= rate * p.g / (std::sqrt(p.m) + epsilon);
      break;
    case Rule::adam:
      p.m = beta1 * p.m + (1 - beta1) * p.g;
      p.v = beta2 * p.v + (1 - beta2) * p.g * p.g;
      p.theta -= rate * (p.m * s.m_correction) / (std::sqrt(p.v * s.v_correction) + epsilon);
      break;
  }
  return p;
}

struct Row {
  Rule rule;
  const char* name;
  int n_moments;
};

constexpr Row rows[] = {{Rule::sgd, "sgd", 0},
                        {Rule::momentum, "momentum", 1},
                        {Rule::nesterov, "nesterov", 1},
                        {Rule::rmsprop, "rmsprop", 1},
                        {Rule::adam, "adam", 2}};
static_assert(std::size(rows) == n_rules);

}  // namespace

TEST_BOTH(steps_follow_the_textbook) {
  constexpr int64_t n = 4 * panel<T>;
  constexpr T unit = std::numeric_limits<T>::epsilon();
  for (const Kernels<T>* kernels : tables<T>())
    for (const Row& row : rows)
      for (const T shrink : {T(1), T(0.99)}) {
        Guarded<T> theta(n), m(n), v(n);
        Buffer<T> g(n);
        Dice dice(5);
        for (int64_t i = 0; i < n; ++i) {
          theta[i] = T(dice.between(-1, 1));
          m[i] = v[i] = 0;
        }
        Real error = 0;  // in units of the numbers that take part
        for (int t = 1; t <= 5; ++t) {
          const StepArgs<T> args{T(0.03125),
                                 T(0.9),
                                 T(0.999),
                                 T(1e-8),
                                 T(1 - 0.9),
                                 T(1 - 0.999),
                                 T(1 / (1 - std::pow(0.9, t))),
                                 T(1 / (1 - std::pow(0.999, t))),
                                 shrink,
                                 false,
                                 T(0),
                                 T(0)};
          for (int64_t i = 0; i < n; ++i) {
            g[i] = T(std::ldexp(dice.between(-1, 1), dice.whole(-12, 3)));
            if (i % 7 == 0) g[i] = 0;
          }
          std::vector<Point> truth;
          for (int64_t i = 0; i < n; ++i) truth.push_back(textbook<T>(row.rule, {theta[i], g[i], m[i], v[i]}, args));
          kernels->step[static_cast<int>(row.rule)](n, theta.data(), g.data(), row.n_moments > 0 ? m.data() : nullptr,
                                                    row.n_moments > 1 ? v.data() : nullptr, args);
          const auto look = [&](T got, Real wanted, Real size) {
            if (got == wanted) return;
            const Real apart = std::abs(got - wanted) / (unit * (std::abs(wanted) + size));
            error = apart <= error ? error : std::isnan(apart) ? 1e9L : apart;
          };
          for (int64_t i = 0; i < n; ++i) {
            const Point& p = truth[static_cast<std::size_t>(i)];
            const Real moved = row.rule == Rule::rmsprop || row.rule == Rule::adam
                                   ? args.learning_rate / std::sqrt(1 - Real(args.beta2))
                                   : args.learning_rate * (std::abs(p.g) + 2 * std::abs(p.m));
            look(theta[i], p.theta, moved);
            look(m[i], p.m, std::abs(p.g));
            look(v[i], p.v, 0);
          }
        }
        if (figures) std::printf("  %-9s %-8s %.2Lf units\n", row.name, kernels->instruction_set, error);
        CHECK(error <= 6, "%s, %s: %.2Lf", row.name, kernels->instruction_set, error);
        CHECK(theta.intact() && m.intact() && v.intact(), "%s, %s", row.name, kernels->instruction_set);
      }
}

// Padding is zero and stays zero, step after step, beside numbers that move; moments that a rule lacks may be null.
TEST_BOTH(steps_leave_zero_alone) {
  constexpr int64_t n = 2 * panel<T>;
  for (const Kernels<T>* kernels : tables<T>())
    for (const Row& row : rows) {
      Buffer<T> theta(n), g(n), m(n), v(n);
      for (int64_t i = 0; i < n; i += 3) theta[i] = g[i] = T(1);
      for (int t = 1; t <= 50; ++t)
        kernels->step[static_cast<int>(row.rule)](
            n, theta.data(), g.data(), row.n_moments > 0 ? m.data() : nullptr, row.n_moments > 1 ? v.data() : nullptr,
            {T(0.1), T(0.9), T(0.999), T(1e-8), T(1 - 0.9), T(1 - 0.999), T(1 / (1 - std::pow(0.9, t))),
             T(1 / (1 - std::pow(0.999, t))), T(0.9), false, T(0), T(0)});
      bool zero = true, moved = true;
      for (int64_t i = 0; i < n; ++i) {
        if (i % 3 == 0)
          moved &= theta[i] < T(1);
        else
          zero &= theta[i] == 0 && m[i] == 0 && v[i] == 0;
      }
      CHECK(zero && moved, "%s, %s", row.name, kernels->instruction_set);
    }
}

// dW += l1 sign(W) + l2 W, exact on these numbers; a weight of zero is pulled nowhere, so padding stays zero.
TEST_BOTH(penalties_are_exact) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n : {int64_t(0), panel<T>, 3 * panel<T>}) {
      Buffer<T> W(n);
      Guarded<T> dW(n);
      Dice dice(6);
      std::vector<T> wanted;
      for (int64_t i = 0; i < n; ++i) {
        W[i] = T(dice.whole(-3, 3)) / 4;
        dW[i] = i % 5 ? T(dice.whole(-8, 8)) : T(0);
        wanted.push_back(dW[i] + T(0.5) * T((W[i] > 0) - (W[i] < 0)) + T(0.25) * W[i]);
      }
      kernels->penalize(n, W.data(), T(0.5), T(0.25), dW.data());
      bool right = dW.intact();
      for (int64_t i = 0; i < n; ++i) right &= dW[i] == wanted[std::size_t(i)];
      CHECK(right, "%s: n=%ld", kernels->instruction_set, long(n));
    }
}

// Summed in double: squares of floats neither overflow nor vanish. NaN and infinity come through.
TEST_BOTH(sum_of_squares_is_a_sum_in_double) {
  const T large = std::sqrt(std::numeric_limits<T>::max()) * T(sizeof(T) == 4 ? 1e3 : 0.01);
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n : {int64_t(0), panel<T>, 7 * panel<T>}) {
      Buffer<T> x(n);
      double whole = 0;
      for (int64_t i = 0; i < n; ++i) {
        x[i] = T(i % 9 - 4);
        whole += double(x[i]) * double(x[i]);
      }
      CHECK(kernels->sum_of_squares(n, x.data()) == whole, "%s: n=%ld", kernels->instruction_set, long(n));
      if (n == 0) continue;
      for (const int64_t place : {int64_t(0), n / 2, n - 1}) {
        const T before = x[place];
        x[place] = large;
        const double sum = kernels->sum_of_squares(n, x.data()), truth = double(large) * double(large);
        CHECK(std::abs(sum / truth - 1) < 1e-12, "%s: n=%ld %g", kernels->instruction_set, long(n), sum);
        x[place] = nan_of<T>;
        CHECK(std::isnan(kernels->sum_of_squares(n, x.data())), "%s: n=%ld", kernels->instruction_set, long(n));
        x[place] = before;
      }
    }
}

}  // namespace fallline::test

// Losses and the last activation: values against formulas in long double, gradients against central differences, and
// extreme sums, where what is finite on paper must be finite here.
#include <algorithm>

#include "core/losses.hpp"
#include "tests/support.hpp"

namespace fallline::test {
namespace {

using Real = long double;

struct Row {
  LossKind kind;
  const char* name;
  int64_t n_out, n_targets;
  double low, high;  // of the targets
  Loss loss;
};

const Row rows[] = {
    {LossKind::squared_error, "squared_error", 3, 3, 0, 1, {LossKind::squared_error, 1, {}}},
    {LossKind::quadratic, "quadratic", 3, 3, 0, 1, {LossKind::quadratic, 1, {}}},
    {LossKind::absolute_error, "absolute_error", 3, 3, 0, 1, {LossKind::absolute_error, 1, {}}},
    {LossKind::huber, "huber", 3, 3, -2, 2, {LossKind::huber, 0.4, {}}},
    {LossKind::poisson, "poisson", 3, 3, 0, 5, {LossKind::poisson, 1, {}}},
    {LossKind::quantile, "quantile", 4, 2, 0, 1, {LossKind::quantile, 1, {0.1, 0.7}}},
    {LossKind::binary_cross_entropy, "binary_cross_entropy", 3, 3, 0, 1, {LossKind::binary_cross_entropy, 1, {}}},
    {LossKind::categorical_cross_entropy,
     "categorical_cross_entropy",
     3,
     3,
     0,
     1,
     {LossKind::categorical_cross_entropy, 1, {}}},
};

constexpr Activation outputs[] = {Activation::identity, Activation::sigmoid, Activation::softmax};

Real softplus(Real z) { return std::max(z, Real(0)) + std::log1p(std::exp(-std::abs(z))); }
Real log_sum_of(const std::vector<Real>& Z, std::size_t but = 99) {
  Real top = -std::numeric_limits<Real>::infinity(), sum = 0;
  for (std::size_t j = 0; j < Z.size(); ++j)
    if (j != but) top = std::max(top, Z[j]);
  for (std::size_t j = 0; j < Z.size(); ++j)
    if (j != but) sum += std::exp(Z[j] - top);
  return top + std::log(sum);
}

// Log of the probability p of output j, and of 1 - p.
struct Logs {
  Real p, q;
};
Logs logs(Activation output, const std::vector<Real>& Z, std::size_t j) {
  if (output == Activation::softmax) return {Z[j] - log_sum_of(Z), log_sum_of(Z, j) - log_sum_of(Z)};
  return {-softplus(-Z[j]), -softplus(Z[j])};
}

// The loss of one row as src/fallline/losses.py defines it, written again from the books.
Real true_loss(const Row& row, Activation output, const std::vector<Real>& Z, const std::vector<Real>& Y) {
  Real total = 0;
  const std::size_t n = Z.size(), repeats = n / Y.size();
  std::vector<Real> log_A;  // the probabilities that categorical cross-entropy makes of them sum to 1
  for (std::size_t j = 0; j < n; ++j) log_A.push_back(logs(output, Z, j).p);
  for (std::size_t j = 0; j < n; ++j) {
    const Real y = Y[j / repeats];
    const Logs log = logs(output, Z, j);
    const Real a = output == Activation::identity ? Z[j] : std::exp(log.p), e = a - y;
    switch (row.kind) {
      case LossKind::squared_error:
        total += e * e;
        break;
      case LossKind::quadratic:
        total += e * e / 2;
        break;
      case LossKind::absolute_error:
        total += std::abs(e);
        break;
      case LossKind::huber: {
        const Real delta = row.loss.delta;
        total += std::abs(e) <= delta ? e * e / 2 : delta * (std::abs(e) - delta / 2);
        break;
      }
      case LossKind::quantile: {
        const Real p = row.loss.quantiles[j % repeats];
        total += std::max(-p * e, (1 - p) * e);
        break;
      }
      case LossKind::poisson:
        total += output == Activation::identity ? std::exp(Z[j]) - y * Z[j] : a - y * log.p;
        break;
      case LossKind::binary_cross_entropy:
        total -= (y == 0 ? 0 : y * log.p) + (y == 1 ? 0 : (1 - y) * log.q);
        break;
      case LossKind::categorical_cross_entropy:
        total -= y * (output == Activation::identity ? Z[j] - log_sum_of(Z) : log.p - log_sum_of(log_A));
        break;
    }
  }
  const bool is_sum = row.kind == LossKind::quadratic || row.kind == LossKind::categorical_cross_entropy;
  return is_sum ? total : total / static_cast<Real>(n);
}

struct Result {
  double value;
  std::vector<double> dZ;
};

// The loss of one row through the public call: a network of one layer whose weights are the unit matrix, so Z = X.
template <class T>
Result computed(const Row& row, Activation output, const std::vector<T>& Z, const std::vector<T>& Y) {
  Plan plan;
  plan.layers = {{row.n_out, row.n_out, output}};
  plan.loss = row.loss;
  plan.rule.rule = Rule::sgd;
  plan.starts = {0};
  std::vector<T> parameters(static_cast<std::size_t>(n_parameters(plan.layers))), gradient(parameters.size());
  for (int64_t i = 0; i < row.n_out; ++i) parameters[static_cast<std::size_t>(i * row.n_out + i)] = 1;
  const T weight = 1;
  const Data<T> data{1, row.n_targets, Z.data(), Y.data(), &weight};
  Result result;
  result.value = fallline::gradient<T>(plan, parameters.data(), data, 0, gradient.data());
  result.dZ.assign(gradient.end() - static_cast<std::ptrdiff_t>(row.n_out), gradient.end());  // db, of a single row
  const double alone = mean_loss<T>(plan, parameters.data(), data);
  CHECK(alone == result.value || (std::isnan(alone) && std::isnan(result.value)), "%s: %g, %g", row.name, alone,
        result.value);
  return result;
}

template <class T>
std::vector<Real> real(const std::vector<T>& x) {
  return {x.begin(), x.end()};
}

}  // namespace

TEST_BOTH(softmax_rows) {
  constexpr Real unit = std::numeric_limits<T>::epsilon();
  for (const int64_t n : {1, 2, 3, 10, 17})
    for (const double size : {0.0, 1.0, 30.0, 1e3, 1e30}) {
      const std::vector<T> Z = randoms<T>(static_cast<std::size_t>(n), -size, size, 11);
      std::vector<T> A(Z.size());
      softmax_row<T>(n, Z.data(), A.data());
      LastRow<T> row{n, n, Z.data(), A.data(), 0, 0, nullptr};
      log_sum_exp(row);
      const Real truth = log_sum_of(real(Z));
      CHECK(std::abs(row.log_sum - (truth - row.top)) <= 4 * unit * std::max(std::abs(truth - row.top), Real(1)),
            "n=%ld size=%g", long(n), size);
      Real sum = 0, error = 0;
      for (std::size_t j = 0; j < Z.size(); ++j) {
        sum += A[j];
        error = std::max(error, std::abs(A[j] - std::exp(Z[j] - truth)));
      }
      CHECK(std::abs(sum - 1) <= 4 * unit, "n=%ld size=%g: %Lg", long(n), size, sum - 1);
      CHECK(error <= 8 * unit * std::max(Real(1), size < 100 ? Real(size) : 1), "n=%ld size=%g: %Lg", long(n), size,
            error / unit);
    }
}

TEST_BOTH(losses_and_their_gradients) {
  const double rounding = sizeof(T) == 4 ? 2e-5 : 1e-13, difference = sizeof(T) == 4 ? 2e-5 : 2e-9;
  for (const Row& row : rows)
    for (const Activation output : outputs)
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const std::vector<T> Z = randoms<T>(static_cast<std::size_t>(row.n_out), -3, 3, seed);
        std::vector<T> Y = randoms<T>(static_cast<std::size_t>(row.n_targets), row.low, row.high, 100 + seed);
        if (seed % 4 == 0)  // the usual targets: 0 and 1, or counts
          for (T& y : Y) y = std::round(y);
        const Result got = computed<T>(row, output, Z, Y);
        const Real truth = true_loss(row, output, real(Z), real(Y));
        CHECK(std::abs(got.value - truth) <= rounding * (1 + std::abs(truth)), "%s, output %d: %.17g not %.17Lg",
              row.name, int(output), got.value, truth);
        for (std::size_t j = 0; j < Z.size(); ++j) {
          constexpr Real h = 1e-6L;
          std::vector<Real> up = real(Z), down = up;
          up[j] += h;
          down[j] -= h;
          const Real slope = (true_loss(row, output, up, real(Y)) - true_loss(row, output, down, real(Y))) / (2 * h);
          CHECK(std::abs(got.dZ[j] - slope) <= difference * (1 + std::abs(slope)), "%s, output %d, dZ[%zu]: %g not %Lg",
                row.name, int(output), j, got.dZ[j], slope);
        }
      }
}

TEST_BOTH(losses_of_extreme_sums) {
  const double largest = double(std::numeric_limits<T>::max());
  for (const Row& row : rows)
    for (const Activation output : outputs)
      for (const double size : {90.0, 800.0, 1e3, 1e30})
        for (int signs = 0; signs < 1 << 3; ++signs)
          for (int target = 0; target < 3; ++target) {
            std::vector<T> Z(static_cast<std::size_t>(row.n_out)), Y(static_cast<std::size_t>(row.n_targets));
            for (std::size_t j = 0; j < Z.size(); ++j) Z[j] = T(signs >> j % 3 & 1 ? size : -size);
            for (std::size_t j = 0; j < Y.size(); ++j) Y[j] = target < 2 ? T(target) : T(j == 0);
            const Result got = computed<T>(row, output, Z, Y);
            const Real truth = true_loss(row, output, real(Z), real(Y));
            if (std::abs(truth) * row.n_out > largest) {  // rightly infinite
              CHECK(!std::isfinite(got.value), "%s, output %d, Z %g: %g", row.name, int(output), size, got.value);
              continue;
            }
            const Real unit = std::numeric_limits<T>::epsilon();
            CHECK(std::abs(got.value - truth) <= 8 * unit * std::max(std::abs(truth), Real(size)),
                  "%s, output %d, Z %g, signs %d, target %d: %g not %Lg", row.name, int(output), size, signs, target,
                  got.value, truth);
            for (const double d : got.dZ)
              CHECK(std::isfinite(d), "%s, output %d, Z %g, signs %d, target %d", row.name, int(output), size, signs,
                    target);
          }
}

// Where value and truth meet, the loss is 0 and does not pull; the next smallest errors pull the right way.
TEST_BOTH(losses_at_their_kinks) {
  for (const Row& row : rows) {
    if (row.kind == LossKind::poisson || row.kind == LossKind::binary_cross_entropy ||
        row.kind == LossKind::categorical_cross_entropy)
      continue;
    const std::vector<T> Y(static_cast<std::size_t>(row.n_targets), T(0.5));
    for (const T error : {T(0), T(0.25), T(-0.25), T(0.4), T(-0.4), T(2), T(-2)}) {
      const std::vector<T> Z(static_cast<std::size_t>(row.n_out), T(0.5) + error);
      const Result got = computed<T>(row, Activation::identity, Z, Y);
      const bool right = error == 0 ? got.value == 0 : got.value > 0;
      CHECK(right, "%s, error %g: %g", row.name, double(error), got.value);
      for (const double d : got.dZ)
        CHECK(error > 0 ? d > 0 : error < 0 ? d < 0 : d == 0, "%s, error %g: %g", row.name, double(error), d);
    }
  }
}

// Rows count by their weight; a batch that weighs nothing has loss 0 and pulls nowhere.
TEST_BOTH(losses_are_weighted_means) {
  const std::vector<T> X = {1, 2, 4}, Y = {0, 0, 0}, theta = {1, 0};
  Plan plan;
  plan.layers = {{1, 1, Activation::identity}};
  plan.loss = {LossKind::squared_error, 1, {}};
  plan.starts = {0};
  struct Case {
    std::vector<T> weight;
    double loss, dW, db;
  };
  const Case cases[] = {
      {{1, 1, 1}, 7, 14, 14 / 3.0}, {{2, 0, 2}, 8.5, 17, 5}, {{0, 3, 0}, 4, 8, 4}, {{0, 0, 0}, 0, 0, 0}};
  for (const Case& one : cases) {
    std::vector<T> g(2);
    const Data<T> data{3, 1, X.data(), Y.data(), one.weight.data()};
    const double loss = gradient<T>(plan, theta.data(), data, 0, g.data());
    CHECK(std::abs(loss - one.loss) < 1e-5 && std::abs(g[0] - one.dW) < 1e-5 && std::abs(g[1] - one.db) < 1e-5,
          "%g %g %g", loss, double(g[0]), double(g[1]));
    CHECK(std::abs(mean_loss<T>(plan, theta.data(), data) - one.loss) < 1e-5, "%g", one.loss);
  }
}

}  // namespace fallline::test

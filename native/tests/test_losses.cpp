// The kernels at the end of a network: losses against formulas in long double, gradients against central differences,
// and extreme sums, where what is finite on paper must be finite here.
#include <algorithm>

#include "tests/support.hpp"

namespace fallline::test {
namespace {

using Real = long double;

struct Kind {
  LossKind kind;
  const char* name;
  int64_t outputs_per_target;
  double low, high;  // of the targets
  double delta;
};

const Kind kinds[] = {
    {LossKind::squared_error, "squared_error", 1, 0, 1, 1},
    {LossKind::quadratic, "quadratic", 1, 0, 1, 1},
    {LossKind::absolute_error, "absolute_error", 1, 0, 1, 1},
    {LossKind::huber, "huber", 1, -2, 2, 0.375},
    {LossKind::poisson, "poisson", 1, 0, 5, 1},
    {LossKind::quantile, "quantile", 2, 0, 1, 1},
    {LossKind::binary_cross_entropy, "binary_cross_entropy", 1, 0, 1, 1},
    {LossKind::categorical_cross_entropy, "categorical_cross_entropy", 1, 0, 1, 1},
};
const double quantiles[] = {0.125, 0.75};  // exact in both types

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
Real true_loss(const Kind& kind, Activation output, const std::vector<Real>& Z, const std::vector<Real>& Y) {
  Real total = 0;
  const std::size_t n = Z.size(), repeats = n / Y.size();
  std::vector<Real> log_A;  // the probabilities that categorical cross-entropy makes of them sum to 1
  for (std::size_t j = 0; j < n; ++j) log_A.push_back(logs(output, Z, j).p);
  for (std::size_t j = 0; j < n; ++j) {
    const Real y = Y[j / repeats];
    const Logs log = logs(output, Z, j);
    const Real a = output == Activation::identity ? Z[j] : std::exp(log.p), e = a - y;
    switch (kind.kind) {
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
        const Real delta = kind.delta;
        total += std::abs(e) <= delta ? e * e / 2 : delta * (std::abs(e) - delta / 2);
        break;
      }
      case LossKind::quantile: {
        const Real p = quantiles[j % repeats];
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
  const bool is_sum = kind.kind == LossKind::quadratic || kind.kind == LossKind::categorical_cross_entropy;
  return is_sum ? total : total / static_cast<Real>(n);
}

// Rows at the end of a network, and what a kernel makes of them.
template <class T>
struct Rows {
  const Kind* kind;
  Activation output;
  int64_t n, n_out, n_targets;
  std::vector<T> Z, Y, share;  // row by row

  std::string text() const {
    return std::string(kind->name) + ", output " + std::to_string(int(output)) + ", " + std::to_string(n) + " x " +
           std::to_string(n_out);
  }
};

template <class T>
Rows<T> random_rows(const Kind& kind, Activation output, int64_t n, int64_t n_out, uint64_t seed) {
  const int64_t n_targets = n_out / kind.outputs_per_target;
  const auto size = [](int64_t rows, int64_t columns) { return static_cast<std::size_t>(rows * columns); };
  Rows<T> one{&kind,
              output,
              n,
              n_out,
              n_targets,
              randoms<T>(size(n, n_out), -3, 3, seed),
              randoms<T>(size(n, n_targets), kind.low, kind.high, seed + 100),
              randoms<T>(size(n, 1), 0, 2, seed + 200)};
  for (std::size_t i = 0; i < one.Y.size(); i += 3)
    one.Y[i] = std::round(one.Y[i]);  // the usual ones: 0 and 1, or counts
  return one;
}

template <class T>
struct Result {
  std::vector<T> losses, dZ;
};

// Rows of the case from `first` on, in panels with a gap of rows between them. Padding and gaps of Z hold NaN; what the
// kernel has no business with must stay as it is.
template <class T>
Result<T> run(const Kernels<T>& kernels, const Rows<T>& one, int64_t first, int64_t n, bool with_gradient = true,
              T ceiling = std::numeric_limits<T>::infinity()) {
  constexpr int64_t gap = 3;
  const int64_t n_out = one.n_out, stride = (n + gap) * panel<T>, size = panels<T>(n_out) * stride;
  const auto at = [&](int64_t r, int64_t j) { return j / panel<T> * stride + r * panel<T> + j % panel<T>; };
  const auto part = [&](const std::vector<T>& all, int64_t columns) {
    return std::vector<T>(all.begin() + first * columns, all.begin() + (first + n) * columns);  // ends where it ends
  };
  Buffer<T> Z(size);
  std::fill_n(Z.data(), size, nan_of<T>);
  for (int64_t r = 0; r < n; ++r)
    for (int64_t j = 0; j < n_out; ++j) Z[at(r, j)] = one.Z[static_cast<std::size_t>((first + r) * n_out + j)];
  const std::vector<T> Y = part(one.Y, one.n_targets), share = part(one.share, 1);
  const std::vector<T> ps(std::begin(quantiles), std::end(quantiles));
  Guarded<T> dZ(size), losses(n), scratch(loss_scratch<T>(n_out));
  for (int64_t i = 0; i < loss_scratch<T>(n_out); ++i) scratch[i] = nan_of<T>;
  kernels.loss({.n = n,
                .n_out = n_out,
                .n_targets = one.n_targets,
                .loss = one.kind->kind,
                .output = one.output,
                .delta = static_cast<T>(one.kind->delta),
                .ceiling = ceiling,
                .quantiles = ps.data(),
                .n_quantiles = one.kind->kind == LossKind::quantile ? 2 : 0,
                .Z = Z.data(),
                .dZ = with_gradient ? dZ.data() : nullptr,
                .z_panel = stride,
                .Y = Y.data(),
                .share = share.data(),
                .losses = losses.data(),
                .scratch = scratch.data()});
  Result<T> result;
  bool right = dZ.intact() && losses.intact() && scratch.intact();
  for (int64_t r = 0; r < n; ++r) {
    result.losses.push_back(losses[r]);
    for (int64_t j = 0; j < n_out && with_gradient; ++j) result.dZ.push_back(dZ[at(r, j)]);
    for (int64_t j = n_out; j < padded<T>(n_out) && with_gradient; ++j) right &= same_bits<T>(dZ[at(r, j)], 0);
  }
  for (int64_t p = 0; p < panels<T>(n_out); ++p)
    for (int64_t i = with_gradient ? n * panel<T> : 0; i < stride; ++i) right &= dZ.untouched(p * stride + i);
  CHECK(right, "%s, %s", kernels.instruction_set, one.text().c_str());
  return result;
}

template <class T>
std::vector<Real> row_of(const std::vector<T>& all, int64_t columns, int64_t r) {
  return {all.begin() + r * columns, all.begin() + (r + 1) * columns};
}

template <class T>
Real true_loss(const Rows<T>& one, int64_t r, int64_t moved = 0, Real by = 0) {
  std::vector<Real> Z = row_of(one.Z, one.n_out, r);
  Z[static_cast<std::size_t>(moved)] += by;
  return true_loss(*one.kind, one.output, Z, row_of(one.Y, one.n_targets, r));
}

// log(1 - p) of a single output's softmax is minus infinity.
bool makes_sense(const Kind& kind, Activation output, int64_t n_out) {
  const bool alone = n_out == 1 && output == Activation::softmax && kind.kind == LossKind::binary_cross_entropy;
  return n_out % kind.outputs_per_target == 0 && !alone;
}

}  // namespace

// Of an output with binary cross-entropy, of a row with categorical; the gradient does not know of it.
TEST_BOTH(losses_have_a_ceiling) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const Kind& kind : kinds)
      for (const Activation output : {Activation::identity, Activation::sigmoid, Activation::softmax}) {
        const bool binary = kind.kind == LossKind::binary_cross_entropy;
        if (!binary && kind.kind != LossKind::categorical_cross_entropy) continue;
        const Rows<T> one = random_rows<T>(kind, output, 37, binary ? 1 : 5, 17);
        if (!makes_sense(kind, output, one.n_out)) continue;
        const Result<T> whole = run(*kernels, one, 0, one.n);
        std::vector<T> sorted = whole.losses;
        std::sort(sorted.begin(), sorted.end());
        const T ceiling = sorted[sorted.size() / 2];
        const Result<T> cut = run(*kernels, one, 0, one.n, true, ceiling);
        bool right = same_bits(whole.dZ, cut.dZ) && sorted.front() < ceiling && ceiling < sorted.back();
        for (std::size_t r = 0; r < whole.losses.size(); ++r)
          right &= cut.losses[r] == std::min(whole.losses[r], ceiling);
        CHECK(right, "%s, %s", kernels->instruction_set, one.text().c_str());
        Rows<T> bad = one;
        bad.Z[0] = nan_of<T>;
        CHECK(std::isnan(run(*kernels, bad, 0, 1, true, ceiling).losses[0]), "%s", one.text().c_str());
      }
}

TEST_BOTH(softmax_rows) {
  constexpr Real unit = std::numeric_limits<T>::epsilon();
  constexpr int64_t n = 37;
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n_out : {1, 2, 3, 8, 10, 16, 17, 33})
      for (const double size : {0.0, 1.0, 30.0, 1e3, 1e30}) {
        const std::vector<T> z = randoms<T>(static_cast<std::size_t>(n * n_out), -size, size, 11);
        const int64_t stride = (n + 2) * panel<T>, whole = panels<T>(n_out) * stride;
        const auto at = [&](int64_t r, int64_t j) { return j / panel<T> * stride + r * panel<T> + j % panel<T>; };
        Buffer<T> Z(whole);
        Guarded<T> A(whole), in_place(whole), scratch(loss_scratch<T>(n_out));
        std::fill_n(Z.data(), whole, nan_of<T>);
        for (int64_t r = 0; r < n; ++r)
          for (int64_t j = 0; j < n_out; ++j)
            Z[at(r, j)] = in_place[at(r, j)] = z[static_cast<std::size_t>(r * n_out + j)];
        kernels->softmax(n, n_out, Z.data(), A.data(), stride, scratch.data());
        kernels->softmax(n, n_out, in_place.data(), in_place.data(), stride, scratch.data());
        bool right = A.intact() && in_place.intact() && scratch.intact();
        for (int64_t p = 0; p < panels<T>(n_out); ++p)
          for (int64_t i = n * panel<T>; i < stride; ++i) right &= A.untouched(p * stride + i);
        for (int64_t r = 0; r < n; ++r) {
          const std::vector<Real> row = row_of(z, n_out, r);
          const Real truth = log_sum_of(row);
          Real sum = 0, error = 0;
          for (int64_t j = 0; j < padded<T>(n_out); ++j) {
            right &= same_bits<T>(A[at(r, j)], in_place[at(r, j)]) && (j < n_out || same_bits<T>(A[at(r, j)], 0));
            if (j >= n_out) continue;
            sum += A[at(r, j)];
            error = std::max(error, std::abs(A[at(r, j)] - std::exp(row[static_cast<std::size_t>(j)] - truth)));
          }
          CHECK(std::abs(sum - 1) <= 4 * unit, "%s, %ld outputs, size %g: %Lg", kernels->instruction_set, long(n_out),
                size, (sum - 1) / unit);
          CHECK(error <= 4 * unit, "%s, %ld outputs, size %g: %Lg", kernels->instruction_set, long(n_out), size,
                error / unit);
        }
        CHECK(right, "%s, %ld outputs, size %g", kernels->instruction_set, long(n_out), size);
      }
}

TEST_BOTH(losses_and_their_gradients) {
  const double rounding = sizeof(T) == 4 ? 2e-5 : 1e-13, difference = sizeof(T) == 4 ? 2e-5 : 1e-10;
  constexpr int64_t n = 37;
  constexpr Real h = 1e-6L;
  for (const Kind& kind : kinds)
    for (const Activation output : outputs)
      for (const int64_t n_out : {1, 2, 4, 10, 18}) {
        if (!makes_sense(kind, output, n_out)) continue;
        const Rows<T> one = random_rows<T>(kind, output, n, n_out, static_cast<uint64_t>(n_out));
        std::vector<Real> value, slope;
        for (int64_t r = 0; r < n; ++r) {
          value.push_back(true_loss(one, r));
          for (int64_t j = 0; j < n_out; ++j)
            slope.push_back((true_loss(one, r, j, h) - true_loss(one, r, j, -h)) / (2 * h));
        }
        for (const Kernels<T>* kernels : tables<T>()) {
          const Result<T> got = run(*kernels, one, 0, n);
          for (std::size_t r = 0; r < value.size(); ++r)
            CHECK(std::abs(got.losses[r] - value[r]) <= rounding * (1 + std::abs(value[r])), "%s, %s: %.17g not %.17Lg",
                  kernels->instruction_set, one.text().c_str(), double(got.losses[r]), value[r]);
          for (std::size_t i = 0; i < slope.size(); ++i) {
            const Real truth = slope[i] * one.share[i / static_cast<std::size_t>(n_out)];
            CHECK(std::abs(got.dZ[i] - truth) <= difference * (1 + std::abs(truth)),
                  "%s, %s, dZ[%zu]: %.17g not %.17Lg", kernels->instruction_set, one.text().c_str(), i,
                  double(got.dZ[i]), truth);
          }
        }
      }
}

// A row's bits are the same in whichever lane and block it falls, and whether a gradient is asked for or not.
TEST_BOTH(losses_row_by_row) {
  constexpr int64_t n = 37;
  for (const Kernels<T>* kernels : tables<T>())
    for (const Kind& kind : kinds)
      for (const Activation output : outputs)
        for (const int64_t n_out : {1, 2, 3, 4, 5, 6, 7, 8, 10, 16, 20, 34}) {
          if (!makes_sense(kind, output, n_out)) continue;
          const Rows<T> one = random_rows<T>(kind, output, n, n_out, 7);
          const Result<T> all = run(*kernels, one, 0, n);
          CHECK(same_bits(all.losses, run(*kernels, one, 0, n, false).losses), "%s, %s", kernels->instruction_set,
                one.text().c_str());
          for (const int64_t first : {0, 5})
            for (const int64_t rows : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 32}) {
              const Result<T> some = run(*kernels, one, first, rows);
              const auto losses = all.losses.begin() + first, dZ = all.dZ.begin() + first * n_out;
              CHECK(same_bits(some.losses, {losses, losses + rows}) && same_bits(some.dZ, {dZ, dZ + rows * n_out}),
                    "%s, %s, rows %ld to %ld", kernels->instruction_set, one.text().c_str(), long(first),
                    long(first + rows));
            }
        }
}

// What is not a number stays visible in its row's loss, and harms no other row.
TEST_BOTH(losses_keep_nan_and_infinity) {
  constexpr int64_t n = 19, n_out = 4;
  for (const Kernels<T>* kernels : tables<T>())
    for (const Kind& kind : kinds)
      for (const Activation output : outputs) {
        const Rows<T> one = random_rows<T>(kind, output, n, n_out, 3);
        const Result<T> whole = run(*kernels, one, 0, n);
        for (const int64_t row : {0, 5, 18})
          for (int64_t j = 0; j < n_out; ++j)
            for (const T bad : {nan_of<T>, -nan_of<T>, std::numeric_limits<T>::infinity()})
              for (const bool target : {false, true}) {
                Rows<T> ill = one;
                if (target)
                  ill.Y[static_cast<std::size_t>(row * one.n_targets + j / kind.outputs_per_target)] = bad;
                else
                  ill.Z[static_cast<std::size_t>(row * n_out + j)] = bad;
                const Result<T> got = run(*kernels, ill, 0, n);
                const bool absorbed = !target && output == Activation::sigmoid && std::isinf(bad);  // A is 1
                CHECK(absorbed || !std::isfinite(got.losses[static_cast<std::size_t>(row)]), "%s, %s: %g",
                      kernels->instruction_set, one.text().c_str(), double(bad));
                bool same = true;
                for (int64_t r = 0; r < n; ++r)
                  for (int64_t i = 0; i < n_out && r != row; ++i) {
                    const std::size_t k = static_cast<std::size_t>(r * n_out + i), at = static_cast<std::size_t>(r);
                    same &= same_bits(got.dZ[k], whole.dZ[k]) && same_bits(got.losses[at], whole.losses[at]);
                  }
                CHECK(same, "%s, %s", kernels->instruction_set, one.text().c_str());
              }
      }
}

TEST_BOTH(losses_of_extreme_sums) {
  const double largest = double(std::numeric_limits<T>::max());
  for (const Kind& kind : kinds)
    for (const Activation output : outputs)
      for (const double size : {90.0, 800.0, 1e3, 1e30}) {
        const int64_t n_out = kind.kind == LossKind::quantile ? 4 : 3, n_targets = n_out / kind.outputs_per_target;
        Rows<T> one{&kind, output, 24, n_out, n_targets, {}, {}, std::vector<T>(24, T(1))};
        for (int signs = 0; signs < 1 << 3; ++signs)
          for (int target = 0; target < 3; ++target) {
            for (int64_t j = 0; j < n_out; ++j) one.Z.push_back(T(signs >> j % 3 & 1 ? size : -size));
            for (int64_t j = 0; j < n_targets; ++j) one.Y.push_back(target < 2 ? T(target) : T(j == 0));
          }
        for (const Kernels<T>* kernels : tables<T>()) {
          const Result<T> got = run(*kernels, one, 0, one.n);
          for (int64_t r = 0; r < one.n; ++r) {
            const T value = got.losses[static_cast<std::size_t>(r)];
            const Real truth = true_loss(one, r), unit = std::numeric_limits<T>::epsilon();
            if (std::abs(truth) * static_cast<Real>(n_out) > largest) {  // rightly infinite
              CHECK(!std::isfinite(value), "%s, %s, Z %g: %g", kernels->instruction_set, one.text().c_str(), size,
                    double(value));
              continue;
            }
            CHECK(std::abs(value - truth) <= 8 * unit * std::max(std::abs(truth), Real(size)),
                  "%s, %s, Z %g, row %ld: %g not %Lg", kernels->instruction_set, one.text().c_str(), size, long(r),
                  double(value), truth);
            for (int64_t j = 0; j < n_out; ++j)
              CHECK(std::isfinite(got.dZ[static_cast<std::size_t>(r * n_out + j)]), "%s, %s, Z %g, row %ld",
                    kernels->instruction_set, one.text().c_str(), size, long(r));
          }
        }
      }
}

// A row that is right beyond doubt has a loss far smaller than its sums, and it must not be lost among them.
TEST_BOTH(losses_of_confident_rows) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const Activation output : {Activation::identity, Activation::softmax})
      for (const double size : {5.0, 10.0, 1e3}) {
        Rows<T> one{&kinds[7], output, 1, 3, 3, {T(size), 0, T(size - 12)}, {1, 0, 0}, {1}};
        const Real truth = std::log1p(std::exp(-Real(size)) + std::exp(-12.0L));
        const T got = run(*kernels, one, 0, 1).losses[0];
        const Real unit = std::numeric_limits<T>::epsilon();
        CHECK(std::abs(got - truth) <= 2 * unit, "%s, %g: %g not %Lg", kernels->instruction_set, size, double(got),
              truth);
        one.Y = {0, 1, 0};
        const T wrong = run(*kernels, one, 0, 1).losses[0];
        CHECK(std::abs(wrong - (size + truth)) <= 2 * unit * Real(size), "%s, %g: %g", kernels->instruction_set, size,
              double(wrong));
      }
}

// Where value and truth meet, the loss is 0 and does not pull; the next smallest errors pull the right way.
TEST_BOTH(losses_at_their_kinks) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const Kind& kind : kinds) {
      if (kind.kind == LossKind::poisson || kind.kind == LossKind::binary_cross_entropy ||
          kind.kind == LossKind::categorical_cross_entropy)
        continue;
      const T errors[] = {T(0), T(0.25), T(-0.25), T(0.375), T(-0.375), T(2), T(-2)};
      Rows<T> one{&kind, Activation::identity, std::ssize(errors), 4, 4 / kind.outputs_per_target, {}, {}, {}};
      one.share.assign(std::size(errors), T(1));
      one.Y.assign(static_cast<std::size_t>(one.n * one.n_targets), T(0.5));
      for (const T error : errors) one.Z.insert(one.Z.end(), 4, T(0.5) + error);
      const Result<T> got = run(*kernels, one, 0, one.n);
      for (std::size_t r = 0; r < std::size(errors); ++r) {
        const T error = errors[r], value = got.losses[r];
        CHECK(error == 0 ? value == 0 : value > 0, "%s, error %g: %g", kind.name, double(error), double(value));
        for (std::size_t i = 4 * r; i < 4 * (r + 1); ++i)
          CHECK(error > 0   ? got.dZ[i] > 0
                : error < 0 ? got.dZ[i] < 0
                            : got.dZ[i] == 0,
                "%s, error %g: %g", kind.name, double(error), double(got.dZ[i]));
      }
    }
}

// Rows count by their weight; a batch that weighs nothing has loss 0 and pulls nowhere.
TEST_BOTH(losses_are_weighted_means) {
  const std::vector<T> X = {1, 2, 4}, Y = {0, 0, 0}, theta = {1, 0};
  Plan plan;
  plan.layers = {{1, 1, Activation::identity}};
  plan.loss = {LossKind::squared_error, 1, {}};
  plan.starts = {{0, 1}};
  struct Case {
    std::vector<T> weight;
    double loss, dW, db;
  };
  const Case cases[] = {
      {{1, 1, 1}, 7, 14, 14 / 3.0}, {{2, 0, 2}, 8.5, 17, 5}, {{0, 3, 0}, 4, 8, 4}, {{0, 0, 0}, 0, 0, 0}};
  for (const Case& one : cases) {
    std::vector<T> g(2);
    const Data<T> data{3, 1, X.data(), Y.data(), one.weight.data()};
    const double loss = gradient<T>(plan, theta.data(), data, 0, g.data(), 1);
    CHECK(std::abs(loss - one.loss) < 1e-5 && std::abs(g[0] - one.dW) < 1e-5 && std::abs(g[1] - one.db) < 1e-5,
          "%g %g %g", loss, double(g[0]), double(g[1]));
    CHECK(std::abs(mean_loss<T>(plan, theta.data(), data, 1) - one.loss) < 1e-5, "%g", one.loss);
  }
}

}  // namespace fallline::test

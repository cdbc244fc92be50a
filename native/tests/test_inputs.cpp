// What stands before the first layer: its kernels, its place in the packed block, and descents with it.
#include <cmath>

#include "core/layout.hpp"
#include "tests/support.hpp"

namespace fallline::test {
namespace {

constexpr double forever = 1e9;

Inputs mixed(int64_t embedded, int64_t plain, int64_t frequencies, int64_t size) {
  Inputs inputs;
  inputs.embedded = embedded;
  inputs.plain = plain;
  inputs.frequencies = frequencies;
  inputs.size = size;
  inputs.tables = {{3, 2}, {5, 7}};
  return inputs;
}

// Rows for them: numbers, then codes.
template <class T>
std::vector<T> rows(const Inputs& inputs, int64_t n) {
  std::vector<T> X = randoms<T>(std::size_t(n * inputs.n_in()), -3, 3, 51);
  Dice dice(52);
  for (int64_t r = 0; r < n; ++r)
    for (std::size_t t = 0; t < inputs.tables.size(); ++t)
      X[std::size_t((r + 1) * inputs.n_in()) - inputs.tables.size() + t] =
          T(dice.whole(0, int(inputs.tables[t].levels) - 1));
  return X;
}

Plan plan_of(const Inputs& inputs, Rule rule) {
  Plan plan;
  plan.inputs = inputs;
  plan.inputs.rate = 0.5;
  plan.inputs.scale_rate = 3;
  plan.layers = {{inputs.n_out(), 33, Activation::tanh, 0, 0.7, 0.3}, {33, 2, Activation::identity}};
  plan.loss = {LossKind::squared_error, 1, {}};
  plan.rule = {rule, 0.9, 0.99, 1e-8};
  plan.seed = 3;
  return plan;
}

}  // namespace

// Against long double's answer; NaN beyond the rows, which belong to somebody else, and nothing written there.
TEST_BOTH(periodic_columns) {
  using Real = long double;
  const Real two_pi = 8 * std::atan(Real(1));
  for (const Kernels<T>* kernel : tables<T>())
    for (const int64_t n : {1, 3, 15, 16, 17, 40})
      for (const int64_t n_out : {1, 3, 4, 9})
        for (const int64_t h : {1, 5, 16}) {
          const int64_t stride = n + 5;
          std::vector<T> x = randoms<T>(std::size_t(stride), -3, 3, 61);
          for (int64_t r = n; r < stride; ++r) x[std::size_t(r)] = nan_of<T>;
          const std::vector<T> w = randoms<T>(std::size_t(h), -2, 2, 62), p = randoms<T>(std::size_t(h), -9, 9, 63),
                               M = randoms<T>(std::size_t(h * n_out), -1, 1, 64),
                               c = randoms<T>(std::size_t(n_out), -1, 1, 65),
                               de = randoms<T>(std::size_t(n_out * stride), -1, 1, 66);
          Guarded<T> e(n_out * stride);
          const Periodic<T> column{n, h, n_out, x.data(), w.data(), p.data(), M.data(), c.data(), e.data(), stride};
          kernel->periodic(column);
          Real error = 0;
          bool untouched = e.intact();
          for (int64_t o = 0; o < n_out; ++o) {
            for (int64_t r = 0; r < n; ++r) {
              Real sum = c[std::size_t(o)];
              for (int64_t i = 0; i < h; ++i)
                sum += std::cos(two_pi * (Real(x[std::size_t(r)]) * w[std::size_t(i)] + p[std::size_t(i)])) *
                       M[std::size_t(i * n_out + o)];
              error = std::max(error, std::abs(sum - Real(e[o * stride + r])));
            }
            for (int64_t r = n; r < stride; ++r) untouched &= e.untouched(o * stride + r);
          }
          std::vector<Real> expected(std::size_t(2 * h + h * n_out + n_out));
          for (int64_t r = 0; r < n; ++r)
            for (int64_t o = 0; o < n_out; ++o) {
              const Real d = de[std::size_t(o * stride + r)], at = x[std::size_t(r)];
              expected[std::size_t(2 * h + h * n_out + o)] += d;
              for (int64_t i = 0; i < h; ++i) {
                const Real u = two_pi * (at * w[std::size_t(i)] + p[std::size_t(i)]);
                const Real turn = -two_pi * std::sin(u) * M[std::size_t(i * n_out + o)] * d;
                expected[std::size_t(i)] += turn * at;
                expected[std::size_t(h + i)] += turn;
                expected[std::size_t(2 * h + i * n_out + o)] += std::cos(u) * d;
              }
            }
          Guarded<T> g(static_cast<int64_t>(expected.size())), waves(stride);
          std::vector<T> own = de;
          Periodic<T> back = column;
          back.e = own.data();
          kernel->periodic_gradient(
              {back, g.data(), g.data() + h, g.data() + 2 * h, g.data() + 2 * h + h * n_out, waves.data()});
          for (std::size_t i = 0; i < expected.size(); ++i)
            error = std::max(error, std::abs(expected[i] - Real(g[int64_t(i)])) / Real(n));
          untouched &= g.intact() && waves.intact();
          CHECK(untouched && error < (sizeof(T) == 4 ? 3e-4 : 3e-13), "%s: n=%ld, n_out=%ld, h=%ld: %Lg",
                kernel->instruction_set, long(n), long(n_out), long(h), error);
        }
}

TEST_BOTH(inputs_go_there_and_back) {
  for (const Inputs& inputs : {mixed(2, 35, 5, 4), mixed(0, 0, 0, 1), mixed(3, 0, 17, 2), mixed(1, 16, 16, 20)}) {
    const Shape shape({{inputs.n_out(), 3, Activation::identity}}, inputs);
    const Layout<T> layout(shape);
    std::vector<T> flat(std::size_t(n_parameters(shape))), back(flat.size());
    for (std::size_t i = 0; i < flat.size(); ++i) flat[i] = T(i + 1);
    Guarded<T> packed(layout.packed_size());
    layout.pack(flat.data(), packed.data());
    layout.unpack(packed.data(), back.data());
    CHECK(same_bits(flat, back) && packed.intact(), "%ld embedded", long(inputs.embedded));
    int64_t feature = 0, columns = 0;
    bool right = true;
    for (const PackedInput& unit : layout.inputs()) {
      right &= unit.feature == feature && unit.scale % panel<T> == 0 && unit.learned % panel<T> == 0;
      for (int64_t j = 0; j < unit.n_features; ++j) right &= packed[unit.scale + j] == T(feature + j + 1);
      feature += unit.n_features;
      columns += unit.kind == PackedInput::plain ? unit.n_features : 1;
    }
    CHECK(right && feature == inputs.n_out() && columns == inputs.n_in(), "%ld embedded", long(inputs.embedded));
  }
}

// The gradient against differences of the loss; the same descents on any number of threads, in one piece or several,
// and on every instruction set.
TEST(gradient_of_inputs) {
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const Inputs& inputs : {mixed(2, 3, 5, 4), mixed(0, 20, 0, 1), mixed(3, 0, 17, 2)}) {
      const int64_t n = 11;
      const std::vector<double> X = rows<double>(inputs, n), Y = randoms<double>(2 * n, -1, 1, 53),
                                weight = randoms<double>(n, 0.5, 2, 54);
      const Data<double> data{n, 2, X.data(), Y.data(), weight.data()};
      Plan plan = plan_of(inputs, Rule::sgd);
      plan.starts = {{0, 1}};
      std::vector<double> theta = randoms<double>(std::size_t(n_parameters(plan)), -0.7, 0.7, 55), g(theta.size()),
                          unused(theta.size());
      gradient<double>(plan, theta.data(), data, 0, g.data(), 1);
      double error = 0;
      for (std::size_t i = 0; i < theta.size(); ++i) {
        constexpr double h = 1e-6;
        const double at = theta[i];
        theta[i] = at + h;
        const double up = mean_loss<double>(plan, theta.data(), data, 1);
        theta[i] = at - h;
        const double down = mean_loss<double>(plan, theta.data(), data, 1);
        theta[i] = at;
        error = std::max(error, std::abs((up - down) / (2 * h) - g[i]));
      }
      CHECK(error < 1e-8, "%s, %ld embedded: %g", set.c_str(), long(inputs.embedded), error);
    }
  }
}

TEST_BOTH(inputs_on_any_number_of_threads) {
  const int64_t n = 2300;
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const Rule rule : {Rule::momentum, Rule::adam})
      for (const int64_t batch : {60, 61, 1500})
        for (const std::size_t n_starts : {1, 3}) {
          const bool divides = batch == 60;  // threads take columns of the first layer
          const Inputs inputs = mixed(3, divides ? 200 : 18, 5, 4);
          const std::vector<T> X = rows<T>(inputs, n), Y = randoms<T>(std::size_t(2 * n), -1, 1, 53),
                               weight(std::size_t(n), 1);
          const Data<T> data{n, 2, X.data(), Y.data(), weight.data()};
          Plan plan = plan_of(inputs, rule);
          if (divides) plan.layers[0].n_out = plan.layers[1].n_in = 128;
          plan.batch_size = batch;
          for (std::size_t k = 0; k < n_starts; ++k) plan.starts.push_back({int64_t(k), 0.01, 0.1});
          const std::size_t P = std::size_t(n_parameters(plan));
          const std::vector<T> starts = randoms<T>(n_starts * P, -0.5, 0.5, 55);
          std::vector<T> first;
          for (const int threads : {1, 2, 3, 7}) {
            Session<T> descent(plan, starts.data(), data, threads);
            descent.run(std::vector<double>(40, 1), forever);
            std::vector<T> theta(starts.size());
            descent.read_parameters(theta.data());
            if (threads == 1) first = theta;
            std::size_t moved = 0;
            for (std::size_t i = 0; i < theta.size(); ++i) moved += theta[i] != starts[i];
            CHECK(same_bits(first, theta) && moved == theta.size(), "%s, rule %d, batch %ld, %d threads: %zu of %zu",
                  set.c_str(), int(rule), long(batch), threads, moved, theta.size());
            std::vector<T> A(std::size_t(2 * n)), B(A.size());
            const bool known = predict<T>(plan, theta.data(), X.data(), n, A.data(), 1) &&
                               predict<T>(plan, theta.data(), X.data(), n, B.data(), threads);
            CHECK(known && same_bits(A, B), "%s, %d threads", set.c_str(), threads);
          }
        }
  }
}

// Nothing is read beyond a table.
TEST_BOTH(codes_without_a_row) {
  const Inputs inputs = mixed(1, 1, 2, 2);
  const Shape shape({{inputs.n_out(), 2, Activation::identity}}, inputs);
  const std::vector<T> theta = randoms<T>(std::size_t(n_parameters(shape)), -1, 1, 56);
  for (const int64_t n : {1, 200}) {
    std::vector<T> A(std::size_t(2 * n));
    for (const T code : {T(5), T(-1), T(0.5), nan_of<T>, T(1e30)}) {
      std::vector<T> X = rows<T>(inputs, n);
      CHECK(predict<T>(shape, theta.data(), X.data(), n, A.data(), 2), "n=%ld", long(n));
      X.back() = code;
      CHECK(!predict<T>(shape, theta.data(), X.data(), n, A.data(), 2), "n=%ld, code %g", long(n), double(code));
    }
  }
}

}  // namespace fallline::test

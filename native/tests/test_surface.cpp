// Losses over a plane of parameters, against the loss of each point's own network.
#include <cmath>

#include "tests/support.hpp"

namespace fallline::test {
namespace {

Plan plan_with(Shape shape) {
  Plan plan;
  static_cast<Shape&>(plan) = std::move(shape);
  plan.loss.kind = LossKind::squared_error;
  plan.starts = {{0, 1}};
  return plan;
}

}  // namespace

TEST_BOTH(every_point_of_a_surface) {
  Inputs inputs{2, 3, 5, 4, {{4, 3}}};
  const std::vector<Shape> shapes = {
      {{{6, 2, Activation::identity}}},
      {{{6, 19, Activation::relu}, {19, 2, Activation::identity}}},
      {{{6, 40, Activation::gelu}, {40, 7, Activation::tanh}, {7, 2, Activation::sigmoid}}},
      {{{inputs.n_out(), 9, Activation::silu}, {9, 2, Activation::identity}}, inputs},
  };
  const std::vector<double> a = {-1, 0, 0.5}, b = {0.25, -2};
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const Shape& shape : shapes)
      for (const int64_t n : {1, 128, 300}) {
        const Plan plan = plan_with(shape);
        std::vector<T> X = randoms<T>(std::size_t(n * 6), -1, 1, 41);
        for (int64_t r = 0; r < n; ++r) X[std::size_t(r * 6 + 5)] = T(r % 4);  // a code, where there are tables
        const std::vector<T> Y = randoms<T>(std::size_t(2 * n), 0, 1, 42),
                             weight = randoms<T>(std::size_t(n), 0.5, 2, 43);
        const Data<T> data{n, 2, X.data(), Y.data(), weight.data()};
        const std::size_t P = std::size_t(n_parameters(plan));
        const std::vector<T> origin = randoms<T>(P, -0.5, 0.5, 44), u = randoms<T>(P, -0.1, 0.1, 45),
                             v = randoms<T>(P, -0.1, 0.1, 46);
        std::vector<double> first;
        for (const int threads : {1, 2, 5}) {
          std::vector<double> losses(a.size() * b.size());
          loss_surface<T>(plan, origin.data(), u.data(), v.data(), a, b, data, losses.data(), threads);
          if (threads == 1) first = losses;
          CHECK(same_bits(losses, first), "%s, %d threads", set.c_str(), threads);
        }
        double error = 0;
        for (std::size_t i = 0; i < a.size(); ++i)
          for (std::size_t j = 0; j < b.size(); ++j) {
            std::vector<T> theta(P);
            for (std::size_t p = 0; p < P; ++p) theta[p] = origin[p] + T(a[i]) * u[p] + T(b[j]) * v[p];
            const double loss = mean_loss<T>(plan, theta.data(), data, 1);
            error = std::max(error, std::abs(first[i * b.size() + j] / loss - 1));
          }
        CHECK(error < (sizeof(T) == 4 ? 2e-5 : 1e-12), "%s, n=%ld: %g", set.c_str(), long(n), error);
      }
  }
}

}  // namespace fallline::test

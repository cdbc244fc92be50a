// The training loop, from outside: by hand, cut in slices, several starts at once, on several threads.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "tests/support.hpp"

namespace {
thread_local int64_t n_allocations = 0;

void* take(std::size_t n, std::size_t alignment) {
  ++n_allocations;
  if (void* p = std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment)) return p;
  throw std::bad_alloc();
}
}  // namespace

// Every operator new of the test program counts; new[] and the rest of delete end up in these.
void* operator new(std::size_t n) { return take(n, alignof(std::max_align_t)); }
void* operator new(std::size_t n, std::align_val_t alignment) { return take(n, static_cast<std::size_t>(alignment)); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace fallline::test {
namespace {

constexpr double forever = 1e9;

// Data and starts that are random but the same every time.
template <class T>
struct Problem {
  Problem(int64_t n, int64_t n_in, int64_t n_targets, bool classes = false)
      : X(randoms<T>(std::size_t(n * n_in), -1, 1, 21)),
        Y(randoms<T>(std::size_t(n * n_targets), 0, 1, 22)),
        weight(randoms<T>(std::size_t(n), 0.5, 2, 23)),
        data{n, n_targets, X.data(), Y.data(), weight.data()} {
    if (!classes) return;
    for (int64_t r = 0; r < n; ++r)
      for (int64_t j = 0; j < n_targets; ++j) Y[std::size_t(r * n_targets + j)] = T(r % n_targets == j);
  }
  Problem(const Problem&) = delete;
  std::vector<T> X, Y, weight;
  Data<T> data;
};

template <class T>
std::vector<T> random_starts(const Plan& plan) {
  return randoms<T>(plan.starts.size() * std::size_t(n_parameters(plan.layers)), -0.5, 0.5, 24);
}

template <class T>
std::vector<T> parameters_of(const Session<T>& session, const Plan& plan) {
  std::vector<T> theta(plan.starts.size() * std::size_t(n_parameters(plan.layers)));
  session.read_parameters(theta.data());
  return theta;
}

// Rates that change from step to step.
std::vector<double> rates(std::size_t n, double first = 0.02) {
  std::vector<double> all(n);
  for (std::size_t t = 0; t < n; ++t) all[t] = first / (1 + 0.01 * double(t));
  return all;
}

// Plans that between them use every part of the loop; sizes are no multiples of anything.
std::vector<Plan> plans() {
  std::vector<Plan> all;
  for (const Rule rule : {Rule::sgd, Rule::momentum, Rule::nesterov, Rule::rmsprop, Rule::adam}) {
    Plan plan;
    plan.layers = {{5, 19, Activation::relu}, {19, 7, Activation::tanh}, {7, 3, Activation::softmax}};
    plan.loss = {LossKind::categorical_cross_entropy, 1, {}};
    plan.rule = {rule, 0.9, 0.99, 1e-8};
    plan.batch_size = 8;
    plan.seed = 7 + (uint64_t{3} << 32);
    plan.starts = {{0, 1}, {1, 1}, {5, 1}};
    all.push_back(plan);
    plan.layers[0].dropout = 0.25;
    plan.layers[1] = {19, 7, Activation::gelu, 0.5};
    plan.starts = {{0, 1, 0.1, 0.001, 0.01}, {1, 0.5, 0.2, 0, 0.02}, {5, 2, 0, 0.002, 0}};
    plan.clip_norm = 0.5;
    all.push_back(plan);
    plan.shuffle = false;
    plan.batch_size = 64;  // more than there are rows
    all.push_back(plan);
  }
  return all;
}

bool same_steps(const Slice& x, const Slice& y) {
  return x.n_steps == y.n_steps && x.weight_sum == y.weight_sum && x.diverged_step == y.diverged_step &&
         same_bits(x.gradient_norm, y.gradient_norm) && same_bits(x.loss_sum, y.loss_sum);
}

// What a later slice's sums go on from.
std::vector<double> sums_of(const Slice& slice) {
  std::vector<double> sums;
  for (const auto* each : {&slice.loss_sum, &slice.weight_sum, &slice.penalty_sum})
    sums.insert(sums.end(), each->begin(), each->end());
  return sums;
}

Plan line(Rule rule) {
  Plan plan;
  plan.layers = {{1, 1, Activation::identity}};
  plan.loss = {LossKind::squared_error, 1, {}};
  plan.rule = {rule, 0.5, 0.5, 1e-8};
  plan.batch_size = 1;
  plan.shuffle = false;
  plan.starts = {{0, 1}};
  return plan;
}

}  // namespace

// a = W x + b, loss (a - y)^2, rows one at a time: all numbers below are exact.
TEST_BOTH(session_by_hand) {
  const std::vector<T> X = {2, 1}, Y = {1, 3}, weight = {1, 1}, start = {1, 0};
  const Data<T> data{2, 1, X.data(), Y.data(), weight.data()};
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    // row 1: a = 2, error 1, loss 1, dW = 4, db = 2, so W = 0.5, b = -0.25
    // row 2: a = 0.25, error -2.75, loss 7.5625, dW = db = -5.5, so W = 1.1875, b = 0.4375
    Session<T> descent(line(Rule::sgd), start.data(), data, 1);
    Slice slice = descent.run(std::vector<double>{0.125, 0.125}, forever);
    CHECK(parameters_of(descent, line(Rule::sgd)) == (std::vector<T>{T(1.1875), T(0.4375)}), "%s", set.c_str());
    CHECK(slice.n_steps == 2 && slice.weight_sum[0] == 2 && slice.loss_sum[0] == 8.5625, "%g", slice.loss_sum[0]);
    CHECK(std::abs(slice.gradient_norm[0] - 5.5 * std::sqrt(2.0)) < 1e-6, "%g", slice.gradient_norm[0]);
    CHECK(slice.diverged_step == std::vector<int64_t>{-1}, "%ld", long(slice.diverged_step[0]));

    // momentum 0.5: m = (4, 2), then (2, 1) + (-5.5, -5.5) = (-3.5, -4.5)
    Session<T> heavy(line(Rule::momentum), start.data(), data, 1);
    heavy.run(std::vector<double>{0.125, 0.125}, forever);
    CHECK(parameters_of(heavy, line(Rule::momentum)) == (std::vector<T>{T(0.9375), T(0.3125)}), "%s", set.c_str());

    // weight decay 1: W is first multiplied by 1 - 0.125, b is not; then the same steps, from the row's gradient
    Plan plan = line(Rule::sgd);
    plan.starts[0].weight_decay = 1;
    Session<T> decayed(plan, start.data(), data, 1);
    decayed.run(std::vector<double>{0.125}, forever);
    CHECK(parameters_of(decayed, plan) == (std::vector<T>{T(0.375), T(-0.25)}), "%s", set.c_str());

    // penalties |W| / 2 + W^2 / 4: dW = 4 + 0.5 + 0.5, b has none; clipping at norm 1 of (4, 2)
    plan = line(Rule::sgd);
    plan.starts[0].l1 = plan.starts[0].l2 = 0.5;
    Session<T> penalised(plan, start.data(), data, 1);
    penalised.run(std::vector<double>{0.125}, forever);
    CHECK(parameters_of(penalised, plan) == (std::vector<T>{T(0.375), T(-0.25)}), "%s", set.c_str());
    plan = line(Rule::sgd);
    plan.clip_norm = 1;
    Session<T> clipped(plan, start.data(), data, 1);
    clipped.run(std::vector<double>{1}, forever);
    const std::vector<T> theta = parameters_of(clipped, plan);
    CHECK(std::abs(theta[0] - (1 - 2 / std::sqrt(5.0))) < 1e-6 && std::abs(theta[1] + 1 / std::sqrt(5.0)) < 1e-6,
          "%g %g", double(theta[0]), double(theta[1]));
  }
}

// Penalties per row: of a row of weight 2, W^2 / 4 adds W / 2 / 2 to dW = 4; the slice has W^2 / 4 undivided.
TEST_BOTH(penalties_by_hand) {
  const std::vector<T> X = {2, 1}, Y = {1, 3}, weight = {2, 1}, start = {1, 0};
  Plan plan = line(Rule::sgd);
  plan.starts[0].l2 = 0.5;
  plan.penalties_per_row = true;
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    Session<T> descent(plan, start.data(), {2, 1, X.data(), Y.data(), weight.data()}, 1);
    const Slice slice = descent.run(std::vector<double>{0.125}, forever);
    CHECK(parameters_of(descent, plan) == (std::vector<T>{T(0.46875), T(-0.25)}), "%s", set.c_str());
    CHECK(slice.loss_sum[0] == 2 && slice.weight_sum[0] == 2 && slice.penalty_sum[0] == 0.25, "%g",
          slice.penalty_sum[0]);
    T dW[2];
    const double loss = gradient<T>(plan, start.data(), {1, 1, X.data(), Y.data(), weight.data()}, 0, dW, 1);
    CHECK(loss == 1.125 && dW[0] == T(4.25) && dW[1] == 2, "%g, %g", loss, double(dW[0]));
  }
}

// Of more weights than are summed at a time, whoever sums them.
TEST_BOTH(penalties_are_summed_up) {
  const Problem<T> problem(70, 150, 3, true);
  Plan plan;
  plan.layers = {{150, 230, Activation::relu}, {230, 3, Activation::softmax}};
  plan.loss = {LossKind::categorical_cross_entropy, 1, {}};
  plan.rule = {Rule::sgd};
  plan.batch_size = 64;
  plan.starts = {{0, 1, 0, 0.25, 0.5}};
  plan.penalties_per_row = true;
  const std::vector<T> start = random_starts<T>(plan);
  double expected = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    const bool bias = (i >= 150 * 230 && i < 151 * 230) || i >= start.size() - 3;
    const auto w = static_cast<double>(start[i]);
    if (!bias) expected += 0.25 * std::abs(w) + 0.25 * w * w;
  }
  std::vector<double> found;
  for (const int threads : {1, 2, 3}) {
    Session<T> descent(plan, start.data(), problem.data, threads);
    found.push_back(descent.run(std::vector<double>{0.01}, forever).penalty_sum[0]);
  }
  const double error = std::abs(found[0] / expected - 1);
  CHECK(error < (sizeof(T) == 4 ? 1e-6 : 1e-13), "%g", error);
  CHECK(found[0] == found[1] && found[0] == found[2], "%.17g %.17g %.17g", found[0], found[1], found[2]);
}

TEST_BOTH(starts_together_equal_starts_alone) {
  const Problem<T> problem(30, 5, 3, true);
  std::vector<T> weights = randoms<T>(3 * 30, 0.5, 2, 25);  // each start's own; it learns nothing from some rows
  for (std::size_t i = 0; i < weights.size(); i += 4) weights[i] = 0;
  Data<T> data = problem.data;
  data.weight = weights.data();
  data.weight_stride = 30;
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const Plan& plan : plans()) {
      const std::vector<T> starts = random_starts<T>(plan);
      Session<T> together(plan, starts.data(), data, 1);
      const Slice slice = together.run(rates(25), forever);
      const std::vector<T> theta = parameters_of(together, plan);
      const std::size_t P = std::size_t(n_parameters(plan.layers));
      for (std::size_t k = 0; k < plan.starts.size(); ++k) {
        Plan one = plan;
        one.starts = {plan.starts[k]};
        Data<T> own_data = data;
        own_data.weight = data.weights_of(k);
        Session<T> alone(one, starts.data() + k * P, own_data, 1);
        const Slice own = alone.run(rates(25), forever);
        const std::vector<T> part(theta.begin() + std::ptrdiff_t(k * P), theta.begin() + std::ptrdiff_t((k + 1) * P));
        CHECK(same_bits(parameters_of(alone, one), part), "%s, rule %d, start %zu", set.c_str(), int(plan.rule.rule),
              k);
        CHECK(own.loss_sum[0] == slice.loss_sum[k] && own.weight_sum[0] == slice.weight_sum[k] &&
                  same_bits(own.gradient_norm[0], slice.gradient_norm[k]),
              "%s, rule %d, start %zu", set.c_str(), int(plan.rule.rule), k);
        CHECK(!same_bits(part, std::vector<T>(starts.begin() + std::ptrdiff_t(k * P),
                                              starts.begin() + std::ptrdiff_t((k + 1) * P))),
              "start %zu", k);
      }
    }
  }
}

TEST_BOTH(cut_run_goes_on_to_the_same_bits) {
  const Problem<T> few(30, 5, 3, true), many(2500, 5, 3, true);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (Plan plan : plans()) {
      // a step of 2500 rows may itself be cut
      const Problem<T>& problem = plan.shuffle ? few : many;
      if (!plan.shuffle) plan.batch_size = 2500;
      const std::vector<T> starts = random_starts<T>(plan);
      const std::vector<double> all = rates(23);
      Session<T> whole(plan, starts.data(), problem.data, 1);
      auto cut = std::make_unique<Session<T>>(plan, starts.data(), problem.data, 1);
      Slice once = whole.run(all, forever), sum;
      std::span<const double> rest = all;
      bool short_of_time = true;
      while (!rest.empty()) {
        if (rest.size() % 5 == 0) cut = std::make_unique<Session<T>>(std::move(*cut));
        // no time at all: a step or part of it; of several small starts, which are trained apart, a round of steps
        sum = cut->run(rest, -1, sums_of(sum));
        short_of_time &= sum.n_steps <= (plan.shuffle ? 16 : 1);
        rest = rest.subspan(std::size_t(sum.n_steps));
      }
      sum.n_steps = once.n_steps;
      CHECK(short_of_time && same_steps(once, sum), "%s, rule %d", set.c_str(), int(plan.rule.rule));
      CHECK(same_bits(parameters_of(whole, plan), parameters_of(*cut, plan)), "rule %d", int(plan.rule.rule));
    }
  }
}

// Moments and all: a session that takes them over goes on as the one that gave them, its epochs and masks as well.
TEST_BOTH(resumed_session_goes_on_to_the_same_bits) {
  const Problem<T> problem(30, 5, 3, true);
  for (const Plan& plan : plans()) {
    const std::vector<double> all = rates(23);
    const std::vector<T> start = random_starts<T>(plan);
    const int n_moments = plan.rule.rule == Rule::adam ? 2 : plan.rule.rule == Rule::sgd ? 0 : 1;
    std::vector<T> moments(std::size_t(n_moments) * start.size());
    Session<T> whole(plan, start.data(), problem.data, 1), first(plan, start.data(), problem.data, 1);
    whole.run(all, forever);
    const Slice until = first.run(std::span(all).first(10), forever);
    const int64_t step = first.read_state(moments);
    CHECK(step == 10, "%ld", long(step));
    Session<T> second(plan, parameters_of(first, plan).data(), problem.data, 1);
    second.resume(step, moments, until.diverged_step, until.gradient_norm);
    second.run(std::span(all).subspan(10), forever);
    CHECK(same_bits(parameters_of(whole, plan), parameters_of(second, plan)), "rule %d", int(plan.rule.rule));
  }
}

// Rows in the order that was told, epoch after epoch, are those rows as they come: fewer than there are, or more.
TEST_BOTH(visits_are_the_rows_told) {
  const Problem<T> problem(30, 5, 3, true);
  const std::vector<double> all = rates(12);
  for (const int threads : {1, 3})
    for (Plan plan : plans()) {
      const std::vector<T> start = random_starts<T>(plan);
      Session<T> told(plan, start.data(), problem.data, threads);
      std::vector<T> theta = start, moments;
      plan.shuffle = false;
      int64_t step = 0;
      Slice a, b;
      for (const int64_t n : {30, 19, 41}) {
        std::vector<int64_t> rows;
        std::vector<T> X, Y, weight;
        for (int64_t i = 0; i < n; ++i) {
          const auto r = static_cast<std::size_t>(i * 7 % 30);
          rows.push_back(int64_t(r));
          X.insert(X.end(), &problem.X[r * 5], &problem.X[r * 5] + 5);
          Y.insert(Y.end(), &problem.Y[r * 3], &problem.Y[r * 3] + 3);
          weight.push_back(problem.weight[r]);
        }
        Session<T> plain(plan, theta.data(), {n, 3, X.data(), Y.data(), weight.data()}, 1);
        if (step > 0) plain.resume(step, moments, b.diverged_step, b.gradient_norm);
        std::vector<int64_t> as_they_come(rows.size());
        std::iota(as_they_come.begin(), as_they_come.end(), 0);
        plain.visit(as_they_come);  // so that its epochs begin with its next step
        told.visit(rows);
        a = told.run(all, forever), b = plain.run(all, forever);
        theta = parameters_of(plain, plan);
        CHECK(same_bits(parameters_of(told, plan), theta) && same_steps(a, b), "%ld rows, rule %d", long(n),
              int(plan.rule.rule));
        const int n_moments = plan.rule.rule == Rule::adam ? 2 : plan.rule.rule == Rule::sgd ? 0 : 1;
        moments.resize(std::size_t(n_moments) * start.size());
        step = plain.read_state(moments);
      }
    }
}

TEST(sessions_refuse_what_makes_no_sense) {
  const Problem<double> problem(2500, 5, 3, true);
  Plan plan = plans().back();
  plan.batch_size = 2500;
  const std::vector<double> start = random_starts<double>(plan);
  Session<double> descent(plan, start.data(), problem.data, 1);
  std::vector<double> moments(2 * start.size()), norms(plan.starts.size());
  const std::vector<int64_t> well(plan.starts.size(), -1);
  const auto refuses = [](const auto& call) {
    try {
      call();
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  CHECK(refuses([&] { descent.visit({}); }), "no rows");
  CHECK(refuses([&] { descent.visit(std::vector<int64_t>{0, 2500}); }), "a row beyond the last");
  CHECK(refuses([&] { descent.visit(std::vector<int64_t>{-1}); }), "a row before the first");
  CHECK(refuses([&] { descent.resume(-1, moments, well, norms); }), "a step before the first");
  CHECK(refuses([&] { descent.resume(1, std::span(moments).first(7), well, norms); }), "a part of the moments");
  CHECK(refuses([&] { descent.resume(1, moments, {}, norms); }), "nothing known of starts");
  CHECK(refuses([&] { descent.run(std::vector<double>{0.01}, -1, std::span(norms).first(1)); }), "a part of the sums");
  CHECK(refuses([&] { descent.read_state(std::span(moments).first(7)); }), "too little room");
  descent.run(std::vector<double>{0.01}, -1);
  CHECK(refuses([&] { descent.visit(std::vector<int64_t>{0}); }), "a step under way");
  CHECK(refuses([&] { descent.resume(0, moments, well, norms); }), "a step under way");
}

// The kernels of a session are those that were in use when it began.
TEST_BOTH(session_keeps_its_instruction_set) {
  const Problem<T> problem(30, 5, 3, true);
  const std::vector<std::string> sets = instruction_sets();
  for (const Plan& plan : plans()) {
    const std::vector<T> starts = random_starts<T>(plan);
    const With with(sets.front());
    Session<T> whole(plan, starts.data(), problem.data, 1), other(plan, starts.data(), problem.data, 1);
    whole.run(rates(12), forever);
    use_instruction_set(sets.back());
    other.run(rates(12), forever);
    CHECK(same_bits(parameters_of(whole, plan), parameters_of(other, plan)), "rule %d", int(plan.rule.rule));
  }
}

TEST_BOTH(instruction_sets_agree) {
  const Problem<T> problem(30, 5, 3, true);
  for (const Plan& plan : plans()) {
    const std::vector<T> starts = random_starts<T>(plan);
    std::vector<T> first;
    for (const std::string& set : instruction_sets()) {
      const With with(set);
      Session<T> descent(plan, starts.data(), problem.data, 1);
      descent.run(rates(10, 0.005), forever);
      const std::vector<T> theta = parameters_of(descent, plan);
      if (first.empty()) first = theta;
      double apart = 0;
      for (std::size_t i = 0; i < theta.size(); ++i) apart = std::max(apart, double(std::abs(theta[i] - first[i])));
      CHECK(apart < (sizeof(T) == 4 ? 1e-4 : 1e-12), "%s, rule %d: %g", set.c_str(), int(plan.rule.rule), apart);
    }
  }
}

// Backpropagation as a whole, dropout and penalties too, against differences of the loss.
TEST(gradient_of_whole_networks) {
  const Problem<double> problem(9, 4, 2);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (int kind = 0; kind < n_activations; ++kind)
      for (const double dropout : {0.0, 0.3}) {
        Plan plan;
        const Activation f = static_cast<Activation>(kind);
        plan.layers = {{4, 18, f, dropout}, {18, 5, f, dropout}, {5, 2, Activation::identity}};
        plan.loss = {LossKind::squared_error, 1, {}};
        plan.starts = {{2, 1, 0, 0.01, 0.1}};
        std::vector<double> theta = random_starts<double>(plan), g(theta.size()), unused(theta.size());
        gradient<double>(plan, theta.data(), problem.data, 3, g.data(), 1);
        double error = 0;
        for (std::size_t i = 0; i < theta.size(); i += 1 + i % 3) {
          constexpr double h = 1e-6;
          const double at = theta[i];
          theta[i] = at + h;
          const double up = gradient<double>(plan, theta.data(), problem.data, 3, unused.data(), 1);
          theta[i] = at - h;
          const double down = gradient<double>(plan, theta.data(), problem.data, 3, unused.data(), 1);
          theta[i] = at;
          error = std::max(error, std::abs((up - down) / (2 * h) - g[i]));
        }
        CHECK(error < 1e-8, "%s, activation %d, dropout %g: %g", set.c_str(), kind, dropout, error);
      }
  }
}

// Rows come in blocks; the answer for a row does not depend on the rows beside it.
TEST_BOTH(predict_row_by_row) {
  const std::vector<Layer> layers = {{3, 18, Activation::mish}, {18, 2, Activation::softmax}};
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const int64_t n : {0, 1, 2, 6, 7, 127, 128, 129, 600}) {
      const std::vector<T> X = randoms<T>(std::size_t(n * 3), -1, 1, 31), theta = randoms<T>(110, -1, 1, 32);
      Guarded<T> A(n * 2);
      predict<T>(layers, theta.data(), X.data(), n, A.data(), 1);
      bool same = A.intact();
      for (int64_t r = 0; r < n; ++r) {
        T one[2];
        predict<T>(layers, theta.data(), X.data() + r * 3, 1, one, 1);
        same &= same_bits(one[0], A[2 * r]) && same_bits(one[1], A[2 * r + 1]);
      }
      CHECK(same, "%s: n=%ld", set.c_str(), long(n));
    }
  }
}

// The same for layers whose W lies turned, at the end and in between.
TEST_BOTH(predict_through_few_neurons) {
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (int64_t width = 1; width <= most_turned<T> + 1; ++width) {
      const std::vector<Layer> layers = {
          {50, width, Activation::tanh}, {width, 33, Activation::relu}, {33, width, Activation::sigmoid}};
      const int64_t n = 20;
      const std::vector<T> X = randoms<T>(std::size_t(n * 50), -1, 1, 33);
      const std::vector<T> theta = randoms<T>(std::size_t(n_parameters(layers)), -1, 1, 34);
      Guarded<T> A(n * width);
      predict<T>(layers, theta.data(), X.data(), n, A.data(), 1);
      bool same = A.intact();
      double apart = 0;
      for (int64_t r = 0; r < n; ++r) {
        std::vector<T> one(static_cast<std::size_t>(width));
        predict<T>(layers, theta.data(), X.data() + r * 50, 1, one.data(), 1);
        std::vector<double> a(X.begin() + r * 50, X.begin() + (r + 1) * 50);
        std::size_t at = 0;
        for (const Layer& layer : layers) {
          const auto n_in = std::size_t(layer.n_in), n_out = std::size_t(layer.n_out);
          std::vector<double> next(n_out);
          for (std::size_t j = 0; j < n_out; ++j) {
            double z = double(theta[at + n_in * n_out + j]);
            for (std::size_t i = 0; i < n_in; ++i) z += a[i] * double(theta[at + i * n_out + j]);
            next[j] = layer.activation == Activation::tanh   ? std::tanh(z)
                      : layer.activation == Activation::relu ? std::max(z, 0.0)
                                                             : 1 / (1 + std::exp(-z));
          }
          at += (n_in + 1) * n_out;
          a = next;
        }
        for (std::size_t j = 0; j < one.size(); ++j) {
          same &= same_bits(one[j], A[r * width + int64_t(j)]);
          apart = std::max(apart, std::abs(double(one[j]) - a[j]));
        }
      }
      CHECK(same && apart < (sizeof(T) == 4 ? 3e-6 : 1e-14), "%s: width %ld, %g", set.c_str(), long(width), apart);
    }
  }
}

// The start that diverges stops where it is, the others go on; its step is reported, then, later, and when resumed.
TEST_BOTH(divergence_is_reported) {
  const T huge = std::sqrt(std::numeric_limits<T>::max()) * T(4);  // its square overflows
  std::vector<T> X = {1, 1, 1, 1}, Y = {0, 0, 0, 0};
  const std::vector<T> weight = {1, 1, 1, 1};
  Plan plan = line(Rule::sgd);
  plan.starts = {{0, 1}, {1, 1}, {2, 1}};
  X[2] = T(1e3);
  const std::vector<T> starts = {1, 0, huge, 0, huge / 256, 0};  // the third meets its end at row 2
  const Data<T> data{4, 1, X.data(), Y.data(), weight.data()};
  const std::vector<double> still(5, 1e-9);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    Session<T> descent(plan, starts.data(), data, 1);
    Slice slice = descent.run(still, forever);
    CHECK(slice.n_steps == 5 && slice.diverged_step == (std::vector<int64_t>{-1, 0, 2}), "%s: %ld %ld %ld", set.c_str(),
          long(slice.diverged_step[0]), long(slice.diverged_step[1]), long(slice.diverged_step[2]));
    CHECK(slice.loss_sum[1] == 0 && std::isfinite(slice.loss_sum[2]) && slice.loss_sum[2] > 0, "%s", set.c_str());
    std::vector<T> theta = parameters_of(descent, plan);
    CHECK(theta[2] == huge && theta[3] == 0, "%s", set.c_str());

    Session<T> two(plan, starts.data(), data, 1);
    two.run(std::span(still).first(2), forever);
    const std::vector<T> before = parameters_of(two, plan);
    CHECK(before[4] == theta[4] && before[5] == theta[5] && before[0] != theta[0], "%s", set.c_str());
    slice = descent.run(still, forever);
    CHECK(slice.diverged_step == (std::vector<int64_t>{-1, 0, 2}), "%s", set.c_str());
    CHECK(slice.loss_sum[2] == 0 && slice.loss_sum[0] > 0, "%s", set.c_str());
    Session<T> third(plan, before.data(), data, 1);
    third.resume(10, {}, slice.diverged_step, slice.gradient_norm);
    CHECK(third.run(still, forever).diverged_step == slice.diverged_step, "%s", set.c_str());
  }
  // Too large a step: every one multiplies the error by 1 - 4e10, so the third or a later loss is out of range.
  const std::vector<T> ones(4, T(1)), start = {1, 0};
  Session<T> wild(line(Rule::sgd), start.data(), {4, 1, ones.data(), Y.data(), weight.data()}, 1);
  const Slice slice = wild.run(std::vector<double>(40, 1e10), forever);
  const int64_t wanted = sizeof(T) == 4 ? 2 : 15;  // 1.6e21^2 > 3.4e38; (4e10)^(2 * 15) > 1.8e308
  CHECK(slice.diverged_step[0] == wanted, "%ld", long(slice.diverged_step[0]));
}

// Whatever the number of threads: batches of one piece and of several, one start and several, every rule, dropout,
// penalties, clipping, the end of an epoch. The networks are large enough for seven threads to be worth their while.
TEST_BOTH(same_bits_for_any_number_of_threads) {
  for (const bool wide : {false, true}) {  // threads share out the first layer's columns, not rows, in most pieces
    const int64_t n_in = wide ? 300 : 37, hidden = wide ? 128 : 61;
    const Problem<T> problem(wide ? 1200 : 2600, n_in, 3, true);
    for (const std::string& set : instruction_sets()) {
      const With with(set);
      for (Plan plan : plans()) {
        plan.layers[0] = {n_in, hidden, plan.layers[0].activation, plan.layers[0].dropout};
        plan.layers[1].n_in = hidden;
        plan.layers[1].n_out = 45;
        plan.layers[2].n_in = 45;
        plan.batch_size = plan.shuffle ? (wide ? 41 : 257) : wide ? 1100 : 2500;
        for (const std::size_t n_starts : {1, 3}) {
          plan.starts.resize(n_starts, plan.starts[0]);
          const std::vector<T> starts = random_starts<T>(plan);
          std::vector<T> alone;
          Slice first;
          for (const int threads : {1, 2, 3, 4, 7}) {
            Session<T> descent(plan, starts.data(), problem.data, threads);
            const Slice slice = descent.run(rates(plan.shuffle ? 13 : 3), forever);
            const std::vector<T> theta = parameters_of(descent, plan);
            if (threads == 1) alone = theta, first = slice;
            CHECK(same_bits(alone, theta) && same_steps(first, slice),
                  "%s, %ld inputs, rule %d, %zu starts, %d threads", set.c_str(), long(n_in), int(plan.rule.rule),
                  n_starts, threads);
          }
          CHECK(!same_bits(alone, starts), "%s, rule %d", set.c_str(), int(plan.rule.rule));
        }
      }
    }
  }
}

// A descent of bf16 products stays near that of float; the same bits for any number of threads, together or apart.
TEST(bf16_descents) {
  const Problem<float> problem(700, 37, 3, true);
  int n_sets = 0;
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    if (!has_bf16()) continue;
    ++n_sets;
    for (Plan plan : plans()) {
      plan.layers[0] = {37, 61, plan.layers[0].activation, plan.layers[0].dropout};
      plan.layers[1].n_in = 61;
      plan.batch_size = 257;
      plan.starts.resize(plan.clip_norm > 0 ? 1 : 2);  // together, or apart
      const std::vector<float> starts = random_starts<float>(plan);
      const auto after = [&](const Plan& of, int threads) {
        Session<float> descent(of, starts.data(), problem.data, threads);
        descent.run(rates(25, 0.005), forever);
        return parameters_of(descent, of);
      };
      const std::vector<float> in_float = after(plan, 1);
      plan.bf16 = true;
      const std::vector<float> alone = after(plan, 1);
      double apart = 0, moved = 0;
      for (std::size_t i = 0; i < starts.size(); ++i) {
        apart += std::abs(double(alone[i]) - double(in_float[i]));
        moved += std::abs(double(in_float[i]) - double(starts[i]));
      }
      CHECK(apart > 0 && apart < 0.2 * moved, "%s, rule %d: %g of %g", set.c_str(), int(plan.rule.rule), apart, moved);
      for (const int threads : {2, 3, 7})
        CHECK(same_bits(alone, after(plan, threads)), "%s, rule %d, %d threads", set.c_str(), int(plan.rule.rule),
              threads);
    }
  }
  CHECK(n_sets > 0, "no instruction set has bf16, not even %s", "wide");
  Plan plan = plans()[0];
  plan.bf16 = true;
  bool refused = false;
  try {
    const Session<double> session(plan, random_starts<double>(plan).data(), Problem<double>(3, 5, 3).data, 1);
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused, "bf16 in %s", "double");
}

TEST_BOTH(same_answers_for_any_number_of_threads) {
  const Problem<T> problem(2600, 37, 3, true);
  Plan plan;
  plan.layers = {{37, 61, Activation::gelu, 0.5}, {61, 45, Activation::tanh}, {45, 3, Activation::softmax}};
  plan.loss = {LossKind::categorical_cross_entropy, 1, {}};
  plan.starts = {{2, 1, 0, 0.01, 0.1}};
  const std::vector<T> theta = random_starts<T>(plan);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    std::vector<T> A, dW;
    double loss = 0, penalized = 0;
    for (const int threads : {1, 2, 3, 7}) {
      std::vector<T> output(2600 * 3), slope(theta.size());
      CHECK(predict<T>(plan.layers, theta.data(), problem.data.X, 2600, output.data(), threads), "%s", set.c_str());
      const double value = mean_loss<T>(plan, theta.data(), problem.data, threads);
      const double whole = gradient<T>(plan, theta.data(), problem.data, 3, slope.data(), threads);
      if (threads == 1) {
        A = output;
        dW = slope;
        loss = value;
        penalized = whole;
      }
      CHECK(same_bits(A, output) && same_bits(dW, slope) && loss == value && penalized == whole, "%s, %d threads",
            set.c_str(), threads);
    }
    CHECK(loss > 0 && penalized > loss && A[0] > 0, "%s", set.c_str());
  }
}

// What is not finite is found wherever it stands, in one row or in many.
TEST_BOTH(predict_tells_of_numbers_that_are_not_finite) {
  const std::vector<Layer> layers = {{19, 4, Activation::relu}, {4, 2, Activation::identity}};
  const std::vector<T> theta = randoms<T>(90, -1, 1, 32);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const int64_t n : {1, 5, 300}) {
      std::vector<T> X = randoms<T>(std::size_t(n * 19), -1, 1, 31), A(std::size_t(n * 2));
      CHECK(predict<T>(layers, theta.data(), X.data(), n, A.data(), 2), "%s: n=%ld", set.c_str(), long(n));
      for (const T bad : {nan_of<T>, std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity()})
        for (std::size_t i = 0; i < X.size(); i += 1 + X.size() / 19) {
          const T before = X[i];
          X[i] = bad;
          CHECK(!predict<T>(layers, theta.data(), X.data(), n, A.data(), 2), "%s: n=%ld, number %zu", set.c_str(),
                long(n), i);
          X[i] = before;
        }
    }
  }
}

// A call of run makes its answer and nothing else, however many steps and epochs it takes.
TEST_BOTH(steps_allocate_nothing) {
  const Problem<T> problem(30, 5, 3, true);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const Plan& plan : plans()) {
      const std::vector<T> starts = random_starts<T>(plan);
      Session<T> descent(plan, starts.data(), problem.data, 1);
      const std::vector<double> few = rates(1, 0.001), many = rates(50, 0.001);
      descent.run(few, forever);
      int64_t before = n_allocations;
      descent.run(few, forever);
      const int64_t of_few = n_allocations - before;
      before = n_allocations;
      descent.run(many, forever);
      const int64_t of_many = n_allocations - before;
      CHECK(of_few > 0 && of_few <= 6, "%ld", long(of_few));
      CHECK(of_many == of_few, "%s, rule %d: %ld for 1 step, %ld for 50", set.c_str(), int(plan.rule.rule),
            long(of_few), long(of_many));
    }
  }
}

// Descents share nothing but what they read and the pool of threads: several threads at once come to the bits of one
// after the other.
TEST(descents_on_several_threads) {
  const Problem<float> problem(30, 5, 3, true);
  const std::vector<Plan> all = plans();
  const auto train = [&](const Plan& plan) {
    const std::vector<float> starts = random_starts<float>(plan);
    Session<float> descent(plan, starts.data(), problem.data, 3);
    descent.run(rates(40), forever);
    return parameters_of(descent, plan);
  };
  std::vector<std::vector<float>> alone, beside(all.size());
  for (const Plan& plan : all) alone.push_back(train(plan));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < all.size(); ++i) threads.emplace_back([&, i] { beside[i] = train(all[i]); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(same_bits(alone[i], beside[i]), "plan %zu", i);
}

}  // namespace fallline::test

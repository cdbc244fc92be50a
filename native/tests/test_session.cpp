// The training loop, from outside: by hand, cut in slices, several starts at once, on several threads.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
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
    plan.rule = {rule, 0.9, 0.99, 1e-8, 0};
    plan.batch_size = 8;
    plan.seed = 7 + (uint64_t{3} << 32);
    plan.starts = {0, 1, 5};
    all.push_back(plan);
    plan.layers[0].dropout = 0.25;
    plan.layers[1] = {19, 7, Activation::gelu, 0.5};
    plan.l1 = 0.001;
    plan.l2 = 0.01;
    plan.rule.weight_decay = 0.1;
    plan.clip_norm = 0.5;
    all.push_back(plan);
    plan.shuffle = false;
    plan.batch_size = 64;  // more than there are rows
    all.push_back(plan);
  }
  return all;
}

// The same steps; their losses summed in other portions, so the last bits of the sum may differ.
bool same_steps(const Slice& x, const Slice& y) {
  bool same = x.n_steps == y.n_steps && x.weight_sum == y.weight_sum && x.diverged_step == y.diverged_step &&
              same_bits(x.gradient_norm, y.gradient_norm) && x.loss_sum.size() == y.loss_sum.size();
  for (std::size_t k = 0; same && k < x.loss_sum.size(); ++k)
    same = std::abs(x.loss_sum[k] - y.loss_sum[k]) <= 1e-14 * std::abs(x.loss_sum[k]);
  return same;
}

Plan line(Rule rule) {
  Plan plan;
  plan.layers = {{1, 1, Activation::identity}};
  plan.loss = {LossKind::squared_error, 1, {}};
  plan.rule = {rule, 0.5, 0.5, 1e-8, 0};
  plan.batch_size = 1;
  plan.shuffle = false;
  plan.starts = {0};
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
    Session<T> descent(line(Rule::sgd), start.data(), data);
    Slice slice = descent.run(std::vector<double>{0.125, 0.125}, forever);
    CHECK(parameters_of(descent, line(Rule::sgd)) == (std::vector<T>{T(1.1875), T(0.4375)}), "%s", set.c_str());
    CHECK(slice.n_steps == 2 && slice.weight_sum == 2 && slice.loss_sum[0] == 8.5625, "%g", slice.loss_sum[0]);
    CHECK(std::abs(slice.gradient_norm[0] - 5.5 * std::sqrt(2.0)) < 1e-6, "%g", slice.gradient_norm[0]);
    CHECK(slice.diverged_step == std::vector<int64_t>{-1}, "%ld", long(slice.diverged_step[0]));

    // momentum 0.5: m = (4, 2), then (2, 1) + (-5.5, -5.5) = (-3.5, -4.5)
    Session<T> heavy(line(Rule::momentum), start.data(), data);
    heavy.run(std::vector<double>{0.125, 0.125}, forever);
    CHECK(parameters_of(heavy, line(Rule::momentum)) == (std::vector<T>{T(0.9375), T(0.3125)}), "%s", set.c_str());

    // weight decay 1: W is first multiplied by 1 - 0.125, b is not; then the same steps, from the row's gradient
    Plan plan = line(Rule::sgd);
    plan.rule.weight_decay = 1;
    Session<T> decayed(plan, start.data(), data);
    decayed.run(std::vector<double>{0.125}, forever);
    CHECK(parameters_of(decayed, plan) == (std::vector<T>{T(0.375), T(-0.25)}), "%s", set.c_str());

    // penalties |W| / 2 + W^2 / 4: dW = 4 + 0.5 + 0.5, b has none; clipping at norm 1 of (4, 2)
    plan = line(Rule::sgd);
    plan.l1 = plan.l2 = 0.5;
    Session<T> penalised(plan, start.data(), data);
    penalised.run(std::vector<double>{0.125}, forever);
    CHECK(parameters_of(penalised, plan) == (std::vector<T>{T(0.375), T(-0.25)}), "%s", set.c_str());
    plan = line(Rule::sgd);
    plan.clip_norm = 1;
    Session<T> clipped(plan, start.data(), data);
    clipped.run(std::vector<double>{1}, forever);
    const std::vector<T> theta = parameters_of(clipped, plan);
    CHECK(std::abs(theta[0] - (1 - 2 / std::sqrt(5.0))) < 1e-6 && std::abs(theta[1] + 1 / std::sqrt(5.0)) < 1e-6,
          "%g %g", double(theta[0]), double(theta[1]));
  }
}

TEST_BOTH(starts_together_equal_starts_alone) {
  const Problem<T> problem(30, 5, 3, true);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const Plan& plan : plans()) {
      const std::vector<T> starts = random_starts<T>(plan);
      Session<T> together(plan, starts.data(), problem.data);
      const Slice slice = together.run(rates(25), forever);
      const std::vector<T> theta = parameters_of(together, plan);
      const std::size_t P = std::size_t(n_parameters(plan.layers));
      for (std::size_t k = 0; k < plan.starts.size(); ++k) {
        Plan one = plan;
        one.starts = {plan.starts[k]};
        Session<T> alone(one, starts.data() + k * P, problem.data);
        const Slice own = alone.run(rates(25), forever);
        const std::vector<T> part(theta.begin() + std::ptrdiff_t(k * P), theta.begin() + std::ptrdiff_t((k + 1) * P));
        CHECK(same_bits(parameters_of(alone, one), part), "%s, rule %d, start %zu", set.c_str(), int(plan.rule.rule),
              k);
        CHECK(own.loss_sum[0] == slice.loss_sum[k] && same_bits(own.gradient_norm[0], slice.gradient_norm[k]),
              "%s, rule %d, start %zu", set.c_str(), int(plan.rule.rule), k);
        CHECK(!same_bits(part, std::vector<T>(starts.begin() + std::ptrdiff_t(k * P),
                                              starts.begin() + std::ptrdiff_t((k + 1) * P))),
              "start %zu", k);
      }
    }
  }
}

TEST_BOTH(cut_run_goes_on_to_the_same_bits) {
  const Problem<T> few(30, 5, 3, true), many(700, 5, 3, true);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (Plan plan : plans()) {
      // a step of 700 rows may itself be cut
      const Problem<T>& problem = plan.shuffle ? few : many;
      if (!plan.shuffle) plan.batch_size = 700;
      const std::vector<T> starts = random_starts<T>(plan);
      const std::vector<double> all = rates(23);
      Session<T> whole(plan, starts.data(), problem.data);
      auto cut = std::make_unique<Session<T>>(plan, starts.data(), problem.data);
      const Slice once = whole.run(all, forever);
      Slice sum = cut->run({}, forever);
      CHECK(sum.n_steps == 0 && sum.weight_sum == 0, "%ld", long(sum.n_steps));
      std::span<const double> rest = all;
      bool one_step = true;
      while (!rest.empty()) {
        const bool moved = rest.size() % 5 == 0;
        if (moved) cut = std::make_unique<Session<T>>(std::move(*cut));
        const Slice slice = cut->run(rest, -1);  // no time at all: one step, or part of it
        one_step &= slice.n_steps <= 1;
        rest = rest.subspan(std::size_t(slice.n_steps));
        sum.n_steps += slice.n_steps;
        sum.weight_sum += slice.weight_sum;
        for (std::size_t k = 0; k < sum.loss_sum.size(); ++k) sum.loss_sum[k] += slice.loss_sum[k];
        sum.gradient_norm = slice.gradient_norm;
        sum.diverged_step = slice.diverged_step;
      }
      CHECK(one_step && same_steps(once, sum), "%s, rule %d", set.c_str(), int(plan.rule.rule));
      CHECK(same_bits(parameters_of(whole, plan), parameters_of(*cut, plan)), "%s, rule %d", set.c_str(),
            int(plan.rule.rule));
    }
  }
}

// The kernels of a session are those that were in use when it began.
TEST_BOTH(session_keeps_its_instruction_set) {
  const Problem<T> problem(30, 5, 3, true);
  const std::vector<std::string> sets = instruction_sets();
  for (const Plan& plan : plans()) {
    const std::vector<T> starts = random_starts<T>(plan);
    const With with(sets.front());
    Session<T> whole(plan, starts.data(), problem.data), other(plan, starts.data(), problem.data);
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
      Session<T> descent(plan, starts.data(), problem.data);
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
        plan.starts = {2};
        plan.l1 = 0.01;
        plan.l2 = 0.1;
        std::vector<double> theta = random_starts<double>(plan), g(theta.size()), unused(theta.size());
        gradient<double>(plan, theta.data(), problem.data, 3, g.data());
        double error = 0;
        for (std::size_t i = 0; i < theta.size(); i += 1 + i % 3) {
          constexpr double h = 1e-6;
          const double at = theta[i];
          theta[i] = at + h;
          const double up = gradient<double>(plan, theta.data(), problem.data, 3, unused.data());
          theta[i] = at - h;
          const double down = gradient<double>(plan, theta.data(), problem.data, 3, unused.data());
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
    for (const int64_t n : {0, 1, 255, 256, 257, 600}) {
      const std::vector<T> X = randoms<T>(std::size_t(n * 3), -1, 1, 31), theta = randoms<T>(110, -1, 1, 32);
      Guarded<T> A(n * 2);
      predict<T>(layers, theta.data(), X.data(), n, A.data());
      bool same = A.intact();
      for (int64_t r = 0; r < n; ++r) {
        T one[2];
        predict<T>(layers, theta.data(), X.data() + r * 3, 1, one);
        same &= same_bits(one[0], A[2 * r]) && same_bits(one[1], A[2 * r + 1]);
      }
      CHECK(same, "%s: n=%ld", set.c_str(), long(n));
    }
  }
}

// The start that diverges stops where it is, the others go on; its step is reported, then and later.
TEST_BOTH(divergence_is_reported) {
  const T huge = std::sqrt(std::numeric_limits<T>::max()) * T(4);  // its square overflows
  std::vector<T> X = {1, 1, 1, 1}, Y = {0, 0, 0, 0};
  const std::vector<T> weight = {1, 1, 1, 1};
  Plan plan = line(Rule::sgd);
  plan.starts = {0, 1, 2};
  X[2] = T(1e3);
  const std::vector<T> starts = {1, 0, huge, 0, huge / 256, 0};  // the third meets its end at row 2
  const Data<T> data{4, 1, X.data(), Y.data(), weight.data()};
  const std::vector<double> still(5, 1e-9);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    Session<T> descent(plan, starts.data(), data);
    Slice slice = descent.run(still, forever);
    CHECK(slice.n_steps == 5 && slice.diverged_step == (std::vector<int64_t>{-1, 0, 2}), "%s: %ld %ld %ld", set.c_str(),
          long(slice.diverged_step[0]), long(slice.diverged_step[1]), long(slice.diverged_step[2]));
    CHECK(slice.loss_sum[1] == 0 && std::isfinite(slice.loss_sum[2]) && slice.loss_sum[2] > 0, "%s", set.c_str());
    std::vector<T> theta = parameters_of(descent, plan);
    CHECK(theta[2] == huge && theta[3] == 0, "%s", set.c_str());

    Session<T> two(plan, starts.data(), data);
    two.run(std::span(still).first(2), forever);
    const std::vector<T> before = parameters_of(two, plan);
    CHECK(before[4] == theta[4] && before[5] == theta[5] && before[0] != theta[0], "%s", set.c_str());
    slice = descent.run(still, forever);
    CHECK(slice.diverged_step == (std::vector<int64_t>{-1, 0, 2}), "%s", set.c_str());
    CHECK(slice.loss_sum[2] == 0 && slice.loss_sum[0] > 0, "%s", set.c_str());
  }
  // Too large a step: every one multiplies the error by 1 - 4e10, so the third or a later loss is out of range.
  const std::vector<T> ones(4, T(1)), start = {1, 0};
  Session<T> wild(line(Rule::sgd), start.data(), {4, 1, ones.data(), Y.data(), weight.data()});
  const Slice slice = wild.run(std::vector<double>(40, 1e10), forever);
  const int64_t wanted = sizeof(T) == 4 ? 2 : 15;  // 1.6e21^2 > 3.4e38; (4e10)^(2 * 15) > 1.8e308
  CHECK(slice.diverged_step[0] == wanted, "%ld", long(slice.diverged_step[0]));
}

// A call of run makes its answer and nothing else, however many steps and epochs it takes.
TEST_BOTH(steps_allocate_nothing) {
  const Problem<T> problem(30, 5, 3, true);
  for (const std::string& set : instruction_sets()) {
    const With with(set);
    for (const Plan& plan : plans()) {
      const std::vector<T> starts = random_starts<T>(plan);
      Session<T> descent(plan, starts.data(), problem.data);
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

// Descents share nothing but what they read: several threads at once come to the bits of one after the other.
TEST(descents_on_several_threads) {
  const Problem<float> problem(30, 5, 3, true);
  const std::vector<Plan> all = plans();
  const auto train = [&](const Plan& plan) {
    const std::vector<float> starts = random_starts<float>(plan);
    Session<float> descent(plan, starts.data(), problem.data);
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

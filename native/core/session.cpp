// The training loop. The same bits whatever the number of threads: what they share out does not depend on their number,
// and all that is summed is summed in a fixed order.
#include <atomic>
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "api.hpp"
#include "core/pace.hpp"
#include "core/philox.hpp"
#include "core/stepper.hpp"
#include "core/subnormals.hpp"
#include "core/team.hpp"

namespace fallline {
namespace {

using Clock = std::chrono::steady_clock;

// Operations of a step, for each thread: fewer are never worth another thread, more always; in between, time tells.
constexpr double least_worth = 2e5;
#ifdef FALLLINE_TESTS  // of threads, not of time
constexpr double clearly_worth = least_worth;
#else
constexpr double clearly_worth = 1e8;
#endif
constexpr int64_t near = 192 << 10;    // bytes of a start's parameters and moments that a core keeps close by
constexpr int64_t longest_round = 16;  // steps that a start takes before the next start's turn

Clock::time_point after(Clock::time_point moment, double seconds) {
  return moment + std::chrono::microseconds(static_cast<int64_t>(std::min(seconds, 1e6) * 1e6));
}

double operations(const Plan& plan) {
  return 6.0 * static_cast<double>(plan.batch_size) * static_cast<double>(n_parameters(plan));
}

}  // namespace

// Threads either share the work of a step, start after start; or, where there are several starts and a step is one
// piece, each takes whole starts for a round of steps. A start goes the same way in both.
template <class T>
struct Session<T>::State {
  State(const Plan& p, const T* flat, const Data<T>& d, int n_threads)
      : plan(p),
        data(d),
        steps_per_epoch((d.n + p.batch_size - 1) / p.batch_size),
        threads(n_threads),
        order(p.shuffle ? d.n : 0),
        n_visits(d.n) {
    const int worth = static_cast<int>(std::min(1024.0, std::max(1.0, operations(plan) / least_worth)));
    const auto n_starts = static_cast<int>(std::min<std::size_t>(plan.starts.size(), 1024));
    apart = n_starts > 1 && plan.batch_size <= piece_rows(plan) && (n_starts >= threads || worth < threads);
    threads = std::min(threads, apart ? n_starts : worth);
    pace = Pace(threads, operations(plan) >= clearly_worth * threads);
    for (int t = 0; t < (apart ? threads : 1); ++t)
      steppers.push_back(std::make_unique<Stepper<T>>(plan, plan.batch_size, data.n_targets, apart ? 1 : threads));

    const Layout<T>& layout = steppers[0]->layout();
    for (std::size_t k = 0; k < plan.starts.size(); ++k) {
      StartState<T>& state = starts.emplace_back();
      state.theta = Buffer<T>(layout.packed_size());
      layout.pack(flat + static_cast<int64_t>(k) * layout.flat_size(), state.theta.data());
      if (n_moments() > 0) state.m = Buffer<T>(layout.packed_size());
      if (n_moments() > 1) state.v = Buffer<T>(layout.packed_size());
      state.gradient_norm = std::nan("");
    }
    const int64_t bytes = layout.packed_size() * static_cast<int64_t>(sizeof(T)) * (1 + n_moments());
    round.reserve(longest_round);
    steps_in_round = bytes <= near ? longest_round : 1;
    const int64_t n_weights = data.weight_stride > 0 ? data.n * static_cast<int64_t>(plan.starts.size()) : data.n;
    uniform = std::all_of(data.weight, data.weight + n_weights, [](T weight) { return weight == T(1); });
  }

  Slice run(std::span<const double> factors, double seconds, std::span<const double> sums) {
    if (!sums.empty() && sums.size() != 3 * starts.size())
      throw std::invalid_argument("sums to go on from are three of each start");
    deadline = after(Clock::now(), seconds);
    slice = {};
    for (auto* each : {&slice.loss_sum, &slice.weight_sum, &slice.penalty_sum, &slice.gradient_norm})
      each->reserve(starts.size());
    slice.diverged_step.reserve(starts.size());
    rates = factors;
    for (std::size_t k = 0, n = starts.size(); k < n; ++k) {
      const auto before = [&](std::size_t i) { return sums.empty() ? 0 : sums[i * n + k]; };
      starts[k].loss_sum = before(0), starts[k].weight_sum = before(1), starts[k].penalty_sum = before(2);
    }
    if (!rates.empty()) {
      if (apart)
        run_apart();
      else
        run_together();
    }
    for (const StartState<T>& state : starts) {
      slice.loss_sum.push_back(state.loss_sum);
      slice.weight_sum.push_back(state.weight_sum);
      slice.penalty_sum.push_back(state.penalty_sum);
      slice.gradient_norm.push_back(state.gradient_norm);
      slice.diverged_step.push_back(state.diverged_step);
    }
    return std::move(slice);
  }

  void run_together() {
    Stepper<T>& stepper = *steppers[0];
    bool goes_on = seek_start();
    while (goes_on) {
      const Pace::Turn turn = pace.next();
      auto began = Clock::now(), end = std::min(deadline, after(began, turn.seconds));
      int64_t n_rows = 0;
      bool same_turn = true, is_first = true;
      fallline::together(turn.threads, [&](Team& team, int thread) {
        const SubnormalsAreZero here;
        while (same_turn) {
          stepper.advance(team, thread);
          team.meet(thread, [&] {
            n_rows += stepper.piece();
            if (stepper.next()) {
              under_way = false;
              ++start;
            }
            goes_on = seek_start();
            const auto now = Clock::now();
            same_turn = goes_on && now < end;
            if (same_turn && turn.is_trial && is_first) {  // threads may have had to wake up for it
              began = now;
              end = std::min(deadline, after(began, turn.seconds));
              n_rows = 0;
            }
            is_first = false;
          });
        }
      });
      const auto now = Clock::now();
      pace.took(turn, std::chrono::duration<double>(now - began).count(), n_rows);
      goes_on = goes_on && now < deadline;
    }
  }

  // Sets the stepper to the next start that has not diverged, in this step or the next; false when the slice's steps
  // are done. A step that is under way goes on.
  bool seek_start() {
    if (under_way) return true;
    for (;;) {
      if (start == 0 && slice.n_steps < n_rates()) set_batch(step);
      while (start < starts.size() && starts[start].diverged_step >= 0) ++start;
      if (start < starts.size()) {
        if (slice.n_steps == n_rates()) return false;
        begin(*steppers[0], start, batch);
        return under_way = true;
      }
      ++step;
      start = 0;
      if (++slice.n_steps == n_rates()) return false;
    }
  }

  void run_apart() {
    bool goes_on = set_round();
    fallline::together(threads, [&](Team& team, int thread) {
      const SubnormalsAreZero here;
      Team alone(1);
      Stepper<T>& stepper = *steppers[static_cast<std::size_t>(thread)];
      while (goes_on) {
        for (std::size_t k; (k = next_start.fetch_add(1)) < starts.size();)
          for (const Batch& one : round) {
            if (starts[k].diverged_step >= 0) break;
            begin(stepper, k, one);
            stepper.advance(alone, 0);
          }
        team.meet(thread, [&] {
          slice.n_steps += static_cast<int64_t>(round.size());
          step += static_cast<int64_t>(round.size());
          goes_on = Clock::now() < deadline && set_round();
        });
      }
    });
  }

  // The steps of the next round; false when the slice's steps are done.
  bool set_round() {
    round.clear();
    next_start = 0;
    while (static_cast<int64_t>(round.size()) < steps_in_round) {
      const int64_t at = step + static_cast<int64_t>(round.size());
      if (slice.n_steps + at - step == n_rates()) break;
      if (!round.empty() && (at - first_step) % steps_per_epoch == 0)
        break;  // there is one order of the rows at a time
      set_batch(at);
      round.push_back(batch);
    }
    return !round.empty();
  }

  void begin(Stepper<T>& stepper, std::size_t k, const Batch& one) {
    const double factor = rates[static_cast<std::size_t>(slice.n_steps + one.step - step)];
    const Start& settings = plan.starts[k];
    const Visit<T> visit{&data, n_visits, order.size() > 0 ? order.data() : nullptr, data.weights_of(k)};
    const double weight_sum = weight_of(visit, one);
    stepper.begin(&starts[k], settings.number, visit, one, weight_sum,
                  step_args<T>(plan, settings, factor, one.step, weight_sum));
  }

  double weight_of(const Visit<T>& visit, const Batch& one) const {
    if (uniform) return static_cast<double>(one.n);
    double sum = 0;
    for (int64_t r = one.first; r < one.first + one.n; ++r) sum += static_cast<double>(visit.weight[visit.row(r)]);
    return sum;
  }

  void set_batch(int64_t at) {
    const int64_t epoch = (at - first_step) / steps_per_epoch, place = (at - first_step) % steps_per_epoch;
    if (plan.shuffle && !is_told && ordered_epoch != epoch) {
      row_order(plan.seed, epoch, data.n, order.data());
      ordered_epoch = epoch;
    }
    const int64_t first = place * plan.batch_size, n = std::min(plan.batch_size, n_visits - first);
    batch = {at, first, n, place + 1 == steps_per_epoch};
  }

  void visit(std::span<const int64_t> rows) {
    require_no_step_under_way();
    const auto n = static_cast<int64_t>(rows.size());
    if (n == 0) throw std::invalid_argument("an epoch visits one row or more");
    if (std::any_of(rows.begin(), rows.end(), [&](int64_t row) { return row < 0 || row >= data.n; }))
      throw std::invalid_argument("an epoch visits a row that the data do not have");
    if (order.size() != n) order = Buffer<int64_t>(n, Buffer<int64_t>::uninitialized);
    std::copy(rows.begin(), rows.end(), order.data());
    is_told = true;
    n_visits = n;
    steps_per_epoch = (n + plan.batch_size - 1) / plan.batch_size;
    first_step = step;
  }

  int n_moments() const { return plan.rule.rule == Rule::adam ? 2 : plan.rule.rule == Rule::sgd ? 0 : 1; }

  // Calls use(packed, flat) for each start's part of moments (n_moments, K, P).
  template <class Flat, class Use>
  void for_each_moment(std::span<Flat> moments, Use use) {
    const int64_t n = steppers[0]->layout().flat_size();
    if (moments.size() != static_cast<std::size_t>(n_moments() * n) * starts.size())
      throw std::invalid_argument("moments must have the rule's moments of all starts");
    Flat* flat = moments.data();
    for (int i = 0; i < n_moments(); ++i)
      for (StartState<T>& state : starts) {
        use((i == 0 ? state.m : state.v).data(), flat);
        flat += n;
      }
  }

  void resume(int64_t steps_taken, std::span<const T> moments, std::span<const int64_t> diverged_step,
              std::span<const double> gradient_norm) {
    require_no_step_under_way();
    if (steps_taken < 0) throw std::invalid_argument("the number of steps taken is 0 or more");
    if (diverged_step.size() != starts.size() || gradient_norm.size() != starts.size())
      throw std::invalid_argument("each start has a step where it diverged, or -1, and a norm");
    for_each_moment(moments, [&](T* packed, const T* flat) { steppers[0]->layout().pack(flat, packed); });
    for (const auto& stepper : steppers) stepper->forget_rows();
    for (std::size_t k = 0; k < starts.size(); ++k) {
      starts[k].diverged_step = diverged_step[k];
      starts[k].gradient_norm = gradient_norm[k];
    }
    step = steps_taken;
    first_step = is_told ? step : 0;
  }

  void require_no_step_under_way() const {
    if (under_way) throw std::invalid_argument("a step is under way; run it to its end first");
  }

  int64_t n_rates() const { return static_cast<int64_t>(rates.size()); }

  const Plan plan;
  const Data<T> data;
  int64_t steps_per_epoch;
  int threads;
  Pace pace{1, true};
  bool apart, uniform;
  int64_t steps_in_round;
  std::vector<StartState<T>> starts;
  std::vector<std::unique_ptr<Stepper<T>>> steppers;  // one for the team, or one each
  Buffer<int64_t> order;                              // of the rows: as was told, or in `ordered_epoch`
  int64_t n_visits;                                   // in an epoch
  bool is_told = false;                               // what to visit
  int64_t ordered_epoch = -1;
  int64_t first_step = 0;  // of the epochs

  // Where the descent stands: in which step, at which start, and whether that start's step is under way.
  int64_t step = 0;
  std::size_t start = 0;
  bool under_way = false;
  Batch batch{};
  std::vector<Batch> round;
  std::atomic<std::size_t> next_start{0};

  // Of the slice that runs.
  Slice slice;
  std::span<const double> rates;
  Clock::time_point deadline;
};

template <class T>
Session<T>::Session(const Plan& plan, const T* parameters, const Data<T>& data, int threads)
    : state_(std::make_unique<State>(plan, parameters, data, threads)) {}
template <class T>
Session<T>::Session(Session&&) noexcept = default;
template <class T>
Session<T>::~Session() = default;

template <class T>
Slice Session<T>::run(std::span<const double> factors, double seconds, std::span<const double> sums) {
  return state_->run(factors, seconds, sums);
}

template <class T>
void Session<T>::read_parameters(T* parameters) const {
  const Layout<T>& layout = state_->steppers[0]->layout();
  for (const StartState<T>& start : state_->starts) {
    layout.unpack(start.theta.data(), parameters);
    parameters += layout.flat_size();
  }
}

template <class T>
void Session<T>::visit(std::span<const int64_t> rows) {
  state_->visit(rows);
}

template <class T>
int64_t Session<T>::read_state(std::span<T> moments) const {
  const Layout<T>& layout = state_->steppers[0]->layout();
  state_->for_each_moment(moments, [&](const T* packed, T* flat) { layout.unpack(packed, flat); });
  return state_->step;
}

template <class T>
void Session<T>::resume(int64_t step, std::span<const T> moments, std::span<const int64_t> diverged_step,
                        std::span<const double> gradient_norm) {
  state_->resume(step, moments, diverged_step, gradient_norm);
}

template class Session<float>;
template class Session<double>;

}  // namespace fallline

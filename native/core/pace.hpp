// How many threads share the steps of a descent: one or all, whichever turns out to be faster. Threads wait for each
// other twice a step, which costs little where all of them run, and a lot where another program has their core; so both
// are timed at first, and the slower one again now and then. No result depends on it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace fallline {

class Pace {
 public:
  struct Turn {
    int threads;
    double seconds;  // at most
    bool is_trial;
  };

  // Of so many threads, or of one; where it is clear beforehand they are all alike.
  Pace(int threads, bool is_clear) : threads_(threads), is_clear_(is_clear || threads == 1) {}

  Turn next() const {
    if (is_clear_) return {threads_, std::numeric_limits<double>::infinity(), false};
    if (n_trials_ < first_trials) return {n_trials_ % 2 == 0 ? threads_ : 1, trial, true};
    const int faster = cost_[all] <= cost_[one] ? threads_ : 1;
    if (since_trial_ >= until_trial_) return {faster == 1 ? threads_ : 1, trial, true};
    return {faster, until_trial_ - since_trial_, false};
  }

  // What became of that turn.
  void took(const Turn& turn, double seconds, int64_t n_rows) {
    if (is_clear_ || n_rows == 0) return;
    cost_[turn.threads == 1 ? one : all] = seconds / static_cast<double>(n_rows);
    since_trial_ += seconds;
    if (!turn.is_trial) return;
    ++n_trials_;
    since_trial_ = 0;
    until_trial_ = 50 * std::max(seconds, trial);  // so that trials take 2 % of the time
  }

 private:
  static constexpr int one = 0, all = 1;
  static constexpr int first_trials = 3;  // all, one, and all again, for the first turn finds cold caches
  static constexpr double trial = 0.001;

  int threads_;
  bool is_clear_;
  int n_trials_ = 0;
  double since_trial_ = 0, until_trial_ = 0;
  std::array<double, 2> cost_{};  // seconds a row
};

}  // namespace fallline

// How many threads share the steps of a descent: one or all, whichever turns out to be faster. Threads wait for each
// other twice a step, which costs little where all of them run, and a lot where another program has their core; so both
// are timed at first, and the slower one again now and then. No result depends on it.
#pragma once

#include <algorithm>
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

  // Of up to so many threads. is_clear: all of them pay for certain, so nothing is timed.
  Pace(int threads, bool is_clear) : threads_(threads), is_clear_(is_clear || threads == 1), faster_(threads) {}

  Turn next() const {
    if (is_clear_) return {threads_, std::numeric_limits<double>::infinity(), false};
    if (n_trials_ < first_trials) return {n_trials_ % 2 == 0 ? threads_ : 1, trial, true};
    if (seconds_ >= until_trial_) return {faster_ == 1 ? threads_ : 1, trial, true};
    return {faster_, until_trial_ - seconds_, false};
  }

  // What became of that turn.
  void took(const Turn& turn, double seconds, int64_t n_rows) {
    if (is_clear_ || n_rows == 0) return;
    if (!turn.is_trial) {  // one turn may be unlucky; all since the last trial tell
      seconds_ += seconds;
      rows_ += static_cast<double>(n_rows);
      cost_of(turn.threads) = seconds_ / rows_;
      return;
    }
    cost_of(turn.threads) = seconds / static_cast<double>(n_rows);
    faster_ = cost_of(threads_) <= cost_of(1) ? threads_ : 1;
    ++n_trials_;
    until_trial_ = 50 * std::max(seconds, trial);  // so that trials take 2 % of the time
    seconds_ = rows_ = 0;
  }

 private:
  static constexpr int first_trials = 3;  // all, one, and all again, for the first turn finds cold caches
  static constexpr double trial = 0.001;

  double& cost_of(int threads) { return threads == 1 ? cost_of_one_ : cost_of_all_; }

  int threads_;
  bool is_clear_;
  int faster_;  // number of threads
  int n_trials_ = 0;
  double seconds_ = 0, rows_ = 0, until_trial_ = 0;  // since the last trial
  double cost_of_one_ = 0, cost_of_all_ = 0;         // seconds a row
};

}  // namespace fallline

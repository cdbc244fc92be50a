// How many threads are used follows what each number turns out to take.
#include "core/pace.hpp"

#include <algorithm>

#include "tests/support.hpp"

namespace fallline::test {
namespace {

// A descent of steps of 10 rows; what one step takes is told for one thread and for all.
struct Descent {
  explicit Descent(Pace p) : pace(p) {}
  Pace pace;
  double with_one = 0, with_all = 0;  // seconds

  void go_on(double length, double step_of_one, double step_of_all) {
    for (double at = 0; at < length;) {
      const Pace::Turn turn = pace.next();
      const double step = turn.threads == 1 ? step_of_one : step_of_all;
      const double steps = std::max(1.0, std::floor(std::min(turn.seconds, 0.05) / step)), seconds = steps * step;
      pace.took(turn, seconds, static_cast<int64_t>(10 * steps));
      (turn.threads == 1 ? with_one : with_all) += seconds;
      at += seconds;
    }
  }
};

}  // namespace

TEST(pace_keeps_to_what_is_faster) {
  Descent quiet(Pace(4, false));
  quiet.go_on(2, 20e-6, 8e-6);
  CHECK(quiet.with_one > 0 && quiet.with_one < 0.05 * quiet.with_all, "%g and %g s", quiet.with_one, quiet.with_all);
  quiet.with_one = quiet.with_all = 0;
  quiet.go_on(2, 20e-6, 300e-6);  // somebody has come who needs a core
  CHECK(quiet.with_all < 0.1 * quiet.with_one, "%g and %g s", quiet.with_one, quiet.with_all);
  quiet.with_one = quiet.with_all = 0;
  quiet.go_on(2, 20e-6, 8e-6);  // and has gone
  CHECK(quiet.with_one < 0.1 * quiet.with_all, "%g and %g s", quiet.with_one, quiet.with_all);
}

TEST(pace_of_long_steps_tries_seldom) {
  Descent descent(Pace(2, false));
  descent.go_on(20, 0.1, 0.06);
  CHECK(descent.with_one > 0 && descent.with_one < 0.05 * descent.with_all, "%g and %g s", descent.with_one,
        descent.with_all);
}

TEST(pace_knows_what_is_clear) {
  for (const auto& [pace, wanted] : {std::pair{Pace(1, false), 1}, {Pace(3, true), 3}, {Pace(1, true), 1}}) {
    Descent descent(pace);
    for (int i = 0; i < 9; ++i) {
      CHECK(descent.pace.next().threads == wanted, "%d threads", wanted);
      descent.go_on(0.1, 1e-3, 1e-3);
    }
  }
}

}  // namespace fallline::test

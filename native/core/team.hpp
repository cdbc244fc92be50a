// Threads that work on one thing together. Whatever they compute is cut into parts that do not depend on their number.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

#include "core/cores.hpp"

namespace fallline {

// How long threads spin before they sleep. Long, where a thread has its core to itself: in a virtual machine it takes
// up to 0.2 ms to wake one, so a shorter wait than that would have a team that is once out of step take turns in
// sleeping.
constexpr std::chrono::microseconds short_spin{50}, long_spin{1000};

// A number that threads wait for. They spin for a while, then sleep.
class Signal {
 public:
  uint32_t value() const { return value_.load(std::memory_order_acquire); }
  void add(int n);

  // Waits until the value is no longer `old`. What before_sleep() gives lives while this thread sleeps.
  template <class F>
  void wait_while(uint32_t old, std::chrono::microseconds spin, F before_sleep) {
    if (spin_while(old, spin)) return;
    [[maybe_unused]] const auto asleep = before_sleep();
    sleep_while(old);
  }

 private:
  bool spin_while(uint32_t old, std::chrono::microseconds most) const;  // whether the value changed
  void sleep_while(uint32_t old);

  alignas(64) std::atomic<uint32_t> value_{0};
  std::atomic<int> sleepers_{0};
};

class Team {
 public:
  explicit Team(int n) : threads(n), cores_(n) {}
  Team(const Team&) = delete;

  const int threads;

  // Where the threads wait for each other. The last to arrive calls last(), and what it wrote there is seen by all.
  template <class F>
  void meet(int thread, F last) {
    if (threads == 1) {
      last();
      return;
    }
    cores_.note(thread);
    const uint32_t round = round_.value();
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < threads) {
      round_.wait_while(round, cores_.is_shared(thread) ? short_spin : long_spin,
                        [&] { return Cores::Elsewhere(cores_, thread); });
      return;
    }
    last();
    arrived_.store(0, std::memory_order_relaxed);
    round_.add(1);
  }
  void meet(int thread) {
    meet(thread, [] {});
  }

  Cores& cores() { return cores_; }

 private:
  alignas(64) std::atomic<int> arrived_{0};
  Signal round_;
  Cores cores_;
};

// Calls work(team, thread) once on each of up to `threads` threads, the caller's being thread 0, and returns when all
// are done. The threads are kept for the next call. Where another call has them, or no more can be made, the team is
// smaller than asked for, the caller alone at the least.
void together(int threads, const std::function<void(Team& team, int thread)>& work);

}  // namespace fallline

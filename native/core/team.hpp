// Threads that work on one thing together. Whatever they compute is cut into parts that do not depend on their number.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace fallline {

// Where the threads of a team wait for each other: they spin for a moment, then sleep.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  Barrier(const Barrier&) = delete;

  // The last thread to arrive calls last(), and what it wrote there is seen by all.
  template <class F>
  void wait(F last) {
    if (threads_ == 1) {
      last();
      return;
    }
    const uint32_t round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < threads_) {
      wait_while(round_, round, sleepers_);
      return;
    }
    last();
    arrived_.store(0, std::memory_order_relaxed);
    advance(round_, sleepers_);
  }
  void wait() {
    wait([] {});
  }

  // Waits until `value` is no longer `old`; and changes a value that others wait for.
  static void wait_while(const std::atomic<uint32_t>& value, uint32_t old, std::atomic<int>& sleepers);
  static void advance(std::atomic<uint32_t>& value, const std::atomic<int>& sleepers);

 private:
  const int threads_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> round_{0};
  std::atomic<int> sleepers_{0};
};

struct Team {
  int threads;
  Barrier barrier;

  explicit Team(int n) : threads(n), barrier(n) {}
};

// Calls work(team, thread) once on each of up to `threads` threads, the caller's being thread 0, and returns when all
// are done. The threads are kept for the next call. Where another call has them, or no more can be made, the team is
// smaller than asked for, the caller alone at the least.
void together(int threads, const std::function<void(Team& team, int thread)>& work);

}  // namespace fallline

#include "core/team.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <unistd.h>
#endif

namespace fallline {
namespace {

constexpr auto spin_time = std::chrono::microseconds(50);  // longer than any phase of a step is out of balance

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

int64_t process() {
#ifdef _WIN32
  return 0;
#else
  return getpid();
#endif
}

void alone(const std::function<void(Team&, int)>& work) {
  Team team(1);
  work(team, 0);
}

// Threads that wait for work.
class Pool {
 public:
  const int64_t owner = process();

  void run(int threads, const std::function<void(Team&, int)>& work) {
    const std::unique_lock<std::mutex> mine(busy_, std::try_to_lock);
    if (!mine.owns_lock()) return alone(work);
    Team team(grow(threads));
    work_ = &work;
    team_ = &team;
    remaining_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
    Barrier::advance(call_, sleeping_workers_);
    work(team, 0);
    for (uint32_t left; (left = remaining_.load(std::memory_order_acquire)) > 0;)
      Barrier::wait_while(remaining_, left, sleeping_callers_);
  }

 private:
  // Makes workers until there are enough, or no more can be made; how many threads there are then, the caller's too.
  int grow(int threads) {
    try {
      while (static_cast<int>(workers_.size()) < threads - 1) {
        const int number = static_cast<int>(workers_.size()) + 1;
        const uint32_t seen = call_.load(std::memory_order_relaxed);
        workers_.emplace_back([this, number, seen] { serve(number, seen); });
      }
    } catch (const std::system_error&) {
    }
    return std::min(threads, static_cast<int>(workers_.size()) + 1);
  }

  void serve(int number, uint32_t seen) {
    for (;;) {
      Barrier::wait_while(call_, seen, sleeping_workers_);
      ++seen;
      if (number < team_->threads) (*work_)(*team_, number);  // the others only say that they have seen the call
      remaining_.fetch_sub(1, std::memory_order_acq_rel);
      if (sleeping_callers_.load() > 0) remaining_.notify_all();
    }
  }

  std::mutex busy_;
  std::vector<std::thread> workers_;
  const std::function<void(Team&, int)>* work_ = nullptr;
  Team* team_ = nullptr;
  alignas(64) std::atomic<uint32_t> call_{0};
  std::atomic<int> sleeping_workers_{0};
  alignas(64) std::atomic<uint32_t> remaining_{0};
  std::atomic<int> sleeping_callers_{0};
};

// The process's pool. It is never destroyed, since its workers wait for ever; and after a fork the child, which has no
// workers, makes its own.
Pool& pool() {
  static std::atomic<Pool*> current{nullptr};
  Pool* found = current.load(std::memory_order_acquire);
  while (!found || found->owner != process()) {
    auto made = std::make_unique<Pool>();
    if (current.compare_exchange_strong(found, made.get())) return *made.release();
  }
  return *found;
}

}  // namespace

void Barrier::wait_while(const std::atomic<uint32_t>& value, uint32_t old, std::atomic<int>& sleepers) {
  const auto began = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 64; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() - began < spin_time);
  sleepers.fetch_add(1);  // before the last look at the value, as `advance` changes it before it looks for sleepers
  while (value.load() == old) value.wait(old);
  sleepers.fetch_sub(1);
}

void Barrier::advance(std::atomic<uint32_t>& value, const std::atomic<int>& sleepers) {
  value.fetch_add(1);
  if (sleepers.load() > 0) value.notify_all();
}

void together(int threads, const std::function<void(Team&, int)>& work) {
  if (threads <= 1)
    alone(work);
  else
    pool().run(threads, work);
}

}  // namespace fallline

#include "core/team.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <unistd.h>
#endif

namespace fallline {
namespace {

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
    const int n = grow(threads);
    if (n == 1) return alone(work);
    if (!team_ || team_->threads != n) team_.emplace(n);
    Team& team = *team_;
    work_ = &work;
    team.cores().settle(0);
    remaining_.add(static_cast<int>(workers_.size()));
    call_.add(1);
    work(team, 0);
    for (uint32_t left; (left = remaining_.value()) > 0;)
      remaining_.wait_while(left, short_spin, [&] { return Cores::Elsewhere(team.cores(), 0); });
  }

 private:
  // Makes workers until there are enough, or no more can be made; how many threads there are then, the caller's too.
  int grow(int threads) {
    try {
      while (static_cast<int>(workers_.size()) < threads - 1) {
        const int number = static_cast<int>(workers_.size()) + 1;
        const uint32_t seen = call_.value();
        workers_.emplace_back([this, number, seen] { serve(number, seen); });
      }
    } catch (const std::system_error&) {
    }
    return std::min(threads, static_cast<int>(workers_.size()) + 1);
  }

  void serve(int number, uint32_t seen) {
    std::optional<Cores::Elsewhere> asleep;
    for (;;) {
      call_.wait_while(seen, short_spin, [] { return 0; });
      ++seen;
      if (number < team_->threads) {  // the others only say that they have seen the call
        Cores& cores = team_->cores();
        asleep.reset();
        cores.settle(number);
        (*work_)(*team_, number);
        asleep.emplace(cores, number);
      }
      remaining_.add(-1);
    }
  }

  std::mutex busy_;
  std::vector<std::thread> workers_;
  const std::function<void(Team&, int)>* work_ = nullptr;
  std::optional<Team> team_;
  Signal call_;
  Signal remaining_;  // workers that have not done their part of the call
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

bool Signal::spin_while(uint32_t old, std::chrono::microseconds most) const {
  const auto began = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 64; ++i) {
      if (value() != old) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() - began < most);
  return false;
}

void Signal::sleep_while(uint32_t old) {
  sleepers_.fetch_add(1);  // before the last look at the value, as `add` changes it before it looks for sleepers
  while (value_.load() == old) value_.wait(old);
  sleepers_.fetch_sub(1);
}

void Signal::add(int n) {
  value_.fetch_add(static_cast<uint32_t>(n));
  if (sleepers_.load() > 0) value_.notify_all();
}

void together(int threads, const std::function<void(Team&, int)>& work) {
  if (threads <= 1)
    alone(work);
  else
    pool().run(threads, work);
}

}  // namespace fallline

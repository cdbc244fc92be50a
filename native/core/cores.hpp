// On which cores the threads of a team run. Linux may wake a thread on the core of the one that wakes it though another
// is free, above all where few cores share a cache, and leave both there: threads that wait for each other then take
// turns (docs/design/speed.md). So a thread that goes to sleep says where it will not be woken; no thread is tied to a
// core while it works.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

#ifdef __linux__
#include <sched.h>
#endif

namespace fallline {

class Cores {
 public:
  explicit Cores(int threads);  // a thread alone has no use for it, and calls none of these

  // A thread of the team says where it is.
  void note(int thread);
  // The same; where a teammate is on that core already, this thread first goes to a free one, if there is one.
  void settle(int thread);

  bool is_shared(int thread) const;

  // While it lives, this thread is not on the cores where its teammates are, if it is allowed on any other.
  class Elsewhere {
   public:
    Elsewhere(const Cores& cores, int thread);
    ~Elsewhere();
    Elsewhere(const Elsewhere&) = delete;

#ifdef __linux__
   private:
    cpu_set_t allowed_, elsewhere_;
    bool is_kept_ = false;
#endif
  };

 private:
  const int threads_;
  std::unique_ptr<std::atomic<int>[]> core_of_;  // as its thread noted it last; -1 before
};

}  // namespace fallline

#include "core/cores.hpp"

namespace fallline {

Cores::Cores(int threads) : threads_(threads > 1 ? threads : 0) {
  if (threads_ > 0) core_of_ = std::make_unique<std::atomic<int>[]>(static_cast<std::size_t>(threads_));
  for (int i = 0; i < threads_; ++i) core_of_[i] = -1;
}

void Cores::settle(int thread) {
  note(thread);
  if (!is_shared(thread)) return;
  {
    const Elsewhere move(*this, thread);
  }
  note(thread);
}

bool Cores::is_shared(int thread) const {
  for (int i = 0; i < threads_; ++i)
    if (i != thread && core_of_[i].load(std::memory_order_relaxed) == core_of_[thread].load(std::memory_order_relaxed))
      return true;
  return false;
}

#ifdef __linux__

void Cores::note(int thread) {
  const int core = sched_getcpu();
  std::atomic<int>& noted = core_of_[thread];
  if (noted.load(std::memory_order_relaxed) != core) noted.store(core, std::memory_order_relaxed);
}

Cores::Elsewhere::Elsewhere(const Cores& cores, int thread) {
  if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;  // more cores than a cpu_set_t has
  elsewhere_ = allowed_;
  for (int i = 0; i < cores.threads_; ++i)
    if (const int core = cores.core_of_[i].load(std::memory_order_relaxed); i != thread && core >= 0)
      CPU_CLR(static_cast<std::size_t>(core), &elsewhere_);
  is_kept_ = CPU_COUNT(&elsewhere_) > 0 && sched_setaffinity(0, sizeof elsewhere_, &elsewhere_) == 0;
}

Cores::Elsewhere::~Elsewhere() {
  cpu_set_t now;
  const bool is_ours = is_kept_ && sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &elsewhere_);
  if (is_ours) sched_setaffinity(0, sizeof allowed_, &allowed_);  // unless somebody else has said otherwise meanwhile
}

#else

void Cores::note(int) {}
Cores::Elsewhere::Elsewhere(const Cores&, int) {}
Cores::Elsewhere::~Elsewhere() {}

#endif

}  // namespace fallline

// Threads of a team go out of each other's way, and are tied to no core afterwards.
#include "core/cores.hpp"

#include <thread>

#include "tests/support.hpp"

#ifdef __linux__

namespace fallline::test {
namespace {

cpu_set_t allowed() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  return set;
}

void allow(const cpu_set_t& set) { sched_setaffinity(0, sizeof set, &set); }

void allow_only(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  allow(set);
}

bool same(const cpu_set_t& a, const cpu_set_t& b) { return CPU_EQUAL(&a, &b); }

}  // namespace

TEST(a_thread_leaves_the_core_of_another) {
  const cpu_set_t all = allowed();
  Cores cores(3);  // the third has not come
  std::thread([&] {
    allow_only(sched_getcpu());
    cores.note(0);
    cores.note(1);
    CHECK(cores.is_shared(0) && cores.is_shared(1) && !cores.is_shared(2), "core %d", sched_getcpu());
    allow(all);
    const int before = sched_getcpu();
    cores.note(0);
    cores.settle(1);
    CHECK((CPU_COUNT(&all) == 1) == cores.is_shared(1), "from core %d to %d", before, sched_getcpu());
    CHECK(same(allowed(), all), "%d cores before", CPU_COUNT(&all));
  }).join();
}

TEST(a_thread_sleeps_where_no_teammate_is) {
  const cpu_set_t all = allowed();
  Cores cores(2);
  std::thread([&] {
    cores.note(0);
    const int taken = sched_getcpu();
    {
      const Cores::Elsewhere elsewhere(cores, 1);
      const cpu_set_t now = allowed();
      CHECK(CPU_COUNT(&all) == 1 || (!CPU_ISSET(static_cast<std::size_t>(taken), &now) &&
                                     CPU_COUNT(&now) == CPU_COUNT(&all) - 1 && sched_getcpu() != taken),
            "core %d is taken, and this is %d", taken, sched_getcpu());
    }
    CHECK(same(allowed(), all), "%d cores before", CPU_COUNT(&all));
  }).join();
}

TEST(what_others_say_of_cores_is_kept) {
  const cpu_set_t all = allowed();
  Cores cores(2);
  std::thread([&] {
    cores.note(0);
    const int taken = sched_getcpu();
    {
      const Cores::Elsewhere elsewhere(cores, 1);
      allow_only(taken);  // as `taskset` might, while the thread sleeps
    }
    const cpu_set_t now = allowed();
    CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(static_cast<std::size_t>(taken), &now), "%d of %d cores", CPU_COUNT(&now),
          CPU_COUNT(&all));
    {
      const Cores::Elsewhere elsewhere(cores, 1);  // there is nowhere else
      CHECK(sched_getcpu() == taken, "core %d, not %d", sched_getcpu(), taken);
    }
    CHECK(same(allowed(), now), "%d cores", CPU_COUNT(&now));
  }).join();
}

}  // namespace fallline::test

#endif

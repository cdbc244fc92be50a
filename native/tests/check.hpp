// A test framework in one page. TEST and TEST_BOTH register a function; a failed CHECK says what it looked at, and the
// run goes on.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>
#include <vector>

namespace fallline::test {

struct Case {
  std::string name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

inline bool add(const std::string& name, void (*body)()) {
  cases().push_back({name, body});
  return true;
}

inline int n_checks = 0, n_failures = 0;  // of the case that runs
inline bool figures = false;              // asked for with --figures: print what is measured

__attribute__((format(printf, 4, 5))) inline void failed(const char* file, int line, const char* what, const char* note,
                                                         ...) {
  if (++n_failures > 8) return;  // the first few say it all
  std::fprintf(stderr, "  %s:%d: %s  ", file, line, what);
  va_list values;
  va_start(values, note);
  std::vfprintf(stderr, note, values);
  va_end(values);
  std::fputc('\n', stderr);
}

}  // namespace fallline::test

// CHECK(condition, "m=%d", m): the note is printed where the condition does not hold.
#define CHECK(condition, ...)    \
  (++::fallline::test::n_checks, \
   (condition) ? void() : ::fallline::test::failed(__FILE__, __LINE__, #condition, __VA_ARGS__))

#define TEST(name)                                                                      \
  static void name();                                                                   \
  [[maybe_unused]] static const bool added_##name = ::fallline::test::add(#name, name); \
  static void name()

// TEST_BOTH(name) { ... } is a template over T: float and double.
#define TEST_BOTH(name)                                                                                             \
  template <class T>                                                                                                \
  static void name();                                                                                               \
  [[maybe_unused]] static const bool added_##name =                                                                 \
      ::fallline::test::add(#name "<float>", name<float>) && ::fallline::test::add(#name "<double>", name<double>); \
  template <class T>                                                                                                \
  static void name()

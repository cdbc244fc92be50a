// fallline_tests [--figures] [PART OF A NAME]
#include <cstdio>
#include <cstring>
#include <string>

#include "api.hpp"
#include "tests/check.hpp"

int main(int argc, char** argv) {
  using namespace fallline::test;
  std::string part;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--figures") == 0)
      figures = true;
    else
      part = argv[i];
  }
  int n_run = 0, n_bad = 0;
  for (const Case& test : cases()) {
    if (test.name.find(part) == std::string::npos) continue;
    n_checks = n_failures = 0;
    test.body();
    const bool bad = n_failures > 0 || n_checks == 0;
    std::printf("%-6s %s: %d checks, %d failures\n", bad ? "FAILED" : "ok", test.name.c_str(), n_checks, n_failures);
    ++n_run;
    n_bad += bad;
  }
  std::string sets;
  for (const std::string& name : fallline::instruction_sets()) sets += name + " ";
  std::printf("%d tests, %d failed; instruction sets: %s\n", n_run, n_bad, sets.c_str());
  return n_bad > 0 || n_run == 0;
}

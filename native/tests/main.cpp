// fallline_tests [--figures] [PART OF A NAME]...
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "api.hpp"
#include "tests/check.hpp"

int main(int argc, char** argv) {
  using namespace fallline::test;
  std::vector<std::string> parts;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--figures") == 0)
      figures = true;
    else
      parts.emplace_back(argv[i]);
  }
  int n_run = 0, n_bad = 0;
  for (const Case& test : cases()) {
    const auto named = [&](const std::string& part) { return test.name.find(part) != std::string::npos; };
    if (!parts.empty() && std::none_of(parts.begin(), parts.end(), named)) continue;
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

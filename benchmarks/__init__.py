"""Benchmarks: every contender is checked first, then timed in turn with the others. Nothing here asserts a speed."""

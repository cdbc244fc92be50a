"""Benchmarks: each checks the results first, then times both sides in one process, in turn."""

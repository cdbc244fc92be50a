"""How good defaults are on tables, ours beside what people use today; see `python -m benchmarks.tables -h`."""

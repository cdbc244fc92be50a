"""Sweeps: how the time of a step goes with one number, all else equal, for fallline and the peers that keep up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.entrants import cores
from benchmarks.figures import record
from benchmarks.race import Race
from benchmarks.workloads import Workload, training_products

ROUND_OPERATIONS, LEAST_STEPS, MOST_STEPS = 6e9, 4, 2_000  # a round: some 0.1 to 1 second


@dataclass(frozen=True)
class Sweep:
    """What changes, what stays, and the workload at each of its values."""

    name: str
    constant: str
    values: tuple[int, ...]
    workload: Callable[[int], Workload]


def steady(name: str, sizes: tuple[int, ...], batch: int, starts: int = 1) -> Workload:
    """A workload whose round is a bearable number of steps: one epoch of them."""
    steps = int(ROUND_OPERATIONS / (starts * training_products(sizes, batch)))
    steps = min(max(steps, LEAST_STEPS, math.ceil(10 / batch)), MOST_STEPS)
    return Workload(name, sizes, steps * batch, batch, starts=starts)


def _rows(n: int) -> Workload:
    batch = 250
    return Workload(f"rows {n}", (8, 64, 64, 1), n, batch, epochs=max(1, 100_000 // n))


def _width(n: int) -> Workload:
    return steady(f"width {n}", (64, n, n, 10), 128)


def _batch(n: int) -> Workload:
    return steady(f"batch {n}", (784, 128, 10), n)


def _starts(n: int) -> Workload:
    return steady(f"starts {n}", (8, 64, 64, 1), 32, n)


def _threads(n: int) -> Workload:
    return steady(f"threads {n}", (784, 512, 512, 10), 256)


def _powers(n: int) -> tuple[int, ...]:
    return tuple(sorted({2**i for i in range(n.bit_length()) if 2**i <= n} | {n}))


SWEEPS = [
    Sweep("rows", "8-64-64-1, batch 250", (1_000, 10_000, 100_000, 1_000_000), _rows),
    Sweep("width", "64-n-n-10, batch 128", (16, 64, 256, 1_024, 4_096), _width),
    Sweep("batch", "784-128-10", (1, 8, 64, 512, 4_096), _batch),
    Sweep("starts", "8-64-64-1, batch 32", (1, 4, 16, 64, 256), _starts),
    Sweep("threads", "784-512-512-10, batch 256", _powers(cores()), _threads),
]


def run(
    wanted: Sequence[Sweep],
    results: dict[str, Any],
    run_race: Callable[[Workload, list[int], bool], Race],
    threads: Sequence[int],
    save: Callable[[], None],
) -> None:
    """Race at every value of the sweeps; `results["sweeps"]` holds what came of it.

    Parameters
    ----------
    wanted : sequence of Sweep
    results : dict
    run_race : callable
        Takes a workload, the numbers of threads to try, and that slow peers are left out.
    threads : sequence of int
    save : callable
        Called after each race.
    """
    results["sweeps"] = []
    for sweep in wanted:
        points: list[dict[str, Any]] = []
        results["sweeps"].append({"name": sweep.name, "constant": sweep.constant, "points": points})
        for value in sweep.values:
            counts = [value] if sweep.name == "threads" else list(threads)
            points.append({"value": value} | record(run_race(sweep.workload(value), counts, True)))
            save()

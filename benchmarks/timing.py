"""Times several ways of doing the same, in turn, so that a machine that slows down slows them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round: A B A B ..., after one round that is not counted.

    Parameters
    ----------
    ways : mapping of str to callable
    rounds : int

    Returns
    -------
    dict of str to list of float
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for counted in range(-1, rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            if counted >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def median_ratio(slower: list[float], faster: list[float]) -> tuple[float, float, float]:
    """Median, least and greatest of the ratios of one round's times."""
    ratios = [a / b for a, b in zip(slower, faster, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)

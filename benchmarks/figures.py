"""From a race's seconds to figures: the best of each peer, ratios round by round, operations, shares of the peak."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.entrants import OURS
from benchmarks.race import Lane, Race
from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Ratio:
    """How many times as long as fallline a peer took: above 1 fallline is faster.

    Attributes
    ----------
    median, least, greatest : float
        Of the ratios of each round's times.
    label : str
        The peer's best setting.
    """

    median: float
    least: float
    greatest: float
    label: str


def best(lanes: list[Lane]) -> dict[str, Lane]:
    """The lane with the lowest median of each peer, fallline too."""
    found: dict[str, Lane] = {}
    for lane in lanes:
        peer = lane.entry.peer
        if peer not in found or lane.median < found[peer].median:
            found[peer] = lane
    return found


def ratio(theirs: Lane, ours: Lane) -> Ratio:
    """Of two lanes of one race."""
    each = [a / b for a, b in zip(theirs.seconds, ours.seconds, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each), theirs.entry.label)


def ratios(race: Race) -> dict[str, Ratio]:
    """Of every peer, best against best; empty where fallline itself failed."""
    found = best(race.timed)
    ours = found.pop(OURS, None)
    return {} if ours is None else {peer: ratio(lane, ours) for peer, lane in found.items()}


def flops(workload: Workload, seconds: float) -> float:
    """Operations a second of the matrix products, for a round of so many seconds; all else is counted as free."""
    return workload.operations * workload.steps / seconds


def share_of_peak(lane: Lane, workload: Workload) -> float | None:
    """What part of the machine's multiply-adds went into matrix products, the median of the rounds; None if unknown."""
    if not lane.peaks:
        return None
    return statistics.median(flops(workload, s) / p for s, p in zip(lane.seconds, lane.peaks, strict=True))


def unit(seconds: float) -> str:
    """Seconds, in a unit that suits them."""
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns"


def record(race: Race) -> dict[str, Any]:
    """A race as it is written to JSON: every single time, and what was derived from them."""
    bests = best(race.timed)
    ours = bests.get(OURS)
    return {
        "workload": asdict(race.workload) | {"title": race.workload.title, "steps_a_round": race.workload.steps},
        "operations": race.workload.operations,
        "load_before": race.load,
        "ratios": {peer: asdict(found) for peer, found in ratios(race).items()},
        "best_seconds": {peer: lane.median for peer, lane in bests.items()},
        "flops": None if ours is None else flops(race.workload, ours.median),
        "share_of_peak": None if ours is None else share_of_peak(ours, race.workload),
        "lanes": [asdict(lane) | {"label": lane.entry.label} for lane in race.lanes],
    }

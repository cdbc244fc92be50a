"""What is printed: a table for every race, and a summary of all."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.entrants import OURS
from benchmarks.figures import best, flops, ratio, ratios, share_of_peak, unit
from benchmarks.race import Race

SPINS = 0.05  # cores in use while it should have waited, above which a contender is named


def table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of columns as wide as their widest cell; the first `left` columns flush left, the others right.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of one length.
    left : int, default 1

    Returns
    -------
    list of str
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        lines.append("  ".join(f"{c:<{w}}" if i < left else f"{c:>{w}}" for i, (c, w) in enumerate(cells)).rstrip())
    return lines


def of_race(race: Race) -> list[str]:
    """One line for every contender, in the order of their times, then fallline's share of the peak."""
    workload, ours = race.workload, best(race.timed).get(OURS)
    rows = [
        [
            "",
            "a step" if workload.trains else "a call",
            "from",
            "to",
            "to ours",
            "start",
            "first",
            "set-up",
            "MB",
            "off by",
        ]
    ]
    for lane in sorted(race.timed, key=lambda lane: lane.median):
        times = [unit(seconds / workload.steps) for seconds in (lane.median, min(lane.seconds), max(lane.seconds))]
        times.append("" if ours is None else f"{ratio(lane, ours).median:.2f}")
        once = [f"{lane.start_seconds:.1f} s", unit(lane.first_seconds), unit(lane.set_up) if lane.set_up else ""]
        memory = "" if lane.memory is None else f"{lane.memory / 1e6:.0f}"
        rows.append([lane.entry.label, *times, *once, memory, f"{lane.difference:.0e}"])
    for lane in race.lanes:
        if lane.error:
            rows.append([lane.entry.label, "failed", *[""] * 8])
        elif lane.set_aside:
            rows.append([lane.entry.label, unit(lane.warm_seconds / workload.steps), "set aside", *[""] * 7])
    lines = [f"  {line}" for line in table(rows)]
    if ours is not None:
        share = share_of_peak(ours, workload)
        peak = "not measured" if share is None else f"{share:.0%} of what {ours.entry.threads} of its threads can do"
        lines.append(f"  fallline's matrix products: {flops(workload, ours.median) / 1e9:.1f} GFLOP/s; share: {peak}")
    spinning = [f"{lane.entry.label} {lane.idle:.2f}" for lane in race.timed if lane.idle > SPINS]
    if spinning:
        lines.append(f"  cores in use by those who waited for their turn: {', '.join(spinning)}")
    return lines


def summary(races: Sequence[Race]) -> list[str]:
    """How many times as long as fallline each peer took, its best setting against ours: a line for every workload."""
    found = [(race, ratios(race)) for race in races]
    peers = list(dict.fromkeys(peer for _, of in found for peer in of))
    rows = [["", OURS, *peers]]
    for race, of in found:
        ours = best(race.timed).get(OURS)
        cells = [f"{of[p].median:.1f} ({of[p].least:.1f}–{of[p].greatest:.1f})" if p in of else "–" for p in peers]
        rows.append([race.workload.title, "–" if ours is None else unit(ours.median / race.workload.steps), *cells])
    return table(rows)

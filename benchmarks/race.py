"""The race: checks every contender of a workload, then times them in turn: A B C A B C ..."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.contenders import Array, Entry
from benchmarks.contenders.fallline import descend, network, parameters_of
from benchmarks.worker import Child, ContenderError
from benchmarks.workloads import Workload

PAUSE = 0.05  # seconds between turns, in which the threads of whoever had the last turn go to sleep
PEAK_SECONDS = 0.1
HOPELESS = 4  # times as long as the best setting of the same peer: it cannot become its best, and holds up the others
TRAINED, PREDICTED = 1e-3, 1e-5  # how far off the parameters may be, and an output: see `difference`


@dataclass
class Lane:
    """What came of one contender.

    Attributes
    ----------
    entry : Entry
    error : str
        Why it was given up; empty if it was not.
    warm_seconds : float
        Of the round that does not count.
    set_aside : bool
        Not timed further after that round, since another setting of the same peer is far better.
    difference : float
        From the reference; see `difference`.
    start_seconds : float
        From the start of its process until its library was imported.
    first_seconds : float
        Of the first round or call, which compiles where something compiles.
    memory : int
        Bytes after the first round or call, at their peak.
    set_up : float
        Seconds of a round before its first step, which are not in `seconds`; 0 where they are or where there are none.
    seconds : list of float
        Of every round.
    peaks : list of float
        The machine's multiply-adds in FLOP/s on so many threads, measured after each of fallline's rounds.
    idle : float
        Cores in use while others had their turn.
    details : dict
        What it says about itself.
    """

    entry: Entry
    error: str = ""
    warm_seconds: float = float("nan")
    set_aside: bool = False
    difference: float = float("nan")
    start_seconds: float = float("nan")
    first_seconds: float = float("nan")
    memory: int | None = None
    set_up: float = 0.0
    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    idle: float = float("nan")
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median of its rounds."""
        return statistics.median(self.seconds)


@dataclass
class Race:
    """All lanes of a workload, and how busy the machine was with others' work before it."""

    workload: Workload
    lanes: list[Lane]
    load: float

    @property
    def timed(self) -> list[Lane]:
        """Lanes with all their rounds."""
        return [lane for lane in self.lanes if not (lane.error or lane.set_aside)]


def race(workload: Workload, entries: Sequence[Entry], rounds: int, say: Callable[[str], None]) -> Race:
    """Start, check and time every entry.

    Parameters
    ----------
    workload : Workload
    entries : sequence of Entry
    rounds : int
        Rounds that count; one that does not goes before them.
    say : callable
        Told what happens, a line each.

    Returns
    -------
    Race
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    net = network(workload)
    initial = np.stack([net.parameters, *(net.restart(k).parameters for k in range(1, workload.starts))])
    expected = reference(workload)
    lanes = [Lane(entry) for entry in entries]
    with contextlib.ExitStack() as stack:
        racing: list[tuple[Lane, Child]] = []
        for lane in lanes:
            with _given_up(lane, say):
                child = stack.enter_context(Child(lane.entry, workload, initial))
                lane.start_seconds, lane.first_seconds = child.start_seconds, child.first["seconds"]
                lane.memory, lane.details = child.first["memory"], child.first["details"]
                _check(lane, child.ask("check"), expected, workload)
                racing.append((lane, child))
        turns = [_warm_up, *[_turn] * rounds, _look_back]
        for turn in turns:
            for lane, child in racing:
                with _given_up(lane, say):
                    turn(lane, child)
            if turn is _warm_up:
                _set_aside([lane for lane, _ in racing if not lane.error])
            racing = [(lane, child) for lane, child in racing if not (lane.error or lane.set_aside)]
    return Race(workload, lanes, load)


@contextlib.contextmanager
def _given_up(lane: Lane, say: Callable[[str], None]) -> Any:
    """A contender that fails is out of the race; the others go on."""
    try:
        yield
    except ContenderError as error:
        lane.error = str(error)
        say(f"  {lane.entry.label} is not timed: {error}")


def _warm_up(lane: Lane, child: Child) -> None:
    time.sleep(PAUSE)
    lane.warm_seconds = child.ask("round")


def _turn(lane: Lane, child: Child) -> None:
    time.sleep(PAUSE)
    lane.seconds.append(child.ask("round"))
    if lane.entry.module == "fallline":
        peak = child.ask("peak", lane.entry.threads, PEAK_SECONDS)
        lane.peaks += [] if peak is None else [peak]


def _look_back(lane: Lane, child: Child) -> None:
    lane.idle, lane.set_up = child.ask("idle"), child.ask("set_up")


def _set_aside(lanes: list[Lane]) -> None:
    for lane in lanes:
        least = min(other.warm_seconds for other in lanes if other.entry.peer == lane.entry.peer)
        lane.set_aside = lane.warm_seconds > HOPELESS * least


def reference(workload: Workload) -> Array:
    """What every contender must come to, by fallline's NumPy engine in float64."""
    X, y = workload.data()
    net = network(workload, "float64")
    if not workload.trains:
        return net.forward(X).A[-1]
    n = workload.checked_rows
    return parameters_of(descend(workload, net, X[:n], y[:n], epochs=1, shuffle=False, engine="reference"))


def _check(lane: Lane, found: Array, expected: Array, workload: Workload) -> None:
    if found.shape != expected.shape:
        raise ContenderError(f"its answer has shape {found.shape}, not {expected.shape}")
    lane.difference = difference(found, expected, workload)
    allowed = TRAINED if workload.trains else PREDICTED
    if not lane.difference <= allowed:
        what = "parameters after the checked steps" if workload.trains else "outputs"
        raise ContenderError(f"its {what} are off by {lane.difference:.1e}, over the {allowed:.0e} allowed")


def difference(found: Array, expected: Array, workload: Workload) -> float:
    """How far off an answer is: of outputs the greatest difference, of parameters that of the worst start as a whole.

    As a whole: the sum of the absolute differences over that of the parameters. Little can be asked of a few of them:
    Adam makes a step of full length of a gradient that is nothing but rounding, and so it does of all the weights of a
    neuron for which one row lies so close to the bend of relu that rounding decides on which side.
    """
    if not workload.trains:
        return float(np.abs(found - expected).max())
    return float((np.abs(found - expected).sum(axis=1) / np.abs(expected).sum(axis=1)).max())

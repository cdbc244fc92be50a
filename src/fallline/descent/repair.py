"""Self-repair: a start whose loss became infinite goes back to its last good point, and on with half the step size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import Session, Start, State

Array = npt.NDArray[Any]

_NUMBERS = ("halvings", "given_up", "taken", "first", "lowest")
EVERY = 500  # steps between points worth going back to, at least: a copy costs about as much as a step


@dataclass
class Point:
    """Where the starts stood, each after a step of its own.

    Attributes
    ----------
    parameters : array of shape (K, P)
    moments : array of shape (n_moments, K, P)
    step : array of int, shape (K,)
    """

    parameters: Array
    moments: Array
    step: Array

    def take(self, which: Array, other: Point) -> None:
        """Replace some starts, shape (K,)."""
        np.copyto(self.parameters, other.parameters, where=which[:, None])
        np.copyto(self.moments, other.moments, where=which[:, None])
        np.copyto(self.step, other.step, where=which)

    def of_start(self, k: int) -> tuple[Array, State]:
        """Parameters of shape (1, P) and state of one start, for a session of its own."""
        return self.parameters[k : k + 1], State(int(self.step[k]), self.moments[:, k : k + 1])


@final
class GoodPoints:
    """What each start can go back to, and how often it did.

    The end of an epoch is a good point when the loss of the next one shows it: no higher than twice the lowest so far,
    or than a tenth of the first.

    Parameters
    ----------
    times : int
        That a start may go back; 0: nothing is kept to go back to.
    parameters : array of shape (K, P)
        The random starts, which are good points.
    n_moments : int
    """

    def __init__(self, times: int, parameters: Array, n_moments: int) -> None:
        self.times = times
        n_starts = len(parameters)
        self.halvings = np.zeros(n_starts, dtype=np.int64)
        self.given_up, self.taken = np.zeros((2, n_starts), dtype=bool)  # taken: `next`, as a good point
        self.first, self.lowest = np.full((2, n_starts), np.inf)
        if times:
            moments = np.zeros((n_moments, *parameters.shape), parameters.dtype)
            self.good = Point(parameters.copy(), moments, np.zeros(n_starts, dtype=np.int64))
        self.is_taken = False  # of all starts
        self.next: Point | None = None  # an end of an epoch that the next will judge

    def close_epoch(self, session: Session, parameters: Array, step: int, loss: Array) -> None:
        """Take note of an epoch's loss, shape (K,), NaN where a start diverged; and of where it ended."""
        if not self.times:
            return
        if self.first[0] == np.inf:
            self.first = loss.copy()
        if self.next is not None and not self.is_taken:  # seldom, for epochs may be short
            calm = loss <= np.fmax(self.lowest + np.abs(self.lowest), self.first / 10)
            self.good.take(calm & ~self.taken, self.next)
            self.taken |= calm
            self.is_taken = bool(self.taken.all())
        np.fmin(self.lowest, loss, out=self.lowest)
        if step - (0 if self.next is None else int(self.next.step[0])) >= EVERY:
            self.next = Point(parameters.copy(), session.state().moments, np.full(len(parameters), step))
            self.taken, self.is_taken = np.zeros_like(self.taken), False

    def tries(self, k: int, start: Start) -> list[Start]:
        """The start with half its step size, with a quarter, ...: as often as it may still go back."""
        left = range(1, self.times - int(self.halvings[k]) + 1)
        return [replace(start, learning_rate=start.learning_rate / 2**i) for i in left]

    def note(self, k: int, halvings: int) -> None:
        """A start went back, and on with a step size that was halved so often."""
        self.halvings[k] += halvings

    def give_up(self, which: Array) -> None:
        """These starts, shape (K,), have diverged for good."""
        self.halvings[which], self.given_up = self.times, which.copy()

    def state(self) -> dict[str, Array]:
        """All it knows, as arrays by name."""
        known = {name: getattr(self, name) for name in _NUMBERS}
        points = {"good": self.good if self.times else None, "next": self.next}
        return known | {
            f"{name}.{part}": getattr(point, part)
            for name, point in points.items()
            if point is not None
            for part in ("parameters", "moments", "step")
        }

    def resume(self, state: Mapping[str, Array]) -> None:
        """Go on from there."""
        for name in _NUMBERS:
            setattr(self, name, state[name].copy())
        self.is_taken = bool(self.taken.all())
        for name in ("good", "next"):
            if f"{name}.step" in state:
                parts = (state[f"{name}.{part}"].copy() for part in ("parameters", "moments", "step"))
                setattr(self, name, Point(*parts))

"""The recorder: points along a descent, for whoever wants to look at its path afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.listeners.listener import Epoch, Listener, Progress, Repair

Array = npt.NDArray[Any]

FEWEST_POINTS = 3  # however large the networks


@final
class Recorder(Listener):
    """Keeps the parameters at evenly spaced steps of a descent, the random start first.

    At first it keeps every step; when there are too many points it drops every other one, and from then on keeps one
    where it kept two. So a descent of any length has some 100 to 200 of them. The last step of the last epoch is always
    there.

    Parameters
    ----------
    most_points : int, default 200
    most_bytes : int, default 64 MiB
        For all points; of large networks fewer are kept.

    Attributes
    ----------
    steps : array of int, shape (T,)
        Steps that were taken before each point; 0 is the random start.
    points : array of shape (T, K, P)
        The parameters of each start.

    Raises
    ------
    ParameterError
        Fewer than 3 points.

    Examples
    --------
    >>> from fallline import Network, descend
    >>> recorder = Recorder()
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = descend(Network([1, 4, 1]), x, x[:, 0] ** 2, epochs=5, callbacks=recorder)
    >>> recorder.steps.tolist(), recorder.points.shape
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (11, 1, 13))
    """

    every: int = 1

    def __init__(self, most_points: int = 200, most_bytes: int = 64 << 20) -> None:
        if most_points < FEWEST_POINTS:
            raise ParameterError(f"most_points is {most_points}; it must be {FEWEST_POINTS} or more")
        self.most_points, self.most_bytes = most_points, most_bytes
        self._kept: list[tuple[int, Array]] = []
        self._last: tuple[int, Array] | None = None

    def on_begin(self, progress: Progress) -> None:
        """Forget an earlier descent; the random start is the first point."""
        first = progress.parameters()
        self.every = 1
        self._room = max(FEWEST_POINTS, min(self.most_points, self.most_bytes // first.nbytes))
        self._kept, self._last = [(0, first)], None

    def on_progress(self, progress: Progress) -> None:
        """Keep a point where it is time for one."""
        if progress.step % self.every or progress.step <= self._kept[-1][0]:  # less: a start is being set back
            return
        if len(self._kept) == self._room:
            self._kept = self._kept[::2]
            self.every *= 2
            if progress.step % self.every:
                return
        self._kept.append((progress.step, progress.parameters()))

    def on_epoch(self, epoch: Epoch) -> None:
        """The last point there is, so far."""
        if epoch.progress.step != self._kept[-1][0]:
            self._last = (epoch.progress.step, epoch.parameters())

    def on_repair(self, repair: Repair) -> None:
        """The start stood still at its good point until the end of the epoch."""
        for step, point in self.pairs:
            if step > repair.back_to:
                point[repair.start] = repair.parameters

    def state(self) -> dict[str, npt.ArrayLike]:
        """All points."""
        has_last = len(self.pairs) > len(self._kept)
        return {"every": self.every, "steps": self.steps, "points": self.points, "has_last": has_last}

    def resume(self, state: Mapping[str, Array]) -> None:
        """Go on from there."""
        self.every = int(state["every"])
        self._kept = list(zip(state["steps"].tolist(), state["points"].copy(), strict=True))
        self._last = self._kept.pop() if state["has_last"] else None

    def forget_after(self, step: int) -> None:
        """Drop the points of later steps, for a descent that goes back to that one."""
        self._kept = [kept for kept in self._kept if kept[0] <= step]
        if self._last is not None and self._last[0] > step:
            self._last = None

    @property
    def pairs(self) -> list[tuple[int, Array]]:
        """Each step with its point, shape (K, P), as they were kept: not copied."""
        last = self._last
        return list(self._kept) if last is None or last[0] <= self._kept[-1][0] else [*self._kept, last]

    @property
    def steps(self) -> Array:
        """Steps that were taken before each point, shape (T,)."""
        return np.array([step for step, _ in self.pairs], dtype=np.int64)

    @property
    def points(self) -> Array:
        """The parameters, shape (T, K, P)."""
        return np.stack([point for _, point in self.pairs]) if self._kept else np.empty((0, 0, 0))

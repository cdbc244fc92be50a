"""Early stopping: end a descent that no longer gets better, or whose longer cycles make it worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.listeners.listener import Epoch, Listener, Progress, is_better

Array = npt.NDArray[Any]


class EarlyStopping(Listener):
    """Stop when no start's loss has improved for some epochs.

    It watches the validation loss, or the training loss where there is no validation. The descent itself keeps the best
    parameters (see `descend`'s `keep`).

    Parameters
    ----------
    patience : int, default 10
        Epochs without improvement before a start counts as done; the descent stops when all are.
    min_delta : float, default 0
        What counts as an improvement, in units of the loss.

    Raises
    ------
    ParameterError
        patience below 1, or min_delta below 0.

    Examples
    --------
    >>> EarlyStopping(patience=5).patience
    5
    """

    stops_because = "no start got better any more"

    def __init__(self, patience: int = 10, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ParameterError(f"patience is {patience}; it must be 1 or more epochs")
        if min_delta < 0:
            raise ParameterError(f"min_delta is {min_delta}; it must be 0 or more")
        self.patience, self.min_delta = patience, min_delta

    def on_begin(self, progress: Progress) -> None:
        """Forget an earlier descent."""
        n_starts = len(progress.loss)
        self._best = np.full(n_starts, np.inf)
        self._best_epoch = np.zeros(n_starts, dtype=int)

    def on_epoch(self, epoch: Epoch) -> bool:
        """Compare with the best so far; True when every start has run out of patience."""
        better = is_better(epoch.monitored, self._best, self.min_delta)
        self._best[better] = epoch.monitored[better]
        self._best_epoch[better] = epoch.progress.epoch
        return bool((epoch.progress.epoch - self._best_epoch >= self.patience).all())

    def state(self) -> dict[str, npt.ArrayLike]:
        """The best so far of each start."""
        return {"best": self._best, "best_epoch": self._best_epoch}

    def resume(self, state: Mapping[str, Array]) -> None:
        """Go on from there."""
        self._best, self._best_epoch = state["best"].copy(), state["best_epoch"].copy()


class CycleStopping(Listener):
    """Stop at the end of a cycle of the learning rate that left the starts worse than the cycles before.

    Where the rate goes up and down in cycles that grow longer (`Coslog4`), networks are at their best at the end of
    each. If the starts' losses are higher after a longer one, by more than the standard error of the difference, more
    steps only learn the rows by heart. A single start knows no standard error, and is never stopped.

    Parameters
    ----------
    ends : sequence of float
        Shares of the epochs after which a cycle is over, but for the last.

    Examples
    --------
    >>> from fallline.schedules import Coslog4
    >>> [round(end, 2) for end in CycleStopping(Coslog4.cycle_ends).ends]
    [0.07, 0.2, 0.47]
    """

    stops_because = "a longer cycle of the learning rate made the networks worse"

    def __init__(self, ends: Sequence[float]) -> None:
        self.ends = tuple(ends)

    def on_begin(self, progress: Progress) -> None:
        """Forget an earlier descent."""
        self._epochs = {max(1, round(end * progress.n_epochs)) for end in self.ends}
        self._before, self._cycle = (np.full(len(progress.loss), np.inf) for _ in range(2))

    def on_epoch(self, epoch: Epoch) -> bool:
        """At the end of a cycle compare the lowest losses within it with those before."""
        self._cycle = np.fmin(self._cycle, epoch.monitored)
        if epoch.progress.epoch not in self._epochs:
            return False
        known = np.isfinite(self._cycle) & np.isfinite(self._before)
        worse: Array = self._cycle[known] - self._before[known]
        self._before = np.fmin(self._before, self._cycle)
        self._cycle = np.full_like(self._cycle, np.inf)
        return len(worse) > 1 and bool(worse.mean() > worse.std(ddof=1) / math.sqrt(len(worse)))

    def state(self) -> dict[str, npt.ArrayLike]:
        """The lowest losses of the cycles before, and of this one."""
        return {"before": self._before, "cycle": self._cycle}

    def resume(self, state: Mapping[str, Array]) -> None:
        """Go on from there."""
        self._before, self._cycle = state["before"].copy(), state["cycle"].copy()

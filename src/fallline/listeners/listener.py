"""What listens to a descent. Training tells what happens; printing, stopping and history are listeners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Progress:
    """Where a descent stands.

    Attributes
    ----------
    step, n_steps : int
        Steps taken, and steps there will be at most.
    epoch, n_epochs : int
        Epochs completed, and epochs there will be at most.
    loss : array of shape (K,)
        Mean training loss of each start since the epoch began.
    seconds : float
        Since the descent began.
    """

    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    loss: Array
    seconds: float


@dataclass(frozen=True)
class Epoch:
    """An epoch that is over.

    Attributes
    ----------
    progress : Progress
    rows : list of dict
        The history's new rows, one a start.
    monitored : array of shape (K,)
        What "best" goes by: the validation loss, or the training loss where there is no validation.
    parameters : callable
        Gives a copy of the parameters, shape `(K, P)`; costs nothing unless called.
    """

    progress: Progress
    rows: list[dict[str, Any]]
    monitored: Array
    parameters: Callable[[], Array]


class Listener:
    """Hears of a descent; override what you need. A method that returns True stops the descent.

    Examples
    --------
    >>> class Tell(Listener):
    ...     def on_epoch(self, epoch):
    ...         print(epoch.progress.epoch, epoch.rows[0]["loss"])
    """

    def on_begin(self, progress: Progress) -> None:
        """Before the first step."""

    def on_progress(self, progress: Progress) -> bool | None:
        """After each slice of steps, many times a second."""
        return None

    def on_epoch(self, epoch: Epoch) -> bool | None:
        """After each epoch."""
        return None

    def on_end(self, stop_reason: str) -> None:
        """After the last step: why, as in `Run.stop_reason`, or "failed" where an error ended the descent."""


def is_better(monitored: Array, best: Array, min_delta: float = 0.0) -> Array:
    """Where a loss beats the best so far by more than `min_delta`; NaN beats nothing."""
    return np.asarray(monitored < best - min_delta)

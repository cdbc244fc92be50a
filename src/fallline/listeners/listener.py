"""What listens to a descent. Training tells what happens; printing, stopping and history are listeners."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError

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
    parameters : callable
        Gives a copy of the parameters, shape `(K, P)`; costs nothing unless called.
    """

    step: int
    n_steps: int
    epoch: int
    n_epochs: int
    loss: Array
    seconds: float
    parameters: Callable[[], Array]


@dataclass(frozen=True)
class Epoch:
    """An epoch that is over.

    Attributes
    ----------
    progress : Progress
    columns : dict
        The history's new columns, in its order: arrays of shape (K,), or a number that all starts share.
    monitored : array of shape (K,)
        What "best" goes by: the validation loss, or the training loss where there is no validation.
    """

    progress: Progress
    columns: dict[str, Any]
    monitored: Array

    @property
    def parameters(self) -> Callable[[], Array]:
        """Gives a copy of the parameters, shape `(K, P)`; costs nothing unless called."""
        return self.progress.parameters

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history's new rows, one a start, JSON-serialisable."""
        return rows_of(self.columns)


@dataclass(frozen=True)
class Repair:
    """A start that was set back: its loss was no longer a finite number.

    Attributes
    ----------
    start : int
    step : int
        The step, from 0, whose loss was no longer finite.
    epoch : int
        That step's epoch, from 1, which the start has gone through again.
    back_to : int
        The step after which its parameters were good: from there it went on.
    learning_rate : float
        From there on; half of what it was, or less.
    parameters : array of shape (P,)
        Those after step `back_to`.
    """

    start: int
    step: int
    epoch: int
    back_to: int
    learning_rate: float
    parameters: Array


def rows_of(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Columns of an epoch as rows, one a start, of Python's own numbers.

    Examples
    --------
    >>> rows_of({"epoch": 3, "start": np.arange(2), "loss": np.array([0.5, 0.25])})
    [{'epoch': 3, 'start': 0, 'loss': 0.5}, {'epoch': 3, 'start': 1, 'loss': 0.25}]
    """
    n_starts = len(columns["start"])
    values = [value.tolist() if isinstance(value, np.ndarray) else [value] * n_starts for value in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


class Listener:
    """Hears of a descent; override what you need. A method that returns True stops the descent.

    Attributes
    ----------
    every : int or None
        A slice ends at each multiple of so many steps, whatever the time; None: when some time has passed.
    stops_because : str
        What `Run.message` says of a descent that this stopped.

    Examples
    --------
    >>> class Tell(Listener):
    ...     def on_epoch(self, epoch):
    ...         print(epoch.progress.epoch, epoch.rows[0]["loss"])
    """

    every: int | None = None
    stops_because = "a listener asked for it"

    def on_begin(self, progress: Progress) -> None:
        """Before the first step."""

    def on_progress(self, progress: Progress) -> bool | None:
        """After each slice of steps, many times a second."""
        return None

    def on_epoch(self, epoch: Epoch) -> bool | None:
        """After each epoch."""
        return None

    def on_repair(self, repair: Repair) -> None:
        """After a start was set back, before the end of its epoch."""

    def on_checkpoint(self, path: Path) -> None:
        """After a checkpoint was written to a file."""

    def on_end(self, stop_reason: str) -> None:
        """After the last step: why, as in `Run.stop_reason`, or "failed" where an error ended the descent."""

    def state(self) -> dict[str, npt.ArrayLike]:
        """What a checkpoint must hold of it, arrays or numbers by name; nothing where nothing is remembered."""
        return {}

    def resume(self, state: Mapping[str, Array]) -> None:
        """Go on from what `state` gave; comes after `on_begin`."""


def as_listeners(callbacks: Listener | Sequence[Listener]) -> tuple[Listener, ...]:
    """One listener or several as a tuple; ParameterError for what is none."""
    listeners = (callbacks,) if isinstance(callbacks, Listener) else tuple(callbacks)
    for listener in listeners:
        if not isinstance(listener, Listener):
            raise ParameterError(f"callbacks has {listener!r}; each must be a Listener, such as EarlyStopping()")
    return listeners


def heard(listeners: Sequence[Listener]) -> dict[str, list[Callable[[Any], bool | None]]]:
    """For each event the listeners' methods, without those that were left as they are and do nothing."""
    return {
        event: [
            getattr(listener, event)
            for listener in listeners
            if getattr(getattr(listener, event), "__func__", None) is not getattr(Listener, event)
        ]
        for event in ("on_begin", "on_progress", "on_epoch", "on_repair", "on_checkpoint", "on_end")
    }


def is_better(monitored: Array, best: Array, min_delta: float = 0.0) -> Array:
    """Where a loss beats the best so far by more than `min_delta`; NaN beats nothing."""
    return np.asarray(monitored < best - min_delta)

"""What a time is enough for: how many epochs of how many starts, and where a descent must end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fallline.errors import ParameterError
from fallline.listeners import Listener, Progress
from fallline.run import Run

TRIAL_SHARE, LONGEST_TRIAL = 0.03, 1.0  # of the time; seconds
PLANNED_SHARE = 0.8  # of the time left; the rest is for measuring, the linear model and what was misjudged
MOST_STARTS, MOST_TIMES_EPOCHS = 32, 4  # that more time is used for
LEAST_SECONDS = 0.05  # less is no descent


class Deadline(Listener):
    """Stop a descent at some moment.

    Parameters
    ----------
    moment : float
        As `time.perf_counter` counts.
    """

    stops_because = "the time was over"

    def __init__(self, moment: float) -> None:
        self.moment = moment

    def on_progress(self, progress: Progress) -> bool:
        """Look at the clock after each slice."""
        return time.perf_counter() >= self.moment


class _Trial(Listener):
    """Stop soon, and know how fast it went."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.steps_per_second = seconds, math.nan
        self.waited = 0.0  # for the first rows of a stream

    def on_progress(self, progress: Progress) -> bool:
        if not progress.step:
            self.waited = progress.seconds
            return False
        seconds = progress.seconds - self.waited
        self.steps_per_second = progress.step / max(seconds, 1e-6)
        return seconds >= self.seconds


@dataclass(frozen=True)
class Budget:
    """The seconds that a fit may take, from a moment on.

    Parameters
    ----------
    seconds : float
    began : float
        As `time.perf_counter` counts.
    """

    seconds: float
    began: float

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.began

    @property
    def deadline(self) -> float:
        """The moment when all must be over."""
        return self.began + self.seconds

    @property
    def left(self) -> float:
        """Seconds until then."""
        return max(0.0, self.deadline - time.perf_counter())

    def choose(
        self,
        asked: Mapping[str, Any],
        settled: Mapping[str, Any],
        n_rows: int,
        descend: Callable[[Listener], Run],
        seconds_to_read: Callable[[], float] = float,
    ) -> dict[str, Any]:
        """Choose starts and epochs, of what was not asked for, that fill the time.

        What time there is, over what the recipe wants, goes to starts and to epochs alike: each gets the square root of
        it (docs/design/recipe.md has what else was tried).

        Parameters
        ----------
        asked, settled : mapping
            Settings as the user gave them, and as the recipe settled them.
        n_rows : int
            Rows to train on.
        descend : callable
            Goes down as settled, with one more listener.
        seconds_to_read : callable, optional
            Gives, once it has gone down, what reading the rows of an epoch takes, which happens at the same time.

        Returns
        -------
        dict
            Of starts and epochs.

        Raises
        ------
        ParameterError
            The time is over already.
        KeyboardInterrupt
            Ctrl-C came before anything was learned.
        """
        if self.left < LEAST_SECONDS:
            raise ParameterError(
                f"time_budget is {self.seconds:g} s, which reading and encoding {n_rows} rows takes already; give more"
            )
        trial = _Trial(min(LONGEST_TRIAL, TRIAL_SHARE * self.left))
        if descend(trial).stop_reason == "interrupted":
            raise KeyboardInterrupt
        starts, epochs, seconds = settled["starts"], settled["epochs"], PLANNED_SHARE * self.left
        learning = math.ceil(n_rows / min(settled["batch_size"], n_rows)) / trial.steps_per_second  # of an epoch
        reading = seconds_to_read()
        if 1 <= seconds / (epochs * max(learning, reading)) < 2:
            return {"starts": starts, "epochs": epochs}
        if asked["starts"] == "auto":
            enough = seconds / (epochs * learning)  # fewer starts are not read faster
            share = math.sqrt(enough) if asked["epochs"] == "auto" else enough
            starts = max(1, min(MOST_STARTS, round(starts * share)))
        if asked["epochs"] == "auto":
            fitting = seconds / max(learning * starts / settled["starts"], reading)
            epochs = max(1, int(min(fitting, epochs * MOST_TIMES_EPOCHS)))
        return {"starts": starts, "epochs": epochs}

"""The thread that advances an experiment, and does between two slices of steps what others ask for."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, final

from fallline.errors import ParameterError
from fallline.studio.experiment import Experiment

T = TypeVar("T")

SLICE_SECONDS = 0.02  # how long others wait at most, but for a step or a measurement that takes longer
MANY_STEPS = 1 << 20  # for one slice
MEMORY = 0.9  # of the rate of steps, from slice to slice


@final
class Trainer:
    """Runs an experiment in a thread of its own, which alone touches it.

    Parameters
    ----------
    experiment : Experiment

    Attributes
    ----------
    version : int
        Grows with every change: steps, actions, running or not.
    message : str
        Why the last steps could not be taken, such as a lack of memory; "" where they could.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._asked: deque[tuple[Callable[[Experiment], Any], Future[Any], bool]] = deque()
        self._there_is_work = threading.Condition()
        self._left = 0.0  # steps to take before the next rest
        self._wait_for_rest: list[Future[None]] = []
        self._closed = False
        self._rate = 0.0
        self.version = 0
        self.message = ""
        self._thread = threading.Thread(target=self._work, name="fallline-trainer", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether steps are being taken."""
        return self._left > 0

    @property
    def steps_per_second(self) -> float:
        """Of the last slices; 0 at rest."""
        return self._rate if self.is_running else 0.0

    def ask(self, do: Callable[[Experiment], T], changes: bool = False) -> Future[T]:
        """Have something done with the experiment between two slices.

        Parameters
        ----------
        do : callable
            `experiment -> result`.
        changes : bool, default False
            Whether others will want to look again.

        Returns
        -------
        Future
            Of the result, or of what it raised.
        """
        future: Future[T] = Future()
        with self._there_is_work:
            if self._closed:
                raise ParameterError("the studio is closed")
            self._asked.append((do, future, changes))
            self._there_is_work.notify()
        return future

    def run(self) -> Future[None]:
        """Take steps until told otherwise."""
        return self.ask(lambda experiment: self._take(math.inf), changes=True)

    def pause(self) -> Future[None]:
        """Rest; when the result is there, no step is under way."""
        return self.ask(lambda experiment: self._take(0), changes=True)

    def step(self, n: int, unit: str = "batch") -> Future[None]:
        """Take so many batches, or go to the end of so many epochs; the result is there when there is rest again."""
        rest: Future[None] = Future()

        def take(experiment: Experiment) -> None:
            spe = experiment.steps_per_epoch
            self._take(n if unit == "batch" else n * spe - experiment.step % spe)
            self._wait_for_rest.append(rest)

        self.ask(take, changes=True)
        return rest

    def replace(self, experiment: Experiment) -> Future[None]:
        """Go on with another experiment, at rest."""

        def put(_: Experiment) -> None:
            self._take(0)
            self._experiment = experiment

        return self.ask(put, changes=True)

    def close(self) -> None:
        """End the thread after the slice under way."""
        with self._there_is_work:
            self._closed = True
            self._there_is_work.notify()
        self._thread.join()

    def _take(self, n_steps: float) -> None:
        self._left, self._rate, self.message = n_steps, 0.0, ""
        self._tell_rest()

    def _tell_rest(self) -> None:
        """Whoever waits for the steps to end hears of it, also where something else came between."""
        for rest in self._wait_for_rest:
            rest.set_result(None)
        self._wait_for_rest.clear()

    def _work(self) -> None:
        while True:
            with self._there_is_work:
                self._there_is_work.wait_for(lambda: self._closed or self._asked or self.is_running)
                if self._closed:
                    return
                asked = list(self._asked)
                self._asked.clear()
            for do, future, changes in asked:
                self._do(do, future)
                self.version += changes
            if self.is_running:
                self._advance()
                self.version += 1

    def _do(self, do: Callable[[Experiment], T], future: Future[T]) -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(do(self._experiment))
            except Exception as error:  # whoever asked hears of it
                future.set_exception(error)

    def _advance(self) -> None:
        began = time.perf_counter()
        try:
            taken = self._experiment.advance(int(min(self._left, MANY_STEPS)), SLICE_SECONDS)
        except Exception as error:  # the page hears of it, and this thread goes on
            self._take(0)
            self.message = str(error) or type(error).__name__
            return
        rate = taken / max(time.perf_counter() - began, 1e-9)
        self._rate = rate if self._rate == 0 else MEMORY * self._rate + (1 - MEMORY) * rate
        self._left = 0.0 if self._experiment.diverged else self._left - taken
        if not self.is_running:
            self._tell_rest()

"""The thread that advances an experiment, and does between two slices of steps what others ask for."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import final

from fallline.errors import ParameterError
from fallline.live.control import Control, Subject
from fallline.live.experiment import Experiment

SLICE_SECONDS = 0.02  # how long others wait at most, but for a step or a measurement that takes longer
MANY_STEPS = 1 << 20  # for one slice


@final
class Trainer(Control):
    """Runs an experiment in a thread of its own, which alone touches it.

    Parameters
    ----------
    experiment : Experiment
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__()
        self._experiment = experiment
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="fallline-trainer", daemon=True)
        self._thread.start()

    @property
    def _subject(self) -> Subject:
        return self._experiment

    def _refuse(self) -> None:
        if self._closed:
            raise ParameterError("the studio is closed")

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

    def _work(self) -> None:
        while True:
            with self._there_is_work:
                self._there_is_work.wait_for(lambda: self._closed or self._asked or self.is_running)
                if self._closed:
                    return
            self._answer()
            if self.is_running:
                self._advance()

    def _advance(self) -> None:
        began = time.perf_counter()
        try:
            taken = self._experiment.advance(int(min(self._left, MANY_STEPS)), SLICE_SECONDS)
        except Exception as error:  # the page hears of it, and this thread goes on
            self._take(0)
            self.message = str(error) or type(error).__name__
            self.version += 1
            return
        self._took(taken, time.perf_counter() - began, self._experiment.diverged)

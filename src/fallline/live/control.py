"""What others ask of a descent: to be looked at between two slices of its steps, to go on, to rest."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from fallline.live.journal import Journal
from fallline.live.view import View

T = TypeVar("T")

MEMORY = 0.9  # of the rate of steps, from slice to slice


class Subject(Protocol):
    """What can be asked for: a descent in hand, or a program's."""

    @property
    def step(self) -> int:
        """Steps that were taken."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches that visit every row once."""

    @property
    def journal(self) -> Journal:
        """What it follows from."""

    def apply(self, do: str, **arguments: Any) -> None:
        """Do something to it."""

    def state(self) -> dict[str, Any]:
        """Where it stands."""

    def view(self) -> View:
        """A copy to look at."""


class Control(ABC):
    """Questions to a descent are queued, and answered by the one thread that takes its steps.

    Attributes
    ----------
    version : int
        Grows with every change: steps, actions, running or not.
    message : str
        Why the last steps could not be taken, such as a lack of memory; "" where they could.
    """

    def __init__(self) -> None:
        self._asked: deque[tuple[Callable[[Any], Any], Future[Any], bool]] = deque()
        self._there_is_work = threading.Condition()
        self._left = 0.0  # steps to take before the next rest
        self._wait_for_rest: list[Future[None]] = []
        self._rate = 0.0
        self.version = 0
        self.message = ""

    @property
    @abstractmethod
    def _subject(self) -> Subject:
        """What they ask of."""

    @abstractmethod
    def _refuse(self) -> None:
        """Raise ParameterError where nobody is left to answer."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more is asked."""

    @property
    def is_running(self) -> bool:
        """Whether steps are being taken."""
        return self._left > 0

    @property
    def steps_per_second(self) -> float:
        """Of the last slices; 0 at rest."""
        return self._rate if self.is_running else 0.0

    def ask(self, do: Callable[[Any], T], changes: bool = False) -> Future[T]:
        """Have something done with the descent between two slices.

        Parameters
        ----------
        do : callable
            `subject -> result`.
        changes : bool, default False
            Whether others will want to look again.

        Returns
        -------
        Future
            Of the result, or of what it raised.
        """
        future: Future[T] = Future()
        with self._there_is_work:
            self._refuse()
            self._asked.append((do, future, changes))
            self._there_is_work.notify()
        return future

    def run(self) -> Future[None]:
        """Take steps until told otherwise."""
        return self.ask(lambda subject: self._take(math.inf), changes=True)

    def pause(self) -> Future[None]:
        """Rest; when the result is there, no step is under way."""
        return self.ask(lambda subject: self._take(0), changes=True)

    def step(self, n: int, unit: str = "batch") -> Future[None]:
        """Take so many batches, or go to the end of so many epochs; the result is there when there is rest again."""
        rest: Future[None] = Future()

        def take(subject: Subject) -> None:
            spe = subject.steps_per_epoch
            self._take(n if unit == "batch" else n * spe - subject.step % spe)
            self._wait_for_rest.append(rest)

        def tell(taken: Future[None]) -> None:
            if (error := taken.exception()) is not None:
                rest.set_exception(error)

        self.ask(take, changes=True).add_done_callback(tell)
        return rest

    def _take(self, n_steps: float) -> None:
        self._left, self._rate, self.message = n_steps, 0.0, ""
        self._tell_rest()

    def _tell_rest(self) -> None:
        """Whoever waits for the steps to end hears of it, also where something else came between."""
        for rest in self._wait_for_rest:
            rest.set_result(None)
        self._wait_for_rest.clear()

    def _took(self, n_steps: int, seconds: float, is_over: bool) -> None:
        """Take note of steps that were taken."""
        rate = n_steps / max(seconds, 1e-9)
        self._rate = rate if self._rate == 0 else MEMORY * self._rate + (1 - MEMORY) * rate
        self._left = 0.0 if is_over else self._left - n_steps
        if not self.is_running:
            self._tell_rest()
        self.version += 1

    def _answer(self) -> None:
        """Do what was asked so far; called by the thread that takes the steps."""
        with self._there_is_work:
            asked = list(self._asked)
            self._asked.clear()
        for do, future, changes in asked:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(do(self._subject))
                except Exception as error:  # whoever asked hears of it
                    future.set_exception(error)
            self.version += changes

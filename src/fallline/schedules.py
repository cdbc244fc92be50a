"""Schedules: what the learning rate is multiplied by, as a function of the share of the training that is done.

A schedule is data plus one function, `factor(t)` for `t` in [0, 1): step `i` of `n` has `t = i / n`, so a schedule
means the same whatever the number of rows, batches and epochs. Where `factor(0)` is 0 the first step moves nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError, did_you_mean

Array = npt.NDArray[Any]


class Schedule(ABC):
    """What all schedules share; each subclass is final."""

    name: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def factor(self, t: Array) -> Array:
        """What the learning rate is multiplied by.

        Parameters
        ----------
        t : array of float64
            Share of the training that is done, from 0 up to 1.

        Returns
        -------
        array of float64, shape of t, 0 or more
        """


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate stays."""

    name = "constant"
    source = "Robbins & Monro 1951"

    def factor(self, t: Array) -> Array:
        return np.ones_like(t)


@final
@dataclass(frozen=True)
class Step(Schedule):
    """The learning rate is multiplied by `drop` at each of some moments.

    Parameters
    ----------
    at : tuple of float, default (0.5, 0.75)
        Moments, as shares of the training; a single number is taken for a tuple of one.
    drop : float, default 0.1
    """

    at: tuple[float, ...] = (0.5, 0.75)
    drop: float = 0.1
    name = "step"
    source = "He et al. 2016, Deep residual learning"

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", (self.at,) if isinstance(self.at, float) else tuple(self.at))
        _require(all(0 < moment < 1 for moment in self.at), "step's at", self.at, "moments between 0 and 1")
        _require(self.drop > 0, "step's drop", self.drop, "positive")

    def factor(self, t: Array) -> Array:
        moments = np.asarray(self.at)
        return np.asarray(self.drop ** (t[..., None] >= moments).sum(axis=-1))


@final
@dataclass(frozen=True)
class Exponential(Schedule):
    """The learning rate falls by the same share each step, down to `final` of itself.

    Parameters
    ----------
    final : float, default 0.01
    """

    final: float = 0.01
    name = "exponential"
    source = "Bottou 2012, Stochastic gradient descent tricks"

    def __post_init__(self) -> None:
        _require(0 < self.final < np.inf, "exponential's final", self.final, "positive")

    def factor(self, t: Array) -> Array:
        return np.asarray(self.final**t)


@final
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to `final`.

    Parameters
    ----------
    final : float, default 0
    """

    final: float = 0.0
    name = "cosine"
    source = "Loshchilov & Hutter 2017, SGDR"

    def __post_init__(self) -> None:
        _require(self.final >= 0, "cosine's final", self.final, "0 or more")

    def factor(self, t: Array) -> Array:
        return np.asarray(self.final + (1 - self.final) * 0.5 * (1 + np.cos(np.pi * t)))


@final
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine up from `first` to 1, then half a cosine down to `final`.

    Parameters
    ----------
    peak : float, default 0.3
        Moment of the full learning rate, as a share of the training.
    first : float, default 0.04
    final : float, default 4e-6
    """

    peak: float = 0.3
    first: float = 0.04
    final: float = 4e-6
    name = "one_cycle"
    source = "Smith & Topin 2018, Super-convergence"

    def __post_init__(self) -> None:
        _require(0 < self.peak < 1, "one_cycle's peak", self.peak, "between 0 and 1")
        _require(self.first >= 0, "one_cycle's first", self.first, "0 or more")
        _require(self.final >= 0, "one_cycle's final", self.final, "0 or more")

    def factor(self, t: Array) -> Array:
        up = self.first + (1 - self.first) * 0.5 * (1 - np.cos(np.pi * t / self.peak))
        down = self.final + (1 - self.final) * 0.5 * (1 + np.cos(np.pi * (t - self.peak) / (1 - self.peak)))
        return np.where(t < self.peak, up, down)


@final
@dataclass(frozen=True)
class Coslog4(Schedule):
    """Four cosine cycles that grow longer, from 0 to 1 and back: `(1 - cos(2 pi log2(1 + 15 t))) / 2`."""

    name = "coslog4"
    source = "Holzmueller, Grinsztajn & Steinwart 2024, Better by default (RealMLP)"
    cycle_ends = (1 / 15, 3 / 15, 7 / 15)  # where the factor is 0, but for the end

    def factor(self, t: Array) -> Array:
        return np.asarray(0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))))


@final
@dataclass(frozen=True)
class WarmUp(Schedule):
    """A straight rise from 0 over the first part of the training, times another schedule.

    Parameters
    ----------
    share : float, default 0.05
        Length of the rise, as a share of the training.
    then : Schedule or str, default Constant()
        Multiplied with the rise, from the first step on.
    """

    share: float = 0.05
    then: Schedule | str = Constant()
    name = "warm_up"
    source = "Goyal et al. 2017, Accurate, large minibatch SGD"

    def __post_init__(self) -> None:
        object.__setattr__(self, "then", as_schedule(self.then))
        _require(0 < self.share < 1, "warm_up's share", self.share, "between 0 and 1")

    def factor(self, t: Array) -> Array:
        return np.minimum(t / self.share, 1.0) * as_schedule(self.then).factor(t)


SCHEDULES: dict[str, type[Schedule]] = {
    schedule.name: schedule for schedule in (Constant, Step, Exponential, Cosine, OneCycle, Coslog4, WarmUp)
}


def as_schedule(schedule: Schedule | str) -> Schedule:
    """The schedule meant by a name or by a `Schedule`.

    Examples
    --------
    >>> import numpy as np
    >>> as_schedule("cosine").factor(np.array([0.0, 0.5])).round(3)
    array([1. , 0.5])
    """
    if isinstance(schedule, Schedule):
        return schedule
    if schedule not in SCHEDULES:
        raise ParameterError(f"schedule {schedule!r} is unknown{did_you_mean(schedule, SCHEDULES)}")
    return SCHEDULES[schedule]()


def settings(schedule: Schedule) -> dict[str, Any]:
    """The schedule's name and settings, for headers and messages; of one of your own the name of its class.

    Examples
    --------
    >>> settings(Exponential(0.1))
    {'name': 'exponential', 'final': 0.1}
    """
    if SCHEDULES.get(getattr(schedule, "name", "")) is not type(schedule):
        return {"own": type(schedule).__name__}
    values = {field.name: getattr(schedule, field.name) for field in fields(schedule)}  # type: ignore[arg-type]
    return {"name": schedule.name} | {
        name: settings(value) if isinstance(value, Schedule) else value for name, value in values.items()
    }


def _require(condition: bool, what: str, value: object, allowed: str) -> None:
    if not condition:
        raise ParameterError(f"{what} is {value!r}; it must be {allowed}")


class Factors:
    """The factors of a descent's steps; the schedule is asked for many steps at once, since epochs may be short.

    Parameters
    ----------
    schedule : Schedule
    n_steps : int
        Of the whole descent.
    """

    AHEAD = 1024  # steps

    def __init__(self, schedule: Schedule, n_steps: int) -> None:
        self._schedule, self._n_steps = schedule, n_steps
        self._ahead, self._first = np.empty(0), 0  # factors from some step on

    def of_steps(self, first: int, end: int) -> Array:
        """Those from step `first` up to `end`, shape (end - first,); ParameterError where one is below 0 or none."""
        if first < self._first or end > self._first + len(self._ahead):
            self._first = first // self.AHEAD * self.AHEAD  # whoever asks from where gets the same bits
            self._ahead = np.concatenate(
                [self._from(at) for at in range(self._first, max(end, self._first + 1), self.AHEAD)]
            )
        return self._ahead[first - self._first : end - self._first]

    def _from(self, first: int) -> Array:
        t = np.arange(first, min(self._n_steps, first + self.AHEAD), dtype=np.float64) / self._n_steps
        factors = np.asarray(self._schedule.factor(t), dtype=np.float64)
        if factors.shape != t.shape or not (np.isfinite(factors) & (factors >= 0)).all():
            kind = type(self._schedule).__name__
            raise ParameterError(f"the schedule {kind} must give a finite number, 0 or more, for each moment")
        return factors

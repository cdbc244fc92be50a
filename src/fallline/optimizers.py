"""Step rules: how a gradient becomes a step. Each is data (its settings) plus two functions, `init_state` and `update`.

A rule maps (parameters, gradient, state, learning rate, step number) to new parameters and state, and knows nothing
else: the loop, the schedule, the stopping and the printing live elsewhere. `native/kernels/steps.inl.hpp` says the same
in C++. Weight decay is decoupled (Loshchilov & Hutter 2019): it shrinks the weights, not the biases, by
`learning_rate * weight_decay` a step, whatever the rule, and is never divided by the number of rows.

Learning rate and weight decay may be sequences, one number for each start of a descent: a sweep in one call.

>>> import numpy as np
>>> theta, rule = np.array([1.0]), SGD(0.1)
>>> rule.update(theta, 2 * theta, rule.init_state(theta), rule.learning_rate, step=1)
>>> theta
array([0.8])
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError, did_you_mean

Array = npt.NDArray[Any]

PerStart = float | Sequence[float] | Array  # one number for all starts, or a sequence of one for each
_PER_START = ("learning_rate", "weight_decay")


class StepRule(ABC):
    """What all step rules share; each subclass is final.

    Attributes
    ----------
    name : str
        The name that users type.
    learning_rate : float or tuple of float
        Length of a step relative to the gradient; positive. A schedule multiplies it.
    weight_decay : float or tuple of float
        Share of each weight, times the learning rate, that a step takes away; 0 or more.
    n_moments : int
        Blocks of the size of the parameters that the rule remembers.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    learning_rate: PerStart
    weight_decay: PerStart

    @property
    @abstractmethod
    def n_moments(self) -> int:
        """Blocks of the size of the parameters that the rule remembers."""

    def init_state(self, parameters: Array) -> list[Array]:
        """State before the first step: `n_moments` blocks of zeros, each of the parameters' shape."""
        return [np.zeros_like(parameters) for _ in range(self.n_moments)]

    @abstractmethod
    def update(self, parameters: Array, gradient: Array, state: list[Array], learning_rate: float, step: int) -> None:
        """Take one step, in place.

        Parameters
        ----------
        parameters, gradient : array of shape (P,)
        state : list of arrays of shape (P,)
            As `init_state` made it; changed in place.
        learning_rate : float
            Of this step.
        step : int
            Number of this step, from 1.
        """

    def __post_init__(self) -> None:
        for name in _PER_START:
            object.__setattr__(self, name, as_per_start(getattr(self, name)))
        for field in fields(self):  # type: ignore[arg-type]
            self._check(field.name, _is_finite, "a finite number")
        self._check("learning_rate", lambda rate: rate > 0, "positive")
        self._check("weight_decay", lambda decay: decay >= 0, "0 or more")

    def _check(self, name: str, fits: Callable[[float], bool], allowed: str) -> None:
        """Refuse a setting that does not fit, or the first start's number of it that does not."""
        value = getattr(self, name)
        if name not in _PER_START or not isinstance(value, tuple):
            _require(fits(value), self, name, allowed)
            return
        _require(len(value) > 0, self, name, "a number, or one for each start")
        for k, number in enumerate(value):
            if not fits(number):
                raise ParameterError(f"{self.name}'s {name} is {number!r} for start {k}; it must be {allowed}")


@final
@dataclass(frozen=True)
class SGD(StepRule):
    """Gradient descent: against the gradient, with momentum if asked for.

    With all rows in a batch it is full-batch gradient descent, with one row a batch the stochastic kind.
    `v = momentum * v + g`, then `theta -= learning_rate * v`, or with Nesterov's look-ahead
    `theta -= learning_rate * (g + momentum * v)`.

    Parameters
    ----------
    learning_rate : float or sequence of float, default 0.1
    momentum : float, default 0
        Share of the velocity kept from step to step, from 0 up to, not including, 1.
    nesterov : bool, default False
    weight_decay : float or sequence of float, default 0
    """

    learning_rate: PerStart = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: PerStart = 0.0
    name = "sgd"
    source = "Robbins & Monro 1951; Polyak 1964; Nesterov 1983, in the form of Sutskever et al. 2013"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.momentum < 1, self, "momentum", "at least 0 and below 1")
        _require(self.momentum > 0 or not self.nesterov, self, "nesterov", "False without momentum")

    @property
    def n_moments(self) -> int:
        """The velocity, where there is momentum."""
        return 1 if self.momentum else 0

    def update(self, parameters: Array, gradient: Array, state: list[Array], learning_rate: float, step: int) -> None:
        if not state:
            parameters -= learning_rate * gradient
            return
        (v,) = state
        v *= self.momentum
        v += gradient
        parameters -= learning_rate * (gradient + self.momentum * v if self.nesterov else v)


@final
@dataclass(frozen=True)
class RMSprop(StepRule):
    """Gradient divided by the root of its running mean square.

    `v = rho * v + (1 - rho) * g^2`, then `theta -= learning_rate * g / (sqrt(v) + epsilon)`.

    Parameters
    ----------
    learning_rate : float or sequence of float, default 1e-3
    rho : float, default 0.9
        Memory of the mean square, from 0 up to, not including, 1.
    epsilon : float, default 1e-8
    weight_decay : float or sequence of float, default 0
    """

    learning_rate: PerStart = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8
    weight_decay: PerStart = 0.0
    name = "rmsprop"
    source = "Hinton 2012, Neural Networks for Machine Learning, lecture 6e"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.rho < 1, self, "rho", "at least 0 and below 1")
        _require(self.epsilon > 0, self, "epsilon", "positive")

    @property
    def n_moments(self) -> int:
        """The mean square."""
        return 1

    def update(self, parameters: Array, gradient: Array, state: list[Array], learning_rate: float, step: int) -> None:
        (v,) = state
        v *= self.rho
        v += (1 - self.rho) * gradient * gradient
        parameters -= learning_rate * gradient / (np.sqrt(v) + self.epsilon)


@final
@dataclass(frozen=True)
class Adam(StepRule):
    """Running mean of the gradient over the root of its running mean square, both corrected for their start at 0.

    `m = beta1 * m + (1 - beta1) * g`, `v = beta2 * v + (1 - beta2) * g^2`, then
    `theta -= learning_rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)`.

    Parameters
    ----------
    learning_rate : float or sequence of float, default 1e-3
    beta1, beta2 : float, default 0.9, 0.999
        Memory of the mean and of the mean square, from 0 up to, not including, 1.
    epsilon : float, default 1e-8
    weight_decay : float or sequence of float, default 0
        Above 0 this is AdamW.
    epsilon_hat : bool, default False
        Add epsilon to the root before that is corrected, which makes it weigh more in the first steps: the faster form
        at the end of section 2 of the source, and scikit-learn's.
    """

    learning_rate: PerStart = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: PerStart = 0.0
    epsilon_hat: bool = False
    name = "adam"
    source = "Kingma & Ba 2015, algorithm 1"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.beta1 < 1, self, "beta1", "at least 0 and below 1")
        _require(0 <= self.beta2 < 1, self, "beta2", "at least 0 and below 1")
        _require(self.epsilon > 0, self, "epsilon", "positive")
        _require(isinstance(self.epsilon_hat, bool), self, "epsilon_hat", "True or False")

    @property
    def n_moments(self) -> int:
        """The mean and the mean square."""
        return 2

    def update(self, parameters: Array, gradient: Array, state: list[Array], learning_rate: float, step: int) -> None:
        m, v = state
        m *= self.beta1
        m += (1 - self.beta1) * gradient
        v *= self.beta2
        v += (1 - self.beta2) * gradient * gradient
        m_hat, v_hat = m / (1 - self.beta1**step), v / (1 - self.beta2**step)
        epsilon = self.epsilon / math.sqrt(1 - self.beta2**step) if self.epsilon_hat else self.epsilon
        parameters -= learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)


def AdamW(
    learning_rate: PerStart = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: PerStart = 0.01,
) -> Adam:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): `Adam` with another default.

    Examples
    --------
    >>> AdamW(weight_decay=0.02) == Adam(weight_decay=0.02)
    True
    """
    return Adam(learning_rate, beta1, beta2, epsilon, weight_decay)


RULES: dict[str, type[StepRule]] = {rule.name: rule for rule in (SGD, RMSprop, Adam)}


def as_rule(optimizer: StepRule | str) -> StepRule:
    """The step rule meant by a name ("sgd", "rmsprop", "adam", "adamw") or by a `StepRule`."""
    if isinstance(optimizer, StepRule):
        return optimizer
    if optimizer == "adamw":
        return AdamW()
    if optimizer not in RULES:
        raise ParameterError(f"optimizer {optimizer!r} is unknown{did_you_mean(optimizer, [*RULES, 'adamw'])}")
    return RULES[optimizer]()


def as_per_start(value: Any) -> Any:
    """A sequence as a tuple of numbers, one for each start; anything else as it is.

    Examples
    --------
    >>> as_per_start(np.array([0.1, 0.3])), as_per_start([1]), as_per_start(0.1)
    ((0.1, 0.3), (1,), 0.1)
    """
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def of_one_start(rule: StepRule) -> tuple[float, float]:
    """Learning rate and weight decay of a rule for a single descent; ParameterError where it is for several."""
    for name in _PER_START:
        _require(not isinstance(getattr(rule, name), tuple), rule, name, "a single number, as there is one start here")
    return rule.learning_rate, rule.weight_decay  # type: ignore[return-value]


def settings(rule: StepRule) -> dict[str, Any]:
    """The rule's name and settings, for headers and messages."""
    return {"name": rule.name} | {field.name: getattr(rule, field.name) for field in fields(rule)}  # type: ignore[arg-type]


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not np.isinf(value)


def _require(condition: bool, rule: StepRule, parameter: str, allowed: str) -> None:
    if not condition:
        raise ParameterError(f"{rule.name}'s {parameter} is {getattr(rule, parameter)!r}; it must be {allowed}")

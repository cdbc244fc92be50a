"""Step rules: how a gradient becomes a step. Each is data (its settings) plus two functions, `init_state` and `update`.

A rule maps (parameters, gradient, state, learning rate, step number) to new parameters and state, and knows nothing
else: the loop, the schedule, the stopping and the printing live elsewhere. `native/kernels/steps.inl.hpp` says the same
in C++. Weight decay is decoupled (Loshchilov & Hutter 2019): it shrinks the weights, not the biases, by
`learning_rate * weight_decay` a step, whatever the rule, and is never divided by the number of rows.

>>> import numpy as np
>>> theta, rule = np.array([1.0]), SGD(0.1)
>>> rule.update(theta, 2 * theta, rule.init_state(theta), rule.learning_rate, step=1)
>>> theta
array([0.8])
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError, did_you_mean

Array = npt.NDArray[Any]


class StepRule(ABC):
    """What all step rules share; each subclass is final.

    Attributes
    ----------
    name : str
        The name that users type.
    learning_rate : float
        Length of a step relative to the gradient; positive. A schedule multiplies it.
    weight_decay : float
        Share of each weight, times the learning rate, that a step takes away; 0 or more.
    n_moments : int
        Blocks of the size of the parameters that the rule remembers.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    learning_rate: float
    weight_decay: float

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
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            number = isinstance(value, (int, float, np.number)) and not np.isinf(value)
            _require(number, self, field.name, "a finite number")
        _require(self.learning_rate > 0, self, "learning_rate", "positive")
        _require(self.weight_decay >= 0, self, "weight_decay", "0 or more")


@final
@dataclass(frozen=True)
class SGD(StepRule):
    """Gradient descent: against the gradient, with momentum if asked for.

    With all rows in a batch it is full-batch gradient descent, with one row a batch the stochastic kind.
    `v = momentum * v + g`, then `theta -= learning_rate * v`, or with Nesterov's look-ahead
    `theta -= learning_rate * (g + momentum * v)`.

    Parameters
    ----------
    learning_rate : float, default 0.1
    momentum : float, default 0
        Share of the velocity kept from step to step, from 0 up to, not including, 1.
    nesterov : bool, default False
    weight_decay : float, default 0
    """

    learning_rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
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
    learning_rate : float, default 1e-3
    rho : float, default 0.9
        Memory of the mean square, from 0 up to, not including, 1.
    epsilon : float, default 1e-8
    weight_decay : float, default 0
    """

    learning_rate: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8
    weight_decay: float = 0.0
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
    learning_rate : float, default 1e-3
    beta1, beta2 : float, default 0.9, 0.999
        Memory of the mean and of the mean square, from 0 up to, not including, 1.
    epsilon : float, default 1e-8
    weight_decay : float, default 0
        Above 0 this is AdamW.
    """

    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    name = "adam"
    source = "Kingma & Ba 2015, algorithm 1"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(0 <= self.beta1 < 1, self, "beta1", "at least 0 and below 1")
        _require(0 <= self.beta2 < 1, self, "beta2", "at least 0 and below 1")
        _require(self.epsilon > 0, self, "epsilon", "positive")

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
        parameters -= learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


def AdamW(
    learning_rate: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
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


def settings(rule: StepRule) -> dict[str, Any]:
    """The rule's name and settings, for headers and messages."""
    return {"name": rule.name} | {field.name: getattr(rule, field.name) for field in fields(rule)}  # type: ignore[arg-type]


def _require(condition: bool, rule: StepRule, parameter: str, allowed: str) -> None:
    if not condition:
        raise ParameterError(f"{rule.name}'s {parameter} is {getattr(rule, parameter)!r}; it must be {allowed}")

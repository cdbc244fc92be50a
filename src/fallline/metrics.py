"""Metrics: how good predictions are, in words people use. Plain functions `(A, Y) -> float`, or `(A, Y, weight)`.

A holds predictions in units of the target, shape `(n, n_out)`: the network's output, through the loss's own link where
it has one. Y holds the targets as the loss takes them, `(n, n_targets)`, and `weight` the rows' weights, `(n,)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError, did_you_mean

Array = npt.NDArray[Any]
Metric = Callable[..., float]

# What a history row holds beside the metrics.
RESERVED = ("epoch", "step", "start", "loss", "validation_loss", "learning_rate", "gradient_norm", "seconds")


def accuracy(A: Array, Y: Array, weight: Array | None = None) -> float:
    """Share of the rows that are right: the largest output is the right class, or one output is on Y's side of 1/2.

    A row with a NaN is wrong.

    Examples
    --------
    >>> A, Y = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> accuracy(A, Y)
    0.5
    """
    right = ((A > 0.5) == (Y > 0.5)).all(axis=1) if A.shape[1] == 1 else A.argmax(axis=1) == Y.argmax(axis=1)
    return float(np.average(right & ~np.isnan(A).any(axis=1), weights=weight))


def brier(A: Array, Y: Array, weight: Array | None = None) -> float:
    """Mean over the rows of the squared distance between the probabilities and the truth, from 0 to 2 (Brier 1950).

    With one output, that of both classes.

    Examples
    --------
    >>> brier(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    0.3125
    """
    distance = np.square(_errors(A, Y)).sum(axis=1)
    return float(np.average(distance if A.shape[1] > 1 else 2 * distance, weights=weight))


def rmse(A: Array, Y: Array, weight: Array | None = None) -> float:
    """Root of the mean squared error, in the units of Y."""
    return float(np.sqrt(np.average(_errors(A, Y) ** 2, axis=0, weights=weight).mean()))


def mae(A: Array, Y: Array, weight: Array | None = None) -> float:
    """Mean absolute error, in the units of Y."""
    return float(np.average(np.abs(_errors(A, Y)), axis=0, weights=weight).mean())


def r2(A: Array, Y: Array, weight: Array | None = None) -> float:
    """Share of Y's variance that A explains, mean over the outputs; 1 is perfect, 0 no better than the mean.

    A target that never varies counts 1 where it is met exactly, else 0, as in scikit-learn.
    """
    residual = np.average(_errors(A, Y) ** 2, axis=0, weights=weight)
    Y = Y.astype(np.float64)
    total = np.average((Y - np.average(Y, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
    varies = total > 0
    explained = 1 - residual / np.where(varies, total, 1)
    return float(np.where(varies, explained, residual == 0).mean())


def _errors(A: Array, Y: Array) -> Array:
    if A.shape != Y.shape:
        raise ParameterError(f"the metric takes one output a target, not outputs {A.shape} and targets {Y.shape}")
    return np.asarray(A - Y, dtype=np.float64)  # sums over many float32 rows would lose what one row holds


METRICS: dict[str, Metric] = {"accuracy": accuracy, "brier": brier, "rmse": rmse, "mae": mae, "r2": r2}
LARGER_IS_BETTER = ("accuracy", "r2")


def measure(metric: Metric, A: Array, Y: Array, weight: Array) -> float:
    """Call a metric, with the rows' weights if it takes three arguments."""
    return float(metric(A, Y, weight) if _takes_weight(metric) else metric(A, Y))


@cache
def _takes_weight(metric: Metric) -> bool:
    return len(inspect.signature(metric).parameters) > 2


def as_metrics(metrics: str | Sequence[str] | Mapping[str, Metric]) -> dict[str, Metric]:
    """Metrics by name: names of `METRICS`, or a mapping from names to functions.

    Raises
    ------
    ParameterError
        A name is unknown, or one that the history has for something else.
    """
    if isinstance(metrics, Mapping):
        for name, metric in metrics.items():
            if name in RESERVED or not callable(metric):
                raise ParameterError(f"metric {name!r} must be a function, and not named {', '.join(RESERVED)}")
        return dict(metrics)
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    for name in names:
        if not isinstance(name, str) or name not in METRICS:
            raise ParameterError(f"metric {name!r} is unknown{did_you_mean(name, METRICS)}, or {{'name': function}}")
    return {name: METRICS[name] for name in names}

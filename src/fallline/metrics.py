"""Metrics: how good an output is, in words people use. Plain functions `(A, Y) -> float`.

A is the network's output, `(n, n_out)`, and Y the targets as the loss takes them, `(n, n_targets)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError, did_you_mean

Array = npt.NDArray[Any]
Metric = Callable[[Array, Array], float]


def accuracy(A: Array, Y: Array) -> float:
    """Share of rows whose largest output is the right class; with one output, whether it lies on the right side of 1/2.

    Examples
    --------
    >>> accuracy(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    0.5
    """
    if A.shape[1] == 1:
        return float(((A > 0.5) == (Y > 0.5)).mean())
    return float((A.argmax(axis=1) == Y.argmax(axis=1)).mean())


def rmse(A: Array, Y: Array) -> float:
    """Root of the mean squared error, in the units of Y."""
    return float(np.sqrt((_errors(A, Y) ** 2).mean()))


def mae(A: Array, Y: Array) -> float:
    """Mean absolute error, in the units of Y."""
    return float(np.abs(_errors(A, Y)).mean())


def r2(A: Array, Y: Array) -> float:
    """Share of Y's variance that A explains, mean over the outputs; 1 is perfect, 0 no better than the mean.

    A target that never varies counts 1 where it is met exactly, else 0, as in scikit-learn.
    """
    residual = (_errors(A, Y) ** 2).sum(axis=0)
    total = ((Y - Y.mean(axis=0)) ** 2).sum(axis=0)
    varies = total > 0
    explained = 1 - residual / np.where(varies, total, 1)
    return float(np.where(varies, explained, residual == 0).mean())


def _errors(A: Array, Y: Array) -> Array:
    if A.shape != Y.shape:
        raise ParameterError(f"the metric takes one output a target, not outputs {A.shape} and targets {Y.shape}")
    return np.asarray(A - Y)


METRICS: dict[str, Metric] = {"accuracy": accuracy, "rmse": rmse, "mae": mae, "r2": r2}


def as_metrics(metrics: str | Sequence[str] | Mapping[str, Metric]) -> dict[str, Metric]:
    """Metrics by name: names of `METRICS`, or a mapping from names to functions."""
    if isinstance(metrics, Mapping):
        return dict(metrics)
    if isinstance(metrics, str):
        metrics = (metrics,)
    for name in metrics:
        if name not in METRICS:
            raise ParameterError(f"metric {name!r} is unknown{did_you_mean(name, METRICS)}")
    return {name: METRICS[name] for name in metrics}

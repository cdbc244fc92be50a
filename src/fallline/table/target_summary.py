"""What is learned about the targets from all rows, part after part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.table.number import as_number
from fallline.table.table import Targets, Task

Array = npt.NDArray[Any]

MOST_CLASSES = 100_000  # that several parts may have together


@final
@dataclass(frozen=True, eq=False)
class TargetSummary:
    """What some rows say of the targets: of classes which there are, of numbers mean and spread.

    Parameters
    ----------
    name : str
    kind : str
        Of the targets' dtype: "i", "u", "f", "b" or "U".
    n_rows, n_targets : int
    several : bool
        Whether the targets had two axes.
    task : {"classification", "regression"} or None
        What they were looked at for; None: for both.
    log : bool
        Whether mean and spread are of the logarithms.
    classes : ndarray of shape (n_classes,)
        The values that occur, sorted; empty where they were not looked at.
    counts : ndarray of int64, shape (n_classes,)
    mean, variance, low, high : ndarray of float64, shape (n_targets,)
        Of numbers; of no rows NaN. Empty where they were not looked at.
    whole, binary : bool
        Whether all are whole numbers; whether all are 0 or 1.
    """

    name: str
    kind: str
    n_rows: int
    n_targets: int
    several: bool
    task: Task | None
    log: bool
    classes: Targets
    counts: Array
    mean: Array
    variance: Array
    low: Array
    high: Array
    whole: bool
    binary: bool

    @classmethod
    def of(cls, y: Targets, name: str, task: Task | None = None, log: bool = False) -> TargetSummary:
        """Of targets of shape (n,) or (n, n_targets); DataError for what no regression could learn, if one is to."""
        several, is_number = y.ndim > 1, y.dtype.kind in "biuf"
        n_targets = y.shape[1] if several else 1
        classes, counts = y[:0].reshape(-1), np.empty(0, np.int64)
        nothing = np.empty(0)
        mean, variance, low, high = nothing, nothing, nothing, nothing
        if task != "regression" and not several:
            classes, counts = np.unique(y, return_counts=True)
        if task == "regression" or (task is None and y.dtype.kind in "iuf"):
            numbers = numbers_of(y, name, log, count=False)
            found = [_moments(numbers[:, t]) for t in range(n_targets)]
            mean, variance, low, high = (np.array(part) for part in zip(*found, strict=True))
        whole = is_number and bool(np.all(y == np.floor(y))) if y.dtype.kind == "f" else is_number
        binary = is_number and several and bool(np.isin(y, (0, 1)).all())
        return cls(
            name, y.dtype.kind, len(y), n_targets, several, task, log, classes, counts, mean, variance, low, high,
            whole, binary,
        )  # fmt: skip

    def merge(self, other: TargetSummary) -> TargetSummary:
        """Of the rows of both; means and variances as by Chan, Golub & LeVeque 1983."""
        n, m = self.n_rows, other.n_rows
        if not n or not m:
            return other if m else self
        classes, place = np.unique(np.concatenate([self.classes, other.classes]), return_inverse=True)
        if len(classes) > MOST_CLASSES:  # no classes at all, which is all that has to be known
            classes, place = classes[:MOST_CLASSES], np.minimum(place, MOST_CLASSES - 1)
        counts = np.bincount(place, np.concatenate([self.counts, other.counts]), len(classes)).astype(np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            step = other.mean - self.mean
            mean = self.mean + step * (m / (n + m))
            variance = (n * self.variance + m * other.variance) / (n + m)
            variance = variance + np.square(step) * (n / (n + m) * m / (n + m))
        return TargetSummary(
            self.name, self.kind, n + m, self.n_targets, self.several, self.task, self.log, classes, counts, mean,
            variance, np.minimum(self.low, other.low), np.maximum(self.high, other.high), self.whole and other.whole,
            self.binary and other.binary,
        )  # fmt: skip

    @property
    def scales(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each target; a constant one has scale 1."""
        centers, scales = [], []
        tiny = float(np.finfo(np.float32).tiny)
        for mean, variance, low, high in zip(self.mean, self.variance, self.low, self.high, strict=True):
            scale = math.sqrt(variance) if variance == variance else math.inf
            centers.append(float(low if low == high else mean))
            scales.append(1.0 if low == high else max(scale, tiny))
        return tuple(centers), tuple(scales)

    def parts(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Give it as what JSON can hold, and arrays."""
        arrays = {f"target.{name}": value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return {name: value for name, value in vars(self).items() if not isinstance(value, np.ndarray)}, arrays

    @classmethod
    def from_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> TargetSummary:
        """Put it together again."""
        names = ("classes", "counts", "mean", "variance", "low", "high")
        values: dict[str, Any] = {name: arrays[f"target.{name}"] for name in names}
        return cls(**header, **values)


def _moments(y: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Mean, variance, least and largest."""
    if not len(y):
        return math.nan, math.nan, math.inf, -math.inf
    with np.errstate(over="ignore", invalid="ignore"):
        return float(y.mean()), float(y.var()), float(y.min()), float(y.max())


def numbers_of(y: Targets, name: str, log: bool, *, count: bool) -> npt.NDArray[np.float64]:
    """Targets as numbers, shape (n, n_targets); a complaint counts the rows only where none have been held back."""

    def place(row: int) -> str:
        return f"target {name!r}, row {row + 1}" if count else f"target {name!r}"

    if y.dtype.kind not in "biuf":
        row = next((i for i, label in enumerate(y.tolist()) if as_number(label) is None), None)
        if row is None:
            raise DataError(
                f"target {name!r}: regression needs numbers, but it is text; say that the column is a number"
            )
        raise DataError(f"{place(row)}: regression needs numbers, not {y[row].item()!r}")
    numbers = y.astype(np.float64)
    if log:
        if (numbers <= 0).any():
            row = int(np.argwhere(numbers <= 0)[0][0])
            raise DataError(f"{place(row)}: target_transform is 'log', but {y[row].tolist()!r} is not above 0")
        numbers = np.log(numbers)
    return numbers[:, None] if numbers.ndim == 1 else numbers

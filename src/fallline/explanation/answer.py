"""From the outputs of several networks to one answer in the user's words and units, with its derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.sharpness import sharpened, sharpened_backward
from fallline.table import Target

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """One number that a model answers: the probability of a class or a label, or a number in the user's units.

    Parameters
    ----------
    target : Target
    sharpness : float
    output : int
        Which of the networks' outputs it belongs to.
    """

    target: Target
    sharpness: float
    output: int

    @property
    def each(self) -> bool:
        """Whether there are several labels of a row, each with a probability of its own."""
        return self.target.task == "classification" and self.target.classes is None

    @property
    def name(self) -> str:
        """What it is called."""
        name = output_names(self.target)[self.output]
        if self.target.task == "regression":
            return name
        return f"probability of {name}"

    def value(self, A: Array) -> Array:
        """Of the networks' averaged outputs, shape (n, n_out) to (n,)."""
        if self.target.task == "regression":
            return self._in_units(A)[0]
        return np.asarray(sharpened(A, self.sharpness, self.each)[:, self.output])

    def gradient(self, A: Array) -> Array:
        """The derivative of `value` for the averaged outputs, shape (n, n_out)."""
        n = np.arange(len(A))
        d = np.zeros_like(A)
        if self.target.task == "regression":
            value, place = self._in_units(A)
            d[n, place] = self.target.scales[self._t] * (value if self.target.log else 1.0)
            return d
        d[:, self.output] = 1
        return sharpened_backward(d, A, sharpened(A, self.sharpness, self.each), self.sharpness, self.each)

    @property
    def _t(self) -> int:
        return self.output // max(1, len(self.target.quantiles))

    def _in_units(self, A: Array) -> tuple[Array, Array]:
        """The number, and the output that gave it: quantiles are put in order, so it may be a neighbour."""
        n, q = len(A), max(1, len(self.target.quantiles))
        first = self._t * q
        rank = int(np.argsort(np.argsort(self.target.quantiles))[self.output - first]) if q > 1 else 0
        place = first + np.argsort(A[:, first : first + q], axis=1)[:, rank]
        y = A[np.arange(n), place] * self.target.scales[self._t] + self.target.centers[self._t]
        return np.asarray(np.exp(y) if self.target.log else y), place


def output_names(target: Target) -> list[str]:
    """What each of the networks' outputs is called."""
    return target.answer_names if target.classes is None else [str(label) for label in target.classes.tolist()]


def leading_output(target: Target, A: Array) -> int:
    """The output to explain if nobody says which: of the likeliest class or label, or of the first number's middle."""
    if target.task == "classification":
        return int(A[0].argmax())
    return int(np.argmin(np.abs(np.subtract(target.quantiles, 0.5)))) if target.quantiles else 0

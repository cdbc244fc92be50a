"""What is timed: the table of workloads, their rows, and the arithmetic that a step of each takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RATES = {"sgd": 0.5, "adam": 1e-3}
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam, in every contender


@dataclass(frozen=True)
class Workload:
    """One network and what is done with it; softmax and cross-entropy with several outputs, squared error with one.

    Parameters
    ----------
    name : str
    sizes : tuple of int
        Neurons from the inputs to the outputs.
    rows, batch, epochs : int
        One round of training is `epochs` epochs over `rows` rows, reshuffled before each, in whole batches.
    activation : {"relu", "sigmoid"}
    rule : {"adam", "sgd"}
    starts : int
        Networks trained on the same rows in the same order.
    calls : int
        Above 0 this is prediction: one round calls the network so often on all rows and takes the median call.
    checked : int
        Steps that are checked: enough to notice a wrong one, few enough for rounding not to grow into a difference.
    quick : bool
        Part of `--quick`.
    """

    name: str
    sizes: tuple[int, ...]
    rows: int
    batch: int = 1
    epochs: int = 1
    activation: str = "relu"
    rule: str = "adam"
    starts: int = 1
    calls: int = 0
    checked: int = 10
    quick: bool = False

    def __post_init__(self) -> None:
        if self.trains and self.rows % self.batch:
            raise ValueError(f"{self.name}: {self.rows} rows are not whole batches of {self.batch}")

    @property
    def trains(self) -> bool:
        """Training, not prediction."""
        return not self.calls

    @property
    def classifies(self) -> bool:
        """Softmax and cross-entropy; else squared error."""
        return self.sizes[-1] > 1

    @property
    def steps(self) -> int:
        """What a round's seconds are divided by: steps of training, or 1, since prediction reports a call."""
        return self.epochs * self.rows // self.batch if self.trains else 1

    @property
    def checked_rows(self) -> int:
        """Rows of the steps that are checked."""
        return min(self.rows, self.batch * self.checked)

    @property
    def operations(self) -> int:
        """Floating-point operations of the matrix products of a step, or of a call."""
        if not self.trains:
            return products(self.sizes, self.rows)
        return self.starts * training_products(self.sizes, self.batch)

    @property
    def title(self) -> str:
        """One line about it."""
        network = "-".join(map(str, self.sizes))
        if not self.trains:
            return f"predict {self.rows:,} row{'s' * (self.rows > 1)}, {network} {self.activation}"
        many = f"{self.starts} starts of " if self.starts > 1 else ""
        rule = {"adam": "Adam", "sgd": "SGD"}[self.rule]
        return f"{many}{network} {self.activation}, {rule}, batch {self.batch}"

    def data(self) -> tuple[Array, Array]:
        """Random rows: X of shape (rows, n_in), float32; y of shape (rows,), classes or float32 numbers."""
        rng = np.random.default_rng(0)
        X = rng.random((self.rows, self.sizes[0]), dtype=np.float32)
        if not self.classifies:
            return X, rng.standard_normal(self.rows, dtype=np.float32)
        n = self.sizes[-1]  # every run of n rows holds each class: scikit-learn must meet them all in the checked steps
        blocks = np.tile(np.arange(n), (math.ceil(self.rows / n), 1))
        return X, rng.permuted(blocks, axis=1).ravel()[: self.rows]


def products(sizes: tuple[int, ...], n: int) -> int:
    """Operations of the forward products A @ W of n rows: a multiplication and an addition for each weight and row."""
    return 2 * n * sum(n_in * n_out for n_in, n_out in pairwise(sizes))


def training_products(sizes: tuple[int, ...], n: int) -> int:
    """Operations of forward, dW and dA of n rows; nobody needs dA of the first layer."""
    return 3 * products(sizes, n) - products(sizes[:2], n)


def unflatten(blocks: Array, sizes: tuple[int, ...]) -> list[tuple[Array, Array]]:
    """Views (W, b) of every layer, W of shape (K, n_in, n_out) and b (K, n_out), of parameters of shape (K, P)."""
    layers, at = [], 0
    for n_in, n_out in pairwise(sizes):
        W, b = blocks[:, at : at + n_in * n_out], blocks[:, at + n_in * n_out : at + (n_in + 1) * n_out]
        layers.append((W.reshape(-1, n_in, n_out), b))
        at += (n_in + 1) * n_out
    return layers


def flatten(layers: list[tuple[Array, Array]], starts: int) -> Array:
    """Parameters of shape (K, P) of the (W, b) of every layer, with or without the axis of the starts."""
    return np.concatenate([np.asarray(part).reshape(starts, -1) for layer in layers for part in layer], axis=1)


_DIGITS = (784, 128, 10)
_DEEP = (784, 2500, 2000, 1500, 1000, 500, 10)

WORKLOADS = [
    Workload("784-30-10", (784, 30, 10), 10_000, 10, 3, "sigmoid", "sgd", quick=True),
    Workload("784-128-10", _DIGITS, 12_800, 64, 2, quick=True),
    Workload("784-512-512-10", (784, 512, 512, 10), 2_560, 128, 2),
    # Rounding grows fast here, from step to step: 4e-8 of the parameters after one, 5e-6 after two, 9e-5 after four.
    Workload("deep", _DEEP, 2_048, 256, 2, checked=2),
    Workload("8-64-64-1", (8, 64, 64, 1), 16_000, 32, 5, quick=True),
    Workload("64-256-256-256-1", (64, 256, 256, 256, 1), 12_800, 256, 2),
    Workload("32-starts", (8, 64, 64, 1), 3_200, 32, 2, starts=32),
    Workload("1024-starts", (8, 64, 64, 1), 3_200, 32, 1, starts=1024, checked=5),
    Workload("one-row", _DIGITS, 1, calls=2_000, quick=True),
    Workload("60000-rows", _DIGITS, 60_000, calls=5),
]

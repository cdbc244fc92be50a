"""The contenders: one module each, loaded in that contender's own process, with a `build(workload, entry, initial)`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.workloads import Workload, unflatten

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Entry:
    """One contender at one setting.

    Attributes
    ----------
    peer : str
        Its family, by which ratios are reported: the best entry of a peer counts.
    module : str
        In `benchmarks.contenders`.
    way : str
        Of using it, for example "eager" or "compiled"; may be empty.
    threads : int
    environment : dict of str to str
        Of its process; an empty string removes a variable.
    device : {"cpu", "cuda"}
    """

    peer: str
    module: str
    way: str
    threads: int
    environment: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def label(self) -> str:
        """Peer and setting."""
        where = f"{self.threads} thread{'s' * (self.threads > 1)}" if self.device == "cpu" else "GPU"
        return f"{self.peer} ({self.way}, {where})" if self.way else f"{self.peer} ({where})"


class Trainer(ABC):
    """A contender that trains. Every round is the same training: `begin` is not timed, `train` is.

    What belongs to `begin` but a library can only do within `train`, namely to check the rows and to make its
    parameters and moments, is timed apart, as `set_up`.

    Parameters
    ----------
    workload : Workload
    initial : array of shape (K, P)
        Parameters to begin from.

    Attributes
    ----------
    set_up : float
        Seconds of the last `train` before its first step, where that is known.
    """

    set_up = 0.0

    def __init__(self, workload: Workload, initial: Array) -> None:
        self.workload, self.initial = workload, initial
        self.X, self.y = workload.data()
        self.order_rng = np.random.default_rng(1)

    @property
    def initial_layers(self) -> list[tuple[Array, Array]]:
        """(W, b) of every layer; without the axis of the starts where there is but one."""
        layers = unflatten(self.initial, self.workload.sizes)
        return layers if self.workload.starts > 1 else [(W[0], b[0]) for W, b in layers]

    def orders(self) -> Iterator[Array]:
        """A new order of all rows for every epoch of a round."""
        for _ in range(self.workload.epochs):
            yield self.order_rng.permutation(self.workload.rows)

    @abstractmethod
    def begin(self) -> None:
        """Go back to the initial parameters, with no moments."""

    @abstractmethod
    def train(self) -> None:
        """One round, to the end: nothing may be left to do when it returns."""

    @abstractmethod
    def train_in_order(self, n: int) -> Array:
        """One epoch over the first n rows as they lie, after `begin`; the parameters, shape (K, P)."""

    def details(self) -> dict[str, Any]:
        """What it says about itself: the libraries and threads that it really uses."""
        return {}


class Predictor(ABC):
    """A contender that predicts: NumPy in, NumPy out.

    Parameters
    ----------
    workload : Workload
    initial : array of shape (1, P)
        The network's parameters.
    """

    def __init__(self, workload: Workload, initial: Array) -> None:
        self.workload, self.initial = workload, initial
        self.X, self.y = workload.data()
        self.layers = [(W[0], b[0]) for W, b in unflatten(initial, workload.sizes)]

    @abstractmethod
    def predict(self, X: Array) -> Array:
        """The network's output, shape (n, n_out)."""

    def details(self) -> dict[str, Any]:
        """What it says about itself: the libraries and threads that it really uses."""
        return {}

"""Rows of a run to measure losses on: a fixed sample, so that the loss is one function of the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Engine, Plan, as_engine
from fallline.errors import ParameterError
from fallline.losses import Loss, OwnLoss, as_loss
from fallline.network import Network, Shape
from fallline.optimizers import SGD
from fallline.run import Run
from fallline.surfaces import Plane, losses_along, surface_of

Array = npt.NDArray[Any]


@final
@dataclass(frozen=True)
class Yardstick:
    """Some rows, and what measures a loss on them.

    Attributes
    ----------
    plan : Plan
        Of the loss alone, without penalties and dropout.
    data : Data
    engine : Engine
    words : str
        What is measured on which rows.
    loss_name : str
    """

    plan: Plan
    data: Data
    engine: Engine
    words: str

    @classmethod
    def of_run(cls, run: Run, start: int, rows: int) -> Yardstick:
        """Take rows of those that a start of a run trained on, at most so many, drawn with seed 0."""
        settings = run.plan.starts[start]
        left_out = [
            name
            for name, there in (("penalty", settings.l1 or settings.l2), ("dropout", any(run.plan.dropout)))
            if there
        ]
        return cls._of(run.plan.shape, run.plan.loss, run.data.of_start(start), rows, "training rows", left_out)

    @classmethod
    def of_rows(cls, network: Network, X: npt.ArrayLike, y: npt.ArrayLike, loss: Loss | str, rows: int) -> Yardstick:
        """Take some of the rows given, at most so many, drawn with seed 0."""
        record = as_loss(loss, network.output)
        return cls._of(network.shape, record, Data.of(network, record, X, y), rows, "rows", [])

    @classmethod
    def _of(cls, shape: Shape, loss: Loss, data: Data, rows: int, what: str, left_out: list[str]) -> Yardstick:
        counted = np.flatnonzero(data.weight > 0)
        n = len(counted)
        if n > rows:
            counted = np.sort(np.random.default_rng(0).choice(counted, rows, replace=False))
        which = f"all {n:,} {what}" if n <= rows else f"{rows:,} of the {n:,} {what}, drawn with seed 0"
        without = f", without {' and '.join(left_out)}" if left_out else ""
        words = f"mean {_in_words(loss)} of {which}{without}"
        engine = as_engine("reference" if isinstance(loss, OwnLoss) else "native")
        return cls(Plan(shape, loss, SGD()), data.rows(counted), engine, words)

    @property
    def loss_name(self) -> str:
        """The loss in words, for an axis."""
        return _in_words(self.plan.loss)

    @property
    def n_rows(self) -> int:
        """How many rows they are."""
        return len(self.data.X)

    def losses(self, points: Array) -> Array:
        """Losses of T points of parameters, shape (T, P), as shape (T,)."""
        return losses_along(self.plan, points, self.data, self.engine)

    def gradient(self, point: Array) -> Array:
        """The gradient at a point of parameters, shape (P,)."""
        return self.engine.gradient(self.plan, np.ascontiguousarray(point, dtype=self.data.X.dtype), self.data)[1]

    def surface(self, plane: Plane, a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
        """Losses over a plane, shape (n_a, n_b)."""
        return surface_of(self.plan, plane, a, b, self.data, self.engine)


def chosen_start(run: Run, start: int | None) -> int:
    """The number of a start, the best one if nothing is said; ParameterError where there is none of that number."""
    k = run.best_start if start is None else start
    if not 0 <= k < len(run.networks):
        raise ParameterError(f"start is {k}; the run has starts 0 to {len(run.networks) - 1}")
    return k


def _in_words(loss: Loss) -> str:
    name = loss.name.replace("_", " ")
    return name if name.endswith(("error", "entropy")) else f"{name} loss"

"""What is measured on rows that are held back, at the end of an epoch."""

from __future__ import annotations

from threading import Event
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Engine, Plan
from fallline.metrics import Metric, measure

Array = npt.NDArray[Any]


@final
class Measurement:
    """The rows that each start is measured on, and what is measured there.

    Parameters
    ----------
    engine : Engine
    plan : Plan
    rows : list of Data or None
        One for each start; None where none are held back, and nothing is measured.
    metrics : dict of str to callable
    monitor : str
        What says which epoch is best, as `descend` takes it.
    """

    def __init__(
        self, engine: Engine, plan: Plan, rows: list[Data] | None, metrics: dict[str, Metric], monitor: str
    ) -> None:
        self.engine, self.plan, self.rows, self.metrics, self.monitor = engine, plan, rows, metrics, monitor
        self._parts = {id(some): _parts(some, plan.shape.n_parameters) for some in rows or ()}

    def of(self, parameters: Array, which: Array, interrupted: Event) -> dict[str, Array] | None:
        """Validation loss and metrics of some starts, each of shape (K,) with NaN for the others.

        Parameters
        ----------
        parameters : array of shape (K, P)
        which : array of bool, shape (K,)
        interrupted : Event
            Where it is set before the end there is nothing to give, and it is None.
        """
        if self.rows is None:
            return {}
        measured = {name: np.full(len(parameters), np.nan) for name in ("validation_loss", *self.metrics)}
        for k in np.flatnonzero(which).tolist():
            found = self._scores(parameters[k], self.rows[k], interrupted)
            if found is None:
                return None
            for name, score in found.items():
                measured[name][k] = score
        return measured

    def monitored(self, measured: dict[str, Array]) -> Array:
        """What "best" goes by, shape (K,): the smaller the better."""
        name = self.monitor.removeprefix("-")
        return measured[name] if name == self.monitor else -measured[name]

    def _scores(self, theta: Array, rows: Data, interrupted: Event) -> dict[str, float] | None:
        """Validation loss and metrics of one start, worked off in parts so that Ctrl-C need not wait."""
        loss_sum, weight_sum, outputs = 0.0, 0.0, []
        for part, weight in self._parts[id(rows)]:
            if interrupted.is_set():
                return None
            loss_sum += weight * self.engine.loss(self.plan, theta, part) if weight > 0 else 0.0
            weight_sum += weight
            if self.metrics:
                outputs.append(self.engine.predict(self.plan.shape, theta, part.X))
        scores = {"validation_loss": loss_sum / weight_sum}
        if self.metrics:
            A = self.plan.loss.predictions(np.concatenate(outputs), self.plan.shape.layers[-1].activation)
            with np.errstate(over="ignore", invalid="ignore"):  # of a network that is about to diverge
                scores |= {name: measure(metric, A, rows.Y, rows.weight) for name, metric in self.metrics.items()}
        return scores


def _parts(rows: Data, n_parameters: int) -> list[tuple[Data, float]]:
    """Rows to measure on in parts of at most some 0.5 GFLOP, so that Ctrl-C need not wait; and each part's weight."""
    size = max(1024, 250_000_000 // n_parameters)
    parts = [rows.rows(slice(first, first + size)) for first in range(0, len(rows.X), size)]
    return [(part, float(part.weight.sum(dtype=np.float64))) for part in parts]

"""What is measured again of a run for a picture: on which rows, and with which engine."""

from __future__ import annotations

import numpy as np

from fallline.engines import Data, Engine, as_engine
from fallline.errors import ParameterError
from fallline.losses import Loss, OwnLoss
from fallline.run import Run

MOST_ROWS = 1000


def sample_of(run: Run, start: int | None, most: int = MOST_ROWS) -> tuple[int, Data]:
    """The number of a start, the best one by default, and some of the rows that it was trained on.

    The rows are always the same, in the data's order, and those of weight 0 are not among them.
    """
    k = run.best_start if start is None else start
    if not 0 <= k < len(run.networks):
        raise ParameterError(f"start is {k}; the run has starts 0 to {len(run.networks) - 1}")
    data = run.data.of_start(k)
    rows = np.flatnonzero(data.weight > 0)
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    return k, data.rows(rows)


def engine_for(loss: Loss) -> Engine:
    """The compiled core, or the reference engine where only that can compute a loss."""
    return as_engine("reference" if isinstance(loss, OwnLoss) else "native")

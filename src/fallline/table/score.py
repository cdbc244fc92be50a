"""How good a model's outputs are for raw targets, in the user's units."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fallline import metrics
from fallline.table.table import Targets
from fallline.table.targets import Target

Array = npt.NDArray[Any]


def score(target: Target, A: Array, y: Targets) -> dict[str, float]:
    """How good outputs are, in the user's units.

    Parameters
    ----------
    target : Target
    A : array of shape (n, n_out)
        Probabilities, or standardised numbers.
    y : array of shape (n,) or (n, n_targets)
        The raw targets.

    Returns
    -------
    dict of str to float
        As from `Model.evaluate`.
    """
    encoded, n = target.encode(y), len(A)
    if target.task == "regression":
        predicted, actual = target.decode(A).reshape(n, -1), y.astype(np.float64).reshape(n, -1)
        scores = {"rmse": metrics.rmse, "mae": metrics.mae, "r2": metrics.r2}
        return {name: measure(predicted, actual) for name, measure in scores.items()}
    if target.classes is None:
        right = np.where(encoded == 1, A, 1 - A)
        accuracy = ((A > 0.5) == (encoded == 1)).all(axis=1).mean()
    else:
        right = A[np.arange(n), encoded]
        accuracy = (A.argmax(axis=1) == encoded).mean()
    log_loss = -np.log(np.maximum(right.astype(np.float64), np.finfo(np.float32).tiny)).mean()
    return {"accuracy": float(accuracy), "log_loss": float(log_loss)}

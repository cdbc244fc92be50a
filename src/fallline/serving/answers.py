"""What a model says of rows, as JSON has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.model import Model
from fallline.table import Table, Target

Array = npt.NDArray[Any]


def answers(model: Model, table: Table) -> dict[str, list[Any]]:
    """Predict each row of a table.

    Parameters
    ----------
    model : Model
    table : Table

    Returns
    -------
    dict
        `predictions`, for each row a label or a number, or of several targets an object of them by name. For classes
        also `probabilities`, objects by label; for quantiles also `quantiles`, objects by quantile.

    Raises
    ------
    DataError
        As `Model.predict`; or a number is too large to be said.
    """
    target, A = model.encoder.target, model.outputs(table)
    names = target_names(target)
    if target.task == "classification":
        labels = names if target.classes is None else class_names(target)
        return {"predictions": _by_name(names, target.decode(A)), "probabilities": _objects(labels, A)}
    with np.errstate(over="ignore"):  # of a logarithm; found below
        answered, numbers = target.decode(A), target.numbers(A)
    finite = np.isfinite(numbers).all(axis=(1, 2))
    if not finite.all():
        raise DataError(f"row {int(finite.argmin()) + 1}: no finite prediction; its numbers are far beyond those seen")
    found = {"predictions": _by_name(names, answered)}
    if target.quantiles:
        by_target = [_objects(quantile_names(target), numbers[:, t]) for t in range(target.n_targets)]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*by_target, strict=True)]
        found["quantiles"] = by_target[0] if target.n_targets == 1 else rows
    return found


def target_names(target: Target) -> list[str]:
    """Of each number or label that is learned."""
    return replace(target, quantiles=()).answer_names


def class_names(target: Target) -> list[str]:
    """Labels as the names of their probabilities."""
    assert target.classes is not None
    return [str(label) for label in target.classes.tolist()]


def quantile_names(target: Target) -> list[str]:
    """Quantiles as text: 0.05, 0.5, ..."""
    return [f"{p:g}" for p in target.quantiles]


def _by_name(names: list[str], answered: Array) -> list[Any]:
    """Answers of shape (n,) as they are, of shape (n, n_targets) as objects."""
    return answered.tolist() if answered.ndim == 1 else _objects(names, answered)


def _objects(names: list[str], values: Array) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in values.tolist()]

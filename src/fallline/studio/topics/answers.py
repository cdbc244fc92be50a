"""How good the answers are now: a confusion matrix, numbers beside the truth, or a map over two columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.explanation.answer import output_names
from fallline.explanation.first_layer import input_names
from fallline.studio.experiment import View

Array = npt.NDArray[Any]

MOST_ROWS = 5000  # that answers are worked out for, evenly spread
MOST_POINTS = 500
MAP = 60  # points each way


def answers(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """`map` of two columns where they are asked for, or are all there are; else `confusion`, `scatter` for numbers."""
    names = [name for _, name in input_names(view.job.encoder)]
    columns = asked.get("columns", [0, 1] if len(names) == 2 else None)
    rows = view.measured
    if len(rows.X) > MOST_ROWS:
        rows = rows.rows(np.linspace(0, len(rows.X) - 1, MOST_ROWS).astype(np.int64))
    if columns is not None:
        data, arrays = _map(view, rows.X, _checked(columns, len(names)))
        return data | {"names": [names[i] for i in columns]}, arrays
    A = _outputs(view, rows.X)
    target = view.job.encoder.target
    if target.classes is None:
        some = np.linspace(0, len(A) - 1, min(len(A), MOST_POINTS)).astype(np.int64)
        said, true = A[some, 0], rows.Y[some, 0]
        if target.task == "regression":
            said, true = target.numbers(A[some])[:, 0, 0], target.truth(rows.Y[some])[:, 0]
        return {"kind": "scatter", "name": target.answer_names[0]}, {"said": said, "true": true}
    n = target.n_out
    counts = np.bincount(_codes(rows.Y) * n + A.argmax(axis=1), minlength=n * n).reshape(n, n)
    return {"kind": "confusion", "classes": output_names(target), "rows": len(A)}, {"counts": counts}


def _outputs(view: View, X: Array) -> Array:
    A = view.engine.predict(view.plan.shape, view.network.parameters, X)
    return view.plan.loss.predictions(A, view.plan.shape.layers[-1].activation)


def _codes(Y: Array) -> Array:
    """Classes as positions, shape (n,)."""
    return np.asarray(Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)).astype(np.int64)


def _checked(columns: Any, n: int) -> tuple[int, int]:
    if not isinstance(columns, list) or len(columns) != 2 or not all(type(i) is int and 0 <= i < n for i in columns):
        raise ParameterError(f"columns is {columns!r:.40}; it must be two numbers of inputs, from 0 to {n - 1}")
    return columns[0], columns[1]


def _map(view: View, X: Array, columns: tuple[int, int]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Answers over two inputs as they are encoded, the others at their medians."""
    i, j = columns
    some = np.linspace(0, len(X) - 1, min(len(X), MOST_POINTS)).astype(np.int64)
    axes = []
    for c in columns:
        low, high = X[:, c].min(), X[:, c].max()
        room = 0.08 * (high - low) or 1.0
        axes.append(np.linspace(low - room, high + room, MAP, dtype=np.float32))
    grid = np.repeat(np.median(X, axis=0)[None].astype(X.dtype), MAP * MAP, axis=0)
    grid[:, i] = np.tile(axes[0], MAP)
    grid[:, j] = np.repeat(axes[1], MAP)
    A = _outputs(view, grid)
    target, Y = view.job.encoder.target, view.measured.Y
    arrays: dict[str, Array] = {"a": axes[0], "b": axes[1], "x": X[some, i], "y": X[some, j]}
    if target.classes is None:
        arrays |= {"heights": A[:, 0].reshape(MAP, MAP), "truth": Y[some, 0]}
        return {"kind": "map", "classes": None, "name": target.answer_names[0]}, arrays
    best = A.argmax(axis=1)
    arrays |= {
        "classes": best.astype(np.uint8).reshape(MAP, MAP),
        "chances": A[np.arange(len(A)), best].reshape(MAP, MAP),
        "truth": _codes(Y)[some],
    }
    return {"kind": "map", "classes": output_names(target)}, arrays

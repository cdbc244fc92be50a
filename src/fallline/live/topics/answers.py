"""How good the answers are now: a confusion matrix, numbers beside the truth, or a map over two columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.engines import Data
from fallline.errors import ParameterError
from fallline.explanation.answer import output_names
from fallline.explanation.first_layer import input_names
from fallline.live.ruler import outputs, some, some_rows
from fallline.live.view import View

Array = npt.NDArray[Any]

MOST_ROWS = 5000  # that answers are worked out for, evenly spread
MOST_POINTS = 500
MAP = 60  # points each way


def answers(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """`map` of two columns where they are asked for, or are all there are; else `confusion`, `scatter` for numbers."""
    names = [name for _, name in input_names(view.job.encoder)]
    columns = asked.get("columns", [0, 1] if len(names) == 2 else None)
    rows = some_rows(view.measured, MOST_ROWS)
    if columns is not None:
        data, arrays = _map(view, rows, _checked(columns, len(names)))
        return data | {"names": [names[i] for i in columns]}, arrays
    A = outputs(view, rows.X)
    target = view.job.encoder.target
    if target.classes is None:
        shown = some(len(A), MOST_POINTS)
        said, true = A[shown, 0], rows.Y[shown, 0]
        if target.task == "regression":
            said, true = target.numbers(A[shown])[:, 0, 0], target.truth(rows.Y[shown])[:, 0]
        return {"kind": "scatter", "name": target.answer_names[0]}, {"said": said, "true": true}
    n = target.n_out
    counts = np.bincount(_codes(rows.Y) * n + A.argmax(axis=1), minlength=n * n).reshape(n, n)
    return {"kind": "confusion", "classes": output_names(target), "rows": len(A)}, {"counts": counts}


def _codes(Y: Array) -> Array:
    """Classes as positions, shape (n,)."""
    return np.asarray(Y[:, 0] if Y.shape[1] == 1 else Y.argmax(axis=1)).astype(np.int64)


def _checked(columns: Any, n: int) -> tuple[int, int]:
    if not isinstance(columns, list) or len(columns) != 2 or not all(type(i) is int and 0 <= i < n for i in columns):
        raise ParameterError(f"columns is {columns!r:.40}; it must be two numbers of inputs, from 0 to {n - 1}")
    return columns[0], columns[1]


def _map(view: View, rows: Data, columns: tuple[int, int]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Answers over two inputs as they are encoded, the others at their medians."""
    (i, j), X, Y = columns, rows.X, rows.Y
    shown = some(len(X), MOST_POINTS)
    axes = []
    for c in columns:
        low, high = X[:, c].min(), X[:, c].max()
        room = 0.08 * (high - low) or 1.0
        axes.append(np.linspace(low - room, high + room, MAP, dtype=np.float32))
    grid = np.repeat(np.median(X, axis=0)[None].astype(X.dtype), MAP * MAP, axis=0)
    grid[:, i] = np.tile(axes[0], MAP)
    grid[:, j] = np.repeat(axes[1], MAP)
    A = outputs(view, grid)
    target = view.job.encoder.target
    arrays: dict[str, Array] = {"a": axes[0], "b": axes[1], "x": X[shown, i], "y": X[shown, j]}
    if target.classes is None:
        arrays |= {"heights": A[:, 0].reshape(MAP, MAP), "truth": Y[shown, 0]}
        return {"kind": "map", "classes": None, "name": target.answer_names[0]}, arrays
    best = A.argmax(axis=1)
    arrays |= {
        "classes": best.astype(np.uint8).reshape(MAP, MAP),
        "chances": A[np.arange(len(A)), best].reshape(MAP, MAP),
        "truth": _codes(Y)[shown],
    }
    return {"kind": "map", "classes": output_names(target)}, arrays

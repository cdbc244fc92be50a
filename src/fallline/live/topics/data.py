"""The table: its columns and what they were taken for, its target, some of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.live.view import View
from fallline.table import BUNDLED, Table
from fallline.wording import number

Array = npt.NDArray[Any]

PREVIEW = 20  # rows
MOST_COLUMNS = 200
BINS = 20


def data(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What is learned from."""
    table, rows = view.table, view.job.rows
    assert table.y is not None
    columns = [
        {
            "name": column.name,
            "role": column.role,
            "reason": column.reason,
            "missing": int(np.isnan(table.X[:, table.columns.index(column.name)]).sum()),
            "holds": _holds(table, column.name),
        }
        for column in view.job.encoder.encodings[:MOST_COLUMNS]
    ]
    preview: list[list[str]] = []
    if table.image_shape is None:
        shown = table.columns[:MOST_COLUMNS]
        preview = [[cell_text(table, name, i) for name in shown] for i in range(min(PREVIEW, table.n_rows))]
    arrays: dict[str, Array] = {}
    if table.image_shape is not None:
        some = np.linspace(0, table.n_rows - 1, min(2 * PREVIEW, table.n_rows)).astype(np.int64)
        arrays["pictures"] = (
            (255 * np.clip(table.X[some], 0, 1)).astype(np.uint8).reshape(len(some), *table.image_shape)
        )
    if view.job.encoder.classes is None:
        counts, edges = np.histogram(table.y.astype(np.float64), bins=BINS)
        labels = [number(float(edge)) for edge in edges]
    else:
        found, counts = np.unique(table.y.astype(str), return_counts=True)
        labels = found.tolist()
    described = {
        "name": table.name,
        "task": view.job.settled["task"],
        "target": table.target,
        "rows": table.n_rows,
        "rows_trained": len(rows.train_rows),
        "rows_held_back": len(rows.held_back_rows),
        "n_columns": table.n_in,
        "columns": [] if table.image_shape else columns,
        "image_shape": table.image_shape,
        "preview": preview,
        "target_labels": labels,
        "bundled": list(BUNDLED),
    }
    return described, arrays | {"target_counts": counts}


def cell_text(table: Table, name: str, row: int) -> str:
    """What a row holds in a column, in words; nothing where it is missing."""
    x = float(table.X[row, table.columns.index(name)])
    if np.isnan(x):
        return ""
    kind = table.kind(name)
    if kind == "category":
        return table.labels[name][int(x)]
    if kind == "date":
        return str(np.datetime64("2000-01-01") + np.timedelta64(int(x), "D"))
    return number(x, 6)


def _holds(table: Table, name: str) -> str:
    """A few words on the values."""
    x = table.X[:, table.columns.index(name)]
    known = x[~np.isnan(x)]
    if not len(known):
        return "nothing"
    if table.kind(name) == "category":
        counts = np.bincount(known.astype(np.int64))
        return f"{np.count_nonzero(counts)} labels, most often {table.labels[name][int(counts.argmax())]}"
    if table.kind(name) == "date":
        days = np.datetime64("2000-01-01") + np.array([known.min(), known.max()]).astype("timedelta64[D]")
        return f"{days[0]} to {days[1]}"
    return f"{number(float(known.min()))} to {number(float(known.max()))}, mean {number(float(known.mean()))}"

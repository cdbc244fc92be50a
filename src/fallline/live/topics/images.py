"""Pictures: what the neurons of the first layer look for, and the rows that the network is most wrong about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.explanation.answer import output_names
from fallline.live.ruler import outputs, some
from fallline.live.topics.asked import whole
from fallline.live.view import View

Array = npt.NDArray[Any]

MOST_IMAGES = 64  # of neurons
MOST_MISTAKES = 24
MOST_ROWS = 5000  # that are asked, evenly spread
QUANTILE = 0.998  # of |W| is where colours should end: a few large weights would make all others pale


def images(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """First weights as images, and the worst mistakes; of `row` its pixels, and what the neurons make of them."""
    shape = shape_of(view)
    row = None if asked.get("row") is None else whole(asked, "row", 0, 0, len(view.measured.X) - 1)
    W = view.network.W[0]
    shown = np.sort(np.argsort(-np.square(W).sum(axis=0), kind="stable")[:MOST_IMAGES])
    weights = W.T[shown].reshape(-1, *shape)
    target, X, y = view.job.encoder.target, view.measured.X, view.measured_table.y
    assert y is not None
    asked_rows = some(len(X), MOST_ROWS)
    wrong, A = _most_mistaken(view, asked_rows)
    mistakes = [
        {"row": int(i), "truth": y[i].tolist(), "answer": answer, "chance": chance, "chance_of_truth": right}
        for i, answer, chance, right in zip(wrong, target.decode(A).tolist(), *_chances(view, wrong, A), strict=True)
    ]
    data: dict[str, Any] = {
        "shape": shape,
        "neurons": len(W.T),
        "limit": float(np.quantile(np.abs(weights), QUANTILE)) or 1.0,
        "rows": len(asked_rows),
        "mistakes": mistakes,
    }
    arrays = {"weights": weights, "shown": shown, "mistakes": as_pictures(X[wrong], shape)}
    if row is not None:
        values = view.network.forward(X[[row]]).A
        said = view.plan.loss.predictions(values[-1], view.network.layers[-1].activation)
        data |= {"row": row, "truth": y[row].tolist(), **answer_to(view, said)}
        arrays |= {"picture": as_pictures(X[[row]], shape)[0], "values": values[0][0, shown], "chances": said[0]}
    return data, arrays


def shape_of(view: View) -> tuple[int, int]:
    """Height and width of the pictures that the rows are; ParameterError where they are none."""
    shape = view.job.encoder.image_shape
    if shape is None:
        raise ParameterError(f"the rows of {view.table.name} are no pictures")
    return shape


def as_pictures(X: Array, shape: tuple[int, int]) -> Array:
    """Rows of pixels from 0 to 1 as bytes, shape (n, height, width)."""
    bytes_: Array = (255 * np.clip(X, 0, 1)).round().astype(np.uint8)
    return bytes_.reshape(len(X), *shape)


def answer_to(view: View, A: Array) -> dict[str, Any]:
    """The answer to one row, and the names of its chances."""
    target = view.job.encoder.target
    names = output_names(target) if target.task == "classification" else None
    return {"answer": target.decode(A)[0].tolist(), "classes": names}


def _most_mistaken(view: View, rows: Array) -> tuple[Array, Array]:
    """Of some rows those with the least chance of the truth, or the largest error, the worst first; and answers."""
    target, data = view.job.encoder.target, view.measured.rows(rows)
    A = outputs(view, data.X)
    if target.classes is not None:
        codes = codes_of(view)[rows]
        off = np.where(A.argmax(axis=1) != codes, 1 - A[np.arange(len(A)), codes], 0)
    else:
        off = np.abs(A[:, : data.Y.shape[1]] - data.Y).max(axis=1)
    worst = np.argsort(-off, kind="stable")[:MOST_MISTAKES]
    worst = worst[off[worst] > 0]
    return rows[worst], A[worst]


def _chances(view: View, rows: Array, A: Array) -> tuple[list[float | None], list[float | None]]:
    """Of the answer and of the truth; None of numbers and of several labels."""
    if view.job.encoder.target.classes is None:
        return [None] * len(A), [None] * len(A)
    return A.max(axis=1).tolist(), A[np.arange(len(A)), codes_of(view)[rows]].tolist()


def codes_of(view: View) -> Array:
    """The class of each row that is measured, as its place, shape (n,)."""
    y = view.measured_table.y
    assert y is not None
    return view.job.encoder.target.codes_of(y)

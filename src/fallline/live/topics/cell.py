"""The rows in one cell of the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.live.ruler import outputs, some
from fallline.live.topics.asked import whole
from fallline.live.topics.data import cell_text
from fallline.live.topics.images import as_pictures, codes_of
from fallline.live.topics.results import MOST_ROWS
from fallline.live.view import View

Array = npt.NDArray[Any]

MOST_SHOWN = 50
MOST_COLUMNS = 30


def cell(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Rows of class `truth` that were taken for class `answer`, by their places; the surest answers first."""
    classes, table = view.job.encoder.target.classes, view.measured_table
    if classes is None:
        raise ParameterError("the answers are no classes, so there is no table of mistakes")
    truth = whole(asked, "truth", 0, 0, len(classes) - 1)
    answer = whole(asked, "answer", 0, 0, len(classes) - 1)
    which = some(len(view.measured.X), MOST_ROWS)
    A = outputs(view, view.measured.X[which])
    there = np.flatnonzero((codes_of(view)[which] == truth) & (A.argmax(axis=1) == answer))
    shown = there[np.argsort(-A[there, answer], kind="stable")[:MOST_SHOWN]]
    columns = [] if table.image_shape else list(table.columns[:MOST_COLUMNS])
    numbers = view.job.rows.train_rows if view.validation is None else view.job.rows.held_back_rows
    data = {
        "truth": str(classes[truth]),
        "answer": str(classes[answer]),
        "count": len(there),
        "columns": columns,
        "rows": [
            {
                "row": int(which[i]),
                "number": int(numbers[which[i]]) + 1,
                "values": [cell_text(table, name, int(which[i])) for name in columns],
                "chance": float(A[i, answer]),
                "chance_of_truth": float(A[i, truth]),
            }
            for i in shown
        ],
    }
    if table.image_shape is None:
        return data, {}
    return data, {"pictures": as_pictures(view.measured.X[which[shown]], table.image_shape)}

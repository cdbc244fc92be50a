"""How good it is now, in the user's units, and how to come here again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.explanation.answer import output_names
from fallline.fit.beside import simplest_guess
from fallline.live.result import command
from fallline.live.ruler import outputs, some
from fallline.live.topics.images import codes_of
from fallline.live.view import View
from fallline.table.score import score
from fallline.wording import SCORE_NAMES

Array = npt.NDArray[Any]

MOST_ROWS = 20_000  # that are asked, evenly spread
MOST_CLASSES = 50  # of a confusion matrix


def results(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Scores on the rows held back (or learned from, where there are none) beside those of the simplest guess."""
    target, learned = view.job.encoder.target, view.job.rows.train.y
    which = some(len(view.measured.X), MOST_ROWS)
    A, table = outputs(view, view.measured.X[which]), view.measured_table.rows(which)
    assert table.y is not None
    assert learned is not None
    finite = bool(np.isfinite(A).all())
    scores = score(target, A, table.y) if finite else {}
    repeats = command(view)
    data: dict[str, Any] = {
        "rows": len(which),
        "held_back": view.validation is not None,
        "task": target.task,
        "target": target.name,
        "metrics": {name: {"name": SCORE_NAMES.get(name, name), "value": value} for name, value in scores.items()},
        "guess": simplest_guess(view.job.encoder, learned, table.y),
        "classes": None,
        "command": repeats,
        "says": _says(view) if repeats else _why_none(view),
    }
    if not finite:
        return data | {"message": "the network has diverged, so it says nothing"}, {}
    if target.classes is None or len(target.classes) > MOST_CLASSES:
        return data, {}
    n = len(target.classes)
    counts = np.bincount(codes_of(view)[which] * n + A.argmax(axis=1), minlength=n * n).reshape(n, n)
    return data | {"classes": output_names(target)}, {"confusion": counts}


def _says(view: View) -> str:
    """What the command comes to."""
    if view.job.recipe.keeps_best and view.validation is not None:
        return (
            "It goes the same way for as many whole epochs. What it keeps is the best of them on the rows held back, "
            "and answers are calibrated on these."
        )
    return "It goes the same way, to the last bit, for as many whole epochs."


def _why_none(view: View) -> str:
    if view.by_program:
        return "The descent belongs to a program, which repeats it."
    if view.journal.model:
        return f"It began with the network of {view.journal.model}, so no command line repeats it; the journal does."
    n = len(view.journal.actions)
    times = "once" if n == 1 else f"{n} times"
    return f"The descent was taken in hand {times}, so no command line repeats it; the journal does."

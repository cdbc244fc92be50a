"""What a notebook shows of a run or a model: a few lines and the loss curve."""

from __future__ import annotations

from html import escape

import numpy as np

from fallline.model import Model
from fallline.report.figures import displayed
from fallline.report.training import loss_curve_of
from fallline.run import Run
from fallline.wording import number, score_text


def html_of_run(run: Run) -> str:
    """A run as a fragment of HTML.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
    """
    k = run.best_start
    what = "validation loss" if run.validation else "training loss"
    loss = f"{what} {number(float(run.losses[k]))}" if np.isfinite(run.losses[k]) else f"no finite {what}"
    starts = f"; the best of {len(run.networks)} starts" if len(run.networks) > 1 else ""
    return _fragment(repr(run.network), f"{run.message}; {loss}{starts}", run if len(run.history) else None)


def html_of_model(model: Model) -> str:
    """A model as a fragment of HTML.

    Parameters
    ----------
    model : Model

    Returns
    -------
    str
    """
    scores = model.training.get("scores")
    return _fragment(
        repr(model),
        f"on rows held back: {score_text(scores)}" if scores else "nothing was held back to measure on",
        model if model.training.get("history") else None,
    )


def _fragment(title: str, words: str, curve: Run | Model | None) -> str:
    picture = ""
    if curve is not None:
        drawn = displayed(loss_curve_of(curve), size=(7, 3.6))
        picture = f'<img src="{drawn.source}" alt="{escape(drawn.alt)}" style="max-width: 40rem; background: white">'
    return f"<div><p><code>{escape(title)}</code><br>{escape(words)}</p>{picture}</div>"

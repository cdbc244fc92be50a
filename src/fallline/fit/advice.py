"""What to try next, from what a fit came to: plain words, each with what speaks for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fallline.fit.training import Fit
from fallline.table import Table

FEW_ROWS = 300
LATE, EARLY = 0.95, 0.1  # of the epochs
DISAGREE = 0.15  # of the mean error
SKEWED = 2.0  # standard deviations of the third power
TOO_GOOD = 0.9995


def advice(fit: Fit, table: Table) -> list[str]:
    """Say what to try, the most telling first.

    Parameters
    ----------
    fit : Fit
    table : Table
        That was trained on.

    Returns
    -------
    list of str
        Empty where nothing speaks for anything.

    Examples
    --------
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> iris = load_bundled("iris")
    >>> advice(fit(iris, {"starts": 2, "epochs": 20}), iris)[-1]
    '150 rows are few: more of them would help most'
    """
    said = [rule(fit, table) for rule in _RULES]
    return [words for words in said if words]


def _leak(fit: Fit, table: Table) -> str:
    score = fit.scores.get("accuracy", fit.scores.get("r2", 0.0))
    if score < TOO_GOOD or not fit.beside or len(fit.held_back_rows) < FEW_ROWS:
        return ""
    return "nearly all is right: make sure that no column is known only after the target"


def _linear(fit: Fit, table: Table) -> str:
    linear = fit.beside.get("linear")
    if linear is None or linear[_measure(fit)] > 1.01 * fit.scores[_measure(fit)]:
        return ""
    return "a linear model is as good, and simpler: consider one"


def _time(fit: Fit, table: Table) -> str:
    if fit.model.training["settings"]["time_budget"] is None or fit.run.stop_reason != "stopped":
        return ""
    return "the time was over before the last epoch: give more"


def _epochs(fit: Fit, table: Table) -> str:
    if not fit.held_back_chose or not len(fit.run.history) or fit.run.stop_reason != "finished":
        return ""  # kept at the last epoch, whatever the rows held back say
    n_epochs = int(fit.run.history["epoch"].max())
    kept = float(np.median([fit.run.kept_epochs[k] for k in fit.starts])) / n_epochs
    if kept >= LATE and n_epochs >= 20 and _schedule_matters(fit):
        return f"the networks still got better at the end: try more epochs ({n_epochs} now)"
    if kept <= EARLY and n_epochs >= 8:
        best = max(1, round(kept * n_epochs))
        return f"from epoch {best} of {n_epochs} on rows were learned by heart: try dropout 0.1, or more weight decay"
    return ""


def _starts(fit: Fit, table: Table) -> str:
    errors = [each[_measure(fit)] for each in fit.judgement.each]
    if len(errors) < 2 or fit.n_folds or np.std(errors) <= DISAGREE * np.mean(errors):
        return ""
    return f"the starts disagree: try more than {len(errors)} of them"


def _logarithm(fit: Fit, table: Table) -> str:
    target, y = fit.model.encoder.target, table.y
    if target.task != "regression" or target.log or target.n_targets > 1 or y is None or y.min() <= 0:
        return ""

    def skewness(values: np.ndarray) -> float:
        return float(np.mean(((values - values.mean()) / (values.std() or 1.0)) ** 3))

    y = y.astype(np.float64)
    if skewness(y) < SKEWED or abs(skewness(np.log(y))) > skewness(y) / 2:
        return ""
    return "a few targets are far larger than most: if errors count relative to them, learn their logarithm"


def _counter(fit: Fit, table: Table) -> str:
    for j, column in enumerate(fit.model.encoder.encodings):
        if column.role == "number" and table.n_rows > 20 and (np.diff(table.X[:, j]) == 1).all():
            return f"column {column.name!r} counts the rows: drop it, unless it is a time"
    return ""


def _rows(fit: Fit, table: Table) -> str:
    return f"{table.n_rows} rows are few: more of them would help most" if table.n_rows < FEW_ROWS else ""


_RULES: tuple[Callable[[Fit, Table], str], ...] = (
    _leak,
    _counter,
    _linear,
    _time,
    _epochs,
    _starts,
    _logarithm,
    _rows,
)


def _measure(fit: Fit) -> str:
    """The score that is smaller where the model is better."""
    return "log_loss" if "log_loss" in fit.scores else "rmse"


def _schedule_matters(fit: Fit) -> bool:
    """Whether the last epoch was not bound to be the best because the learning rate ended there."""
    losses = fit.run.history["loss"]
    return bool(np.nanmean(losses[-1]) < 0.9 * np.nanmean(losses[int(0.6 * len(losses))]))

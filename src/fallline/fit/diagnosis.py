"""What may be wrong with a fit of a table: what its descent says, and what the columns and the scores say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fallline.diagnosis import Finding
from fallline.fit.budget import Deadline
from fallline.fit.training import Fit
from fallline.table import Table
from fallline.wording import score, score_text

FEW_ROWS = 300
SKEWED = 2.0  # standard deviations of the third power
TOO_GOOD = 0.9995
NO_BETTER = 0.99  # of the error of the simplest guess
ROWS_FOR_LEAK = 1000
FEWEST_FOR_LEAK = 50
LEAKS = 1e-3  # of a target's variance is left; and, for classes, of ...
LEAKS_CLASS = 0.05  # ... the changes of class from row to row

# What a network that has learned badly has to mend before it is compared with anything.
_BROKEN = {"diverged", "step_too_large", "step_too_small", "dead_units", "saturated_units", "vanishing_gradients"}


def diagnose(fit: Fit, table: Table) -> list[Finding]:
    """Say in plain words what may be wrong with a fit, each with its evidence and one thing to do.

    Parameters
    ----------
    fit : Fit
    table : Table
        That was trained on.

    Returns
    -------
    list of Finding
        The most telling first, those of `Run.diagnose` among them; empty where all seems well.

    Examples
    --------
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> iris = load_bundled("iris")
    >>> print(diagnose(fit(iris, {"starts": 2, "epochs": 20}), iris)[-1])
    150 rows are few (38 for each of 4 columns): more of them would help most
    """
    # Where the best epochs are kept, those after them cost no more than time: on nine tables learned by heart neither
    # dropout nor weight decay nor fewer epochs bettered the answers by more than 2 %.
    harmless = fit.held_back_chose and not _no_better(fit, table)
    of_run = [one for one in fit.run.diagnose() if one.name != "overfitting" or not harmless]
    broken = bool(_BROKEN & {finding.name for finding in of_run})
    before, after = _OF_COLUMNS, _OF_DATA if broken else (*_OF_SCORES, *_OF_DATA)
    said = [*(rule(fit, table) for rule in before), *of_run, *(rule(fit, table) for rule in after)]
    return [finding for finding in said if finding is not None]


def _leak(fit: Fit, table: Table) -> Finding | None:
    score = fit.scores.get("accuracy", fit.scores.get("r2", 0.0))
    if (column := _telling_column(fit, table)) is not None:
        name, evidence = column
        return Finding(
            "leak",
            f"column {name!r} alone nearly tells the target",
            evidence,
            "drop it, if it is known only after the target",
        )
    if score < TOO_GOOD or not fit.beside or len(fit.held_back_rows) < FEW_ROWS:
        return None
    return Finding(
        "leak",
        "nearly all is right",
        f"{'accuracy' if 'accuracy' in fit.scores else 'R2'} {score:.4f} on {len(fit.held_back_rows)} rows",
        "make sure that no column is known only after the target",
    )


def _telling_column(fit: Fit, table: Table) -> tuple[str, str] | None:
    """A column of several by which rows need only be sorted to bring the target in order; and what shows it."""
    encodings, y = fit.model.encoder.encodings, table.y
    n = min(table.n_rows, ROWS_FOR_LEAK)
    if y is None or y.ndim > 1 or table.image_shape is not None or len(encodings) < 2 or n < FEWEST_FOR_LEAK:
        return None
    some = np.random.default_rng(0).permutation(table.n_rows)[:n]  # in no order, so that equal values are in none
    values, counts = np.unique(y[some], return_inverse=True, return_counts=True)[1:]
    is_class = fit.model.task == "classification"
    by_chance = 1 - float(((counts / n) ** 2).sum()) if is_class else float(values.var())
    for j, column in enumerate(encodings):
        if column.role == "unused" or by_chance == 0:
            continue
        in_order = values[np.argsort(table.X[some, j], kind="stable")]  # missing values come last, together
        if is_class:
            n_changes = int((np.diff(in_order) != 0).sum())
            if n_changes < LEAKS_CLASS * by_chance * n:
                return column.name, f"of {n} rows sorted by it only {n_changes} have another class than the row before"
        else:
            left = in_order[1:-1] - (in_order[:-2] + in_order[2:]) / 2
            if float(np.mean(left**2)) < LEAKS * by_chance:
                return column.name, f"{n} rows sorted by it have their targets in order too"
    return None


def _counter(fit: Fit, table: Table) -> Finding | None:
    for j, column in enumerate(fit.model.encoder.encodings):
        if column.role == "number" and table.n_rows > 20 and (np.diff(table.X[:, j]) == 1).all():
            return Finding(
                "counter",
                f"column {column.name!r} counts the rows",
                f"1 more in each of {table.n_rows}",
                "drop it, unless it is a time",
            )
    return None


def _no_better(fit: Fit, table: Table) -> Finding | None:
    if not fit.beside or fit.scores[_measure(fit)] < NO_BETTER * fit.beside["guess"][_measure(fit)]:
        return None
    return Finding(
        "no_better_than_a_guess",
        "the answers are no better than the same one for all rows",
        _beside(fit, "guess"),
        "look for columns that have to do with the target",
    )


def _linear(fit: Fit, table: Table) -> Finding | None:
    linear = fit.beside.get("linear")
    if linear is None or linear[_measure(fit)] > 1.01 * fit.scores[_measure(fit)] or _no_better(fit, table):
        return None
    return Finding(
        "linear_as_good",
        "a linear model is as good, and simpler",
        _beside(fit, "linear"),
        "consider one, or columns that say more",
    )


def _time(fit: Fit, table: Table) -> Finding | None:
    budget = fit.model.training["settings"]["time_budget"]
    if fit.run.stopped_because != Deadline.stops_because:
        return None
    return Finding(
        "too_little_time",
        "the time was over before the last epoch",
        f"{budget:g} s, {len(fit.run.history['loss'])} of {fit.model.training['settings']['epochs']} epochs",
        "give more",
    )


def _logarithm(fit: Fit, table: Table) -> Finding | None:
    target, y = fit.model.encoder.target, table.y
    if target.task != "regression" or target.log or target.n_targets > 1 or y is None or y.min() <= 0:
        return None

    def skewness(values: npt.NDArray[np.float64]) -> float:
        return float(np.mean(((values - values.mean()) / (values.std() or 1.0)) ** 3))

    y = y.astype(np.float64)
    if skewness(y) < SKEWED or abs(skewness(np.log(y))) > skewness(y) / 2:
        return None
    return Finding(
        "skewed_target",
        "a few targets are far larger than most",
        f"skewness {skewness(y):.1f}, of their logarithms {skewness(np.log(y)):.1f}",
        "if errors count relative to them, learn their logarithm (target_transform 'log')",
    )


def _rows(fit: Fit, table: Table) -> Finding | None:
    if table.n_rows >= FEW_ROWS:
        return None
    n_columns = sum(column.role != "unused" for column in fit.model.encoder.encodings)
    each = f"{table.n_rows / n_columns:.0f} for each of {n_columns} column{'s' * (n_columns > 1)}"
    return Finding("few_rows", f"{table.n_rows} rows are few", each, "more of them would help most")


_OF_COLUMNS: tuple[Callable[[Fit, Table], Finding | None], ...] = (_leak, _counter)
_OF_SCORES = (_no_better, _linear)
_OF_DATA = (_time, _logarithm, _rows)


def _measure(fit: Fit) -> str:
    """The score that is smaller where the model is better."""
    return "log_loss" if "log_loss" in fit.scores else "rmse"


def _beside(fit: Fit, other: str) -> str:
    """The score of a fit beside that of something simpler."""
    name = _measure(fit)
    return f"{score_text({name: fit.beside[other][name]})}, the networks' {score(name, fit.scores[name])}"

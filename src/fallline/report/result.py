"""What a report says of the result: scores with intervals, where it errs, what it goes by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.evaluation import Evaluation, evaluate_classes, evaluate_numbers
from fallline.model import Model
from fallline.pictures import results
from fallline.pictures.dependence import PartialDependenceDisplay
from fallline.pictures.importance import ImportanceDisplay
from fallline.report.figures import displayed, figure, scratch_axes
from fallline.report.page import Block, Grid, Section, Text
from fallline.report.twins import cell
from fallline.table import Table
from fallline.wording import SCORE_NAMES, score

Array = npt.NDArray[Any]

MOST_CLASSES = 20  # of a confusion matrix
MOST_CURVES = 10  # classes with a ROC curve
MOST_COLUMNS = 60  # to shuffle
ROWS, REPEATS = 500, 5  # to shuffle, and how often
MOST_DEPENDENCES = 4
ALARMS = (0.01, 0.02, 0.05, 0.1, 0.2)  # shares of false alarms in the table of ROC curves
PARTS = 8  # of the rows, in the table of predictions
SQUARE = (6.4, 5.8)


def evaluated(model: Model, table: Table, outputs: Array) -> Evaluation | None:
    """Scores with intervals; None for several targets, which have none."""
    target = model.encoder.target
    if target.n_targets > 1 or table.y is None or not table.n_rows:
        return None
    if target.classes is not None:
        return evaluate_classes(outputs, target.codes_of(table.y))
    return evaluate_numbers(target.decode(outputs), table.y.astype(np.float64))


def result_section(
    model: Model,
    table: Table,
    outputs: Array,
    which: str,
    beside: Mapping[str, Mapping[str, float]],
) -> Section:
    """How good the answers are, and for which rows they are wrong.

    Parameters
    ----------
    model : Model
    table : Table
        Rows with targets.
    outputs : array of shape (n, n_out)
        What was said of them.
    which : str
        Which rows these are.
    beside : mapping
        Scores of others on the same rows, as `Fit.beside`.

    Returns
    -------
    Section
    """
    evaluation = evaluated(model, table, outputs)
    if evaluation is None:
        return Section("result", "The result", [])
    linear = beside.get("linear", {})
    rows = []
    for name, each in evaluation.scores.items():
        interval = "-" if np.isnan(each.low) else f"{score(name, each.low)} to {score(name, each.high)}"
        others = [score(name, linear[name]) if name in linear else "-"] if linear else []
        rows.append(
            [SCORE_NAMES.get(name, name), score(name, each.value), interval, *others, score(name, each.constant)]
        )
    header = ["score", "value", "95 % interval", *(["a linear model"] if linear else []), "the best constant"]
    blocks: list[Block] = [Text(f"Measured on {which}."), Grid("Scores", header, rows)]
    blocks += _classes(model, table, outputs) if model.classes is not None else _numbers(model, table, outputs)
    blocks += _columns(model, table)
    return Section("result", "The result", blocks)


def _classes(model: Model, table: Table, outputs: Array) -> list[Block]:
    assert model.classes is not None
    assert table.y is not None
    codes, said = model.encoder.target.codes_of(table.y), outputs.argmax(axis=1)
    names = [str(label) for label in model.classes.tolist()]
    counts = np.bincount(codes * len(names) + said, minlength=len(names) ** 2).reshape(len(names), -1)
    blocks: list[Block] = []
    if len(names) <= MOST_CLASSES:
        numbers = Grid(
            "Rows of each class (down) by what they were taken for (across)",
            ["is", *names],
            [[name, *(f"{c:,}" for c in row)] for name, row in zip(names, counts.tolist(), strict=True)],
        )
        wrong = int(len(codes) - np.trace(counts))
        alt = f"Confusion matrix: {wrong:,} of {len(codes):,} rows were taken for another class."
        caption = f"{alt} Most of them: {_most_wrong(counts, names)}." if wrong else alt

        def confusion(paper: Any) -> None:
            results.confusion_matrix(model, table, paper.subplots(), outputs)

        blocks.append(figure(confusion, alt, caption, numbers, size=SQUARE))
    if 2 <= len(names) <= MOST_CURVES:
        alt = "ROC curves: of each class the share that is found, over the share of other rows that are taken for it."
        if (counts.sum(axis=1) > 0).all():  # a class without rows has no curve

            def roc(paper: Any) -> list[Any]:
                return results.roc(model, table, paper.subplots(), outputs)

            blocks.append(figure(roc, alt, alt, lambda drawn: _found(drawn, names[-len(drawn) :]), size=SQUARE))
    right = f"{names[1]} came true" if len(names) == 2 else "the predicted class was right"
    alt = f"Calibration: how often {right}, over how probable it was said to be."

    def calibration(paper: Any) -> Any:
        return results.calibration(model, table, paper.subplots(), outputs=outputs)

    return [*blocks, figure(calibration, alt, alt, _came_true, size=SQUARE)]


def _found(curves: list[Any], names: list[str]) -> Grid:
    """Some points of ROC curves."""
    rows = [
        [name, cell(curve.roc_auc), *(f"{share:.1%}" for share in np.interp(ALARMS, curve.fpr, curve.tpr))]
        for name, curve in zip(names, curves, strict=True)
    ]
    return Grid(
        "How much of a class is found at some shares of false alarms",
        ["class", "area under the curve", *(f"at {share:.0%}" for share in ALARMS)],
        rows,
    )


def _came_true(calibration: Any) -> Grid:
    """The points of a calibration curve."""
    points = zip(calibration.prob_pred, calibration.prob_true, strict=True)
    rows = [[f"{said:.1%}", f"{came_true:.1%}"] for said, came_true in points]
    return Grid(
        "Parts of the rows, from those that were said to be least probable", ["mean probability", "came true"], rows
    )


def _most_wrong(counts: Array, names: list[str]) -> str:
    """The pair of classes that is mixed up most."""
    off = counts - np.diag(np.diag(counts))
    i, j = np.unravel_index(int(off.argmax()), off.shape)
    return f"{names[i]} taken for {names[j]}, {off[i, j]:,} time{'s' * bool(off[i, j] != 1)}"


def _numbers(model: Model, table: Table, outputs: Array) -> list[Block]:
    said = "Each row's true number over the predicted one; on the dashed line both are the same."
    left = "What is left: the true number less the predicted one, over the prediction."

    def predictions(paper: Any) -> Any:
        return results.predictions(model, table, paper.subplots(), outputs=outputs)

    def residuals(paper: Any) -> Any:
        return results.residuals(model, table, paper.subplots(), outputs=outputs)

    return [
        figure(predictions, said, said, lambda drawn: _in_parts(drawn, "true number", drawn.y_true), size=SQUARE),
        figure(
            residuals,
            left,
            left,
            lambda drawn: _in_parts(drawn, "true less predicted", drawn.y_true - drawn.y_pred),
            size=SQUARE,
        ),
    ]


def _in_parts(drawn: Any, what: str, values: Array) -> Grid:
    """Quartiles of a number of each row, for parts of the rows in order of their predictions."""
    parts = np.array_split(np.argsort(drawn.y_pred, kind="stable"), min(PARTS, len(values)))
    rows = [
        [
            f"{cell(drawn.y_pred[part[0]])} to {cell(drawn.y_pred[part[-1]])}", f"{len(part):,}",
            *map(cell, np.quantile(values[part], (0.25, 0.5, 0.75))),
        ]
        for part in parts
    ]  # fmt: skip
    header = ["predicted", "rows", f"{what}: a quarter below", "half below", "three quarters below"]
    return Grid("Rows that are drawn, in parts by what was predicted", header, rows)


def _columns(model: Model, table: Table) -> list[Block]:
    """What the model goes by, and what the most important columns do."""
    used = [column.name for column in model.encoder.encodings if column.role not in ("unused", "pixel")]
    if not 1 < len(used) <= MOST_COLUMNS or table.n_rows < 20:
        return []
    measure = "log_loss" if model.task == "classification" else "rmse"
    aside = scratch_axes()
    display = ImportanceDisplay.from_model(model, table, measure, n_repeats=REPEATS, rows=ROWS, ax=aside)
    blocks: list[Block] = [displayed(display.plot, size=(10, 1.4 + 0.27 * min(20, len(used))), wide=True)]
    if model.training.get("rows", {}).get("folds"):
        words = "All networks answer here, also those that learned from these rows; above each row is judged by others."
        blocks.append(Text(words))
    means = display.importances.mean(axis=1)
    unlabelled = replace(table, y=None)
    for i in np.argsort(-means, kind="stable")[:MOST_DEPENDENCES]:
        name = display.columns[i]
        if means[i] > 0:
            blocks.append(displayed(_dependence(model, unlabelled, name)))
    return blocks


def _dependence(model: Model, table: Table, column: str) -> Callable[[Any], Any]:
    """What draws a column's partial dependence on axes."""
    return lambda ax: PartialDependenceDisplay.from_model(model, table, column, ax=ax)

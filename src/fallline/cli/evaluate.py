"""`fallline evaluate`: how good a model is on a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline.cli.output import aligned
from fallline.cli.settings import parse, setting
from fallline.wording import SCORE_NAMES, score

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fallline.evaluation import Evaluation
    from fallline.model import Model
    from fallline.table import Encoder, Table

MOST_CONFUSED = 10  # classes; the table of more is too wide to read


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="Rows with their targets, as train takes them.")],
    threads: Annotated[str, setting("threads")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how good a model is on a table.

    For classes: accuracy, balanced accuracy, log loss, Brier score (0 to 2), ROC AUC (each class against the rest), F1
    (of two classes that of the second, else the mean) and, of up to ten classes, which were taken for which. For
    numbers: RMSE, MAE and median absolute error, in the units of the target, and R2.

    Beside each stand its 95 % confidence interval and what the best constant would score, an answer that is the same
    for every row. Rows without a target, or with a label that the model does not know, are left out and counted.
    """
    settings = parse({"threads": threads})

    from fallline.files.model_file import to_json
    from fallline.model import load

    trained = load(model, **settings)
    name, evaluation, left_out = _measure(trained, data)
    if as_json:
        print(to_json({"model": str(model), "data": name, **_as_json(trained, evaluation, left_out)}))
    else:
        print(_as_text(trained, name, evaluation, left_out))


def _measure(trained: Model, data: str) -> tuple[str, Evaluation, dict[str, Any]]:
    """The table's name, its scores, and which rows are not in them. Of each block only answers and targets are kept."""
    import numpy as np

    from fallline.cli.progress import RowsBar
    from fallline.errors import DataError
    from fallline.evaluation import evaluate_classes, evaluate_numbers
    from fallline.table import read_blocks
    from fallline.table.targets import no_known_label

    encoder, target = trained.encoder, trained.encoder.target.name
    if encoder.target.n_targets > 1:
        raise DataError(f"the model has {encoder.target.n_targets} targets; a file's table has one, so use Python")
    name, outputs, targets = data, [], []
    n_blank, n_unknown = 0, 0
    unknown: dict[str, None] = {}  # in the order of their appearance
    with RowsBar("measured") as bar:
        for block in read_blocks(data, encoder.kinds_to_measure, target):
            table, name = block.table, block.table.name
            if table.y is None:
                raise DataError(f"{name}: there is no target {target!r} to compare with")
            y: Any = _numbers(encoder, table) if encoder.classes is None else encoder.target.codes_of(table.y)
            if encoder.classes is not None and (y < 0).any():
                unknown |= dict.fromkeys(map(str, table.y[y < 0].tolist()))
                n_unknown += int((y < 0).sum())
                table, y = table.rows(np.flatnonzero(y >= 0)), y[y >= 0]
            outputs.append(trained.outputs(table))
            targets.append(y)
            n_blank += block.n_left_out
            bar.advance(block.table.n_rows, block.share_read)
    A, y = np.concatenate(outputs), np.concatenate(targets)
    if not len(y) and not unknown:
        raise DataError(f"{name}: the target {target!r} is missing in all {n_blank:,} rows")
    if not len(y):
        raise no_known_label(encoder.target, name, unknown)
    evaluation = evaluate_numbers(encoder.target.decode(A), y) if encoder.classes is None else evaluate_classes(A, y)
    return name, evaluation, {"without_target": n_blank, "unknown_label": n_unknown, "unknown_labels": list(unknown)}


def _numbers(encoder: Encoder, table: Table) -> npt.NDArray[np.float64]:
    assert table.y is not None
    encoder.target.encode(table.y)  # DataError for what is no number
    return table.y.astype("float64")


def _as_json(trained: Model, evaluation: Evaluation, left_out: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    from fallline.evaluation import LEVEL, N_RESAMPLES

    confusion = None
    if trained.classes is not None and evaluation.confusion is not None and len(trained.classes) <= MOST_CONFUSED:
        confusion = {"labels": trained.classes.tolist(), "counts": evaluation.confusion.tolist()}
    return {
        "rows": evaluation.n_rows,
        "left_out": left_out,
        "scores": {name: asdict(each) for name, each in evaluation.scores.items()},
        "intervals": {"level": LEVEL, "resamples": N_RESAMPLES, "rows_resampled": evaluation.n_resampled},
        **({} if confusion is None else {"confusion": confusion}),
    }


def _as_text(trained: Model, name: str, evaluation: Evaluation, left_out: dict[str, Any]) -> str:
    from fallline.evaluation import N_RESAMPLES
    from fallline.wording import listed_briefly

    n = evaluation.n_rows
    part = f"{evaluation.n_resampled:,} of them, scaled to all" if evaluation.n_resampled < n else "them"
    wilson = "" if trained.classes is None else "; accuracy's is Wilson's"
    rows = [["data", name], ["rows", f"{n:,}"]]
    if left_out["without_target"]:
        rows.append(["left out", f"{left_out['without_target']:,} without a target"])
    if left_out["unknown_label"]:
        unknown = listed_briefly(left_out["unknown_labels"])
        rows.append(["left out", f"{left_out['unknown_label']:,} whose label the model does not know: {unknown}"])
    rows.append(["intervals", f"{N_RESAMPLES:,} bootstrap resamples of {part}{wilson}"])
    scores = [["", "score", "95 % interval", "best constant"]]
    for key, each in evaluation.scores.items():
        label = SCORE_NAMES.get(key, key)
        if key == "f1" and trained.classes is not None:
            label = f"F1 of {trained.classes[1]}" if len(trained.classes) == 2 else "F1, mean"
        interval = f"{score(key, each.low)} to {score(key, each.high)}" if each.low == each.low else "-"
        scores.append([label, score(key, each.value), interval, score(key, each.constant)])
    text = [aligned(rows), aligned(scores)]
    if trained.classes is not None and evaluation.confusion is not None and len(trained.classes) <= MOST_CONFUSED:
        labels = [str(label) for label in trained.classes.tolist()]
        counts = [[f"{count:,}" for count in row] for row in evaluation.confusion.tolist()]
        text.append(
            aligned([["is \\ taken for", *labels], *([label, *row] for label, row in zip(labels, counts, strict=True))])
        )
    return "\n\n".join(text)

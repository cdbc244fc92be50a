"""`fallline evaluate`: how good a model is on a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fallline.cli.output import SCORE_NAMES, aligned, score
from fallline.cli.settings import parse, setting


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="Rows with their targets, as train takes them.")],
    threads: Annotated[str, setting("threads")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how good a model is on a table.

    For classes: accuracy and log loss. For numbers: RMSE and MAE, in the units of the target, and R2.
    """
    settings = parse({"threads": threads})

    from fallline.files.model_file import to_json
    from fallline.model import load
    from fallline.table import read

    trained = load(model, **settings)
    encoder = trained.encoder
    rows = read(data, encoder.target.name, columns=list(encoder.kinds), kinds=encoder.kinds)
    scores = trained.evaluate(rows)
    if as_json:
        print(to_json({"model": str(model), "data": rows.name, "rows": rows.n_rows, "scores": scores}))
    else:
        named = [[SCORE_NAMES.get(name, name), score(name, value)] for name, value in scores.items()]
        print(aligned([["data", rows.name], ["rows", str(rows.n_rows)], *named]))

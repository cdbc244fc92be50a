"""`fallline predict`: a model and a table in, one prediction a row out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from fallline.atomic import whole_file
from fallline.cli.output import check_different, check_writable
from fallline.cli.settings import parse, setting

if TYPE_CHECKING:
    import numpy.typing as npt


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="Rows, as train takes them; the target may be missing.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file to write; otherwise standard output.")
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="The probability of each class instead of the class.")] = False,
    threads: Annotated[str, setting("threads")] = "auto",
) -> None:
    """Predict each row of a table, as CSV.

    One line for each row of DATA, in its order. The column is called as the target; with --proba there is one for each
    class, called as the class.
    """
    settings = parse({"threads": threads})
    if out is not None:
        check_writable("--out", out, (".csv",))
        check_different({"MODEL": model, "DATA": data, "--out": out})

    from fallline.model import load
    from fallline.table import read

    trained = load(model, **settings)
    rows = read(data, None, columns=list(trained.encoder.kinds), kinds=trained.encoder.kinds)
    if proba:
        names = [] if trained.classes is None else [str(label) for label in trained.classes.tolist()]
        predictions = trained.predict_proba(rows)
    else:
        names, predictions = [trained.encoder.target.name], trained.predict(rows)[:, None]
    if out is None:
        _write(sys.stdout, names, predictions)
        sys.stdout.flush()
    else:
        with whole_file(out) as file:
            _write(file, names, predictions)


def _write(file: IO[str], names: list[str], predictions: npt.NDArray[Any]) -> None:
    """Lines of CSV; numbers with the nine digits that tell every float32 from the next."""
    import csv

    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    if predictions.dtype.kind == "f":
        writer.writerows([f"{value:.9g}" for value in row] for row in predictions.tolist())
    else:
        writer.writerows(predictions.tolist())

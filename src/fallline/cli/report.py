"""`fallline report`: a model as one HTML file to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fallline.cli.output import check_different, check_writable
from fallline.cli.settings import parse, setting


def report(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Rows with their targets to measure on, as train takes them.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the report is written.")] = Path("report.html"),
    threads: Annotated[str, setting("threads")] = "auto",
) -> None:
    """Write a report of a model: one HTML file of pictures.

    The network, how it was trained and, with DATA, how good it is there and why; each picture has its numbers as a
    table. The file needs no network and no JavaScript. The path of the descent is in the
    report that `train --report` writes.
    """
    settings = parse({"threads": threads})
    check_writable("--out", out, (".html", ".htm"))
    check_different({"MODEL": model, "DATA": data, "--out": out})

    from fallline.model import load
    from fallline.report import report_of_model, write
    from fallline.table import read

    trained = load(model, **settings)
    table = None
    if data is not None:
        encoder = trained.encoder
        table = read(data, encoder.target.name, columns=encoder.columns, kinds=encoder.kinds_to_measure)
    write(report_of_model(trained, table), out)
    print(f"report  {out}")

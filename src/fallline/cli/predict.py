"""`fallline predict`: a model and a table in, one prediction a row out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from fallline.atomic import whole_file
from fallline.cli.output import check_different, check_writable
from fallline.cli.settings import parse, setting
from fallline.errors import ParameterError

if TYPE_CHECKING:
    import numpy.typing as npt

    from fallline.table import Table

Write: TypeAlias = "Callable[[npt.NDArray[Any]], None]"


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="Rows, as train takes them; the target may be missing. - is CSV on standard input."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write, .csv or .parquet; otherwise CSV on standard output."),
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="The probability of each class instead of the class.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Also bounds that hold the truth for such a share, such as 0.9."),
    ] = None,
    threads: Annotated[str, setting("threads")] = "auto",
) -> None:
    """Predict each row of a table, as CSV or Parquet.

    One line for each row of DATA, in its order. The column is called as the target; with --proba there is one for each
    class, called as the class; a model for quantiles has one for each of them. Tables larger than memory are fine: CSV,
    Parquet, Arrow and JSON lines are read block by block. FILE takes its name when all rows are predicted; if something
    is wrong before, an older one stays.
    """
    settings = parse({"threads": threads})
    if interval is not None and not 0 < interval < 1:
        raise ParameterError(f"--interval is {interval:g}; it must be above 0 and below 1, such as 0.9")
    if out is not None:
        check_writable("--out", out, (".csv", ".parquet"))
        check_different({"MODEL": model, "DATA": data, "--out": out})

    import numpy as np

    from fallline.cli.progress import RowsBar
    from fallline.model import load
    from fallline.table import read_blocks

    trained = load(model, **settings)
    target = trained.encoder.target
    names = target.answer_names
    if proba and target.task == "regression":
        raise ParameterError(f"--proba: the model predicts numbers ({target.name}); only classes have probabilities")
    if proba and trained.classes is not None:
        names = [str(label) for label in trained.classes.tolist()]
    if interval is not None:
        if target.quantiles:
            raise ParameterError("--interval: the model predicts quantiles, which are bounds already")
        names = [*names, *(f"{name} {bound}" for name in names for bound in ("low", "high"))]

    def answers(table: Table) -> npt.NDArray[Any]:
        if proba:
            return trained.predict_proba(table)
        answered = trained.predict_quantiles(table) if target.quantiles else trained.predict(table)
        if interval is None:
            return answered.reshape(table.n_rows, -1)
        bounds = trained.predict_interval(table, interval)
        return np.column_stack([part.reshape(table.n_rows, -1) for part in (answered, bounds)])

    with (
        _writer(out, names) as write,
        RowsBar("predicted", shown=out is not None or not sys.stdout.isatty()) as bar,
    ):
        for block in read_blocks(data, trained.encoder.kinds):
            write(answers(block.table))
            bar.advance(block.table.n_rows, block.share_read)


@contextmanager
def _writer(out: Path | None, names: list[str]) -> Iterator[Write]:
    """Give what writes predictions of shape (n, n_names), one block after the other."""
    if out is None:
        yield _csv(sys.stdout, names)
        sys.stdout.flush()
    elif out.suffix == ".csv":
        with whole_file(out) as file:
            yield _csv(file, names)
    else:
        with _parquet(out, names) as write:
            yield write


def _csv(file: IO[str], names: list[str]) -> Write:
    """Lines of CSV; numbers with the nine digits that tell every float32 from the next."""
    import csv

    writer = csv.writer(file, lineterminator="\n")
    heading = [names]

    def write(predictions: npt.NDArray[Any]) -> None:
        while heading:  # with the first rows, so that nothing is printed where there are none
            writer.writerow(heading.pop())
        if predictions.dtype.kind == "f":
            writer.writerows([f"{value:.9g}" for value in row] for row in predictions.tolist())
        else:
            writer.writerows(predictions.tolist())

    return write


@contextmanager
def _parquet(out: Path, names: list[str]) -> Iterator[Write]:
    """Blocks as files of their own, beside the one that they are put together to at the end: none is held in memory."""
    import tempfile

    import polars as pl

    with tempfile.TemporaryDirectory(prefix=".fallline-", dir=out.resolve().parent) as folder:
        parts: list[Path] = []

        def write(predictions: npt.NDArray[Any]) -> None:
            parts.append(Path(folder, f"{len(parts)}.parquet"))
            with _naming(out):
                pl.DataFrame({name: predictions[:, j] for j, name in enumerate(names)}).write_parquet(parts[-1])

        yield write
        with _naming(out), whole_file(out, binary=True) as file:
            pl.scan_parquet(parts, glob=False).sink_parquet(Path(file.name))


@contextmanager
def _naming(out: Path) -> Iterator[None]:
    """Polars says why a file cannot be written, but not which."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(error, OSError) and error.filename == str(out):
            raise
        raise OSError(f"{out}: cannot be written ({str(error).splitlines()[0]})") from None

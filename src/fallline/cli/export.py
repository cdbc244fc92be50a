"""`fallline export`: a model for programs that have no fallline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fallline.cli.output import check_different, check_writable
from fallline.errors import ParameterError

ENDINGS = {"onnx": ".onnx", "c": ".c", "numpy": ".py"}


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    to: Annotated[
        str | None, typer.Option(metavar="|".join(ENDINGS), help="What to write; as the ending of --out says.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where it is written: a name that ends in .onnx, .c (with a header .h beside it) or .py; by default "
            "beside the model.",
        ),
    ] = None,
) -> None:
    """Write a model for programs that have no fallline.

    ONNX for the many runtimes that read it; C99 that needs no library and no malloc; or a Python module that needs
    NumPy alone. All take the columns as they are in the table, by name, and give what predict gives: what becomes of
    columns is in them.
    """
    if to not in (None, *ENDINGS):
        raise ParameterError(f"--to is {to!r}; it must be one of {', '.join(ENDINGS)}")
    if out is None:
        if to is None:
            raise ParameterError(f"say what to write: --to, one of {', '.join(ENDINGS)}, or a file's name with --out")
        out = model.with_suffix(ENDINGS[to])
    check_writable("--out", out, (ENDINGS[to],) if to else tuple(ENDINGS.values()))
    header = out.with_suffix(".h") if out.suffix == ".c" else None
    if header is not None:
        check_writable("--out", header)
    check_different({"MODEL": model, "--out": out, "the header": header})

    from fallline.model import load

    load(model).export(out)
    print(f"model   {out}{f' and {header}' if header else ''}")

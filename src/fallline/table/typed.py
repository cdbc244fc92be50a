"""Files that know their columns, to Polars frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fallline.errors import DataError

if TYPE_CHECKING:
    import polars as pl

FRAMES = {
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Feather",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
}
COLUMNAR = (".parquet", ".arrow", ".feather")  # of which any part can be read


def read_frame(data: bytes, path: Path, suffix: str, skipped: int = 0) -> pl.DataFrame:
    """Read a file that knows its columns; of JSON lines it may be a part, after some lines that were skipped."""
    import polars as pl

    with parsing(path, suffix):
        if suffix == ".parquet":
            return pl.read_parquet(data)
        if FRAMES[suffix] != "JSON lines":
            return pl.read_ipc(data)
        try:
            return pl.read_ndjson(data, infer_schema_length=None)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, RuntimeError) as error:
            raise ValueError(_broken_line(data, skipped) or str(error)) from None


def _broken_line(data: bytes, skipped: int) -> str | None:
    """Say which line is no JSON object, if there is one."""
    for i, line in enumerate(data.split(b"\n"), start=skipped + 1):
        try:
            if line.strip() and not isinstance(json.loads(line), dict):
                return f'line {i}: not an object, such as {{"name": 1}}'
        except ValueError as error:
            return f"line {i}: {error}"
    return None


@contextmanager
def parsing(path: Path, suffix: str) -> Iterator[None]:
    """Say in one line why the content of a file that knows its columns is none."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read as {FRAMES[suffix]} ({str(error).splitlines()[0]})") from None

"""Parquet and Arrow files, one or many, as one sequence of rows of which any part can be read."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from fallline.errors import DataError
from fallline.table.delimited import Where
from fallline.table.names import listed
from fallline.table.typed import COLUMNAR, parsing

if TYPE_CHECKING:
    import polars as pl

ENDINGS = ", ".join(COLUMNAR)


def files_in(source: str | os.PathLike[str]) -> list[Path] | None:
    """The Parquet and Arrow files that a folder or a pattern stands for, in the order of their names.

    Parameters
    ----------
    source : str or path

    Returns
    -------
    list of Path or None
        None where it is neither such a folder nor a pattern.

    Raises
    ------
    DataError
        No file fits the pattern, or one that does is none of them.
    """
    path = Path(source)
    if path.is_dir():
        visible = (each for each in path.iterdir() if not each.name.startswith("."))
        return sorted(each for each in visible if each.suffix.lower() in COLUMNAR and _is_file(each)) or None
    if path.exists() or not glob.has_magic(str(source)):
        return None
    matches = glob.glob(str(source))  # noqa: PTH207  (a path takes no absolute pattern)
    found = sorted(Path(each) for each in matches if _is_file(Path(each)))
    if not found:
        raise DataError(f"no file fits {str(source)!r}")
    others = [each.name for each in found if each.suffix.lower() not in COLUMNAR]
    if others:
        raise DataError(f"{source}: files that are one table must end in {ENDINGS}; {others[0]} does not")
    return found


def _is_file(path: Path) -> bool:
    """Whether it is one, or a link that leads nowhere, which nobody is to leave out without a word."""
    return path.is_file() or not path.exists()


def columnar_files(source: str | os.PathLike[str]) -> list[Path] | None:
    """The same, and one such file alone."""
    several, path = files_in(source), Path(source)
    return [path] if several is None and path.suffix.lower() in COLUMNAR and not path.is_dir() else several


@final
@dataclass(frozen=True)
class Files:
    """Files whose rows are one table, one after the other.

    Parameters
    ----------
    name : str
        What to call the table.
    paths : tuple of Path
    schema : dict from str to a Polars type
        Columns in the order of the first file, with a type that takes the values of all.
    sizes : tuple of int
        Rows of each.
    stamps : tuple of (int, int)
        Of each file when it was first looked at: bytes, and when it was last changed, in nanoseconds.
    """

    name: str
    paths: tuple[Path, ...]
    schema: dict[str, pl.DataType]
    sizes: tuple[int, ...]
    stamps: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, paths: Sequence[Path], name: str) -> Files:
        """Look at what the files say of themselves, and at no row.

        Raises
        ------
        DataError
            One cannot be read, or its columns are not those of the first.
        """
        import polars as pl

        schemas, sizes, stamps = [], [], []
        known: dict[str, tuple[Path, pl.DataType]] = {}
        for path in paths:
            try:
                path.open("rb").close()  # for the system's own complaint
            except OSError as error:
                if path == Path(name):
                    raise
                raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
            stamps.append(_stamp(path))
            with parsing(path, path.suffix.lower()):
                scan = _scan(path)
                schemas.append(dict(scan.collect_schema()))
                sizes.append(int(scan.select(pl.len()).collect().item()))
            _check_alike(paths[0], known, path, schemas[-1])
        empty = [pl.DataFrame(schema={column: each[column] for column in schemas[0]}) for each in schemas]
        together = empty[0]
        if len(empty) > 1:
            together = pl.concat([_without_levels(each) for each in empty], how="vertical_relaxed")
        return cls(name, tuple(paths), dict(together.schema), tuple(sizes), tuple(stamps))

    @property
    def n_rows(self) -> int:
        """Rows of all files."""
        return sum(self.sizes)

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(self.sizes))

    def frame(self, first: int, last: int, columns: Sequence[str]) -> tuple[pl.DataFrame, Where]:
        """Read some rows.

        Parameters
        ----------
        first, last : int
            From the row `first` to the one before `last`.
        columns : sequence of str
            Only these are read.

        Returns
        -------
        frame : polars.DataFrame of shape (last - first, n_columns)
        where : callable
            From a row of `frame` to its place, such as ``"row 7"``; of several files with the file.

        Raises
        ------
        DataError
            A file cannot be read, or has changed.
        """
        import polars as pl

        types = {name: self.schema[name] for name in columns}
        parts = [pl.DataFrame(schema=types)]
        begin = 0
        for path, end, stamp in zip(self.paths, self._ends, self.stamps, strict=True):
            if begin < last and first < end:
                with parsing(path, path.suffix.lower()):
                    has_changed = _stamp(path) != stamp
                if has_changed:
                    raise DataError(f"{path}: it has changed since it was first read; leave it alone, or begin again")
                start, stop = max(first, begin), min(last, end)
                with parsing(path, path.suffix.lower()):
                    frame = _scan(path).select(columns).slice(start - begin, stop - start).collect()
                    own = frame.schema  # made anew each time it is asked for
                    parts.append(frame.cast({n: t for n, t in types.items() if own[n] != t}))
            begin = end
        return pl.concat(parts[1:] or parts, rechunk=False), lambda row: self.place(first + row)

    def place(self, row: int) -> str:
        """What to call a row in a message."""
        if len(self.paths) == 1:
            return f"row {row + 1}"
        file = int(np.searchsorted(self._ends, row, side="right"))
        return f"{self.paths[file].name} row {row - self._ends[file] + self.sizes[file] + 1}"


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def _scan(path: Path) -> pl.LazyFrame:
    import polars as pl

    name = glob.escape(str(path))  # or Polars would take brackets for a pattern
    return pl.scan_parquet(name) if path.suffix.lower() == ".parquet" else pl.scan_ipc(name)


def _check_alike(
    first: Path, known: dict[str, tuple[Path, pl.DataType]], path: Path, schema: dict[str, pl.DataType]
) -> None:
    """Refuse a file whose columns are not those of the others; their order does not matter.

    `known` is what each column holds, and the first file that says so, to which this one's is added.
    """
    wanted = known or schema
    missing, more = [n for n in wanted if n not in schema], [n for n in schema if n not in wanted]
    same = "all files need the same ones"
    if missing:
        raise DataError(f"{path}: missing column {listed(missing)}, which {first.name} has; {same}")
    if more:
        raise DataError(f"{path}: column {listed(more)} is not in {first.name}; {same}")
    for name, dtype in schema.items():
        where, other = known.get(name, (path, dtype))
        here, there = _what(dtype), _what(other)
        if here != there and "nothing" not in (here, there):
            raise DataError(f"{path}, column {name!r}: it holds {here}, but {there} in {where.name}; write both alike")
        known[name] = (path, dtype) if there == "nothing" else (where, other)


def _what(dtype: pl.DataType) -> str:
    import polars as pl

    if dtype.is_numeric():
        return "numbers"
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        zone = getattr(dtype, "time_zone", None)
        return f"dates of the time zone {zone}" if zone else "dates"
    if is_text(dtype):
        return "text"
    return "nothing" if dtype == pl.Null else f"{dtype} values"


def is_text(dtype: pl.DataType) -> bool:
    """Whether a column holds text, be it in levels."""
    import polars as pl

    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))


def _without_levels(frame: pl.DataFrame) -> pl.DataFrame:
    """Text for what has levels, which may differ from file to file."""
    import polars as pl

    return frame.cast({pl.Categorical: pl.String, pl.Enum: pl.String})

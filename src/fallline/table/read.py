"""From whatever holds a table to a Table: the one door."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fallline.errors import DataError
from fallline.table.arrays import read_npz
from fallline.table.bundled import BUNDLED, load_bundled
from fallline.table.delimited import Where, read_delimited
from fallline.table.files import Files, files_in
from fallline.table.frames import table_from_frame
from fallline.table.idx import IDX_NAME, images_in, read_idx
from fallline.table.names import beside, choose_inputs, listed, suggestion
from fallline.table.table import Kind, Table
from fallline.table.typed import FRAMES, read_frame

if TYPE_CHECKING:
    import polars as pl

SEPARATORS = {".csv": ",;\t", ".txt": ",;\t", ".tsv": "\t"}


def read(
    source: str | os.PathLike[str],
    target: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
) -> Table:
    r"""Read a table from a file, standard input or a bundled set.

    Parameters
    ----------
    source : str or path
        A CSV (.csv, .txt, .tsv), Parquet, Arrow, Feather, JSON lines or NPZ file, a folder of Parquet or Arrow files
        or a pattern for some, such as ``"2024-*.parquet"``, an IDX file of images or a folder with one, ``"-"`` for CSV
        on standard input, or the name of a bundled set; that goes before a file of that name.
    target : str or None
        The column to learn. NPZ, IDX and bundled sets know theirs. With `columns` it is used where the file has it.
    columns : sequence of str or None
        The inputs, in this order, as a trained model wants them; the file may have more. None takes all.
    drop : sequence of str
        Columns to leave out, such as identifiers.
    kinds : mapping from str to {"number", "category", "date"}, optional
        What columns hold, where it should not be guessed.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        In one line: what is wrong, and in which file, line and column.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "houses.csv")
    ...     _ = path.write_text("rooms,price\n3,100\n4,150\n")
    ...     table = read(path, target="price")
    >>> table.columns, table.X.tolist(), table.y.tolist()
    (('rooms',), [[3.0], [4.0]], [100, 150])
    """
    label = str(source)
    if not label:
        raise DataError("DATA is empty; name a file or a bundled set")
    if label in BUNDLED:
        return _choose(load_bundled(label), target, columns, drop)
    if label == "-":
        frame, where = read_delimited(sys.stdin.buffer.read(), "standard input")
        return table_from_frame(frame, "standard input", where, target, columns, drop, kinds, typed=False)
    with reading(source):
        paths = files_in(source)
        if paths is not None:
            files = Files.of(paths, label)
            frame, where = files.frame(0, files.n_rows, list(files.schema))
            return table_from_frame(frame, label, where, target, columns, drop, kinds)
        return _read_file(Path(source), target, columns, drop, kinds)


def read_columns(path: Path) -> Table:
    """Read a file of which nobody has said yet what is to be learned: all columns as inputs.

    Parameters
    ----------
    path : Path
        Of a CSV, Parquet, Arrow, Feather or JSON lines file.

    Returns
    -------
    Table
        Without targets.

    Raises
    ------
    DataError
        As from `read`.
    """
    suffix = path.suffix.lower()
    with reading(path):
        frame, where = _frame(path, suffix)
        return table_from_frame(frame, str(path), where, None, frame.columns, typed=suffix in FRAMES)


def _frame(path: Path, suffix: str) -> tuple[pl.DataFrame, Where]:
    """A file's columns, and where their rows stand."""
    if suffix in SEPARATORS:
        return read_delimited(path.read_bytes(), str(path), SEPARATORS[suffix])
    return read_frame(path.read_bytes(), path, suffix), lambda row: f"row {row + 1}"


@contextmanager
def reading(source: str | os.PathLike[str]) -> Iterator[None]:
    """Say in one line why a file cannot be opened or read."""
    label = str(source)
    try:
        yield
    except FileNotFoundError:
        hint = suggestion(label, [*beside(source), *BUNDLED]) or f" (bundled sets: {listed(BUNDLED)})"
        raise DataError(f"no file {label!r}{hint}") from None
    except OSError as error:
        raise DataError(f"{label}: cannot be read ({error.strerror or error})") from None


def _read_file(
    path: Path,
    target: str | None,
    columns: Sequence[str] | None,
    drop: Sequence[str],
    kinds: Mapping[str, Kind] | None,
) -> Table:
    if path.is_dir():
        path = images_in(path)
    suffix = path.suffix.lower()
    if suffix in SEPARATORS or suffix in FRAMES:
        frame, where = _frame(path, suffix)
        typed = suffix in FRAMES
        return table_from_frame(frame, str(path), where, target, columns, drop, kinds, typed=typed)
    if suffix == ".npz":
        return _choose(read_npz(path, with_targets=columns is None or target == "y"), target, columns, drop)
    if IDX_NAME.search(path.name):
        return _choose(read_idx(path), target, columns, drop)
    path.stat()  # a file that is not there has nothing wrong with its kind
    known = ", ".join([*SEPARATORS, *FRAMES, ".npz", "...-idx3-ubyte[.gz]"])
    raise DataError(f"{path}: unknown kind of file (known: {known})")


def _choose(table: Table, target: str | None, columns: Sequence[str] | None, drop: Sequence[str]) -> Table:
    """Check a table that knows its target against what is asked for, and take the inputs."""
    if columns is None and table.target is None:
        raise DataError(f"{table.name}: there is nothing to learn: no array 'y', or no labels file beside the images")
    if target not in (None, table.target):
        if columns is None:
            raise DataError(f"{table.name}: its target is {table.target!r}, not {target!r}")
        table = replace(table, y=None, target=None)
    inputs = choose_inputs(table.columns, table.target, columns, drop, table.name)
    if inputs == table.columns:
        return table
    index = {name: j for j, name in enumerate(table.columns)}
    X = np.ascontiguousarray(table.X[:, [index[name] for name in inputs]])
    return replace(table, X=X, columns=inputs, image_shape=None)

"""Tables larger than memory: the one door, a block of rows at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from fallline.errors import DataError
from fallline.table.bundled import BUNDLED
from fallline.table.delimited import Where, pieces, read_delimited_blocks
from fallline.table.files import Files, columnar_files
from fallline.table.frames import Notation, table_from_frame, with_nulls
from fallline.table.names import choose_inputs
from fallline.table.read import SEPARATORS, read, reading
from fallline.table.table import Kind, Table
from fallline.table.typed import FRAMES, read_frame

if TYPE_CHECKING:
    import polars as pl

BLOCK_BYTES = 1 << 24
CELL_BYTES = 8  # of a typed column, about


@dataclass(frozen=True)
class Block:
    """Some rows of a table, in its order.

    Parameters
    ----------
    table : Table
        Its `first_row` says where it begins.
    share_read : float or None
        How much of the source has been read with it, from 0 to 1; None where the end is not known.
    n_left_out : int
        How many rows of the block are not in `table`, for they lack the target.
    """

    table: Table
    share_read: float | None = None
    n_left_out: int = 0


def read_blocks(
    source: str | os.PathLike[str],
    kinds: Mapping[str, Kind],
    target: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Block]:
    r"""Read a table block by block, so that memory stays bounded whatever its size.

    The blocks together are what `read` gives. What a whole column says about how its numbers and dates are written is
    known from the first rows that show it; rows that contradict those before them are refused.

    Parameters
    ----------
    source : str or path
        As in `read`. NPZ files, images and bundled sets are read whole and make one block.
    kinds : mapping from str to {"number", "category", "date"}
        The inputs, in this order, and what they hold: so nothing has to be guessed from all rows. That of the target
        may be among them.
    target : str or None
        The column to compare with, used where the file has it; rows that lack it are left out.
    block_bytes : int
        About how much of the source to hold at once.

    Yields
    ------
    Block

    Raises
    ------
    DataError
        As in `read`, when the fault is reached.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "houses.csv")
    ...     _ = path.write_text("rooms,price\n3,100\n4,150\n5,200\n")
    ...     [block.table.X.tolist() for block in read_blocks(path, {"rooms": "number"}, block_bytes=12)]
    [[[3.0], [4.0]], [[5.0]]]
    """
    inputs = [name for name in kinds if name != target]
    label, suffix = str(source), Path(source).suffix.lower()
    with reading(source):
        paths = None if label in BUNDLED or label == "-" else columnar_files(source)
    if label == "-":
        label = "standard input"
        frames = _delimited(sys.stdin.buffer, label, ",;\t", block_bytes)
    elif paths is not None:
        frames = _columns(paths, label, inputs, target, block_bytes)
    elif label in BUNDLED or Path(source).is_dir() or suffix not in {*SEPARATORS, *FRAMES}:
        yield Block(read(source, target, inputs, kinds={name: kinds[name] for name in inputs}), 1.0)
        return
    elif suffix in SEPARATORS:
        frames = _delimited_file(Path(source), SEPARATORS[suffix], block_bytes)
    else:
        frames = _json_lines(Path(source), suffix, block_bytes)
    typed, notation, first_row = paths is not None or suffix in FRAMES, Notation(), 0
    with reading(source):
        for frame, where, share_read in frames:
            n_rows = frame.height
            if n_rows and target in frame.columns:
                frame, where = _with_target(frame, where, target)
            known = {name: kind for name, kind in kinds.items() if name in frame.columns}
            table = table_from_frame(frame, label, where, target, inputs, (), known, typed, notation)
            yield Block(replace(table, first_row=first_row), share_read, n_rows - frame.height)
            first_row += n_rows
    if not first_row:
        raise DataError(f"{label}: it has column names but no rows")


Frames: TypeAlias = "Iterator[tuple[pl.DataFrame, Where, float | None]]"


def _with_target(frame: pl.DataFrame, where: Where, target: str) -> tuple[pl.DataFrame, Where]:
    """Leave out the rows whose target is missing."""
    there = with_nulls(frame[target]).is_not_null()
    if there.all():
        return frame, where
    rows = there.arg_true().to_list()
    return frame.filter(there), lambda row: where(rows[row])


def _delimited(file: IO[bytes], label: str, separators: str, block_bytes: int, size: int = 0) -> Frames:
    for frame, where in read_delimited_blocks(file, label, separators, block_bytes):
        yield frame, where, file.tell() / size if size else None


def _delimited_file(path: Path, separators: str, block_bytes: int) -> Frames:
    with path.open("rb") as file:
        yield from _delimited(file, str(path), separators, block_bytes, path.stat().st_size)


def _json_lines(path: Path, suffix: str, block_bytes: int) -> Frames:
    """JSON lines: what a block lacks and others have is missing."""
    import polars as pl

    first_row = skipped = 0
    known: dict[str, None] = {}
    with path.open("rb") as file:
        size = path.stat().st_size
        for piece in pieces(file, str(path), block_bytes, quoted=False):
            frame = read_frame(piece, path, suffix, skipped) if piece.strip() else pl.DataFrame()
            skipped += piece.count(b"\n")
            if not frame.height:
                continue
            known |= dict.fromkeys(frame.columns)
            absent = [pl.lit(None).alias(name) for name in known if name not in frame.columns]
            yield frame.with_columns(absent), _rows_from(first_row), file.tell() / size
            first_row += frame.height
    if not first_row:
        raise DataError(f"{path}: the file is empty")


def _columns(paths: Sequence[Path], label: str, inputs: Sequence[str], target: str | None, block_bytes: int) -> Frames:
    """Parquet and Arrow: of each block only the columns that are needed."""
    files = Files.of(paths, label)
    names, n = list(files.schema), files.n_rows
    wanted = list(choose_inputs(names, target, inputs, (), files.name))
    if target is not None and target in names:
        wanted.append(target)
    step = max(1, block_bytes // (CELL_BYTES * len(wanted)))
    for first_row in range(0, max(n, 1), step):
        last_row = min(n, first_row + step)
        yield *files.frame(first_row, last_row, wanted), last_row / max(n, 1)


def _rows_from(first_row: int) -> Where:
    return lambda row: f"row {first_row + row + 1}"

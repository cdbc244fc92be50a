"""CSV and its kin to a frame of text, with the line in the file of every row."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from fallline.errors import DataError

if TYPE_CHECKING:
    import polars as pl


def read_delimited(data: bytes, label: str, separators: str = ",;\t") -> tuple[pl.DataFrame, Callable[[int], str]]:
    """Read delimited text; every cell stays text, blank lines are skipped.

    Parameters
    ----------
    data : bytes
        The file: UTF-8, with a line of column names first.
    label : str
        What to call the file.
    separators : str
        The characters to choose the separator from: the one that cuts the first line into most fields.

    Returns
    -------
    frame : polars.DataFrame of shape (n, n_columns), String
    where : callable
        From a row of `frame` to its place in the file, such as ``"line 7"``.

    Raises
    ------
    DataError
        For text that is empty, broken, not UTF-8, ragged, or whose column names repeat.
    """
    import polars as pl

    separator = _guess_separator(data, label, separators)
    first_line, header = next(_filled(data, label, separator))
    columns = [name.strip() or f"column_{i}" for i, name in enumerate(header, start=1)]
    for name, count in Counter(columns).items():
        if count > 1:
            raise DataError(f"{label}, line {first_line}: the column name {name!r} occurs {count} times")
    try:
        frame = pl.read_csv(data, separator=separator, infer_schema=False)
        frame.columns = columns
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        _check_widths(data, label, separator, len(columns))
        _check_quotes(data, label, separator)
        raise DataError(f"{label}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    # Polars fills a short row, and a blank line, with nulls: only then is it worth looking at every line.
    if frame.height and frame[:, -1].null_count():
        _check_widths(data, label, separator, len(columns))
        filled = [bool(fields) for _, fields in _records(data, label, separator)]
        frame = frame.filter(filled[filled.index(True) + 1 :])

    def where(row: int) -> str:
        line, _ = next(islice(_filled(data, label, separator), row + 1, None))
        return f"line {line}"

    return frame, where


def _guess_separator(data: bytes, label: str, separators: str) -> str:
    try:
        first = next((line for line in _text(data) if line.strip()), "")
    except UnicodeDecodeError:
        raise _not_utf8(data, label) from None
    if not first:
        raise DataError(f"{label}: the file is empty")
    return max(separators, key=lambda separator: len(next(csv.reader([first], delimiter=separator))))


def _text(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")


def _records(data: bytes, label: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it starts on; a blank line is a record without fields."""
    reader = csv.reader(_text(data), delimiter=separator, strict=True)
    line = 1
    try:
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1
    except UnicodeDecodeError:
        raise _not_utf8(data, label) from None
    except csv.Error as error:
        raise DataError(f"{label}, line {line}: not valid CSV ({error})") from None


def _filled(data: bytes, label: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    return (record for record in _records(data, label, separator) if record[1])


def _check_widths(data: bytes, label: str, separator: str, width: int) -> None:
    for line, fields in _filled(data, label, separator):
        if len(fields) != width:
            raise DataError(f"{label}, line {line}: {len(fields)} fields where the first line has {width}")


def _check_quotes(data: bytes, label: str, separator: str) -> None:
    for line, fields in _filled(data, label, separator):
        if "".join(fields).count('"') % 2:
            raise DataError(f"{label}, line {line}: a stray quote mark; quote the whole field and double the mark")


def _not_utf8(data: bytes, label: str) -> DataError:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return DataError(f"{label}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8 text, save it as UTF-8")
    raise AssertionError("only called for data that do not decode")

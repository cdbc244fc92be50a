"""CSV and its kin to a frame of text, with the line in the file of every row."""

from __future__ import annotations

import codecs
import csv
import io
import re
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

    if b"\0" in data:
        raise DataError(f"{label}, {_line(data, data.index(0))}: a NUL byte, it looks like UTF-16; save it as UTF-8")
    separator = _guess_separator(data, label, separators)
    _check_quotes_and_line_ends(data, label, separator)
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
        raise DataError(f"{label}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    # Polars fills a short row, and a blank line, with nulls: only then, or with quotes, look at every line.
    if b'"' in data or (frame.height and frame[:, -1].null_count()):
        _check_widths(data, label, separator, len(columns))
        filled = [bool(fields) for _, fields in _records(data, label, separator)]
        filled = filled[filled.index(True) + 1 :]
        if len(filled) != frame.height:
            raise DataError(f"{label}: {frame.height} or {len(filled)} rows; check its quote marks and line ends")
        frame = frame.filter(filled)

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
    return max(separators, key=re.sub('"[^"]*"', "", first).count)


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


def _check_quotes_and_line_ends(data: bytes, label: str, separator: str) -> None:
    """Refuse what Polars and others read each in its own way, down to losing rows."""
    if b'"' not in data and b"\r" not in data:
        return
    data = data.removeprefix(codecs.BOM_UTF8)
    quoted_field = rf'(?<![^{separator}\n])"[^"]*(?:""[^"]*)*"(?![^{separator}\r\n])'
    tokens = re.finditer(rf'{quoted_field}|"|\r(?!\n)'.encode(), data)
    stray = next((token for token in tokens if len(token[0]) == 1), None)
    if stray is None:
        return
    if stray[0] == b'"':
        complaint = "a stray quote mark; quote the whole field and double each mark within"
    elif b"\n" in data:
        complaint = "mixed line ends, a carriage return without a line feed; save it with one kind of line ends"
    else:
        complaint = "old Mac line ends (carriage returns only); save it with line feeds"
    raise DataError(f"{label}, {_line(data, stray.start())}: {complaint}")


def _line(data: bytes, position: int) -> str:
    newlines = data.count(b"\n", 0, position)
    return f"line {newlines + 1}"


def _not_utf8(data: bytes, label: str) -> DataError:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"{label}, {_line(data, error.start)}"
        return DataError(f"{place}: byte 0x{data[error.start]:02x} is not UTF-8 text, save it as UTF-8")
    raise AssertionError("only called for data that do not decode")

"""CSV and its kin to frames of text, with the line in the file of every row."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, TypeAlias

from fallline.errors import DataError

if TYPE_CHECKING:
    import polars as pl

Where: TypeAlias = Callable[[int], str]

LONGEST_RECORD = 1 << 26  # bytes; what goes on for longer lacks a line end or a quote mark


def read_delimited(data: bytes, label: str, separators: str = ",;\t", skipped: int = 0) -> tuple[pl.DataFrame, Where]:
    """Read delimited text; every cell stays text, blank lines are skipped.

    Parameters
    ----------
    data : bytes
        The file: UTF-8, with a line of column names first.
    label : str
        What to call the file.
    separators : str
        The characters to choose the separator from: the one that cuts the first line into most fields.
    skipped : int
        How many lines of the file stand between the column names and the rows in `data`.

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

    text = _Text(data, label, skipped)
    if b"\0" in data:
        raise text.error(data.index(0), "a NUL byte, it looks like UTF-16; save it as UTF-8")
    text.guess_separator(separators)
    text.check_quotes_and_line_ends()
    first_line, header = next(text.filled())
    columns = [name.strip() or f"column_{i}" for i, name in enumerate(header, start=1)]
    for name, count in Counter(columns).items():
        if count > 1:
            raise DataError(f"{label}, line {first_line}: the column name {name!r} occurs {count} times")
    try:
        frame = pl.read_csv(data, separator=text.separator, infer_schema=False)
        frame.columns = columns
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        text.check_widths(len(columns))
        raise DataError(f"{label}: cannot be read as CSV ({str(error).splitlines()[0]})") from None
    # Polars fills a short row, and a blank line, with nulls: only then, or with quotes, look at every line.
    if b'"' in data or (frame.height and frame[:, -1].null_count()):
        text.check_widths(len(columns))
        filled = [bool(fields) for _, fields in text.records()]
        filled = filled[filled.index(True) + 1 :]
        if len(filled) != frame.height:
            raise DataError(f"{label}: {frame.height} or {len(filled)} rows; check its quote marks and line ends")
        frame = frame.filter(filled)

    def where(row: int) -> str:
        line, _ = next(islice(text.filled(), row + 1, None))
        return f"line {line}"

    return frame, where


def read_delimited_blocks(
    file: IO[bytes], label: str, separators: str, block_bytes: int
) -> Iterator[tuple[pl.DataFrame, Where]]:
    """Read delimited text block by block, each as `read_delimited` reads the whole.

    Parameters
    ----------
    file : binary file
    label, separators
        As in `read_delimited`; the separator is chosen once, from the first line.
    block_bytes : int
        About how much to hold at once. No record is cut, be there line ends in its quotes.

    Yields
    ------
    frame, where
        As from `read_delimited`. A frame without rows is left out, unless there is no other.

    Raises
    ------
    DataError
        As in `read_delimited`, when the block with the fault is reached.
    """
    head, before, skipped = b"", b"", 0
    blank: tuple[pl.DataFrame, Where] | None = None
    found = False
    for piece in pieces(file, label, block_bytes):
        if not head:  # the column names, which every block gets to see, and what stands before them
            before += piece
            head = before[: _head_length(before)]
            if not head and len(before) <= LONGEST_RECORD:
                continue
            piece, separators = before[len(head) :], _Text(before, label).guess_separator(separators)
        frame, where = read_delimited(head + piece, label, separators, skipped)
        skipped += piece.count(b"\n")
        if frame.height:
            found = True
            yield frame, where
        else:
            blank = frame, where
    if not head:
        yield read_delimited(before, label, separators)
    elif blank and not found:
        yield blank


def pieces(file: IO[bytes], label: str, size: int, quoted: bool = True) -> Iterator[bytes]:
    r"""Cut a file where lines end, outside of quotes.

    Parameters
    ----------
    file : binary file
    label : str
        What to call the file.
    size : int
        Bytes of a piece, or more where a line is longer.
    quoted : bool
        Whether a line end between quote marks is none.

    Yields
    ------
    bytes

    Raises
    ------
    DataError
        A line goes on and on.

    Examples
    --------
    >>> list(pieces(io.BytesIO(b'a,b\n1,"x\ny"\n2,z\n'), "t.csv", 6))
    [b'a,b\n', b'1,"x\ny"\n', b'2,z\n']
    """
    rest, line = b"", 1
    while chunk := file.read(size):
        data = rest + chunk
        end = _last_end(data) if quoted else data.rfind(b"\n") + 1
        if end:
            yield data[:end]
            line += data.count(b"\n", 0, end)
        rest = data[end:]
        if len(rest) > max(LONGEST_RECORD, size):
            if quoted and (b'"' in rest or b"\r" in rest):
                yield rest  # a stray quote mark, or old line ends: whoever reads it says so
            raise DataError(f"{label}, line {line}: it goes on for more than {LONGEST_RECORD >> 20} MiB")
    if rest:
        yield rest


def _last_end(data: bytes) -> int:
    """Position after the last line end that stands outside of quotes, so after an even number of quote marks; or 0."""
    quotes, end = data.count(b'"'), len(data)
    while (position := data.rfind(b"\n", 0, end)) >= 0:
        quotes -= data.count(b'"', position, end)
        if quotes % 2 == 0:
            return position + 1
        end = position
    return 0


def _head_length(data: bytes) -> int:
    """Length of the first record that is not blank, with what stands before it; 0 if there is none."""
    quotes = start = 0
    while (position := data.find(b"\n", start)) >= 0:
        quotes += data.count(b'"', start, position)
        start = position + 1
        if quotes % 2 == 0 and data[:start].removeprefix(codecs.BOM_UTF8).strip(b"\r\n"):
            return start
    return 0


@dataclass
class _Text:
    """Bytes of a file, from its column names on, that may lack some lines after them."""

    data: bytes
    label: str
    skipped: int = 0
    separator: str = ","

    def guess_separator(self, separators: str) -> str:
        try:
            first = next((line for line in self._decoded() if line.strip()), "")
        except UnicodeDecodeError:
            raise self._not_utf8() from None
        if not first:
            raise DataError(f"{self.label}: the file is empty")
        self.separator = max(separators, key=re.sub('"[^"]*"', "", first).count)
        return self.separator

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield each record with the line it starts on; a blank line is a record without fields."""
        reader = csv.reader(self._decoded(), delimiter=self.separator, strict=True)
        line = 1
        try:
            for fields in reader:
                yield self.skipped + line, fields
                line = reader.line_num + 1
        except UnicodeDecodeError:
            raise self._not_utf8() from None
        except csv.Error as error:
            raise DataError(f"{self.label}, line {self.skipped + line}: not valid CSV ({error})") from None

    def filled(self) -> Iterator[tuple[int, list[str]]]:
        return (record for record in self.records() if record[1])

    def check_widths(self, width: int) -> None:
        for line, fields in self.filled():
            if len(fields) != width:
                raise DataError(f"{self.label}, line {line}: {len(fields)} fields where the first line has {width}")

    def check_quotes_and_line_ends(self) -> None:
        """Refuse what Polars and others read each in its own way, down to losing rows."""
        if b'"' not in self.data and b"\r" not in self.data:
            return
        data = self.data.removeprefix(codecs.BOM_UTF8)
        quoted_field = rf'(?<![^{self.separator}\n])"[^"]*(?:""[^"]*)*"(?![^{self.separator}\r\n])'
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
        raise self.error(stray.start(), complaint)

    def error(self, position: int, complaint: str) -> DataError:
        line = self.skipped + self.data.count(b"\n", 0, position) + 1
        return DataError(f"{self.label}, line {line}: {complaint}")

    def _decoded(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8-sig", newline="")

    def _not_utf8(self) -> DataError:
        try:
            self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return self.error(error.start, f"byte 0x{self.data[error.start]:02x} is not UTF-8 text, save it as UTF-8")
        raise AssertionError("only called for data that do not decode")

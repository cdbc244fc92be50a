"""Rows as JSON has them, to a table: column by column, so that many rows cost little each."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.table import Encoder, Table
from fallline.table.columns import ColumnEncoding
from fallline.table.frames import DAY_ZERO, as_labels, with_nulls
from fallline.table.names import suggestion

Array = npt.NDArray[Any]

NAME = "the rows"
LARGEST = float(np.finfo(np.float32).max)
SHOWN = 40  # characters of a value in a message
MOST_NAMES = 1000  # of a row that are searched for a misspelling
DAY = 86_400_000  # milliseconds
# A date, perhaps with a time, perhaps with its distance from UTC.
MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(?:(?<=\.\d{3})\d+)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?",
    re.ASCII | re.IGNORECASE,
)


def table_of(rows: Sequence[Any], encoder: Encoder) -> Table:
    """Make a table of the columns that a model uses; others are left out.

    Parameters
    ----------
    rows : sequence
        Each should be a dict from the name of a column to a number, a text, True, False or None, which is missing.
    encoder : Encoder
        Of the model.

    Returns
    -------
    Table
        What `fallline predict` would read from a file of these rows.

    Raises
    ------
    DataError
        Names the row and the column that is left out, or whose value is not what the column holds.

    Examples
    --------
    >>> from fallline.table import load_bundled
    >>> encoder = Encoder.fit(load_bundled("iris"))
    >>> table_of([dict.fromkeys(encoder.columns, 1), dict.fromkeys(encoder.columns)], encoder).X[:, 0]
    array([ 1., nan], dtype=float32)
    """
    if not set(map(type, rows)) <= {dict}:
        i = next(i for i, row in enumerate(rows) if type(row) is not dict)
        raise DataError(f"row {i + 1}: {shown(rows[i])} is not an object, such as {{column: value}}")
    used = [column for column in encoder.encodings if column.kind is not None]
    X = np.empty((len(rows), len(used)), np.float32)
    labels: dict[str, tuple[str, ...]] = {}
    for j, column in enumerate(used):
        try:
            values = [row[column.name] for row in rows]
        except KeyError:
            raise _left_out(rows, column, encoder.columns) from None
        if column.role == "category":
            X[:, j], labels[column.name] = _codes(values, column)
        else:
            X[:, j] = (_days if column.role == "date" else _numbers)(values, column)
    dates = frozenset(column.name for column in used if column.role == "date")
    return Table(NAME, X, None, tuple(column.name for column in used), None, labels=labels, dates=dates)


def shown(value: Any) -> str:
    """A value of JSON in a few words, for a message."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN else value[:SHOWN] + "...")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**SHOWN:
        return "a number of many digits"
    return json.dumps(value)


def _left_out(rows: Sequence[dict[str, Any]], column: ColumnEncoding, columns: Sequence[str]) -> DataError:
    i = next(i for i, row in enumerate(rows) if column.name not in row)
    others = [name for name in islice(rows[i], MOST_NAMES) if name not in columns]
    instead = "" if column.role == "pixel" else "; write null where a value is missing"
    return DataError(f"row {i + 1}: column {column.name!r} is left out{suggestion(column.name, others)}{instead}")


def _numbers(values: list[Any], column: ColumnEncoding) -> npt.NDArray[np.float64]:
    """Numbers, NaN where missing; true and false are 1 and 0."""
    types = set(map(type, values))
    if not types <= {int, float, bool, type(None)}:
        i = next(i for i, value in enumerate(values) if not isinstance(value, (int, float, type(None))))
        raise _refused(i, column, values[i], "is not a number")
    if type(None) in types:
        if column.role == "pixel":
            raise _refused(values.index(None), column, None, "is not a number, and a pixel cannot be missing")
        values = [math.nan if value is None else value for value in values]
    try:
        x = np.array(values, np.float64)
    except OverflowError:  # a whole number of more than 308 digits
        x = np.array([math.inf if abs(value) > LARGEST else value for value in values])
    if (np.abs(x) > LARGEST).any():
        i = int((np.abs(x) > LARGEST).argmax())
        raise _refused(i, column, values[i], "is too large for float32")
    return x


def _codes(values: list[Any], column: ColumnEncoding) -> tuple[Array, tuple[str, ...]]:
    """Positions in labels, NaN where missing, and the labels."""
    import polars as pl

    if not set(map(type, values)) <= {str, type(None)}:
        for i, value in enumerate(values):
            if isinstance(value, (list, dict)):
                raise _refused(i, column, value, "is not a label")
        values = [_label(value) for value in values]
    try:
        texts = with_nulls(pl.Series(values=values, dtype=pl.String)).to_list()
    except UnicodeEncodeError:
        i = next(i for i, value in enumerate(values) if value and re.search("[\ud800-\udfff]", value))
        raise _refused(i, column, values[i], "is not Unicode") from None
    places: dict[str, int] = {}
    codes = [math.nan if text is None else places.setdefault(text, len(places)) for text in texts]
    return np.array(codes, np.float32), tuple(places)


def _label(value: str | float | None) -> str | None:
    """A value as a table's reader would write it."""
    import polars as pl

    if value is None or isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, int) else str(as_labels(pl.Series([value]))[0])


def _days(values: list[Any], column: ColumnEncoding) -> npt.NDArray[np.float64]:
    """Days since 2000-01-01, NaN where missing."""
    moments, shifts = [], []
    for i, value in enumerate(values):
        found = MOMENT.fullmatch(value) if isinstance(value, str) else None
        if found is None and value is not None:
            raise _refused(i, column, value, "is not a date, such as 2024-12-31 or 2024-12-31T23:59:59Z")
        day, time, zone = ("NaT", None, None) if found is None else found.groups()
        moments.append(f"{day}T{time}" if time else day)
        shifts.append(0 if zone in (None, "Z", "z") else int(f"{zone[0]}1") * (60 * int(zone[1:3]) + int(zone[4:])))
    try:
        parsed = np.array(moments, "datetime64[ms]")
    except ValueError:
        i = next(i for i, moment in enumerate(moments) if not _is_moment(moment))
        raise _refused(i, column, values[i], "is no day of the calendar, or no time of a day") from None
    since = (parsed - np.datetime64(DAY_ZERO, "ms")).astype(np.int64) - 60_000 * np.array(shifts, np.int64)
    return np.where(np.isnat(parsed), math.nan, since.astype(np.float64) / DAY)


def _is_moment(text: str) -> bool:
    try:
        np.datetime64(text, "ms")
    except ValueError:
        return False
    return True


def _refused(row: int, column: ColumnEncoding, value: Any, why: str) -> DataError:
    return DataError(f"row {row + 1}, column {column.name!r}: {shown(value)} {why}")

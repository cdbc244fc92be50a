"""A Polars frame, of text or typed, to a table; what cannot be read is named by its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.table.names import check_known, choose_inputs, listed
from fallline.table.number import as_number
from fallline.table.table import Kind, Table, Targets

if TYPE_CHECKING:
    import polars as pl

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?")
DAY_ZERO = "2000-01-01"
CACHED_ROWS = 2048  # that are put side by side at once, so that they stay in the processor's cache
# Text that is a date: all cells of a column must agree on one of these.
DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y/%m/%d", "%d.%m.%Y",
                "%m/%d/%Y", "%d/%m/%Y")  # fmt: skip

Place = Callable[[int, str], str]


@dataclass
class Notation:
    """How each column of a table writes its numbers and dates, as the rows that were read so far show.

    Parameters
    ----------
    commas : dict from str to bool
        Whether a column has decimal commas; one of whole numbers alone has not shown it.
    dates : dict from str to str
        The one of `DATE_FORMATS` that all dates of a column follow.
    """

    commas: dict[str, bool] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)


def table_from_frame(
    frame: pl.DataFrame,
    label: str,
    where: Callable[[int], str],
    target: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    typed: bool = True,
    notation: Notation | None = None,
) -> Table:
    """Pick target and inputs from a frame, find out what they are, and make numbers of them.

    Parameters
    ----------
    frame : polars.DataFrame of shape (n, n_columns)
    label : str
        What to call the frame; the table's name.
    where : callable
        From a row to what messages call it, such as ``"line 7"``.
    target, columns, drop, kinds
        As in `read`.
    typed : bool, default True
        Whether the columns' types mean something; in CSV all is text.
    notation : Notation or None
        Where the frame is one of several blocks: what those before it showed, to which this one's is added. A block
        may have no rows.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        For unknown columns and for cells that are not what their column is.
    """
    if columns is None:
        if target is None:
            raise DataError(f"{label}: say which column is the target (columns: {listed(frame.columns)})")
        check_known(target, frame.columns, label)
    elif target not in frame.columns:
        target = None
    inputs = choose_inputs(frame.columns, target, columns, drop, label)
    if frame.height == 0 and notation is None:
        raise DataError(f"{label}: it has column names but no rows")
    kinds, notation = kinds or {}, notation or Notation()
    there = dict.fromkeys(frame.columns)  # a list is made anew each time it is asked for, and searched from its start
    for name in kinds:
        check_known(name, there, label)

    def place(row: int, column: str) -> str:
        return f"{label}, {where(row)}, column {column!r}"

    x: list[npt.NDArray[np.float32]] = []
    labels: dict[str, tuple[str, ...]] = {}
    dates = set()
    known = _whole_numbers(frame, [name for name in inputs if kinds.get(name, "number") == "number"], typed, notation)
    for name in inputs:
        if name in known:
            x.append(known[name])
            continue
        series = _plain(frame[name], label)
        kind = kinds.get(name) or _guess(series, place, typed, notation)
        if kind == "category":
            codes, labels[name] = _codes(series)
            x.append(codes)
        elif kind == "date":
            x.append(_days(series, place, notation))
            dates.add(name)
        else:
            x.append(_numbers(series, place, notation))
    X = np.empty((frame.height, len(inputs)), np.float32)
    for first in range(0, frame.height, CACHED_ROWS):
        for j, column in enumerate(x):
            X[first : first + CACHED_ROWS, j] = column[first : first + CACHED_ROWS]
    y = None if target is None else _targets(frame[target], label, place, kinds.get(target))
    return Table(label, X, y, inputs, target, None, labels, frozenset(dates))


def _whole_numbers(
    frame: pl.DataFrame, names: Sequence[str], typed: bool, notation: Notation
) -> dict[str, npt.NDArray[np.float32]]:
    """Columns that are numbers without further ado, none missing, all of them at once: for tables of many columns."""
    import polars as pl

    schema = frame.schema  # made anew each time it is asked for
    texts = [name for name in names if not typed and schema[name] == pl.String and name not in notation.commas]
    numeric = [name for name in names if schema[name].is_numeric()]
    if not frame.height or not texts + numeric:
        return {}
    with np.errstate(over="ignore"):
        X = frame.select(pl.col(texts + numeric).cast(pl.Float64, strict=False).cast(pl.Float32)).to_numpy()
    pointed = set()
    if texts:
        has_point = frame.select(pl.col(texts).str.contains(".", literal=True).any()).row(0)
        pointed = {name for name, has in zip(texts, has_point, strict=True) if has}
    found = {name: X[:, j] for j, name in enumerate(texts + numeric) if np.isfinite(X[:, j]).all()}
    notation.commas |= dict.fromkeys(pointed & set(found), False)
    return found


def table_from_any(frame: Any, columns: Sequence[str], kinds: Mapping[str, Kind]) -> Table:
    """Take a data frame of any library that Narwhals knows (pandas, Polars, PyArrow, ...).

    Parameters
    ----------
    frame : data frame
    columns, kinds
        As in `read`.

    Returns
    -------
    Table
    """
    import narwhals as nw
    import polars as pl

    native = nw.from_native(frame, eager_only=True)
    missing = [name for name in columns if name not in native.columns and name in kinds]
    if missing:
        raise DataError(f"missing column {listed(missing)} (columns: {listed(map(str, native.columns))})")
    there = [name for name in columns if name in native.columns]
    series = []
    for name in there:
        column = native[name]
        if column.dtype.is_numeric() and not column.is_null().any():
            series.append(pl.Series(str(name), column.to_numpy()))
        else:  # None stands for all that libraries have for a missing value
            blank = column.is_null().to_list()
            values = [None if none else value for value, none in zip(column.to_list(), blank, strict=True)]
            series.append(pl.Series(str(name), values, strict=False))
    polars = pl.DataFrame(series)
    return table_from_frame(polars, "the data frame", lambda row: f"row {row}", columns=there, kinds=kinds)


def with_nulls(series: pl.Series) -> pl.Series:
    """Null wherever a value is missing, in whichever of all ways; text is stripped.

    Parameters
    ----------
    series : polars.Series

    Returns
    -------
    polars.Series
    """
    import polars as pl

    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        text = series.str.strip_chars()
        return text.set(text.is_in(MISSING), None)
    return series.fill_nan(None) if series.dtype.is_float() else series


def _plain(series: pl.Series, label: str) -> pl.Series:
    """A column as numbers, dates or stripped text, with null where a value is missing."""
    import polars as pl

    series = with_nulls(series)
    if series.dtype == pl.Boolean:
        series = series.cast(pl.Int8)
    elif not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Date, pl.Datetime, pl.Null)):
        raise DataError(
            f"{label}, column {series.name!r}: it holds {series.dtype} values; numbers, text or dates are needed, drop "
            "the column"
        )
    return series


def _guess(series: pl.Series, place: Place, typed: bool, notation: Notation) -> Kind:
    """Numbers if all are, else dates if all are, else categories; a few words among numbers are a mistake.

    Where columns have types, text is meant as text, be it digits.
    """
    import polars as pl

    if series.dtype in (pl.Date, pl.Datetime):
        return "date"
    if series.dtype != pl.String:
        return "number"
    known = series.len() - series.null_count()
    words = (_cast(series, notation).is_null() & series.is_not_null()).to_numpy()
    n_words = int(words.sum())
    if not n_words and not typed:
        return "number"
    if 2 * n_words < known and not typed:
        row = int(words.argmax())
        raise DataError(
            f"{place(row, series.name)}: {series[row]!r} is not a number, but most of the column are; mend it, or say "
            "that the column is a category"
        )
    return "date" if _parse_dates(series, notation).null_count() == series.null_count() else "category"


def _cast(series: pl.Series, notation: Notation) -> pl.Series:
    """Text as numbers, null where it is none; decimal commas are taken where no cell has a point."""
    import polars as pl

    commas = notation.commas.get(series.name)
    numbers: pl.Series = series.cast(pl.Float64, strict=False)
    if numbers.null_count() == series.null_count() and commas is None:
        if series.str.contains(".", literal=True).any():
            notation.commas[series.name] = False
        return numbers
    if commas is False:
        return numbers
    comma = series.str.contains(r"^[+-]?\d*,\d+([eE][+-]?\d+)?$|^[+-]?\d+$")
    if commas is None:
        in_thousands = series.str.contains(r"^[+-]?\d{1,3},\d{3}$|^[+-]?\d+$").all()  # 1,234 may be either
        if in_thousands or not comma.all():
            return numbers
        notation.commas[series.name] = True
    numbers = series.set(~comma, None).str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    return numbers  # noqa: RET504  (mypy knows its type)


def _numbers(series: pl.Series, place: Place, notation: Notation) -> npt.NDArray[np.float32]:
    import polars as pl

    if series.dtype in (pl.Date, pl.Datetime):
        raise DataError(f"{place(0, series.name)}: {series[0]} is a date, where the column has numbers")
    commas = notation.commas.get(series.name)
    numbers = _cast(series, notation) if series.dtype == pl.String else series.cast(pl.Float64, strict=False)
    bad = numbers.is_null() & series.is_not_null()
    if commas and bad.any():
        pointed = bad & series.cast(pl.Float64, strict=False).is_not_null()
        _refuse(series, pointed.to_numpy(), place, "{!r} has no decimal comma, as the numbers above it have")
    _refuse(series, bad.to_numpy(), place)
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused
        x: npt.NDArray[np.float32] = numbers.to_numpy().astype(np.float32)
    _refuse(series, np.isinf(x), place)
    return x


def _parse_dates(series: pl.Series, notation: Notation) -> pl.Series:
    """Text as moments by the first format that all cells follow, in the blocks before too; null where none does."""
    import polars as pl

    parsed = pl.Series(series.name, [None] * series.len(), pl.Datetime)
    if series.null_count() == series.len():
        return parsed
    first = series.drop_nulls().head(100)
    known = notation.dates.get(series.name)
    if known is not None:
        return series.str.to_datetime(known, strict=False)
    fails = {form: first.str.to_datetime(form, strict=False).null_count() for form in DATE_FORMATS}
    forms = [form for form, count in fails.items() if not count] or [min(fails, key=lambda form: fails[form])]
    for form in forms:
        parsed = series.str.to_datetime(form, strict=False)
        if parsed.null_count() == series.null_count():
            notation.dates[series.name] = form
            break
    return parsed


def _days(series: pl.Series, place: Place, notation: Notation) -> npt.NDArray[np.float32]:
    """Days since 2000-01-01."""
    import polars as pl

    known = notation.dates.get(series.name)
    if series.dtype == pl.Null:
        series = series.cast(pl.String)
    moments = _parse_dates(series, notation) if series.dtype == pl.String else series
    if moments.dtype not in (pl.Date, pl.Datetime):
        raise DataError(f"{place(0, series.name)}: {series[0]!r} is not a date, such as 2024-12-31")
    bad = (moments.is_null() & series.is_not_null()).to_numpy()
    complaint = "{!r} is not a date, such as 2024-12-31"
    if known is not None:
        complaint = f"{{!r}} is not a date as those above it, which are {known!r}; write all of them as 2024-12-31"
    _refuse(series, bad, place, complaint)
    milliseconds = moments.cast(pl.Datetime("ms")).dt.replace_time_zone(None).cast(pl.Int64).cast(pl.Float64).to_numpy()
    zero = np.datetime64(DAY_ZERO, "ms").astype(np.int64)
    days: npt.NDArray[np.float32] = ((milliseconds - float(zero)) / 86_400_000).astype(np.float32)
    return days


def _codes(series: pl.Series) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Positions in the sorted labels, NaN where missing, and the labels."""
    import polars as pl

    text = as_labels(series)
    names = sorted(text.drop_nulls().unique().to_list())
    codes = text.cast(pl.Enum(names)).to_physical().cast(pl.Float32).fill_null(math.nan)
    return codes.to_numpy(), tuple(names)


def as_labels(series: pl.Series) -> pl.Series:
    """Values as text; a whole number looks alike whether it is kept as an integer or not.

    Parameters
    ----------
    series : polars.Series

    Returns
    -------
    polars.Series of String
    """
    import polars as pl

    text: pl.Series = series.cast(pl.String)
    if series.dtype.is_float():
        whole = series.cast(pl.Int64, strict=False)
        text = whole.cast(pl.String).zip_with((whole.cast(pl.Float64) == series).fill_null(False), text)
    return text


def _targets(series: pl.Series, label: str, place: Place, kind: Kind | None) -> Targets:
    import polars as pl

    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise DataError(f"{label}, column {series.name!r}: {series.dtype} values cannot be a target")
    series = with_nulls(series)
    _refuse(series, series.is_null().to_numpy(), place)
    if series.dtype == pl.Boolean:
        return series.to_numpy()
    if series.dtype.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        _refuse(series, whole.is_null().to_numpy(), place, "{!r} does not fit into 64 bits with a sign")
        return np.array(whole.to_numpy())
    whole_first: tuple[Any, ...] = (pl.Int64, pl.Float64) if series.dtype == pl.String else (pl.Float64,)
    if kind == "category" and series.dtype == pl.String:
        whole_first = ()
    for dtype in whole_first:
        numbers = series.cast(dtype, strict=False)
        if numbers.null_count() == 0:
            y = numbers.to_numpy()
            _refuse(series, ~np.isfinite(y), place)
            return np.array(y)
    if kind == "number":
        _refuse(series, numbers.is_null().to_numpy(), place)
    nul = series.str.contains("\0", literal=True).to_numpy()
    _refuse(series, nul, place, "the label {!r} has a NUL character; take it out")
    return series.to_numpy().astype(np.str_)


def _refuse(series: pl.Series, bad: npt.NDArray[np.bool_], place: Place, complaint: str | None = None) -> None:
    if bad.any():
        row = int(bad.argmax())
        value = series[row]
        raise DataError(f"{place(row, series.name)}: {complaint.format(value) if complaint else _complaint(value)}")


def _complaint(value: Any) -> str:
    """Say what is wrong with a cell that is no finite float32."""
    text = "" if value is None else str(value).strip()
    if text in MISSING:
        return "the value is missing; fill it in or leave out the row"
    number = as_number(text)
    if number is None:
        return f"{text!r} is not a number"
    return f"{text!r} is too large for float32" if math.isfinite(number) else f"{text!r} is not a finite number"

"""A Polars frame, of text or typed, to a table of numbers; what is not a number is named by its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.table.names import check_known, choose_inputs, listed
from fallline.table.number import as_number
from fallline.table.table import Table, Targets

if TYPE_CHECKING:
    import polars as pl

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")
NOT_YET = "only numeric inputs are supported so far, drop the column or encode it"


def table_from_frame(
    frame: pl.DataFrame,
    label: str,
    where: Callable[[int], str],
    target: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
) -> Table:
    """Pick target and inputs from a frame and cast them to numbers.

    Parameters
    ----------
    frame : polars.DataFrame of shape (n, n_columns)
    label : str
        What to call the frame; the table's name.
    where : callable
        From a row to what messages call it, such as ``"line 7"``.
    target, columns, drop
        As in `read`.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        For unknown columns and for cells that are missing, or are inputs but no finite numbers.
    """
    if columns is None:
        if target is None:
            raise DataError(f"{label}: say which column is the target (columns: {listed(frame.columns)})")
        check_known(target, frame.columns, label)
    elif target not in frame.columns:
        target = None
    inputs = choose_inputs(frame.columns, target, columns, drop, label)
    if frame.height == 0:
        raise DataError(f"{label}: it has column names but no rows")

    def place(row: int, column: str) -> str:
        return f"{label}, {where(row)}, column {column!r}"

    X = _inputs(frame.select(inputs), label, place)
    y = None if target is None else _targets(frame[target], label, place)
    return Table(label, X, y, inputs, target)


def _inputs(frame: pl.DataFrame, label: str, place: Callable[[int, str], str]) -> npt.NDArray[np.float32]:
    import polars as pl

    for column, dtype in frame.schema.items():
        if not _castable(dtype):
            raise DataError(f"{label}, column {column!r}: it holds {dtype} values; {NOT_YET}")
    text = frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    numbers = text.with_columns(pl.col(pl.String).str.strip_chars()).cast(pl.Float32, strict=False)
    X = np.ascontiguousarray(numbers.to_numpy(order="c"))  # nulls become NaN
    bad = ~np.isfinite(X)
    if bad.any():
        row, j = divmod(int(bad.argmax()), X.shape[1])
        raise DataError(f"{place(row, frame.columns[j])}: {_complaint(text[row, j])}")
    return X


def _targets(series: pl.Series, label: str, place: Callable[[int, str], str]) -> Targets:
    import polars as pl

    if not _castable(series.dtype):
        raise DataError(f"{label}, column {series.name!r}: {series.dtype} values cannot be a target")
    if series.dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.String:
        series = series.str.strip_chars()
        series = series.set(series.is_in(MISSING), None)
    _refuse(series, series.is_null().to_numpy(), place)
    if series.dtype == pl.Boolean:
        return series.to_numpy()
    if series.dtype.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        _refuse(series, whole.is_null().to_numpy(), place, "{!r} does not fit into 64 bits with a sign")
        return np.array(whole.to_numpy())
    whole_first = (pl.Int64, pl.Float64) if series.dtype == pl.String else (pl.Float64,)
    for dtype in whole_first:
        numbers = series.cast(dtype, strict=False)
        if numbers.null_count() == 0:
            y = numbers.to_numpy()
            _refuse(series, ~np.isfinite(y), place)
            return np.array(y)
    nul = series.str.contains("\0", literal=True).to_numpy()
    _refuse(series, nul, place, "the label {!r} has a NUL character; take it out")
    return series.to_numpy().astype(np.str_)


def _castable(dtype: pl.DataType) -> bool:
    import polars as pl

    return dtype.is_numeric() or dtype in (pl.Boolean, pl.String, pl.Categorical, pl.Enum, pl.Null)


def _refuse(
    series: pl.Series, bad: npt.NDArray[np.bool_], place: Callable[[int, str], str], complaint: str | None = None
) -> None:
    if bad.any():
        row = int(bad.argmax())
        value = series[row]
        raise DataError(f"{place(row, series.name)}: {complaint.format(value) if complaint else _complaint(value)}")


def _complaint(value: Any) -> str:
    """Say what is wrong with a cell that is no finite float32."""
    text = "" if value is None else str(value).strip()
    if text in MISSING:
        return "the value is missing; fill it in or leave out the row or the column"
    number = as_number(text)
    if number is None:
        return f"{text!r} is not a number; {NOT_YET}"
    return f"{text!r} is too large for float32" if math.isfinite(number) else f"{text!r} is not a finite number"

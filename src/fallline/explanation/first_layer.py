"""From a row as the user wrote it to the numbers that a network's first layer takes, and the typical row beside it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.inputs import Inputs
from fallline.network import Network
from fallline.table import Encoder, Table
from fallline.table.columns import ColumnEncoding, encode_date

Array = npt.NDArray[Any]

EPOCH = datetime.datetime(2000, 1, 1)  # a table's dates have no time zone


@dataclass(frozen=True)
class ColumnStep:
    """What a row holds in one column, and what is made of it.

    Attributes
    ----------
    name, role : str
        As in `ColumnEncoding`.
    value : float, str or None
        As the user wrote it; None where it is missing.
    center, scale : float or None
        Of numbers and dates.
    becomes : dict of str to float
        What the networks are given, by name; the code of a category whose labels are rows of a learned table.
    how : str
        The same in words.
    typical : str
        What the typical row has there, in words.
    """

    name: str
    role: str
    value: float | str | None
    center: float | None
    scale: float | None
    becomes: dict[str, float]
    how: str
    typical: str


def input_names(encoder: Encoder) -> list[tuple[int, str]]:
    """Of each number that `Encoder.encode_inputs` gives, its column and its name."""
    columns = list(enumerate(encoder.encodings))
    numbers = [(j, name) for i in (0, 1) for j, column in columns for name in column.names[i]]
    return [*numbers, *((j, column.name) for j, column in columns if column.is_table)]


def first_layer_names(encoder: Encoder, inputs: Inputs | None) -> list[tuple[int, str]]:
    """Of each number that the first layer takes, its column and its name."""
    given = input_names(encoder)
    if inputs is None:
        return given
    return [(j, name + more) for (j, name), more in inputs.taken(given)]


def first_layer(network: Network, encoded: Array) -> Array:
    """What the first layer takes, float64, shape (n, n_in); computed as the network does, in its own dtype."""
    X = encoded.astype(network.dtype)
    inputs = network.shape.inputs
    return np.asarray(X if inputs is None else inputs.forward(network.parameters, X), np.float64)


def typical_first_layer(encoder: Encoder, network: Network) -> Array:
    """The same of the typical row, shape (1, n_in): of a learned table it has the mean of all labels' rows."""
    encoded, at = np.zeros((1, encoder.n_in), np.float32), 0
    for i in (0, 1):
        for column in encoder.encodings:
            values = _typical(column)[i]
            encoded[0, at : at + len(values)] = values
            at += len(values)
    F, inputs = first_layer(network, encoded), network.shape.inputs
    if inputs is not None and inputs.tables:
        part = inputs.views(network.parameters)
        means = [part[f"table.{j}"][1:].mean(axis=0, dtype=np.float64) for j in range(len(inputs.tables))]
        learned = np.concatenate(means)
        F[0, -len(learned) :] = learned * part["scale"][-len(learned) :]
    return F


def _typical(column: ColumnEncoding) -> tuple[list[float], list[float]]:
    """What a column becomes in the typical row, laid out like its `names`."""
    embedded, plain = column.names
    if column.role == "date":
        return encode_date(np.array([column.center]), column)[0].tolist(), [0.0] * len(plain)
    if column.role == "category" and len(column.labels) > 2:
        return [], [1 / len(column.labels)] * len(plain)
    return [0.0] * len(embedded), [0.0] * len(plain)


def column_steps(encoder: Encoder, rows: Array, encoded: Array, table: Table | None) -> list[ColumnStep]:
    """What becomes of each column of one row.

    Parameters
    ----------
    encoder : Encoder
    rows, encoded : array of shape (1, n_columns) and (1, n_in)
        As `Encoder.rows_of` and `Encoder.encode_inputs` give them.
    table : Table or None
        Where the row stands, if it comes from one: it alone has the labels that training did not have.

    Returns
    -------
    list of ColumnStep
    """
    becomes: list[dict[str, float]] = [{} for _ in encoder.encodings]
    for (j, name), value in zip(input_names(encoder), encoded[0].tolist(), strict=True):
        becomes[j][name] = value
    steps = []
    for j, column in enumerate(encoder.encodings):
        value = _written(column, rows[0, j], table)
        known = bool(np.isnan(rows[0, j])) or rows[0, j] >= 0
        scaled = column.role in ("number", "yes/no", "date")
        steps.append(
            ColumnStep(
                column.name,
                column.role,
                value,
                column.center if scaled else None,
                column.scale if scaled else None,
                becomes[j],
                _how(column, value, known, becomes[j]),
                _typical_in_words(column),
            )
        )
    return steps


def _written(column: ColumnEncoding, x: float, table: Table | None) -> float | str | None:
    """One cell as the user wrote it."""
    if table is not None and column.name in table.columns:
        x = table.X[0, table.columns.index(column.name)]
        if np.isnan(x):
            return None
        if column.name in table.labels:
            return table.labels[column.name][int(x)]
        if column.name in table.dates:
            return _date(float(x), column.timed)
    return None if np.isnan(x) else float(str(np.float32(x)))  # the shortest that is the same float32


def _date(days: float, timed: bool) -> str:
    moment = EPOCH + datetime.timedelta(days=days)
    return moment.isoformat(" ", "seconds") if timed else moment.date().isoformat()


def _how(column: ColumnEncoding, value: float | str | None, known: bool, becomes: dict[str, float]) -> str:
    role = column.role
    if role == "unused":
        return f"left out: {column.reason}"
    if role == "pixel":
        return "as it is"
    if role == "category":
        if value is None and "" not in column.labels:
            what = "missing, which training did not have"
        elif not known:
            what = "a label that has no place of its own"
        else:
            what = ""
        if column.is_table:
            code = int(next(iter(becomes.values())))
            return f"row {code} of its learned table" + (f" ({what})" if what else "")
        if what:
            return f"all its indicators are 0 ({what})"
        if len(column.labels) == 2:
            return f"-1 is {_label(column.labels[0])}, 1 is {_label(column.labels[1])}"
        return f"its indicator is 1, the other {len(column.labels) - 1} are 0"
    if value is None:
        stand_in = "0" if role == "date" else f"{column.center:g}"
        return f"missing: taken for {stand_in}" + (", and its indicator is 1" if column.missing else "")
    if role == "date":
        middle = _date(column.center, column.timed)
        return f"days from {middle}, * {column.scale:.4g}, bounded; and waves of the calendar"
    away = f"({value:g} - {column.center:g}) * {column.scale:.4g}"
    return f"{away}, bounded"


def _label(label: str) -> str:
    return label or "missing"


def _typical_in_words(column: ColumnEncoding) -> str:
    if column.role == "number":
        return f"{column.center:g}, the median"
    if column.role == "yes/no":
        return f"halfway: {column.center:g}"
    if column.role == "date":
        return f"{_date(column.center, column.timed)}, the median"
    if column.role == "category":
        n = len(column.labels)
        return "halfway between its labels" if n == 2 else f"equal parts of its {n} labels"
    return "0, black" if column.role == "pixel" else ""

"""Between a table and a network: columns as numbers, targets as codes or standardised numbers, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final, get_args

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.inputs import Inputs
from fallline.table.columns import (
    MISSING_LABEL,
    TABLE_SIZE,
    ColumnEncoding,
    encode_category,
    encode_date,
    fit_column,
    smoothly_clipped,
)
from fallline.table.names import listed
from fallline.table.number import as_number
from fallline.table.table import Kind, Table, Targets, Task

Array = npt.NDArray[Any]

MOST_CLASSES_IN_NUMBERS = 20
MOST_EMBEDDED = 300  # columns; where there are more, they go in as they are


def guess_task(y: Targets) -> Task:
    """Guess from the targets what is to be learned.

    Parameters
    ----------
    y : ndarray of shape (n,)

    Returns
    -------
    {"classification", "regression"}
        Classification for text, bool, and at most 20 different whole numbers.

    Examples
    --------
    >>> import numpy as np
    >>> guess_task(np.array([0, 1, 1])), guess_task(np.array([0.5, 1, 1]))
    ('classification', 'regression')
    """
    if y.dtype.kind not in "iuf":
        return "classification"
    whole = bool(np.all(y == np.floor(y)))
    return "classification" if whole and len(np.unique(y)) <= MOST_CLASSES_IN_NUMBERS else "regression"


@final
@dataclass(frozen=True, eq=False)
class Encoder:
    """What was learned about a table's columns from its training rows.

    Parameters
    ----------
    task : {"classification", "regression"}
    encodings : tuple of ColumnEncoding
        One for each input.
    target : str
    classes : ndarray of shape (n_out,) or None
        The labels, sorted; None for regression.
    target_center, target_scale : float
        Targets of regression are encoded as ``(y - target_center) / target_scale``; 0 and 1 for classification.
    image_shape : tuple of int or None
        Height and width, where the inputs are pixels.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1], [3], [2]], np.float32)
    >>> encoder = Encoder.fit(Table("three.csv", X, np.array(["no", "yes", "yes"]), ("x",), "y"))
    >>> encoder.encode_inputs(X).ravel(), encoder.encode_target(np.array(["yes", "no"]))
    (array([-0.9486833,  0.9486833,  0.       ], dtype=float32), array([1, 0]))
    """

    task: Task
    encodings: tuple[ColumnEncoding, ...]
    target: str
    classes: Targets | None
    target_center: float = 0.0
    target_scale: float = 1.0
    image_shape: tuple[int, int] | None = None

    @classmethod
    def fit(cls, table: Table, task: Task | None = None) -> Encoder:
        """Learn from training rows; pixels are left as they are.

        Parameters
        ----------
        table : Table
            The rows to train on, and no others.
        task : {"classification", "regression"} or None
            None guesses it from the targets.

        Returns
        -------
        Encoder

        Raises
        ------
        DataError
            Where there is nothing to learn: fewer than two rows, no targets, one class, no column with two values; or
            text for a regression.
        ParameterError
            For an unknown task.
        """
        if table.y is None or table.target is None:
            raise DataError(f"{table.name}: there is no target to learn")
        if table.n_rows < 2:
            needed = f"at least 2 rows are needed to learn from, not {table.n_rows}"
            raise DataError(f"{table.name}: {needed} (rows held back do not count)")
        task = task or guess_task(table.y)
        if task not in get_args(Task):
            raise ParameterError(f"unknown task {task!r}, it is 'classification' or 'regression'")
        classes, target_center, target_scale = None, 0.0, 1.0
        if task == "classification":
            classes = np.unique(table.y)
            if len(classes) == 1:
                raise DataError(f"{table.name}: the target {table.target!r} has one class only: {classes[0].item()!r}")
        else:
            target_center, target_scale = _center_and_scale(_numbers(table.y, table.target, count=False))
            if not np.isfinite(target_scale):
                raise DataError(f"{table.name}: the numbers in the target {table.target!r} are too large")
        if table.image_shape is None:
            encodings = tuple(fit_column(table, j) for j in range(table.n_in))
        else:
            encodings = tuple(ColumnEncoding(name, "pixel") for name in table.columns)
        if all(column.role == "unused" for column in encodings):
            reasons = listed(f"{column.name}: {column.reason}" for column in encodings)
            raise DataError(f"{table.name}: no input column can be used ({reasons})")
        return cls(task, encodings, table.target, classes, target_center, target_scale, table.image_shape)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the inputs, as they stand in a table."""
        return tuple(column.name for column in self.encodings)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What a reader should take the columns for."""
        return {column.name: column.kind for column in self.encodings if column.kind is not None}

    @cached_property
    def inputs(self) -> Inputs | None:
        """What stands before the network's first layer: numbers are embedded; None for pixels."""
        if self.image_shape is not None:
            return None
        embedded, plain = (sum(len(column.names[i]) for column in self.encodings) for i in (0, 1))
        if embedded > MOST_EMBEDDED:
            embedded, plain = 0, embedded + plain
        tables = [(len(column.labels) + 1, TABLE_SIZE) for column in self.encodings if column.is_table]
        return Inputs(embedded, plain, tables)

    @property
    def n_in(self) -> int:
        """Number of inputs of the network."""
        return len(self.columns) if self.inputs is None else self.inputs.n_in

    @property
    def n_out(self) -> int:
        """Number of outputs of the network: the classes, or one number."""
        return 1 if self.classes is None else len(self.classes)

    def rows_of(self, table: Table) -> npt.NDArray[np.float32]:
        """Put a table's columns in this encoder's order, and its categories in the places of this encoder's labels.

        Parameters
        ----------
        table : Table

        Returns
        -------
        ndarray of shape (n, n_columns), float32
            Categories as positions in their labels, -1 for those that are none of them.

        Raises
        ------
        DataError
            Names the columns that are missing or hold something else.
        """
        place = {name: j for j, name in enumerate(table.columns)}
        missing = [column.name for column in self.encodings if column.name not in place and column.role != "unused"]
        if missing:
            raise DataError(f"{table.name}: missing column {listed(missing)} (columns: {listed(table.columns)})")
        if table.columns == self.columns and not table.labels:
            rows = table.X
        else:
            rows = np.stack(
                [
                    table.X[:, place[name]] if name in place else np.zeros(table.n_rows, np.float32)
                    for name in self.columns
                ],
                axis=1,
            )
        for j, column in enumerate(self.encodings):
            kind = column.kind
            if kind is None:
                continue
            if table.kind(column.name) != kind:
                raise DataError(
                    f"{table.name}, column {column.name!r}: it holds a {table.kind(column.name)}; a {kind} is needed"
                )
            if kind == "category":
                rows[:, j] = _recoded(rows[:, j], table.labels[column.name], column.labels)
        return rows

    def encode_inputs(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Make of columns what the network takes: numbers to embed, plain numbers, codes.

        Numbers are centred on the median and scaled by the middle half, then smoothly clipped; missing ones become the
        median, and an indicator says so. Categories become indicators, those of many labels codes.

        Parameters
        ----------
        rows : ndarray of shape (n, n_columns)
            As `rows_of` gives them.

        Returns
        -------
        ndarray of shape (n, n_in), float32, C-contiguous
            A copy.

        Raises
        ------
        DataError
            For another number of columns.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise DataError(f"inputs of shape (n, {len(self.columns)}) are needed, not {rows.shape}")
        if self.image_shape is not None:
            return np.array(rows, dtype=np.float32, order="C")
        numbers = [j for j, column in enumerate(self.encodings) if column.role in ("number", "yes/no")]
        center, scale = (np.array([getattr(self.encodings[j], name) for j in numbers]) for name in ("center", "scale"))
        x = rows[:, numbers].astype(np.float64)
        blank = np.isnan(x)
        x = smoothly_clipped((np.where(blank, center, x) - center) * scale)
        embedded: list[Array] = []
        plain: list[Array] = []
        codes: list[Array] = []
        number = 0
        for j, column in enumerate(self.encodings):
            if column.role in ("number", "yes/no"):
                (embedded if column.role == "number" else plain).append(x[:, number, None])
                if column.missing:
                    plain.append(blank[:, number, None])
                number += 1
            elif column.role == "date":
                embedded.append(encode_date(rows[:, j].astype(np.float64), column))
                if column.missing:
                    plain.append(np.isnan(rows[:, j])[:, None])
            elif column.role == "category":
                position = _with_missing(rows[:, j], column)
                if column.is_table:
                    codes.append(position[:, None] + 1)
                else:
                    plain.append(encode_category(position, column))
        return np.ascontiguousarray(np.concatenate([*embedded, *plain, *codes], axis=1), dtype=np.float32)

    def encode_target(self, y: Targets) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """Turn targets into what a loss compares the network's output with.

        Numbers and text of the same look are the same label: a file may hold 1 and 2 where another adds "other".

        Parameters
        ----------
        y : ndarray of shape (n,)

        Returns
        -------
        ndarray
            Positions in `classes`, int64 (n,); or standardised numbers, float32 (n, 1).

        Raises
        ------
        DataError
            For a label that the training rows did not have, or text where numbers are learned.
        """
        if self.classes is None:
            standardised = (_numbers(y, self.target, count=True) - self.target_center) / self.target_scale
            return standardised.astype(np.float32)[:, np.newaxis]
        codes = self.codes_of(y)
        if (codes < 0).any():
            known = listed(map(str, self.classes))
            row = int(codes.argmin())
            what = f"the training rows have no label {y[row].item()!r}"
            raise DataError(f"target {self.target!r}, row {row + 1}: {what} (labels: {known})")
        return codes

    def codes_of(self, y: Targets) -> npt.NDArray[np.int64]:
        """Positions of labels in `classes`, -1 for those that the training rows did not have.

        Parameters
        ----------
        y : ndarray of shape (n,)

        Returns
        -------
        ndarray of shape (n,)
        """
        assert self.classes is not None
        classes = self.classes
        if "U" in (classes.dtype.kind, y.dtype.kind):
            classes, y = classes.astype(np.str_), y.astype(np.str_)
        order = np.argsort(classes)  # the order of numbers is not that of their text
        place = np.searchsorted(classes, y, sorter=order)
        codes = order[np.minimum(place, len(classes) - 1)]
        return np.where(classes[codes] == y, codes, -1).astype(np.int64)

    def decode_target(self, A: npt.NDArray[Any]) -> Targets:
        """Turn the network's output into labels or numbers.

        Parameters
        ----------
        A : ndarray of shape (n, n_out)
            Probabilities, or standardised numbers.

        Returns
        -------
        ndarray of shape (n,)
            The likeliest labels, of the type they had; or float64.
        """
        if self.classes is not None:
            likeliest: npt.NDArray[np.intp] = A.argmax(axis=1)
            return self.classes[likeliest]
        return A[:, 0].astype(np.float64) * self.target_scale + self.target_center

    def to_header(self) -> dict[str, Any]:
        """Give all but the arrays as what JSON can hold.

        Returns
        -------
        dict
            Keys: task, columns, target, classes (type and values, or None), target_center, target_scale, image_shape.
        """
        classes = None
        if self.classes is not None:
            kind = "str" if self.classes.dtype.kind == "U" else self.classes.dtype.name
            classes = {"type": kind, "values": self.classes.tolist()}
        return {
            "task": self.task,
            "columns": [column.to_header() for column in self.encodings],
            "target": self.target,
            "classes": classes,
            "target_center": self.target_center,
            "target_scale": self.target_scale,
            "image_shape": None if self.image_shape is None else list(self.image_shape),
        }

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Encoder:
        """Put an encoder together again.

        Parameters
        ----------
        header : mapping
            From `to_header`.

        Returns
        -------
        Encoder
        """
        classes, image_shape = header["classes"], header["image_shape"]
        return cls(
            task=header["task"],
            encodings=tuple(ColumnEncoding.from_header(column) for column in header["columns"]),
            target=header["target"],
            classes=None if classes is None else np.array(classes["values"], dtype=classes["type"]),
            target_center=header["target_center"],
            target_scale=header["target_scale"],
            image_shape=None if image_shape is None else (image_shape[0], image_shape[1]),
        )


def _recoded(codes: npt.NDArray[np.float32], labels: Sequence[str], known: Sequence[str]) -> npt.NDArray[np.float32]:
    """Positions in some labels as positions in others, -1 for those that are not among them; NaN stays."""
    place = {label: i for i, label in enumerate(known)}
    to = np.array([*(place.get(label, -1) for label in labels), math.nan], np.float32)
    return to[np.where(np.isnan(codes), len(labels), codes).astype(np.int64)]


def _with_missing(codes: npt.NDArray[Any], column: ColumnEncoding) -> npt.NDArray[np.float64]:
    """Positions with that of a missing label, where it has one, in place of NaN; otherwise -1."""
    missing = column.labels.index(MISSING_LABEL) if MISSING_LABEL in column.labels else -1
    return np.where(np.isnan(codes), missing, codes).astype(np.float64)


def _center_and_scale(y: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation; constant targets have scale 1."""
    if y.min() == y.max():
        return float(y[0]), 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        scale = float(y.std())
        return float(y.mean()), max(scale, float(np.finfo(np.float32).tiny)) if scale == scale else math.inf


def _numbers(y: Targets, target: str, *, count: bool) -> npt.NDArray[np.float64]:
    """Targets as numbers; a complaint counts the rows only where none have been held back."""
    if y.dtype.kind not in "biuf":
        row = next((i for i, label in enumerate(y.tolist()) if as_number(label) is None), 0)
        place = f"target {target!r}, row {row + 1}" if count else f"target {target!r}"
        raise DataError(f"{place}: regression needs numbers, not {y[row].item()!r}")
    return y.astype(np.float64)

"""Between a table and a network: columns as the numbers that a network takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
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
from fallline.table.summary import Summary, recoded
from fallline.table.table import Kind, Table, Targets, Task
from fallline.table.targets import Target, guess_task

Array = npt.NDArray[Any]

CACHED_NUMBERS = 1 << 15  # that are encoded at once: few enough to stay in the processor's cache
MOST_EMBEDDED = 300  # columns; where there are more, they go in as they are


@final
@dataclass(frozen=True, eq=False)
class Encoder:
    """What was learned about a table's columns from its training rows.

    Parameters
    ----------
    encodings : tuple of ColumnEncoding
        One for each input.
    target : Target
        What is learned.
    image_shape : tuple of int or None
        Height and width, where the inputs are pixels.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1], [3], [2]], np.float32)
    >>> encoder = Encoder.fit(Table("three.csv", X, np.array(["no", "yes", "yes"]), ("x",), "y"))
    >>> encoder.encode_inputs(X).ravel(), encoder.target.encode(np.array(["yes", "no"]))
    (array([-0.9486833,  0.9486833,  0.       ], dtype=float32), array([1, 0]))
    """

    encodings: tuple[ColumnEncoding, ...]
    target: Target
    image_shape: tuple[int, int] | None = None

    @classmethod
    def fit(
        cls,
        table: Table,
        task: Task | None = None,
        log: bool = False,
        quantiles: Sequence[float] = (),
        classes: Targets | None = None,
    ) -> Encoder:
        """Learn from training rows; pixels are left as they are.

        Parameters
        ----------
        table : Table
            The rows to train on, and no others.
        task : {"classification", "regression"} or None
            None guesses it from the targets.
        log, quantiles, classes
            As in `Target.fit`.

        Returns
        -------
        Encoder

        Raises
        ------
        DataError
            Where there is nothing to learn: fewer than two rows, no targets, one class, no column with two values; or
            the targets are not what the task needs.
        ParameterError
            For an unknown task.
        """
        if table.y is None or table.target is None:
            raise DataError(f"{table.name}: there is no target to learn")
        _check_several(table.n_rows, table.name)
        try:
            known = Summary.of(table, task or guess_task(table.y), log)
        except DataError as error:
            raise DataError(f"{table.name}: {error}") from None
        return cls.of_summary(known, task, quantiles, classes)

    @classmethod
    def of_summary(
        cls,
        known: Summary,
        task: Task | None = None,
        quantiles: Sequence[float] = (),
        classes: Targets | None = None,
    ) -> Encoder:
        """The same, learned from a summary of the training rows; parameters and errors as of `fit`."""
        table = known.sample
        _check_several(known.n_rows, table.name)
        try:
            target = Target.of_summary(known.target, task, quantiles, classes)
        except DataError as error:
            raise DataError(f"{table.name}: {error}") from None
        if table.image_shape is None:
            encodings = tuple(fit_column(column, table.X[:, j]) for j, column in enumerate(known.columns))
        else:
            encodings = tuple(ColumnEncoding(name, "pixel") for name in table.columns)
        if all(column.role == "unused" for column in encodings):
            reasons = listed(f"{column.name}: {column.reason}" for column in encodings)
            raise DataError(f"{table.name}: no input column can be used ({reasons})")
        return cls(encodings, target, table.image_shape)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the inputs, as they stand in a table."""
        return tuple(column.name for column in self.encodings)

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """What a reader should take the columns for."""
        return {column.name: column.kind for column in self.encodings if column.kind is not None}

    @cached_property
    def kinds_to_measure(self) -> dict[str, Kind]:
        """The same with the target's: numbers, or labels, which are labels even where they look like numbers."""
        target: dict[str, Kind] = {}
        if self.classes is None:
            target = {self.target.name: "number"}
        elif self.classes.dtype.kind == "U":
            target = {self.target.name: "category"}
        return self.kinds | target

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

    @cached_property
    def plain_inputs(self) -> Inputs | None:
        """The same for a linear model: all numbers go in as they are."""
        before = self.inputs
        return None if before is None else Inputs(0, before.embedded + before.plain, before.tables)

    @property
    def n_in(self) -> int:
        """Number of inputs of the network."""
        return len(self.columns) if self.inputs is None else self.inputs.n_in

    @property
    def task(self) -> Task:
        """What is learned: classes or numbers."""
        return self.target.task

    @property
    def classes(self) -> Targets | None:
        """The labels, sorted; None for numbers, and for several labels of a row."""
        return self.target.classes

    @property
    def n_out(self) -> int:
        """Number of outputs of the network."""
        return self.target.n_out

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
        if table.columns == self.columns:
            rows = table.X.copy() if table.labels else table.X
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
                rows[:, j] = recoded(rows[:, j], table.labels[column.name], column.labels)
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
        out = np.empty((len(rows), self.n_in), np.float32)
        step = max(1, CACHED_NUMBERS // max(1, self.n_in))
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            x = some[:, numbers].astype(np.float64)
            blank = np.isnan(x)
            if blank.any():
                x = np.where(blank, center, x)
            x -= center
            x *= scale
            x = smoothly_clipped(x)
            np.concatenate(self._parts(some, x, blank), axis=1, out=out[first : first + step], casting="unsafe")
        return out

    def _parts(self, rows: Array, x: Array, blank: Array) -> list[Array]:
        """What stands side by side: numbers to embed, plain numbers, codes; of `x`, the numbers, where `blank` not.

        All of shape (n, ...).
        """
        embedded: list[Array] = []
        plain: list[Array] = []
        codes: list[Array] = []
        number = begin = 0  # where the numbers that stand side by side began
        for j, column in enumerate(self.encodings):
            if column.role in ("date", "yes/no"):
                embedded.append(x[:, begin:number])
                begin = number + (column.role == "yes/no")
            if column.role in ("number", "yes/no"):
                if column.role == "yes/no":
                    plain.append(x[:, number, None])
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
        return [*embedded, x[:, begin:number], *plain, *codes]

    def to_header(self) -> dict[str, Any]:
        """Give all as what JSON can hold.

        Returns
        -------
        dict
            Keys: columns, target, image_shape.
        """
        return {
            "columns": [column.to_header() for column in self.encodings],
            "target": self.target.to_header(),
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
        image_shape = header["image_shape"]
        return cls(
            encodings=tuple(ColumnEncoding.from_header(column) for column in header["columns"]),
            target=Target.from_header(header["target"]),
            image_shape=None if image_shape is None else (image_shape[0], image_shape[1]),
        )


def _check_several(n_rows: int, name: str) -> None:
    if n_rows < 2:
        needed = f"at least 2 rows are needed to learn from, not {n_rows}"
        raise DataError(f"{name}: {needed} (rows held back do not count)")


def _with_missing(codes: npt.NDArray[Any], column: ColumnEncoding) -> npt.NDArray[np.float64]:
    """Positions with that of a missing label, where it has one, in place of NaN; otherwise -1."""
    missing = column.labels.index(MISSING_LABEL) if MISSING_LABEL in column.labels else -1
    return np.where(np.isnan(codes), missing, codes).astype(np.float64)

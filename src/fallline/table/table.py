"""What every reader returns: a matrix of inputs, what its columns are, and the raw targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from fallline.table.names import check_known

Task: TypeAlias = Literal["classification", "regression"]
Kind: TypeAlias = Literal["number", "category", "date"]
Targets: TypeAlias = npt.NDArray[Any]  # int64, float64, bool or str
Indices: TypeAlias = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Table:
    """Rows with, where known, the targets to learn.

    Parameters
    ----------
    name : str
        Where the rows come from; messages begin with it.
    X : ndarray of shape (n, n_in), float32, C-contiguous
        The inputs: numbers as they are in the file (images: 0 to 1), categories as positions in their labels, dates as
        days since 2000-01-01, with the time as a fraction. NaN is missing.
    y : ndarray of shape (n,) or None
        The raw targets: numbers (int64, float64), labels (str) or bool.
    columns : tuple of str
        The names of the columns of `X`.
    target : str or None
        The name of `y`; None where `y` is.
    image_shape : tuple of int or None
        Height and width, where each row is a picture read line by line.
    labels : mapping from str to tuple of str
        The labels of each column of categories.
    dates : frozenset of str
        The columns of dates.
    first_row : int
        Where in the whole it begins, if it is a block of a larger table.

    Examples
    --------
    >>> import numpy as np
    >>> table = Table("two.csv", np.ones((2, 1), np.float32), np.array([1, 2]), ("width",), "price")
    >>> table.n_rows, table.n_in, table.kind("width")
    (2, 1, 'number')
    """

    name: str
    X: npt.NDArray[np.float32]
    y: Targets | None
    columns: tuple[str, ...]
    target: str | None
    image_shape: tuple[int, int] | None = None
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dates: frozenset[str] = frozenset()
    first_row: int = 0

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return len(self.columns)

    def kind(self, column: str) -> Kind:
        """What a column of X holds."""
        return "category" if column in self.labels else "date" if column in self.dates else "number"

    def without(self, column: str) -> tuple[Table, npt.NDArray[np.float32]]:
        """Take a column out.

        Parameters
        ----------
        column : str

        Returns
        -------
        Table
        ndarray of shape (n,), float32
            The column.

        Raises
        ------
        DataError
            There is no such column.
        """
        check_known(column, self.columns, self.name)
        j = self.columns.index(column)
        X = np.ascontiguousarray(np.delete(self.X, j, axis=1))
        columns = tuple(name for name in self.columns if name != column)
        labels = {name: known for name, known in self.labels.items() if name != column}
        return replace(self, X=X, columns=columns, labels=labels, dates=self.dates - {column}), self.X[:, j]

    def rows(self, indices: Indices) -> Table:
        """Take some rows, in the given order.

        Parameters
        ----------
        indices : ndarray of shape (m,), int64

        Returns
        -------
        Table
            With `m` rows; a copy.
        """
        return replace(self, X=self.X[indices], y=None if self.y is None else self.y[indices])

    def with_own_labels(self) -> Table:
        """The same rows, and of their labels those that occur: rows of a larger table have all of its labels.

        Returns
        -------
        Table
        """
        X, own = self.X.copy() if self.labels else self.X, {}
        for name, labels in self.labels.items():
            x = X[:, self.columns.index(name)]  # a view
            there = ~np.isnan(x)
            found, x[there] = np.unique(x[there].astype(np.int64), return_inverse=True)
            own[name] = tuple(labels[i] for i in found)
        return replace(self, X=X, labels=own)


def pixel_names(image_shape: tuple[int, int]) -> tuple[str, ...]:
    """Name the pixels of a picture, line by line: r0c0, r0c1, ...

    Parameters
    ----------
    image_shape : tuple of int
        Height and width.

    Returns
    -------
    tuple of str, height * width long
    """
    height, width = image_shape
    return tuple(f"r{row}c{column}" for row in range(height) for column in range(width))

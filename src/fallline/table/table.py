"""What every reader returns: a matrix of inputs, their names, and the raw targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

Task: TypeAlias = Literal["classification", "regression"]
Targets: TypeAlias = npt.NDArray[Any]  # int64, float64, bool or str
Indices: TypeAlias = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numbers with, where known, the targets to learn.

    Parameters
    ----------
    name : str
        Where the rows come from; messages begin with it.
    X : ndarray of shape (n, n_in), float32, C-contiguous
        The inputs, as they are in the file (images: 0 to 1).
    y : ndarray of shape (n,) or None
        The raw targets: numbers (int64, float64), labels (str) or bool.
    columns : tuple of str
        The names of the columns of `X`.
    target : str or None
        The name of `y`; None where `y` is.
    image_shape : tuple of int or None
        Height and width, where each row is a picture read line by line.

    Examples
    --------
    >>> import numpy as np
    >>> table = Table("two.csv", np.ones((2, 1), np.float32), np.array([1, 2]), ("width",), "price")
    >>> table.n_rows, table.n_in
    (2, 1)
    """

    name: str
    X: npt.NDArray[np.float32]
    y: Targets | None
    columns: tuple[str, ...]
    target: str | None
    image_shape: tuple[int, int] | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.X)

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return len(self.columns)

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

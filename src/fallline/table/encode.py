"""Between a table and a network: inputs standardised, targets as codes or standardised numbers, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final, get_args

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.table.names import listed
from fallline.table.number import as_number
from fallline.table.table import Table, Targets, Task

MOST_CLASSES_IN_NUMBERS = 20


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
    columns : tuple of str
        The names of the inputs.
    target : str
    classes : ndarray of shape (n_out,) or None
        The labels, sorted; None for regression.
    center, scale : ndarray of shape (n_in,), float32
        Inputs are encoded as ``(X - center) / scale``.
    target_center, target_scale : float
        The same for the targets of regression; 0 and 1 for classification.
    image_shape : tuple of int or None
        Height and width, where the inputs are pixels.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1], [3]], np.float32)
    >>> encoder = Encoder.fit(Table("two.csv", X, np.array(["no", "yes"]), ("x",), "y"))
    >>> encoder.encode_inputs(X).tolist(), encoder.encode_target(np.array(["yes", "no"])).tolist()
    ([[-1.0], [1.0]], [1, 0])
    """

    task: Task
    columns: tuple[str, ...]
    target: str
    classes: Targets | None
    center: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
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
            Where there is nothing to learn: fewer than two rows, no targets, one class; or text for a regression.
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
        if table.image_shape is None:
            center, scale = _center_and_scale(table.X)
        else:
            center, scale = np.zeros(table.n_in), np.ones(table.n_in)
        classes, target_center, target_scale = None, 0.0, 1.0
        if task == "classification":
            classes = np.unique(table.y)
            if len(classes) == 1:
                raise DataError(f"{table.name}: the target {table.target!r} has one class only: {classes[0].item()!r}")
        else:
            column = _numbers(table.y, table.target, count=False)[:, np.newaxis]
            target_center, target_scale = (float(moment[0]) for moment in _center_and_scale(column))
            if not np.isfinite(target_scale):
                raise DataError(f"{table.name}: the numbers in the target {table.target!r} are too large")
        return cls(
            task,
            table.columns,
            table.target,
            classes,
            center.astype(np.float32),
            scale.astype(np.float32),
            target_center,
            target_scale,
            table.image_shape,
        )

    @property
    def n_in(self) -> int:
        """Number of inputs of the network."""
        return len(self.columns)

    @property
    def n_out(self) -> int:
        """Number of outputs of the network: the classes, or one number."""
        return 1 if self.classes is None else len(self.classes)

    def encode_inputs(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Standardise inputs.

        Parameters
        ----------
        X : ndarray of shape (n, n_in)

        Returns
        -------
        ndarray of shape (n, n_in), float32, C-contiguous
            A copy.

        Raises
        ------
        DataError
            For another number of columns.
        """
        if X.ndim != 2 or X.shape[1] != self.n_in:
            raise DataError(f"inputs of shape (n, {self.n_in}) are needed, not {X.shape}")
        encoded = np.array(X, dtype=np.float32, order="C")
        encoded -= self.center
        encoded /= self.scale
        return encoded

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
        classes = self.classes
        if "U" in (classes.dtype.kind, y.dtype.kind):
            classes, y = classes.astype(np.str_), y.astype(np.str_)
        order = np.argsort(classes)  # the order of numbers is not that of their text
        place = np.searchsorted(classes, y, sorter=order)
        codes = order[np.minimum(place, len(classes) - 1)]
        unseen = classes[codes] != y
        if unseen.any():
            known = listed(map(str, classes))
            row = int(unseen.argmax())
            what = f"the training rows have no label {y[row].item()!r}"
            raise DataError(f"target {self.target!r}, row {row + 1}: {what} (labels: {known})")
        return codes.astype(np.int64)

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
            "columns": list(self.columns),
            "target": self.target,
            "classes": classes,
            "target_center": self.target_center,
            "target_scale": self.target_scale,
            "image_shape": None if self.image_shape is None else list(self.image_shape),
        }

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Give the arrays by name.

        Returns
        -------
        dict
            Keys: center, scale; float32 (n_in,).
        """
        return {"center": self.center, "scale": self.scale}

    @classmethod
    def from_parts(cls, header: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[np.float32]]) -> Encoder:
        """Put an encoder together again.

        Parameters
        ----------
        header : mapping
            From `to_header`.
        tensors : mapping
            From `tensors`.

        Returns
        -------
        Encoder
        """
        classes, image_shape = header["classes"], header["image_shape"]
        return cls(
            task=header["task"],
            columns=tuple(header["columns"]),
            target=header["target"],
            classes=None if classes is None else np.array(classes["values"], dtype=classes["type"]),
            center=tensors["center"],
            scale=tensors["scale"],
            target_center=header["target_center"],
            target_scale=header["target_scale"],
            image_shape=None if image_shape is None else (image_shape[0], image_shape[1]),
        )


def _center_and_scale(X: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each column; a constant column has scale 1, and becomes 0."""
    constant = X.min(axis=0) == X.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        center = X.mean(axis=0, dtype=np.float64)
        scale = X.std(axis=0, dtype=np.float64)
    smallest = np.finfo(np.float32).tiny  # what float32 can still divide by
    return np.where(constant, X[0], center), np.where(constant, 1.0, np.maximum(scale, smallest))


def _numbers(y: Targets, target: str, *, count: bool) -> npt.NDArray[np.float64]:
    """Targets as numbers; a complaint counts the rows only where none have been held back."""
    if y.dtype.kind not in "biuf":
        row = next((i for i, label in enumerate(y.tolist()) if as_number(label) is None), 0)
        place = f"target {target!r}, row {row + 1}" if count else f"target {target!r}"
        raise DataError(f"{place}: regression needs numbers, not {y[row].item()!r}")
    return y.astype(np.float64)

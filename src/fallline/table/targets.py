"""What is learned: raw targets as what a loss compares outputs with, and outputs as answers in the user's units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final, get_args

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.table.names import listed
from fallline.table.table import Targets, Task
from fallline.table.target_summary import TargetSummary, numbers_of

Array = npt.NDArray[Any]

MOST_CLASSES_IN_NUMBERS = 20


def guess_task(y: Targets) -> Task:
    """Guess from the targets what is to be learned.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_targets)

    Returns
    -------
    {"classification", "regression"}
        Classification for text, bool, and at most 20 different whole numbers; of several targets, for 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> guess_task(np.array([0, 1, 1])), guess_task(np.array([0.5, 1, 1]))
    ('classification', 'regression')
    """
    if y.dtype.kind not in "iuf":
        return "classification"
    if y.ndim > 1:
        return "classification" if bool(np.isin(y, (0, 1)).all()) else "regression"
    whole = bool(np.all(y == np.floor(y)))
    return "classification" if whole and len(np.unique(y)) <= MOST_CLASSES_IN_NUMBERS else "regression"


def task_of(known: TargetSummary) -> Task:
    """The same from a summary that was made for both tasks.

    Parameters
    ----------
    known : TargetSummary

    Returns
    -------
    {"classification", "regression"}
    """
    if known.kind not in "iuf":
        return "classification"
    if known.several:
        return "classification" if known.binary else "regression"
    return "classification" if known.whole and len(known.classes) <= MOST_CLASSES_IN_NUMBERS else "regression"


@final
@dataclass(frozen=True, eq=False)
class Target:
    """What was learned about the targets from the training rows.

    Classes become their positions; several labels of a row, each there or not, 0 and 1; numbers are standardised, their
    logarithms if asked for.

    Parameters
    ----------
    task : {"classification", "regression"}
    name : str
        Of the column.
    classes : ndarray of shape (n_classes,) or None
        The labels, sorted; None for numbers, and for several labels of a row.
    centers, scales : tuple of float
        Of each target: a number is encoded as `(y - center) / scale`; 0 and 1 for classification.
    log : bool
        Whether the logarithm of the numbers is learned.
    quantiles : tuple of float
        What the network says of each number; none means its mean.

    Examples
    --------
    >>> import numpy as np
    >>> target = Target.fit(np.array(["no", "yes", "yes"]), "happy", "classification")
    >>> target.encode(np.array(["yes", "no"])), target.output
    (array([1, 0]), 'softmax')
    """

    task: Task
    name: str
    classes: Targets | None
    centers: tuple[float, ...] = (0.0,)
    scales: tuple[float, ...] = (1.0,)
    log: bool = False
    quantiles: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls,
        y: Targets,
        name: str,
        task: Task | None = None,
        log: bool = False,
        quantiles: Sequence[float] = (),
        classes: Targets | None = None,
    ) -> Target:
        """Learn from the targets of training rows.

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, n_targets)
        name : str
        task : {"classification", "regression"} or None
            None guesses it.
        log : bool, default False
        quantiles : sequence of float, default ()
        classes : ndarray of shape (n_classes,), optional
            All that there are, where these rows may not have them all.

        Returns
        -------
        Target

        Raises
        ------
        DataError
            There is one class, or text for a regression, or a number that is too large, or 0 or less under a logarithm.
        ParameterError
            For an unknown task, or a logarithm of classes.
        """
        known = TargetSummary.of(y, name, task or guess_task(y), log)
        return cls.of_summary(known, task, quantiles, classes)

    @classmethod
    def of_summary(
        cls,
        known: TargetSummary,
        task: Task | None = None,
        quantiles: Sequence[float] = (),
        classes: Targets | None = None,
    ) -> Target:
        """The same, learned from a summary of the rows; parameters and errors as of `fit`."""
        task, name, log = task or known.task or task_of(known), known.name, known.log
        if task not in get_args(Task):
            raise ParameterError(f"unknown task {task!r}, it is 'classification' or 'regression'")
        if task == "regression":
            centers, scales = known.scales
            if not np.isfinite(scales).all():
                raise DataError(f"the numbers in the target {name!r} are too large")
            return cls(task, name, None, centers, scales, log, tuple(quantiles))
        if log:
            raise ParameterError("target_transform is 'log', which is for numbers; classes have none")
        if known.several:
            if not known.binary:
                raise DataError(f"the target {name!r} has {known.n_targets} columns, so each must hold 0 and 1 alone")
            return cls(task, name, None, (0.0,) * known.n_targets, (1.0,) * known.n_targets)
        classes = known.classes if classes is None else np.unique(classes)
        if len(classes) == 1:
            raise DataError(f"the target {name!r} has one class only: {classes[0].item()!r}")
        return cls(task, name, classes)

    @property
    def n_targets(self) -> int:
        """Columns of the raw targets."""
        return len(self.centers)

    @property
    def n_out(self) -> int:
        """Outputs of the network."""
        if self.classes is not None:
            return len(self.classes)
        return self.n_targets * max(1, len(self.quantiles))

    @property
    def answer_names(self) -> list[str]:
        """What to call the columns of answers: of several targets, and of quantiles, each has its own."""
        names = [self.name] if self.n_targets == 1 else [f"{self.name} {t + 1}" for t in range(self.n_targets)]
        return [f"{name} {p:g}" for name in names for p in self.quantiles] if self.quantiles else names

    @property
    def output(self) -> str:
        """Activation of the network's last layer."""
        if self.task == "regression":
            return "identity"
        return "sigmoid" if self.classes is None else "softmax"

    def encode(self, y: Targets) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """Turn targets into what a loss compares the network's output with.

        Numbers and text of the same look are the same label: a file may hold 1 and 2 where another adds "other".

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, n_targets)

        Returns
        -------
        ndarray
            Positions in `classes`, int64 (n,); or numbers, float32 (n, n_targets).

        Raises
        ------
        DataError
            For a label that the training rows did not have, text where numbers are learned, or another number of
            columns.
        """
        if self.classes is None:
            if (1 if y.ndim == 1 else y.shape[1]) != self.n_targets:
                raise DataError(f"targets of shape (n, {self.n_targets}) are needed, not {y.shape}")
            numbers = numbers_of(y, self.name, self.log, count=True)
            return ((numbers - self.centers) / self.scales).astype(np.float32)
        codes = self.codes_of(y)
        if (codes < 0).any():
            known = listed(map(str, self.classes))
            row = int(codes.argmin())
            what = f"the training rows have no label {y[row].item()!r}"
            raise DataError(f"target {self.name!r}, row {row + 1}: {what} (labels: {known})")
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

    def decode(self, A: Array) -> Targets:
        """Turn the network's output into answers.

        Parameters
        ----------
        A : ndarray of shape (n, n_out)
            Probabilities, or standardised numbers.

        Returns
        -------
        ndarray of shape (n,) or (n, n_targets)
            The likeliest labels, of the type they had; or 0 and 1, int64, for several labels; or float64: of several
            quantiles the middle one.
        """
        if self.classes is not None:
            likeliest: npt.NDArray[np.intp] = A.argmax(axis=1)
            return self.classes[likeliest]
        if self.task == "classification":
            return np.asarray(A > 0.5, dtype=np.int64)
        numbers = self.numbers(A)
        middle = int(np.argmin(np.abs(np.subtract(self.quantiles, 0.5)))) if self.quantiles else 0
        answers = numbers[:, :, middle]
        return answers[:, 0] if self.n_targets == 1 else answers

    def numbers(self, A: Array) -> npt.NDArray[np.float64]:
        """All that the network says of numbers, in the user's units; quantiles are put in order.

        Parameters
        ----------
        A : ndarray of shape (n, n_out)

        Returns
        -------
        ndarray of shape (n, n_targets, n_quantiles)
            With a single number in place of quantiles where there are none.
        """
        z = A.astype(np.float64).reshape(len(A), self.n_targets, max(1, len(self.quantiles)))
        if self.quantiles:
            z[:, :, np.argsort(self.quantiles)] = np.sort(z, axis=2)
        return self._in_units(z)

    def truth(self, Y: Array) -> npt.NDArray[np.float64]:
        """Encoded numbers as they were, shape (n, n_targets)."""
        return np.asarray(self._in_units(Y.astype(np.float64)[:, :, None])[:, :, 0])

    def _in_units(self, z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Standardised numbers, targets along axis 1 of 3, in the user's units."""
        y = z * np.array(self.scales)[:, None] + np.array(self.centers)[:, None]
        return np.asarray(np.exp(y) if self.log else y)

    def to_header(self) -> dict[str, Any]:
        """Give it as what JSON can hold.

        Returns
        -------
        dict
            Keys: task, name, classes (type and values, or None), centers, scales, log, quantiles.
        """
        classes = None
        if self.classes is not None:
            kind = "str" if self.classes.dtype.kind == "U" else self.classes.dtype.name
            classes = {"type": kind, "values": self.classes.tolist()}
        lists = {name: list(getattr(self, name)) for name in ("centers", "scales", "quantiles")}
        return {"task": self.task, "name": self.name, "classes": classes, "log": self.log, **lists}

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> Target:
        """Put a target together again.

        Parameters
        ----------
        header : mapping
            From `to_header`.

        Returns
        -------
        Target
        """
        classes = header["classes"]
        return cls(
            task=header["task"],
            name=header["name"],
            classes=None if classes is None else np.array(classes["values"], dtype=classes["type"]),
            centers=tuple(header["centers"]),
            scales=tuple(header["scales"]),
            log=header["log"],
            quantiles=tuple(header["quantiles"]),
        )


def no_known_label(target: Target, table: str, unknown: Iterable[str]) -> DataError:
    """What to raise where a table's labels are all unknown to a model."""
    assert target.classes is not None
    known = listed(map(str, target.classes), 5)
    return DataError(f"{table}: the model knows no label in {target.name!r}: {listed(unknown, 5)} (it knows {known})")

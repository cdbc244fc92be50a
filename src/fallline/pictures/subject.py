"""What a picture asks a model about: a table, with columns set to other values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.model import Model
from fallline.pictures.numbers import number
from fallline.table import Kind, Table
from fallline.table.names import check_known

Array = npt.NDArray[Any]

DAY_0 = np.datetime64("2000-01-01")


@final
@dataclass(frozen=True)
class Subject:
    """A model, and rows to ask it about.

    Parameters
    ----------
    model : Model
    table : Table
    """

    model: Model
    table: Table

    @classmethod
    def of_estimator(cls, estimator: Any, X: Any, y: Any = None) -> Subject:
        """A fitted `NetworkClassifier` or `NetworkRegressor` and the rows as it takes them.

        Raises
        ------
        ParameterError
            It is another estimator.
        """
        if not hasattr(estimator, "model_") or not isinstance(estimator.model_, Model):
            name = type(estimator).__name__
            raise ParameterError(
                f"{name} is no fitted Network estimator of fallline; scikit-learn has a Display for it"
            )
        targets = None if y is None else estimator._targets(y)
        return cls(estimator.model_, estimator._table(X, targets))

    def sample(self, rows: int) -> Subject:
        """At most so many of the rows, drawn with seed 0."""
        n = self.table.n_rows
        if n <= rows:
            return self
        return Subject(self.model, self.table.rows(np.sort(np.random.default_rng(0).choice(n, rows, replace=False))))

    def column(self, name: str) -> Array:
        """A column's values, shape (n,)."""
        check_known(name, self.table.columns, self.table.name)
        return np.asarray(self.table.X[:, self.table.columns.index(name)])

    def typical(self) -> Table:
        """A table of one row: medians of numbers and dates, the commonest categories."""
        row = np.empty((1, self.table.n_in), np.float32)
        for j, name in enumerate(self.table.columns):
            known = self.table.X[:, j][~np.isnan(self.table.X[:, j])]
            if not len(known):
                row[0, j] = np.nan
            elif self.table.kind(name) == "category":
                row[0, j] = np.bincount(known.astype(np.int64)).argmax()
            else:
                row[0, j] = np.median(known)
        return replace(self.table, X=row, y=None)

    def text(self, name: str, value: float) -> str:
        """A value of a column as its user writes it."""
        if np.isnan(value):
            return "missing"
        kind = self.table.kind(name)
        if kind == "category":
            return str(self.table.labels[name][int(value)])
        return as_text(kind, value)

    def answers(self, table: Table) -> Array:
        """Probabilities, shape (n, n_classes); or numbers in the user's units, shape (n, n_targets)."""
        if self.model.task == "classification":
            return np.asarray(self.model.predict_proba(table), np.float64)
        return np.asarray(self.model.predict(table), np.float64).reshape(table.n_rows, -1)

    def curves(self, answers: Array) -> tuple[list[str], Array]:
        """What to draw of answers, shape (..., n_out): names, and of two classes the second's probability alone."""
        target = self.model.encoder.target
        if target.task == "regression":
            return [target.name] if target.n_targets == 1 else [
                f"{target.name} {t + 1}" for t in range(target.n_targets)
            ], answers
        if target.classes is None:
            return [f"{target.name} {t + 1}" for t in range(target.n_targets)], answers
        names = [str(label) for label in target.classes]
        return (names[1:], answers[..., 1:]) if len(names) == 2 else (names, answers)


def set_columns(table: Table, values: dict[str, Array | float], y: Array | None = None) -> Table:
    """The same rows with some columns set to other values, and targets."""
    X = table.X.copy()
    for name, value in values.items():
        X[:, table.columns.index(name)] = value
    return replace(table, X=X, y=y)


def repeated(table: Table, n: int) -> Table:
    """A table's rows n times, one after the other; without targets."""
    return replace(table, X=np.tile(table.X, (n, 1)), y=None)


def as_text(kind: Kind, value: float) -> str:
    """A number, or days since 2000-01-01, as people write it."""
    return str(as_date(np.array(value))).split("T")[0] if kind == "date" else number(value, 4)


def as_date(days: Array) -> Array:
    """Days since 2000-01-01 as dates that matplotlib draws."""
    seconds = (np.asarray(days, np.float64) * 86400).astype("timedelta64[s]")
    return np.asarray(DAY_0.astype("datetime64[s]") + seconds)

"""What a model says on average as one column goes through its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.model import Model
from fallline.pictures.numbers import number
from fallline.pictures.style import CYCLE, INK, POSITIVE, axes_for, quiet, title
from fallline.pictures.subject import Subject, as_date, as_text, repeated, set_columns
from fallline.table import Kind, Table
from fallline.wording import listed_briefly

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

ENDS = 0.01  # share of the rows left out at both ends of a number's range
BAND = 10, 90  # percentiles of the rows' answers
MOST_LABELS = 15
N_RUG = 200


@final
class PartialDependenceDisplay:
    """What a model says on average if all rows had the same value in one column, for one value after the other.

    A band shows between which answers the middle 80 % of the rows are. The rows' other columns stay as they are, so
    some of what is asked about may be of no row that could exist (Friedman 2001, section 8.2).

    Parameters
    ----------
    column : str
    kind : {"number", "category", "date"}
    values : array of shape (m,)
        Numbers, days since 2000-01-01, or labels.
    mean : array of shape (m, n_curves)
        In the user's units, or probabilities.
    band : array of shape (m, 2)
        Of the first curve.
    names : sequence of str
        Of the curves.
    rug : array
        Values of some rows; of labels how many rows have each.
    target : str
    probability : bool
        Whether the curves are probabilities.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    lines_ : list of matplotlib artists
    band_, rug_ : matplotlib artists or None

    Examples
    --------
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> iris = load_bundled("iris")
    >>> model = fit(iris, {"epochs": 30, "engine": "reference", "starts": 1}).model
    >>> display = PartialDependenceDisplay.from_model(model, iris, "petal width (cm)", n=5)
    >>> display.mean.shape, display.names
    ((5, 3), ['setosa', 'versicolor', 'virginica'])
    """

    def __init__(
        self,
        *,
        column: str,
        kind: Kind,
        values: Array,
        mean: Array,
        band: Array,
        names: Sequence[str],
        rug: Array,
        target: str,
        probability: bool,
    ) -> None:
        self.column, self.kind, self.values, self.mean, self.band = column, kind, values, mean, band
        self.names, self.rug, self.target, self.probability = names, rug, target, probability

    @classmethod
    def from_model(
        cls, model: Model, table: Table, column: str, *, n: int = 50, rows: int = 500, ax: Axes | None = None
    ) -> PartialDependenceDisplay:
        """Ask a model about a table's rows, and draw what it says.

        Parameters
        ----------
        model : Model
        table : Table
        column : str
        n : int, default 50
            Values of a number or date; of a category all labels that occur, or the commonest 15.
        rows : int, default 500
            Rows to average over, at most; drawn with seed 0.
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        PartialDependenceDisplay

        Raises
        ------
        DataError
            The table has no such column, or no value in it.
        """
        return cls._of(Subject(model, table), column, n, rows).plot(ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, column: str, *, n: int = 50, rows: int = 500, ax: Axes | None = None
    ) -> PartialDependenceDisplay:
        """Ask a `NetworkClassifier` or `NetworkRegressor`; for other estimators scikit-learn has a Display.

        Parameters
        ----------
        estimator : fitted estimator
        X : data frame or array of shape (n, n_columns)
        column : str
            An array's columns are called x0, x1, ...
        n, rows, ax
            As in `from_model`.

        Returns
        -------
        PartialDependenceDisplay
        """
        return cls._of(Subject.of_estimator(estimator, X), column, n, rows).plot(ax)

    @classmethod
    def _of(cls, subject: Subject, column: str, n: int, rows: int) -> PartialDependenceDisplay:
        everything = subject.column(column)
        known = everything[~np.isnan(everything)]
        if not len(known):
            raise DataError(f"{subject.table.name}: column {column!r} has no values")
        kind = subject.table.kind(column)
        counts: Array = np.empty(0)
        if kind == "category":
            counts = np.bincount(known.astype(np.int64))
            commonest = np.argsort(-counts, kind="stable")[:MOST_LABELS]
            at = commonest[counts[commonest] > 0].astype(np.float64)
        else:
            at = (
                np.unique(known)
                if len(np.unique(known)) <= n
                else np.linspace(np.quantile(known, ENDS), np.quantile(known, 1 - ENDS), n)
            )
        some = subject.sample(rows)
        asked = set_columns(repeated(some.table, len(at)), {column: np.repeat(at, some.table.n_rows)})
        answers = subject.answers(asked).reshape(len(at), some.table.n_rows, -1)
        names, curves = subject.curves(answers)
        labels = subject.table.labels.get(column, ())
        return cls(
            column=column,
            kind=kind,
            values=np.array([labels[int(code)] for code in at]) if kind == "category" else at,
            mean=curves.mean(axis=1),
            band=np.percentile(curves[:, :, 0], BAND, axis=1).T,
            names=names,
            rug=counts[at.astype(np.int64)] if kind == "category" else some.column(column)[:N_RUG],
            target=subject.model.encoder.target.name,
            probability=subject.model.task == "classification",
        )

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        ways = []
        for name, mean in zip(self.names, self.mean.T, strict=True):
            ends = " to ".join(f"{number(mean[i])} at {self.value_text(i)}" for i in (mean.argmin(), mean.argmax()))
            ways.append(f"{'' if name == self.target else f'{name} '}from {ends}")
        return (
            f"What the model says of {self.target} on average, if all rows had the same value of {self.column}: "
            f"{listed_briefly(ways)}."
        )

    def value_text(self, i: int) -> str:
        """A value as its user writes it."""
        return str(self.values[i]) if self.kind == "category" else as_text(self.kind, float(self.values[i]))

    def plot(self, ax: Axes | None = None) -> PartialDependenceDisplay:
        """Draw a curve, with a tick for each of some rows; or a dot for each label.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        PartialDependenceDisplay
        """
        self.ax_ = ax = axes_for(ax, 8.0, 4.6)
        self.figure_ = ax.figure
        self.band_: Any = None
        self.rug_: Any = None
        one = len(self.names) == 1
        colors = [POSITIVE] if one else [CYCLE[i % len(CYCLE)] for i in range(len(self.names))]
        self._draw_labels(colors) if self.kind == "category" else self._draw_curves(colors)
        of = f" of {self.names[0]}" if one else ""
        ax.set_ylabel(f"probability{of}" if self.probability else self.target)
        if self.probability:
            ax.set_ylim(-0.03, 1.03)
        if not one:
            ax.legend(frameon=False, title=self.target, ncols=1 if len(self.names) < 6 else 2)
        spread = "; the band holds 80 % of the rows" if one else ""
        title(ax, f"What {self.column} does", f"the model's answer on average, if all rows had this value{spread}")
        quiet(ax)
        return self

    def _draw_curves(self, colors: Sequence[str]) -> None:
        ax = self.ax_
        x, rug = (
            as_date(part) if self.kind == "date" else part for part in (self.values, self.rug[~np.isnan(self.rug)])
        )
        if len(self.names) == 1:
            self.band_ = ax.fill_between(x, *self.band.T, color=POSITIVE, alpha=0.18, linewidth=0)
        self.lines_ = [
            ax.plot(x, of, color=color, linewidth=2.4, label=name)[0]
            for of, color, name in zip(self.mean.T, colors, self.names, strict=True)
        ]
        (self.rug_,) = ax.plot(
            rug,
            np.full(len(rug), 0.025),
            "|",
            color=INK,
            alpha=0.35,
            markersize=9,
            transform=ax.get_xaxis_transform(),
        )
        ax.set_xlabel(f"{self.column}  (a tick for each of {len(rug)} rows)")
        if x[0] < x[-1]:
            ax.set_xlim(x[0], x[-1])

    def _draw_labels(self, colors: Sequence[str]) -> None:
        ax, order = self.ax_, np.argsort(self.mean[:, 0], kind="stable")
        places = np.arange(len(order))
        if len(self.names) == 1:
            self.band_ = ax.vlines(places, *self.band[order].T, color=POSITIVE, linewidth=6, alpha=0.25)
        self.lines_ = [
            ax.plot(places, of[order], "o", color=color, markersize=9, markeredgecolor="white", label=name)[0]
            for of, color, name in zip(self.mean.T, colors, self.names, strict=True)
        ]
        names = [f"{self.values[i]}\n{int(self.rug[i]):,}" for i in order]
        slanted: dict[str, Any] = {}
        if max(len(name) for name in names) * len(names) > 90:
            names = [name.replace("\n", ", ") for name in names]
            slanted = {"rotation": 40 if len(names) < 10 else 90, "ha": "right" if len(names) < 10 else "center"}
        ax.set_xticks(places, names, **slanted)
        ax.set_xlabel(f"{self.column}  (with the number of rows)")
        ax.set_xlim(-0.6, len(order) - 0.4)

"""How much worse a model does when it can no longer see one of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError, did_you_mean
from fallline.model import Model
from fallline.pictures.numbers import number
from fallline.pictures.style import FAINT, INK, POSITIVE, axes_for, quiet, title
from fallline.pictures.subject import Subject, set_columns
from fallline.table import Table
from fallline.wording import SCORE_NAMES, listed_briefly

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

ERRORS = ("log_loss", "rmse", "mae")  # scores of which less is better


@final
class ImportanceDisplay:
    """Permutation importance: how much worse the model's score is when the values of a column are shuffled.

    Shuffled again and again, so there is a spread. Of columns that say the same, each seems unimportant, because the
    other one is still there (Breiman 2001, Random forests).

    Parameters
    ----------
    columns : sequence of str
    importances : array of shape (n_columns, n_repeats)
        How much worse each time.
    score : str
        Which score.
    value : float
        Of the model with all columns in order.
    n_rows : int
        How many rows were shuffled.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    repeats_, means_ : matplotlib artists

    Examples
    --------
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> iris = load_bundled("iris")
    >>> model = fit(iris, {"epochs": 30, "engine": "reference", "starts": 1}).model
    >>> display = ImportanceDisplay.from_model(model, iris, n_repeats=3)
    >>> display.importances.shape, display.score
    ((4, 3), 'accuracy')
    """

    def __init__(self, *, columns: Sequence[str], importances: Array, score: str, value: float, n_rows: int) -> None:
        self.columns, self.importances, self.score = columns, importances, score
        self.value, self.n_rows = value, n_rows

    @classmethod
    def from_model(
        cls,
        model: Model,
        table: Table,
        score: str | None = None,
        *,
        n_repeats: int = 10,
        rows: int = 1000,
        seed: int = 0,
        ax: Axes | None = None,
        **plot: Any,
    ) -> ImportanceDisplay:
        """Shuffle each column of a table that the model uses, and draw what it does.

        Parameters
        ----------
        model : Model
        table : Table
            With targets; best of rows that the model was not trained on.
        score : str, optional
            accuracy or log_loss for classes, rmse, mae or r2 for numbers; accuracy or r2 if nothing is said.
        n_repeats : int, default 10
        rows : int, default 1000
            Rows to shuffle, at most; drawn with seed 0.
        seed : int, default 0
            Of the shuffling.
        ax, plot
            As in `plot`.

        Returns
        -------
        ImportanceDisplay

        Raises
        ------
        DataError
            The table has no targets, or does not fit the model.
        ParameterError
            There is no such score.
        """
        if table.y is None:
            raise DataError(f"{table.name}: there is no target {model.encoder.target.name!r} to compare with")
        table = Subject(model, table).sample(rows).table
        base = model.evaluate(table)
        score = score or ("accuracy" if model.task == "classification" else "r2")
        if score not in base:
            raise ParameterError(f"score {score!r} is unknown{did_you_mean(score, list(base))}")
        sign = -1.0 if score in ERRORS else 1.0
        rng = np.random.default_rng(seed)
        used = [column.name for column in model.encoder.encodings if column.role != "unused"]
        importances = np.empty((len(used), n_repeats))
        for i, name in enumerate(used):
            values = table.X[:, table.columns.index(name)]
            for repeat in range(n_repeats):
                shuffled = set_columns(table, {name: rng.permutation(values)}, y=table.y)
                importances[i, repeat] = sign * (base[score] - model.evaluate(shuffled)[score])
        display = cls(columns=used, importances=importances, score=score, value=base[score], n_rows=table.n_rows)
        return display.plot(ax, **plot)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: npt.ArrayLike,
        scoring: str | None = None,
        *,
        n_repeats: int = 10,
        rows: int = 1000,
        seed: int = 0,
        ax: Axes | None = None,
        **plot: Any,
    ) -> ImportanceDisplay:
        """Do the same for any fitted estimator, with `sklearn.inspection.permutation_importance`.

        Parameters
        ----------
        estimator : estimator of scikit-learn's kind
        X : data frame or array of shape (n, n_columns)
        y : array of shape (n,)
        scoring : str, optional
            As in scikit-learn; the estimator's own `score` if nothing is said.
        n_repeats, rows, seed, ax, plot
            As in `from_model`.

        Returns
        -------
        ImportanceDisplay
        """
        if scoring is None and hasattr(X, "columns") and not hasattr(X, "iloc"):
            # scikit-learn would make an array, without names and kinds, of a data frame that is not pandas's
            subject = Subject.of_estimator(estimator, X, y)
            options = {"n_repeats": n_repeats, "rows": rows, "seed": seed, "ax": ax, **plot}
            return cls.from_model(subject.model, subject.table, **options)
        from sklearn.inspection import permutation_importance  # type: ignore[import-untyped]

        n = np.shape(y)[0]
        share = 1.0 if n <= rows else rows
        found = permutation_importance(
            estimator, X, y, scoring=scoring, n_repeats=n_repeats, max_samples=share, random_state=seed
        )
        names = getattr(X, "columns", getattr(estimator, "feature_names_in_", range(found.importances.shape[0])))
        columns = [name if isinstance(name, str) else f"x{name}" for name in names]
        score = scoring or ("accuracy" if hasattr(estimator, "classes_") else "r2")
        from sklearn.metrics import get_scorer  # type: ignore[import-untyped]

        value = get_scorer(score)(estimator, X, y)
        return cls(
            columns=columns, importances=found.importances, score=score, value=float(value), n_rows=min(n, rows)
        ).plot(ax, **plot)

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        means = self.importances.mean(axis=1)
        order = np.argsort(-means, kind="stable")
        return (
            f"How much {self._word} is {self._change} when a column is shuffled, on average over "
            f"{self.importances.shape[1]} shuffles of {self.n_rows:,} rows: "
            f"{listed_briefly(f'{self.columns[i]} {number(means[i])}' for i in order)}. With all in order it is "
            f"{number(self.value)}."
        )

    @property
    def _word(self) -> str:
        return SCORE_NAMES.get(self.score, self.score.replace("_", " "))

    @property
    def _change(self) -> str:
        return "added" if self.score in ERRORS else "lost"

    def plot(self, ax: Axes | None = None, *, most: int = 20) -> ImportanceDisplay:
        """Draw a line a column, the most important on top.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.
        most : int, default 20
            Columns to draw, at most.

        Returns
        -------
        ImportanceDisplay
        """
        order = np.argsort(-self.importances.mean(axis=1), kind="stable")[:most]
        self.ax_ = ax = axes_for(ax, 8.0, 1.6 + 0.28 * len(order))
        self.figure_ = ax.figure
        shown = self.importances[order]
        means, places = shown.mean(axis=1), np.arange(len(order))
        ax.hlines(places, 0, means, color=POSITIVE, linewidth=5, alpha=0.35)
        self.repeats_ = ax.scatter(
            shown.ravel(), np.repeat(places, shown.shape[1]), s=14, c=INK, alpha=0.3, linewidths=0
        )
        self.means_ = ax.scatter(means, places, s=60, c=POSITIVE, edgecolors="white", linewidths=1, zorder=3)
        ax.axvline(0, color=FAINT, linewidth=1)
        ax.set_yticks(places, [self.columns[i] for i in order])
        ax.set_ylim(len(order) - 0.4, -0.6)
        all_in_order = f"all in order: {number(self.value)}"
        ax.set_xlabel(f"{self._word} {self._change} when the column is shuffled ({all_in_order})")
        of = (
            f" The {len(order)} most important of {len(self.columns)} columns."
            if len(order) < len(self.columns)
            else ""
        )
        title(
            ax,
            "What the model goes by",
            f"{shown.shape[1]} shuffles of {self.n_rows:,} rows: each a small dot, their mean a large one.{of}",
        )
        quiet(ax)
        ax.grid(visible=False, axis="y")
        return self

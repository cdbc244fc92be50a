"""What a model says everywhere: the regions of its classes over two columns, or its curve over one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.model import Model
from fallline.network import Network
from fallline.pictures.numbers import number
from fallline.pictures.style import CYCLE, INK, POSITIVE, axes_for, halo, quiet, title
from fallline.pictures.subject import Subject, repeated, set_columns
from fallline.table import Table
from fallline.table.names import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

MARKERS = "os^DvPX<>p"
MOST_ROWS = 1000  # to draw
MOST_NAMED = 4  # other columns
ROOM = 0.06  # at both ends of a column's range, of it
FULL, LEAST = 0.62, 0.10  # strength of a region's colour where the model is sure, and where it is not at all


@final
class BoundaryDisplay:
    """What a model says over one or two columns of numbers, while the other columns stay at their usual values.

    Two columns: the regions of the classes, the stronger the surer the model is, or a map of the number it says. One
    column: the number, or the probability of each class. Rows are drawn where they are; where a model has more columns
    than these, rows differ in those too, so those that it gets wrong are marked.

    Parameters
    ----------
    columns : sequence of one or two str
    grid : sequence of array
        Values of each column.
    answers : array of shape (len(grid[0]), [len(grid[1]),] n_out)
        Probabilities, or numbers.
    rows : array of shape (n, len(columns))
    targets : array of shape (n,)
        Numbers, or positions in `classes`.
    wrong : array of bool, shape (n,)
        Rows that the model takes for another class.
    classes : sequence of str or None
        None for numbers.
    others : mapping from str to str
        Where the other columns stand.
    target : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    surface_ : matplotlib artist or None
        Of two columns.
    lines_ : list of matplotlib artists
        Boundaries, or curves.
    rows_ : list of matplotlib PathCollection
    wrong_ : matplotlib PathCollection or None

    Examples
    --------
    >>> import fallline as fl
    >>> net = fl.Network([2, 4, 1], "tanh", output="sigmoid", seed=1)
    >>> display = BoundaryDisplay.from_network(net, [[0.0, 1.0], [1.0, 0.0]], [0, 1], n=11)
    >>> display.answers.shape, display.classes
    ((11, 11, 2), ['0', '1'])
    """

    def __init__(
        self,
        *,
        columns: Sequence[str],
        grid: Sequence[Array],
        answers: Array,
        rows: Array,
        targets: Array,
        wrong: Array,
        classes: Sequence[str] | None,
        others: Mapping[str, str],
        target: str,
    ) -> None:
        self.columns, self.grid, self.answers, self.rows = columns, grid, answers, rows
        self.targets, self.wrong, self.classes, self.others, self.target = targets, wrong, classes, others, target

    @classmethod
    def from_model(
        cls,
        model: Model,
        table: Table,
        columns: str | Sequence[str] | None = None,
        *,
        n: int = 200,
        ax: Axes | None = None,
    ) -> BoundaryDisplay:
        """Ask a model about a grid of values, and draw what it says.

        Parameters
        ----------
        model : Model
            Of classes, or of one number.
        table : Table
            With targets.
        columns : str or sequence of one or two str, optional
            Columns of numbers; all, if there are no more than two.
        n : int, default 200
            Values of each.
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        BoundaryDisplay

        Raises
        ------
        DataError
            The table has no targets or no such column.
        ParameterError
            The columns are not one or two of numbers, or there are several targets.
        """
        return cls._of(Subject(model, table), columns, n).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: npt.ArrayLike,
        columns: str | Sequence[str] | None = None,
        *,
        n: int = 200,
        ax: Axes | None = None,
    ) -> BoundaryDisplay:
        """Do the same for a `NetworkClassifier` or `NetworkRegressor`.

        For other estimators scikit-learn has `DecisionBoundaryDisplay`.

        Parameters
        ----------
        estimator : fitted estimator
        X : data frame or array of shape (n, n_columns)
        y : array of shape (n,)
        columns, n, ax
            As in `from_model`; an array's columns are called x0, x1, ...

        Returns
        -------
        BoundaryDisplay
        """
        return cls._of(Subject.of_estimator(estimator, X, y), columns, n).plot(ax)

    @classmethod
    def from_network(
        cls, network: Network, X: npt.ArrayLike, y: npt.ArrayLike, *, n: int = 200, ax: Axes | None = None
    ) -> BoundaryDisplay:
        """Ask a network of one or two inputs, and draw what it says.

        Parameters
        ----------
        network : Network
            With one output, or one a class.
        X : array of shape (n_rows, 1) or (n_rows, 2)
        y : array of shape (n_rows,)
            Classes as whole numbers; or numbers, where the output is identity.
        n : int, default 200
            Values of each input.
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        BoundaryDisplay

        Raises
        ------
        DataError, ParameterError
            The network has more inputs, or rows do not fit.
        """
        rows, y = network.checked_rows(X), np.asarray(y).reshape(-1)
        n_in, n_out = network.layer_sizes[0], network.layer_sizes[-1]
        if n_in > 2 or (n_out > 1 and network.output != "softmax"):
            raise ParameterError(f"a network of one or two inputs and one answer can be drawn, not {network!r}")
        if len(y) != len(rows):
            raise DataError(f"X has {len(rows)} rows, but y has {len(y)}")
        is_class = network.output != "identity"

        def ask(points: Array) -> Array:
            A = network(points).astype(np.float64)
            return np.concatenate([1 - A, A], axis=1) if is_class and n_out == 1 else A

        grid = [_values(column, n) for column in rows.T]
        targets = y.astype(np.int64) if is_class else y.astype(np.float64)
        return cls(
            columns=["input"] if n_in == 1 else ["first input", "second input"],
            grid=grid,
            answers=ask(_points(grid)).reshape(*map(len, grid), -1),
            rows=rows,
            targets=targets,
            wrong=ask(rows).argmax(axis=1) != targets if is_class else np.zeros(len(rows), bool),
            classes=[str(k) for k in range(max(2, n_out))] if is_class else None,
            others={},
            target="output",
        ).plot(ax)

    @classmethod
    def _of(cls, subject: Subject, columns: str | Sequence[str] | None, n: int) -> BoundaryDisplay:
        model, table = subject.model, subject.table
        target = model.encoder.target
        used = [column.name for column in model.encoder.encodings if column.role != "unused"]
        columns = used if columns is None else [columns] if isinstance(columns, str) else list(columns)
        if not 1 <= len(columns) <= 2:
            raise ParameterError(f"columns must be one or two, of {listed(used)}")
        if target.n_targets > 1 or table.y is None:
            raise DataError(f"{table.name}: one target is needed to draw beside the model's answers")
        values = [subject.column(name) for name in columns]
        for name in columns:
            if table.kind(name) != "number":
                raise ParameterError(f"column {name!r} holds a {table.kind(name)}; columns must hold numbers")
        grid = [_values(column, n) for column in values]
        typical = subject.typical()
        points = dict(zip(columns, _points(grid).T, strict=True))
        asked = set_columns(repeated(typical, len(points[columns[0]])), points)
        others = {
            name: subject.text(name, float(typical.X[0, table.columns.index(name)]))
            for name in used
            if name not in columns
        }
        some = subject.sample(MOST_ROWS)
        y = some.table.y
        assert y is not None
        targets = y.astype(np.float64) if target.classes is None else target.codes_of(y)
        said = subject.answers(some.table)
        return cls(
            columns=columns,
            grid=grid,
            answers=subject.answers(asked).reshape(*map(len, grid), -1),
            rows=np.stack([some.column(name) for name in columns], axis=1),
            targets=targets,
            wrong=said.argmax(axis=1) != targets if target.classes is not None else np.zeros(len(targets), bool),
            classes=None if target.classes is None else [str(label) for label in target.classes],
            others=others,
            target=target.name,
        )

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        of = f"What the model says of {self.target} by {' and '.join(self.columns)}"
        n, fixed = f"{len(self.rows):,} rows are drawn", f", {self._fixed}" if self.others else ""
        if self.classes is not None:
            return f"{of}{fixed}. {n}; the model takes {int(self.wrong.sum()):,} of them for another class."
        low, high, lowest, highest = (number(f(v)) for v in (self.answers, self.targets) for f in (np.min, np.max))
        return f"{of}{fixed}: from {low} to {high}. {n}, with targets from {lowest} to {highest}."

    @property
    def _fixed(self) -> str:
        """Where the other columns stand."""
        values = [f"{name} = {value}" for name, value in self.others.items()]
        n_more = len(values) - MOST_NAMED
        more = f", and {n_more} others at their usual values" if n_more > 0 else ""
        return f"with {', '.join(values[:MOST_NAMED])}{more}" if values else ""

    def plot(self, ax: Axes | None = None) -> BoundaryDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        BoundaryDisplay
        """
        self.ax_ = ax = axes_for(ax, 8.0, 5.6)
        self.figure_ = ax.figure
        self.surface_: Any = None
        self.wrong_: Any = None
        self.lines_: list[Any] = []
        self.rows_: list[Any] = []
        if len(self.columns) == 2:
            self._draw_regions() if self.classes is not None else self._draw_map()
            ax.set(xlabel=self.columns[0], ylabel=self.columns[1])
            ax.set(xlim=self.grid[0][[0, -1]], ylim=self.grid[1][[0, -1]])
        else:
            self._draw_chances() if self.classes is not None else self._draw_curve()
            ax.set(xlabel=self.columns[0], xlim=self.grid[0][[0, -1]])
            quiet(ax)
        title(ax, f"{self.target} as the model sees it", self._fixed)
        return self

    def _color(self, k: int) -> str:
        return CYCLE[k % len(CYCLE)]

    def _draw_regions(self) -> None:
        """Each class's region in its colour, the paler the less sure the model is."""
        from matplotlib.colors import to_rgb

        assert self.classes is not None
        colors = np.array([to_rgb(self._color(k)) for k in range(len(self.classes))])
        sure = (self.answers.max(axis=2) - 1 / len(colors)) / (1 - 1 / len(colors))
        strength = (LEAST + (FULL - LEAST) * sure)[:, :, None]
        image = 1 - strength * (1 - colors[self.answers.argmax(axis=2)])
        x, y = self.grid
        self.surface_ = self.ax_.imshow(
            image.swapaxes(0, 1),
            origin="lower",
            extent=(x[0], x[-1], y[0], y[-1]),
            aspect="auto",
            interpolation="bilinear",
        )
        for k in range(len(colors)):
            lead = self.answers[:, :, k] - np.delete(self.answers, k, axis=2).max(axis=2)
            if lead.min() < 0 < lead.max():
                self.lines_.append(self.ax_.contour(x, y, lead.T, [0.0], colors=INK, linewidths=1.2))
        for k, name in enumerate(self.classes):
            mine = self.targets == k
            style: dict[str, Any] = {"c": self._color(k), "marker": MARKERS[k % len(MARKERS)], "label": name}
            self.rows_.append(
                self.ax_.scatter(
                    self.rows[mine, 0], self.rows[mine, 1], s=34, edgecolors="white", linewidths=0.8, zorder=3, **style
                )
            )
        if self.wrong.any():
            label = f"taken for another ({int(self.wrong.sum())})"
            self.wrong_ = self.ax_.scatter(
                self.rows[self.wrong, 0],
                self.rows[self.wrong, 1],
                facecolors="none",
                edgecolors=INK,
                s=95,
                linewidths=1.4,
                label=label,
                zorder=4,
            )
        self.ax_.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, title=self.target)

    def _draw_map(self) -> None:
        """The number that is said, and the rows' own numbers on the same scale."""
        from matplotlib.ticker import MaxNLocator

        low, high = (float(f([f(self.answers), f(self.targets)])) for f in (np.min, np.max))
        scale: dict[str, Any] = {"vmin": low, "vmax": high, "cmap": "cividis"}
        levels = MaxNLocator(20).tick_values(low, high)
        self.surface_ = self.ax_.contourf(*self.grid, self.answers[:, :, 0].T, levels, **scale)
        self.rows_.append(
            self.ax_.scatter(
                self.rows[:, 0],
                self.rows[:, 1],
                c=self.targets,
                s=34,
                edgecolors="white",
                linewidths=0.8,
                zorder=3,
                **scale,
            )
        )
        beside = self.ax_.inset_axes((1.02, 0, 0.025, 1))
        self.figure_.colorbar(self.surface_, cax=beside, label=self.target)

    def _draw_curve(self) -> None:
        self.rows_.append(
            self.ax_.scatter(self.rows[:, 0], self.targets, c=INK, alpha=0.35, s=22, linewidths=0, label="rows")
        )
        self.lines_ += self.ax_.plot(
            self.grid[0], self.answers[:, 0], color=POSITIVE, linewidth=2.6, label="the model", path_effects=halo(4)
        )
        self.ax_.set_ylabel(self.target)
        self.ax_.legend(frameon=False)

    def _draw_chances(self) -> None:
        """The probability of each class, its rows as ticks below."""
        assert self.classes is not None
        n = len(self.classes)
        for k, name in enumerate(self.classes):
            mine = self.rows[self.targets == k, 0]
            self.lines_ += self.ax_.plot(
                self.grid[0], self.answers[:, k], color=self._color(k), linewidth=2.4, label=name
            )
            place = np.full(len(mine), -0.06 - 0.05 * k)
            self.rows_.append(
                self.ax_.scatter(mine, place, c=self._color(k), marker="|", s=40, alpha=0.7, linewidths=1.2)
            )
        self.ax_.set(ylabel="probability", ylim=(-0.06 - 0.05 * n, 1.03), yticks=np.linspace(0, 1, 6))
        self.ax_.legend(frameon=False, title=self.target)


def _values(column: Array, n: int) -> Array:
    """Values all over a column's range, and a bit beyond."""
    low, high = float(np.nanmin(column)), float(np.nanmax(column))
    room = ROOM * (high - low) or 1.0
    return np.linspace(low - room, high + room, n)


def _points(grid: Sequence[Array]) -> Array:
    """All points of a grid, shape (n_points, n_columns)."""
    return np.stack([part.ravel() for part in np.meshgrid(*grid, indexing="ij")], axis=1)

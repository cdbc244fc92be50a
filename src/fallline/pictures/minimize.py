"""The paths of `fallline.minimize` on the map of a function of two variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.pictures.heights import Heights, box_around
from fallline.pictures.numbers import number
from fallline.pictures.style import CYCLE, INK, axes_for, title
from fallline.wording import listed_briefly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from scipy.optimize import OptimizeResult  # type: ignore[import-untyped]

Array = npt.NDArray[Any]

ROOM = 0.15  # around the paths, of their longer side
FEW = 60  # steps that are drawn as dots
MARKERS = "osD^vPX"  # of the ends, so that paths differ in more than colour


@final
class MinimizeDisplay:
    """Paths of descents on a function of two variables, over its contours.

    Parameters
    ----------
    x, y : array of shape (n,)
        Grid lines: values of the first and of the second variable.
    surface : array of shape (n, n)
        The function at each grid point.
    paths : sequence of array of shape (T, 2)
    values : sequence of array of shape (T,)
        The function at the paths' points.
    names : sequence of str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    surface_, paths_ : matplotlib artists

    Examples
    --------
    >>> import fallline as fl
    >>> bowl = lambda x: (x[0] - 1) ** 2 + 4 * (x[1] + 2) ** 2
    >>> result = fl.minimize(bowl, [5.0, 5.0])
    >>> display = MinimizeDisplay.from_results(bowl, result, n=21)
    >>> display.surface.shape, display.names
    ((21, 21), ['path 1'])
    """

    def __init__(
        self,
        *,
        x: Array,
        y: Array,
        surface: Array,
        paths: Sequence[Array],
        values: Sequence[Array],
        names: Sequence[str],
    ) -> None:
        self.x, self.y, self.surface, self.paths, self.values, self.names = x, y, surface, paths, values, names

    @classmethod
    def from_results(
        cls,
        f: Callable[[Array], Any],
        results: OptimizeResult | Sequence[OptimizeResult],
        *,
        names: Sequence[str] | None = None,
        n: int = 121,
        ax: Axes | None = None,
    ) -> MinimizeDisplay:
        """Draw some paths over the contours around them.

        Parameters
        ----------
        f : callable
            The function: from an array of shape (2,) to a number, or to a pair whose first item is one.
        results : OptimizeResult or sequence of OptimizeResult
            From `fallline.minimize`.
        names : sequence of str, optional
            What to call the paths.
        n : int, default 121
            Grid points each way; f is called once for each.
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        MinimizeDisplay

        Raises
        ------
        ParameterError
            The results are not of two variables, or not as many as names.
        """
        results = [results] if hasattr(results, "path") else list(results)
        if not results or any(np.shape(result.path)[1:] != (2,) for result in results):
            raise ParameterError("results must be one or more of fallline.minimize, of a function of two variables")
        names = [f"path {i + 1}" for i in range(len(results))] if names is None else list(names)
        if len(names) != len(results):
            raise ParameterError(f"names has {len(names)} names; there are {len(results)} results")
        finite = [np.isfinite(result.path).all(axis=1) for result in results]
        paths = [result.path[known] for result, known in zip(results, finite, strict=True)]
        everywhere = np.concatenate(paths)
        x, y = box_around(everywhere, n, ROOM)
        with np.errstate(all="ignore"):
            surface = np.array([[_value(f(np.array([s, t]))) for t in y] for s in x])
        values = [result.path_fun[known] for result, known in zip(results, finite, strict=True)]
        return cls(x=x, y=y, surface=surface, paths=paths, values=values, names=names).plot(ax)

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        ways = [
            f"{name} from {number(values[0])} to {number(values[-1])} in {len(path) - 1:,} steps"
            for name, path, values in zip(self.names, self.paths, self.values, strict=True)
        ]
        return f"The way down on a function of two variables: {listed_briefly(ways)}."

    def plot(self, ax: Axes | None = None) -> MinimizeDisplay:
        """Draw contours and paths.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        MinimizeDisplay
        """
        self.ax_ = ax = axes_for(ax, 8.0, 5.8)
        self.figure_ = ax.figure
        several = len(self.paths) > 1
        heights = Heights.of(self.surface, pale=several)
        self.surface_ = heights.draw(ax, self.x, self.y, self.surface)
        heights.bar(ax, "f")
        self.paths_ = []
        for i, (path, values, name) in enumerate(zip(self.paths, self.values, self.names, strict=True)):
            color = CYCLE[i % len(CYCLE)] if several else "white"
            end = MARKERS[i % len(MARKERS)]
            ax.plot(*path.T, color="white" if several else INK, linewidth=4 if several else 3.4, alpha=0.7, zorder=3)
            (line,) = ax.plot(*path.T, color=color, linewidth=2, zorder=4 + i)
            self.paths_.append(line)
            if len(path) <= FEW:
                ax.plot(*path.T, "o", color=color, markersize=5, markeredgecolor=INK, markeredgewidth=0.6, zorder=4 + i)
            ax.plot(
                *path[-1], end, markersize=11, color=color, markeredgecolor=INK, markeredgewidth=1.4, linestyle="none",
                label=f"{name}: {number(values[-1])} after {len(path) - 1} steps", zorder=20,
            )  # fmt: skip
            ax.plot(*path[0], "o", markersize=8, color="white", markeredgecolor=INK, markeredgewidth=1.6, zorder=19)
        ax.set(aspect="equal", xlim=self.x[[0, -1]], ylim=self.y[[0, -1]], xlabel="first variable", ylabel="second")
        title(ax, "The way down", "From the white circles to the ends named below")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
        return self


def _value(returned: Any) -> float:
    return float(np.squeeze(returned[0] if isinstance(returned, (tuple, list)) else returned))

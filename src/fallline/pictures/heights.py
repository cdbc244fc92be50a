"""Heights over a plane: one scale of colours for a surface and for what lies on it, drawn as on a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.pictures.numbers import number
from fallline.pictures.style import HEIGHT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import FuncNorm

Array = npt.NDArray[Any]

N_LEVELS = 24
BOX = 1.75  # width of a map over its height
FLOORS = 1e-8, 0.2  # shares of the range below which differences in height fade: from, to
STEEP = 1e4  # how many times as high as the middle of a surface its highest colour is, at most
PALE = 0.55  # share of white in the colours under several paths


@final
@dataclass(frozen=True)
class Heights:
    """A scale of heights, finer the lower they are: even steps of `log((height - low) / (high - low) + floor)`.

    Parameters
    ----------
    low, high : float
        The lowest height, and that from which on all look the same.
    floor : float
        A share of the range.
    pale : bool
        Whether its colours leave room for others on top of them.
    """

    low: float
    high: float
    floor: float
    pale: bool = False

    @classmethod
    def of(cls, surfaces: npt.ArrayLike, points: npt.ArrayLike = (), pale: bool = False) -> Heights:
        """Choose a scale on which half of the grid is in the lower half of the colours.

        Parameters
        ----------
        surfaces : array
            Heights of a grid; the highest twentieth may be cut off, or more where they rise very steeply.
        points : array
            Heights that must be on it, if there are any. The grid then has as much room above them as they span.
        pale : bool, default False

        Returns
        -------
        Heights

        Raises
        ------
        DataError
            No height is finite.
        """
        grid, on_it = (np.ravel(values)[np.isfinite(np.ravel(values))] for values in (surfaces, points))
        if not len(grid):
            raise DataError("the surface has no finite height anywhere, so there is nothing to draw")
        low = float(min(grid.min(), *on_it)) if len(on_it) else float(grid.min())
        half = float(np.median(grid))
        high = min(float(np.quantile(grid, 0.95)), low + STEEP * (half - low))
        if len(on_it):
            top = float(on_it.max())
            high = max(top, min(float(grid.max()), 2 * top - low))
        high = high if high > low else low + max(abs(low) * 1e-3, 1e-12)
        middle = min((half - low) / (high - low), 0.4)
        return cls(low, high, float(np.clip(middle**2 / (1 - 2 * middle), *FLOORS)), pale)

    @property
    def norm(self) -> FuncNorm:
        """The same for matplotlib."""
        from matplotlib.colors import FuncNorm

        return FuncNorm((self._squeeze, self._stretch), vmin=self.low, vmax=self.high)

    def _squeeze(self, height: Array) -> Array:
        return np.log(np.maximum(height - self.low, 0) / (self.high - self.low) + self.floor)

    def _stretch(self, value: Array) -> Array:
        return (np.exp(value) - self.floor) * (self.high - self.low) + self.low

    @property
    def colors(self) -> Any:
        """The colours: matplotlib's Colormap."""
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap

        strong = colormaps[HEIGHT]
        return ListedColormap(PALE + (1 - PALE) * strong(np.linspace(0, 1, 256))[:, :3]) if self.pale else strong

    @property
    def levels(self) -> Array:
        """Heights of the contours, shape (N_LEVELS + 1,)."""
        ends = self._squeeze(np.array([self.low, self.high]))
        levels = self._stretch(np.linspace(ends[0], ends[1], N_LEVELS + 1))
        levels[[0, -1]] = self.low, self.high
        return levels

    @property
    def ticks(self) -> list[float]:
        """Round heights, well apart from each other on the scale."""
        from matplotlib.ticker import MaxNLocator

        span = self.high - self.low
        tens = 10.0 ** np.arange(np.floor(np.log10(span)) - 9, np.floor(np.log10(max(span, abs(self.high)))) + 1)
        known = np.unique([step * ten for ten in tens for step in (1, 2, 5)] + [0.0])
        known = np.unique([known, -known])
        found = self._apart(known)
        return found if len(found) > 2 else self._apart(np.array(MaxNLocator(8).tick_values(self.low, self.high)))

    def _apart(self, heights: Array) -> list[float]:
        """Of ascending heights those that are on the scale, a twelfth of it or more from the next."""
        heights = heights[(heights >= self.low) & (heights <= self.high)]
        least, places = -np.log(self.floor) / 12, self._squeeze(heights)
        found: list[int] = []
        for i in reversed(range(len(heights))):
            if not found or places[found[-1]] - places[i] > least:
                found.append(i)
        return [float(heights[i]) for i in reversed(found)]

    def draw(self, ax: Axes, x: Array, y: Array, surface: Array) -> Any:
        """Draw a surface, shape (len(x), len(y)), as bands of colour and thin lines; hatched where it has no height.

        Returns
        -------
        matplotlib's QuadContourSet
            Of the bands.
        """
        known = np.ma.masked_invalid(surface.T)
        if np.ma.is_masked(known):
            ax.patch.set(facecolor="#eeeeee", edgecolor="#bbbbbb", hatch="////")
        bands = ax.contourf(x, y, known, self.levels, norm=self.norm, cmap=self.colors, extend="both")
        ax.contour(x, y, known, self.levels[1::2], colors="white", linewidths=0.5, alpha=0.45)
        ax.tick_params(color="#999999", labelcolor=INK)
        ax.spines[:].set_color("#999999")
        return bands

    def mark(self, ax: Axes, x: float, y: float, height: float) -> Any:
        """Draw a point that has a name: larger than others, in the colour of its height, with a dark rim.

        Returns
        -------
        matplotlib's PathCollection
        """
        ax.scatter(x, y, c=INK, s=190, zorder=5)
        look: Any = {"norm": self.norm, "cmap": self.colors, "edgecolors": "white", "linewidths": 2}
        return ax.scatter([x], [y], c=[height], s=120, zorder=6, **look)

    def bar(self, ax: Axes, label: str) -> Axes:
        """Draw the scale beside axes, as high as they are."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.ticker import FuncFormatter

        beside = ax.inset_axes((1.02, 0, 0.025, 1))
        colors = ScalarMappable(self.norm, self.colors)
        figure: Any = ax.figure
        figure.colorbar(
            colors,
            cax=beside,
            ticks=self.ticks,
            format=FuncFormatter(lambda height, _: number(height)),
            extend="max",
            extendfrac=0.03,
        )
        beside.minorticks_off()
        beside.set_ylabel(label, color=INK)
        beside.spines[:].set_visible(False)
        return beside


def box_around(points: Array, n: int, room: float = 0.22) -> tuple[Array, Array]:
    """Grid lines around points, shape (T, 2), over a box of one shape whatever theirs, with equal units both ways.

    `room` is what stays free around the points, over the longer side of what they span.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    wide, tall = high - low + 2 * (room * float((high - low).max()) if (high > low).any() else 1.0)
    half = max(wide, BOX * tall) / 2, max(tall, wide / BOX) / 2
    middle = (low + high) / 2
    a, b = (np.linspace(middle[i] - half[i], middle[i] + half[i], n) for i in range(2))
    return a, b

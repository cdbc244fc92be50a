"""How all pictures look: colours that colour-blind people can tell apart, axes to draw on, and their titles."""

from __future__ import annotations

from math import ceil, floor, log10
from textwrap import fill
from typing import TYPE_CHECKING, Any

from fallline.errors import ParameterError
from fallline.pictures.numbers import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

POSITIVE, NEGATIVE = "#1f6fb2", "#d9731a"  # numbers above and below zero; the latter are dashed as well
INK, FAINT = "#333333", "#b8b8b8"
HEIGHT = "viridis"  # losses
WIDE = 20  # how many times the lowest loss the highest has to be for a logarithmic scale
# Classes, starts and other things side by side (Petroff 2021, Accessible color sequences for data visualization).
CYCLE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)


def axes_for(ax: Axes | None, width: float = 8.0, height: float = 5.0) -> Axes:
    """The axes to draw on: those given, or those of a new figure of some size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def quiet(ax: Axes, grid: bool = True) -> None:
    """No frame but two axes, and a grid that stays behind."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(color="#e6e6e6", linewidth=0.8)


def sign_style(value: float) -> dict[str, Any]:
    """Colour and dash of a line for a number, so that its sign is seen twice."""
    return {"color": POSITIVE, "linestyle": "-"} if value >= 0 else {"color": NEGATIVE, "linestyle": (0, (4, 2))}


def panels(ax: Axes | None, rows: int, columns: int, size: tuple[float, float], **ratios: Any) -> list[Axes]:
    """Several axes, row by row: of a new figure of some size in inches, or in the place of the axes given."""
    grid: Any
    if ax is None:
        import matplotlib.pyplot as plt

        grid = plt.figure(figsize=size, layout="constrained").add_gridspec(rows, columns, **ratios)
    else:
        place = ax.get_subplotspec()
        if place is None:
            raise ParameterError("ax must come from a grid, as those of plt.subplots do: several axes take its place")
        ax.set_axis_off()
        grid = place.subgridspec(rows, columns, **ratios)
    return [grid.figure.add_subplot(grid[i, j]) for i in range(rows) for j in range(columns)]


def log_scale(ax: Axes, low: float, high: float, most: int = 8) -> None:
    """A logarithmic scale upwards from some number to another, its ticks at most so many plain numbers."""
    tens = range(floor(log10(low)), ceil(log10(high)) + 1)
    for steps in ((1, 2, 5), (1,)):
        ticks = [step * 10.0**ten for ten in tens for step in steps]
        ticks = [tick for tick in ticks if low / 1.2 <= tick <= high * 1.2]
        if len(ticks) <= most:
            break
    ticks = ticks[:: ceil(len(ticks) / most)]
    ax.set_yscale("log")
    ax.set_yticks(ticks, [number(tick) for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set_ylim(low / 1.2, high * 1.2)


def title(ax: Axes, text: str, below: str = "", width: int = 100) -> None:
    """What a picture shows, in bold, and under it a line or two that say more; both begin at the left."""
    lines = fill(below, width)
    ax.set_title(lines, loc="left", fontsize=9, color="#666666", linespacing=1.35)
    height = 9 * 1.35 * (lines.count("\n") + 1) + 9 if lines else 5
    ax.annotate(
        text, (0, 1), (0, height), xycoords="axes fraction", textcoords="offset points", fontsize=12, weight="bold",
        color=INK, annotation_clip=False,
    )  # fmt: skip


def halo(width: float = 2.5, color: str = "white") -> list[Any]:
    """A rim around a text or line, so that it can be read on any ground."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width, foreground=color)]


def signed_colours() -> Colormap:
    """Numbers around zero in the colours of their signs: orange below, blue above, white between."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", ["#7a3d06", NEGATIVE, "#fbfbfb", POSITIVE, "#0b3357"])

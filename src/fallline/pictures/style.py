"""What all pictures share: colours that colour-blind people can tell apart, and axes to draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POSITIVE, NEGATIVE = "#1f6fb2", "#d9731a"  # numbers above and below zero; the latter are dashed as well
INK, FAINT = "#333333", "#b8b8b8"
DIVERGING = "PuOr_r"  # numbers around zero: orange below, purple above, white between
HEIGHT = "viridis"  # losses
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

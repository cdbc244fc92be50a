"""The README's picture: sixty random starts, four valleys. `python docs/figures/valleys.py` (needs matplotlib)."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap

import fallline as fl

N_STARTS = 60
INK, PAPER = "#2b2f36", "#fbfaf7"
VALLEYS = ["#0b7a75", "#c8553d", "#8a6fb0", "#d9a441"]


def f(x: np.ndarray) -> float:
    """Himmelblau's function on a slope, so that its four valleys differ in depth."""
    return float((x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2 + 9 * x[0] + 6 * x[1] + 60)


def main() -> None:
    """Descend from every start and draw the paths."""
    rng = np.random.default_rng(4)
    starts = rng.uniform(-5.4, 5.4, (N_STARTS, 2))
    runs = [fl.minimize(f, x0, optimizer=fl.SGD(0.002, momentum=0.5), steps=400, tolerance=1e-3) for x0 in starts]
    bottoms: list[np.ndarray] = []
    for run in runs:
        if all(np.linalg.norm(run.x - bottom) > 0.5 for bottom in bottoms):
            bottoms.append(run.x)
    bottoms.sort(key=f)
    ended = [int(np.argmin([np.linalg.norm(run.x - bottom) for bottom in bottoms])) for run in runs]

    axis = np.linspace(-6, 6, 500)
    x, y = np.meshgrid(axis, axis)
    height = (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2 + 9 * x + 6 * y + 60
    figure, ax = plt.subplots(figsize=(9, 5.6), dpi=150, facecolor=PAPER)
    levels = f(bottoms[0]) + np.geomspace(1.5, 1500, 26)
    terrain = LinearSegmentedColormap.from_list("terrain", ["#e9e4d8", PAPER])
    ax.contourf(x, y, np.log(height - f(bottoms[0]) + 6), levels=60, cmap=terrain)
    ax.contour(x, y, height, levels=levels, colors=INK, linewidths=0.4, alpha=0.28)
    for run, valley in zip(runs, ended, strict=True):
        steps = np.stack([run.path[:-1], run.path[1:]], axis=1)
        widths = np.linspace(1.6, 0.8, len(steps))
        ax.add_collection(LineCollection(list(steps), colors=VALLEYS[valley], linewidths=widths, alpha=0.75))
        ax.plot(*run.path[0], "o", color=VALLEYS[valley], markersize=3.2, markeredgewidth=0)
    for valley, bottom in enumerate(bottoms):
        share = ended.count(valley)
        ax.plot(*bottom, "o", color=VALLEYS[valley], markersize=10, markeredgecolor=PAPER, markeredgewidth=1.6)
        label = f"loss {f(bottom):.0f}\n{share} of {N_STARTS} starts"
        ax.annotate(
            label, bottom, (14, -4), textcoords="offset points", color=VALLEYS[valley], fontsize=9.5, weight="bold",
            va="top", bbox={"boxstyle": "round,pad=0.25", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85},
            zorder=6,
        )  # fmt: skip
    ax.set(xlim=(-6, 6), ylim=(-5.7, 5.7), aspect="auto")
    ax.axis("off")
    title = "Where gradient descent ends depends on where it starts"
    ax.set_title(title, loc="left", color=INK, fontsize=13, weight="bold", pad=10)
    figure.text(
        0.985, 0.012, f"fl.minimize, gradient descent with momentum, {N_STARTS} random starts",
        ha="right", color=INK, fontsize=8, alpha=0.7,
    )  # fmt: skip
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(Path(__file__).with_suffix(".png"), facecolor=PAPER)
    print([(round(f(bottom), 1), ended.count(valley)) for valley, bottom in enumerate(bottoms)])


if __name__ == "__main__":
    main()

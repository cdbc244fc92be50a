"""The pictures: how many times as long as fallline each peer took, beside our share of the peak; and the sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.entrants import OURS
from benchmarks.figures import unit

INK, SOFT, HAIR, PAPER, ACCENT = "#23272e", "#6b727c", "#e3e5e8", "#ffffff", "#0b7a75"
MARKS = {  # shape and shade of each peer, so that they can be told apart without colour
    "PyTorch": ("o", "#23272e"),
    "JAX": ("D", "#6b727c"),
    "scikit-learn": ("s", "#a3a9b1"),
    "onnxruntime": ("^", "#6b727c"),
}
STYLE = {
    "font.size": 10, "text.color": INK, "axes.labelcolor": INK, "xtick.color": SOFT, "ytick.color": INK,
    "axes.edgecolor": HAIR, "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "xtick.major.size": 0, "xtick.minor.size": 0, "ytick.major.size": 0, "ytick.minor.size": 0,
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "axes.titlelocation": "left",
}  # fmt: skip


def draw_races(folder: Path, results: dict[str, Any]) -> None:
    """`races.png`: a line for each workload, ratios on the left, share of the peak on the right."""
    races = [race for race in results["races"] if race["flops"] is not None]
    if not races:
        return
    with mpl.rc_context(STYLE):
        height = 0.52 * len(races) + 2.1
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(12.8, height), sharey=True, dpi=160, gridspec_kw={"width_ratios": [2.9, 1], "wspace": 0.06}
        )
        _ratios(left, races)
        _shares(right, races)
        left.set_yticks(range(len(races)), [race["workload"]["title"] for race in races])
        left.set_ylim(len(races) - 0.4, -0.6)
        _frame(figure, results, height)
        figure.savefig(folder / "races.png")
        plt.close(figure)


def _ratios(ax: Axes, races: list[dict[str, Any]]) -> None:
    ax.set_xscale("log")
    ax.axvline(1, color=ACCENT, linewidth=2, zorder=1)
    ends = [1.0]
    for row, race in enumerate(races):
        ax.axhline(row, color=HAIR, linewidth=0.8, zorder=0)
        for peer, found in race["ratios"].items():
            marker, shade = MARKS[peer]
            ax.plot([found["least"], found["greatest"]], [row, row], color=shade, linewidth=1.4, alpha=0.55, zorder=2)
            ax.plot(found["median"], row, marker, color=shade, markersize=7.5, markeredgecolor=PAPER, zorder=3)
            ends += [found["least"], found["greatest"]]
    ax.set_xlim(min(0.4, min(ends) / 1.3), max(3, max(ends) * 1.4))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}×"))
    ax.set_xlabel(
        "time against fallline's, the best setting of each; bars from the least to the greatest of the rounds"
    )
    peers = [peer for peer in MARKS if any(peer in race["ratios"] for race in races)]
    handles = [Line2D([], [], color=ACCENT, linewidth=2, label=OURS)]
    handles += [
        Line2D([], [], marker=MARKS[p][0], color=MARKS[p][1], linewidth=0, markersize=7, label=p) for p in peers
    ]
    legend = ax.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(handles), frameon=False,
        handletextpad=0.4, columnspacing=1.6, borderaxespad=0.2,
    )  # fmt: skip
    legend.get_texts()[0].set(color=ACCENT, weight="bold")


def _shares(ax: Axes, races: list[dict[str, Any]]) -> None:
    measured = any(race["share_of_peak"] is not None for race in races)
    for row, race in enumerate(races):
        share, speed = race["share_of_peak"], f"{race['flops'] / 1e9:.3g} GFLOP/s"
        if share is not None:
            ax.barh(row, 1, height=0.46, color=HAIR, linewidth=0)
            ax.barh(row, share, height=0.46, color=ACCENT, linewidth=0)
            ax.text(1.06, row, f"{share:.0%}", va="center", color=ACCENT, weight="bold")
            ax.text(1.52, row, speed, va="center", color=SOFT, fontsize=8.5)
        else:
            ax.text(0.02, row, speed, va="center", color=ACCENT, weight="bold")
    ax.set(xlim=(0, 2.6 if measured else 1), xticks=[0, 0.5, 1] if measured else [])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
    ax.spines["bottom"].set_visible(False)
    if not measured:
        ax.set_xlabel("peak not measured")
    ax.set_title("share of the FMA peak" if measured else "matrix products", fontsize=10)


def _frame(figure: Figure, results: dict[str, Any], height: float) -> None:
    figure.subplots_adjust(left=0.315, right=0.985, top=1 - 1.15 / height, bottom=0.62 / height)
    machine = results["machine"]
    figure.text(0.012, 1 - 0.36 / height, "How many times as long as fallline", fontsize=15, weight="bold")
    figure.text(0.012, 1 - 0.62 / height, _where(results), fontsize=8.5, color=SOFT)
    if (machine["load"] or 0.0) > 0.2 * machine["cores"]:
        figure.text(0.985, 1 - 0.36 / height, "busy machine: noise", fontsize=9, color=SOFT, ha="right", style="italic")


def _where(results: dict[str, Any]) -> str:
    machine, versions = results["machine"], results["versions"]
    names = [("torch", "PyTorch"), ("jax", "JAX"), ("scikit-learn", "scikit-learn"), ("onnxruntime", "onnxruntime")]
    used = ", ".join(f"{name} {versions[key]}" for key, name in names if key in versions)
    rounds = f"{results['rounds']} round{'s' * (results['rounds'] > 1)}"
    return f"{machine['processor']}, {machine['cores']} cores. {used}. Median of {rounds}, in turn."


def draw_sweeps(folder: Path, results: dict[str, Any]) -> None:
    """`sweeps.png`: the time of a step, best setting of each, against the one number that changes."""
    found = [sweep for sweep in results["sweeps"] if sweep["points"]]
    with mpl.rc_context(STYLE | {"axes.spines.left": True, "ytick.color": SOFT}):
        figure, axes = plt.subplots(1, len(found), figsize=(3.2 * len(found), 3.9), dpi=160, squeeze=False)
        for ax, sweep in zip(axes[0], found, strict=True):
            _sweep(ax, sweep)
        axes[0, 0].set_ylabel("time of a step, the best setting of each")
        axes[0, 0].legend(frameon=False, fontsize=8, labelcolor="linecolor", handlelength=1.2)
        figure.text(0.012, 0.02, _where(results), fontsize=7.5, color=SOFT)
        figure.tight_layout(rect=(0, 0.04, 1, 1))
        figure.savefig(folder / "sweeps.png")
        plt.close(figure)


def _sweep(ax: Axes, sweep: dict[str, Any]) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for point in sweep["points"]:
        for peer, seconds in point["best_seconds"].items():
            curves.setdefault(peer, []).append((point["value"], seconds / point["workload"]["steps_a_round"]))
    times = [seconds for curve in curves.values() for _, seconds in curve] or [1.0]
    for peer, curve in curves.items():
        marker, shade = ("o", ACCENT) if peer == OURS else MARKS[peer]
        width, above = (2.4, 3) if peer == OURS else (1.4, 2)
        x, y = zip(*curve, strict=True)
        ax.plot(x, y, marker=marker, color=shade, linewidth=width, markersize=5, zorder=above, label=peer)
    ax.set(xscale="log", yscale="log")
    ax.set_title(sweep["name"], weight="bold", fontsize=11, pad=18)
    ax.text(0, 1.03, sweep["constant"], transform=ax.transAxes, fontsize=8, color=SOFT)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(times) < 30 * min(times) else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: unit(y)))
    ax.yaxis.set_minor_locator(NullLocator())
    values = [point["value"] for point in sweep["points"]]
    ax.set_xticks(values, [compact(value) for value in values], fontsize=8)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y", color=HAIR, linewidth=0.8)


def compact(n: int) -> str:
    """A whole number in little room."""
    for size, name in ((1_000_000, "M"), (1_000, "k")):
        if n >= size and n % size == 0:
            return f"{n // size}{name}"
    return str(n)

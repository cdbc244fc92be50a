"""The picture of docs/scale.md: rows a second on 1 to 1,024 devices. `python docs/figures/scale.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from benchmarks.cost_model import Cluster, Work  # noqa: E402

ASSUMED = Cluster(rate=25e12, overhead=150e-6, memory=2.5e12, bandwidth=50e9, latency=15e-6)  # one GPU a device
NETWORKS = {"64-256-256-256-1": (64, 256, 256, 256, 1), "784-2500-…-500-10": (784, 2500, 2000, 1500, 1000, 500, 10)}
BATCHES = (512, 8192, 131_072)
DEVICES = [2**k for k in range(11)]
SHOWN = (1, 4, 16, 64, 256, 1024)
INK, PAPER, COLOURS = "#2b2f36", "#fbfaf7", ["#d9a441", "#c8553d", "#0b7a75"]


def main() -> None:
    """Print the table, and draw the picture."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), dpi=150, facecolor=PAPER, layout="constrained")
    for ax, (name, sizes) in zip(axes, NETWORKS.items(), strict=True):
        ax.set_facecolor(PAPER)
        for rows, colour in zip(BATCHES, COLOURS, strict=True):
            step = Work.of(sizes, rows)
            speeds = [ASSUMED.rows_per_second(step, devices) for devices in DEVICES]
            ax.plot(DEVICES, [speeds[0] * devices for devices in DEVICES], color=colour, lw=0.8, ls=(0, (2, 3)))
            ax.plot(DEVICES, speeds, color=colour, lw=2.2, solid_capstyle="round")
            most = min(ASSUMED.most_devices(step), DEVICES[-1])
            ax.plot([most], [ASSUMED.rows_per_second(step, most)], "o", color=colour, ms=7, mec=PAPER, mew=1.5)
            ax.annotate(
                f"{rows:,} rows a batch", (DEVICES[-1], speeds[-1]), (-4, 7), textcoords="offset points", ha="right",
                color=colour, fontsize=9,
            )  # fmt: skip
            cells = [f"{float(f'{ASSUMED.rows_per_second(step, devices):.2g}'):,.0f}" for devices in SHOWN]
            print(f"| {name}, {rows:,} | {' | '.join(cells)} | {most} |")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_ylim(1e5, 1e9)
        ax.set_xticks(DEVICES[::2], [f"{devices:,}" for devices in DEVICES[::2]])
        ax.set_title(name, loc="left", color=INK, fontsize=11)
        ax.set_xlabel("devices", color=INK)
        ax.tick_params(colors=INK)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes[0].set_ylabel("rows a second", color=INK)
    figure.savefig(Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()

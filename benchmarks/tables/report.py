"""From results to figures: geometric means of ratios over the tables, and a picture of error against time."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

Result = dict[str, Any]
OURS = "fallline"
TREES = ("lightgbm", "catboost", "histgb")


def known(path: Path) -> list[Result]:
    """Results of before, as a CSV file has them."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {
            "table": row["table"],
            "model": row["model"],
            "fit_seconds": float(row["fit_seconds"]),
            "error": float(row["error"]),
            "log_loss": float(row["logloss"]),
        }
        for row in rows
    ]


def line(result: Result) -> str:
    """One result, for people."""
    log_loss = f", log loss {result['log_loss']:.4f}" if "log_loss" in result else ""
    name = f"{result['table']:20} {result['model']:12}"
    return f"{name} error {result['error']:.4f}{log_loss}, {result['fit_seconds']:.1f} s, {result['megabytes']:.0f} MB"


def geometric_mean(values: list[float]) -> float:
    """Of positive numbers; NaN of none."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def ratios(results: list[Result], peers: tuple[str, ...], measure: str = "error") -> float:
    """Geometric mean over tables and seeds of ours over the best of some peers, where both are known."""
    theirs: dict[str, float] = {}
    for result in results:
        if result["model"] in peers and not math.isnan(result.get(measure, math.nan)):
            theirs[result["table"]] = min(result[measure], theirs.get(result["table"], math.inf))
    return geometric_mean(
        [
            max(result[measure], 1e-9) / theirs[result["table"]]
            for result in results
            if result["model"] == OURS and result["table"] in theirs and measure in result
        ]
    )


def summary(results: list[Result]) -> str:
    """Everything against everybody."""
    models = list(dict.fromkeys(result["model"] for result in results))
    seconds = {
        model: sum(result["fit_seconds"] for result in results if result["model"] == model)
        / max(1, len({result.get("seed", 0) for result in results if result["model"] == model}))
        for model in models
    }
    lines = ["", "fallline's error and log loss as a share of theirs (geometric means over the tables):"]
    for model in models:
        if model != OURS:
            by_error, by_loss = ratios(results, (model,)), ratios(results, (model,), "log_loss")
            lines.append(f"  {model:24} error {by_error:.3f}  log loss {by_loss:.3f}")
    lines.append(f"  {'the best of the trees':24} error {ratios(results, TREES):.3f}")
    lines.append("seconds: " + ", ".join(f"{model} {total:.0f}" for model, total in seconds.items()))
    return "\n".join(lines)


def draw(path: Path, results: list[Result]) -> None:
    """Error, relative to the best of the trees, against the time of all tables."""
    try:
        from benchmarks.picture import ACCENT, HAIR, INK, SOFT, STYLE
    except ImportError:
        return  # matplotlib is one of the peers' packages
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    best = {}
    for result in results:
        if result["model"] in TREES:
            best[result["table"]] = min(result["error"], best.get(result["table"], math.inf))
    points = {}
    for model in dict.fromkeys(result["model"] for result in results):
        own = [result for result in results if result["model"] == model and result["table"] in best]
        seeds = len({result.get("seed", 0) for result in own}) or 1
        error = geometric_mean([max(result["error"], 1e-9) / best[result["table"]] for result in own])
        points[model] = sum(result["fit_seconds"] for result in own) / seeds, error
    if not best or OURS not in points:
        return
    with mpl.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(8, 4.6), dpi=160)
        ax.axhline(1, color=HAIR, linewidth=1, zorder=0)
        before = (0.0, 0.0)
        for model, (seconds, error) in sorted(points.items(), key=lambda point: point[1]):
            ours = model == OURS
            is_near = math.log(seconds / max(before[0], 1e-9)) < 0.4 and abs(error - before[1]) < 0.03
            before = seconds, error
            ax.scatter(seconds, error, s=90 if ours else 55, color=ACCENT if ours else SOFT, zorder=2)
            ax.annotate(
                model.replace("_", " "), (seconds, error), xytext=(8, -14 if is_near else 5),
                textcoords="offset points",
                color=ACCENT if ours else INK, weight="bold" if ours else "normal",
            )  # fmt: skip
        ax.set_xscale("log")
        for axis in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
            axis(mpl.ticker.LogFormatter(minor_thresholds=(2, 0.5)))
        ax.set_xlabel(f"seconds to train on all {len(best)} tables")
        ax.set_ylabel("error, over that of the best tree")
        ax.set_title("Error against time, defaults", weight="bold", color=INK)
        ax.margins(x=0.16, y=0.14)
        figure.tight_layout()
        figure.savefig(path)
        plt.close(figure)

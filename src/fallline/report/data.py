"""What a report says of the data: rows, columns and what they were taken for, the target."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.model import Model
from fallline.pictures.style import CYCLE, POSITIVE, quiet, title
from fallline.pictures.subject import as_date, as_text
from fallline.report.figures import figure
from fallline.report.page import Block, Figure, Grid, Section, Text
from fallline.report.twins import cell
from fallline.table import Table
from fallline.wording import number, shortened

Array = npt.NDArray[Any]

MOST_COLUMNS = 60  # in the table of columns, before it is folded
MOST_PANELS = 12  # columns whose values are drawn
MOST_BARS = 12  # labels of a column, classes of the target
MOST_LABELS, BINS, COARSE = 6, 24, 6  # of a column that is drawn; bins of its table
PICTURES = (3, 12)  # rows and columns of examples


def digest(table: Table) -> str:
    """A short name for the very numbers and targets of a table."""
    found = hashlib.sha256(np.ascontiguousarray(table.X).tobytes())
    found.update(repr((table.columns, table.target, {k: list(v) for k, v in table.labels.items()})).encode())
    if table.y is not None:
        found.update(np.ascontiguousarray(table.y).tobytes())
    return found.hexdigest()[:16]


def data_section(model: Model, table: Table) -> Section:
    """Rows, columns, target.

    Parameters
    ----------
    model : Model
    table : Table
        That it was trained on, or is asked about.

    Returns
    -------
    Section
    """
    pixels = table.image_shape is not None
    n_missing = int(np.isnan(table.X).any(axis=1).sum())
    blank = f" In {n_missing:,} of them something is missing." if n_missing else " Nothing is missing."
    target = "" if table.y is None else f" and the target {table.target}"
    what = f"{table.n_rows:,} rows, {table.n_in} columns{target}"
    blocks: list[Block] = [Text(f"{table.name}: {what}.{blank}")]
    if table.y is not None and table.y.ndim == 1:
        blocks.append(_target(model, table))
    blocks.append(_examples(table) if pixels else _columns_drawn(model, table))
    if not pixels:
        blocks.append(_columns(model, table))
    return Section("data", "The data", blocks)


def _columns(model: Model, table: Table) -> Grid:
    """A line a column: what it was taken for, and what it holds."""
    rows = []
    for column in model.encoder.encodings:
        x = table.X[:, table.columns.index(column.name)] if column.name in table.columns else np.empty(0)
        share = f"{np.isnan(x).mean():.1%}" if np.isnan(x).any() else "0"
        role = "left out" if column.role == "unused" else column.role
        holds = column.reason if column.role == "unused" else _holds(table, column.name, x)
        rows.append([column.name, role, share, holds])
    caption = "The columns, and what they were taken for"
    return Grid(caption, ["column", "taken for", "missing", "holds"], rows, folded=len(rows) > MOST_COLUMNS)


def _holds(table: Table, name: str, x: Array) -> str:
    known = x[~np.isnan(x)]
    if not len(known):
        return "nothing"
    if table.kind(name) == "category":
        labels, counts = _counted(table, name, known)
        return f"{len(labels):,} labels, most often {labels[0]} ({counts[0] / len(x):.0%})"
    if table.kind(name) == "date":
        first, last = (str(day).split("T")[0] for day in as_date(np.array([known.min(), known.max()])))
        return f"{first} to {last}"
    low, middle, high = (number(float(v)) for v in (known.min(), np.median(known), known.max()))
    return f"{low} to {high}, half of them below {middle}"


def _counted(table: Table, name: str, known: Array) -> tuple[list[str], Array]:
    """A column's labels that occur, commonest first, and how often."""
    counts = np.bincount(known.astype(np.int64), minlength=len(table.labels[name]))
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
    return [table.labels[name][i] or "missing" for i in order], counts[order]


def _target(model: Model, table: Table) -> Figure:
    """How often each class occurs, or how the numbers are spread."""
    assert table.y is not None
    name = str(table.target)
    if model.classes is None:
        y = table.y.astype(np.float64)
        counts, edges = np.histogram(y, bins=30)

        def draw(paper: Any) -> None:
            ax = paper.subplots()
            ax.hist(y, bins=edges, color=CYCLE[0], edgecolor="white", linewidth=0.5)
            ax.set(xlabel=name, ylabel="rows")
            quiet(ax)
            title(ax, f"The target: {name}", f"middle {number(float(np.median(y)))}, mean {number(float(y.mean()))}")

        bins = [
            [f"{number(low)} to {number(high)}", f"{n:,}"]
            for low, high, n in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
        ]
        alt = f"Histogram of {name}, from {number(float(y.min()))} to {number(float(y.max()))}."
        return figure(draw, alt, f"How the {len(y):,} values of {name} are spread.", Grid(alt, [name, "rows"], bins))
    labels, of_row = np.unique(table.y.astype(str), return_inverse=True)
    counts = np.bincount(of_row)
    order = np.argsort(-counts, kind="stable")[:MOST_BARS]
    shown, more = labels[order], len(labels) - len(order)

    def draw_bars(paper: Any) -> None:
        ax = paper.subplots()
        bars = ax.barh(np.arange(len(shown)), counts[order], color=CYCLE[0])
        ax.bar_label(bars, [f"{c / len(of_row):.1%}" for c in counts[order]], padding=3, fontsize=9)
        ax.set_yticks(np.arange(len(shown)), [str(label)[:30] for label in shown])
        ax.invert_yaxis()
        ax.set(xlabel="rows", xlim=(0, 1.15 * counts.max()))
        quiet(ax)
        title(ax, f"The target: {name}", f"{more} rarer classes are left out" if more else "")

    rows = [[str(labels[k]), f"{counts[k]:,}"] for k in np.argsort(-counts, kind="stable")]
    alt = f"How often each class of {name} occurs: {', '.join(f'{labels[k]} {counts[k]:,}' for k in order[:5])}."
    return figure(draw_bars, alt, f"{len(labels)} classes of {name}.", Grid(alt, [name, "rows"], rows))


def _columns_drawn(model: Model, table: Table) -> Block:
    """The values of the first columns, side by side."""
    used = [c.name for c in model.encoder.encodings if c.role != "unused" and c.name in table.columns][:MOST_PANELS]
    if not used:
        return Text("No column is used: each holds one value, or one of its own for each row.")
    across = min(4, len(used))
    down = -(-len(used) // across)

    def draw(paper: Any) -> None:
        axes = np.ravel(paper.subplots(down, across, squeeze=False))
        for ax, name in zip(axes, used, strict=False):
            x = table.X[:, table.columns.index(name)]
            known = x[~np.isnan(x)]
            if table.kind(name) == "category":
                labels, counts = _counted(table, name, known)
                shown = [label[:14] for label in labels[:MOST_LABELS]]
                ax.barh(np.arange(len(shown)), counts[:MOST_LABELS], color=CYCLE[4], height=0.7)
                ax.set_yticks(np.arange(len(shown)), shown, fontsize=7)
                ax.invert_yaxis()
            elif len(known):
                values = as_date(known) if table.kind(name) == "date" else known
                ax.hist(values, bins=BINS, color=POSITIVE)
            ax.set_title(shortened(name, 26), fontsize=9, loc="left")
            ax.tick_params(labelsize=7)
            ax.locator_params(axis="x", nbins=4) if table.kind(name) == "number" else None
            quiet(ax, grid=False)
        for ax in axes[len(used) :]:
            ax.set_axis_off()

    n_used = sum(c.role != "unused" for c in model.encoder.encodings)
    which = "all columns" if n_used == len(used) else f"the first {len(used)} of {n_used} columns"
    caption = f"The values of {which} that are used: numbers as histograms, the commonest labels of categories as bars."
    rows = [[name, values, f"{n:,}"] for name in used for values, n in _spread(table, name)]
    numbers = Grid("The values of columns, and how many rows have them", ["column", "value", "rows"], rows)
    return figure(draw, caption, caption, numbers, size=(10, 1.9 * down + 0.3), wide=True)


def _spread(table: Table, name: str) -> list[tuple[str, int]]:
    """The commonest labels of a column, or its numbers, in coarse bins if they are many; how many rows each has."""
    x = table.X[:, table.columns.index(name)]
    known, kind = x[~np.isnan(x)], table.kind(name)
    if kind == "category":
        labels, counts = _counted(table, name, known)
        return list(zip(labels[:MOST_LABELS], counts[:MOST_LABELS].tolist(), strict=True))
    if not len(known):
        return [("nothing", 0)]
    values, counts = np.unique(known, return_counts=True)
    if len(values) <= COARSE:
        return [(as_text(kind, float(value)), n) for value, n in zip(values, counts.tolist(), strict=True)]
    counts, edges = np.histogram(known, COARSE)
    ends = [as_text(kind, float(edge)) for edge in edges]
    return [(f"{low} to {high}", n) for low, high, n in zip(ends[:-1], ends[1:], counts.tolist(), strict=True)]


def _examples(table: Table) -> Figure:
    """Some rows as the pictures that they are."""
    assert table.image_shape is not None
    some = np.sort(np.random.default_rng(0).choice(table.n_rows, min(table.n_rows, 36), replace=False))

    def draw(paper: Any) -> None:
        axes = np.ravel(paper.subplots(*PICTURES))
        for ax in axes:
            ax.set_axis_off()
        for ax, row in zip(axes, some, strict=False):
            ax.imshow(table.X[row].reshape(table.image_shape), cmap="Greys", vmin=0)
            if table.y is not None:
                ax.set_title(str(table.y[row]), fontsize=8)

    height, width = table.image_shape
    caption = f"{len(some)} of the rows, drawn with seed 0: {height} by {width} pixels each, and what they are."
    answers = ["" if table.y is None else str(table.y[row]) for row in some]
    rows = [[str(row + 1), answer, cell(table.X[row].mean())] for row, answer in zip(some, answers, strict=True)]
    numbers = Grid("The rows that are drawn", ["row", str(table.target), "mean of its pixels"], rows)
    return figure(draw, caption, caption, numbers, size=(10, 2.9), wide=True, pixels=True)

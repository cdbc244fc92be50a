"""What a report says of a few rows: which inputs moved the answer, and all the arithmetic behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.explanation import Explanation
from fallline.model import Model
from fallline.pictures.style import INK, quiet, sign_style, signed_colours, title
from fallline.report.figures import figure
from fallline.report.page import Block, Code, Figure, Grid, Section, Text
from fallline.report.twins import cell
from fallline.table import Table
from fallline.table.table import Indices
from fallline.wording import number

Array = npt.NDArray[Any]

MOST_COLUMNS = 12  # with a bar of their own


def rows_section(model: Model, table: Table, among: Indices | None = None) -> Section:
    """Explain a few rows: where the model is surest, least sure, and most wrong.

    Parameters
    ----------
    model : Model
    table : Table
        With targets.
    among : array of int, optional
        The rows to choose from; all of them if nothing is said.

    Returns
    -------
    Section
    """
    target = model.encoder.target
    if table.y is None or not table.n_rows or target.n_targets > 1 or target.quantiles:
        return Section("rows", "A few rows", [])
    blocks: list[Block] = []
    among = np.arange(table.n_rows) if among is None else among
    for what, chosen in _chosen(model, table.rows(among)).items():
        row = int(among[chosen])
        explanation = model.explain(table, row)
        truth = str(table.y[row])
        blocks.append(Text(f"{what}, row {row + 1}: {target.name} is {truth}, the answer is {_answer(explanation)}."))
        if table.image_shape is not None:
            blocks.append(_on_the_picture(explanation, table, row))
        blocks.append(_bars(explanation))
        blocks.append(Code(str(explanation), f"All the arithmetic of row {row + 1}"))
    return Section("rows", "A few rows", blocks)


def _answer(explanation: Explanation) -> str:
    last = explanation.answer
    if last.probabilities is None:
        return _written(last.answer[0])
    sure = f"{float(np.max(last.probabilities)):.1%}"
    return f"{_written(last.answer[0])} ({'over 99.9%' if sure == '100.0%' else sure} sure)"


def _written(value: object) -> str:
    return "missing" if value is None else number(value) if isinstance(value, float) else str(value)


def _chosen(model: Model, table: Table) -> dict[str, int]:
    """Some rows that differ, each with why it was chosen."""
    assert table.y is not None
    A = model.outputs(table)
    if model.classes is None:
        error = np.abs(model.predict(table) - table.y.astype(np.float64))
        chosen = {"The best answer": error.argmin(), "The worst answer": error.argmax()}
    else:
        codes, sure = model.encoder.target.codes_of(table.y), A.max(axis=1)
        right = A[np.arange(len(A)), codes]
        chosen = {"Where it is surest": sure.argmax(), "Where it is least sure": sure.argmin()}
        if (A.argmax(axis=1) != codes).any():
            chosen["Where it is most wrong"] = right.argmin()
    rows: dict[str, int] = {}
    for what, row in chosen.items():
        if int(row) not in rows.values():
            rows[what] = int(row)
    return rows


def _bars(explanation: Explanation) -> Figure:
    """What each column added to the typical row's answer, the largest on top."""
    c = explanation.contributions
    order = sorted(c.columns, key=lambda name: -abs(c.columns[name]))
    shown = order[:MOST_COLUMNS]
    rest = sum(c.columns[name] for name in order[MOST_COLUMNS:])
    names, values = shown[:], [c.columns[name] for name in shown]
    if order[MOST_COLUMNS:]:
        names.append(f"the other {len(order) - MOST_COLUMNS} together")
        values.append(rest)
    written = {step.name: _written(step.value) for step in explanation.columns}

    def draw(paper: Any) -> None:
        ax = paper.subplots()
        for i, value in enumerate(values):
            color = sign_style(value)["color"]
            ax.barh(i, value, color=color, hatch="" if value >= 0 else "///", edgecolor="white", linewidth=0)
        labels = [f"{name} = {written[name]}"[:44] if name in written else name for name in names]
        ax.set_yticks(range(len(names)), labels, fontsize=8)
        ax.invert_yaxis()
        ax.axvline(0, color=INK, linewidth=0.8)
        ax.set(xlabel=f"moved {c.of} by")
        quiet(ax)
        title(ax, "What moved the answer", f"from {c.baseline:.4g} for a typical row to {c.answer:.4g}", 60)

    caption = (
        f"Row {explanation.row}: what moved {c.of} from {c.baseline:.4g}, the answer for a typical row, "
        f"to {c.answer:.4g}: "
        + ", ".join(f"{name} {c.columns[name]:+.3g}" for name in shown[:4])
        + f". Together {c.total:+.4g} ({c.method})."
    )
    rows = [[name, written.get(name, ""), f"{c.columns[name]:+.6g}"] for name in order]
    numbers = Grid("What each column added", ["column", "value", "added"], rows)
    return figure(draw, caption, caption, numbers, size=(6.4, 1.5 + 0.26 * len(names)))


def _on_the_picture(explanation: Explanation, table: Table, row: int) -> Figure:
    """The picture, and which of its pixels spoke for the answer and which against it."""
    assert table.image_shape is not None
    c = explanation.contributions
    added = np.array([c.columns.get(name, 0.0) for name in table.columns]).reshape(table.image_shape)
    most = float(np.abs(added).max()) or 1.0

    def draw(paper: Any) -> None:
        left, right = paper.subplots(1, 2)
        left.imshow(table.X[row].reshape(table.image_shape), cmap="Greys", vmin=0)
        left.set_title("the row", fontsize=9)
        image = right.imshow(added, cmap=signed_colours(), vmin=-most, vmax=most)
        right.set_title("what its pixels added", fontsize=9)
        paper.colorbar(image, ax=right, shrink=0.8)
        for ax in (left, right):
            ax.set_xticks([])
            ax.set_yticks([])

    caption = f"The row as a picture, and what each pixel added to {c.of}: blue spoke for it, orange against it."
    x, by_pixel = table.X[row], added.ravel()
    strongest = np.argsort(-np.abs(by_pixel), kind="stable")[:MOST_COLUMNS]
    rows = [[table.columns[i], cell(x[i]), f"{by_pixel[i]:+.3g}"] for i in strongest]
    header = ["pixel", "how bright", "added"]
    numbers = Grid("The pixels that moved the answer most (row and column from 0)", header, rows)
    return figure(draw, caption, caption, numbers, size=(6.4, 3.2), pixels=True)

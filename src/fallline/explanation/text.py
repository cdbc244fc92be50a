"""An explanation in words: short lines, aligned numbers, largest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fallline.wording import number

if TYPE_CHECKING:
    from fallline.explanation.explanation import Explanation

Array = npt.NDArray[Any]

MOST_PRODUCTS = 12  # of a neuron; the others are summed
MOST_COLUMNS = 16  # that are listed with their contributions
MOST_OUTPUTS = 5  # side by side
MOST_ACTIVE = 4  # neurons of a layer
MOST_NETWORKS = 16
SHADES = " .:-=+*#%@"


def text(e: Explanation) -> str:
    """Put an explanation into words."""
    parts = [_headline(e), _what_goes_in(e), _layers(e), _neuron(e), _answer(e), _contributions(e)]
    return "\n\n".join(parts)


def _headline(e: Explanation) -> str:
    said = ", ".join(_said(e))
    return f"Row {e.row} of {e.data}, counted from 1: the model says {said}."


def _said(e: Explanation) -> list[str]:
    step = e.answer
    if step.numbers is not None:
        return [f"{name} {value:.9g}" for name, value in zip(step.names, step.numbers, strict=True)]
    assert step.probabilities is not None
    if len(step.answer) == 1:
        return [f"{e.target} is {step.answer[0]}, with probability {step.probabilities.max():.7f}"]
    return [f"{name} {yes} ({p:.7f})" for name, yes, p in zip(step.names, step.answer, step.probabilities, strict=True)]


def _what_goes_in(e: Explanation) -> str:
    if e.image_shape is not None:
        pixels = np.array([column.value for column in e.columns], float).reshape(e.image_shape)
        top = pixels.max() or 1.0
        shades = np.clip((pixels / top * (len(SHADES) - 1)).round().astype(int), 0, len(SHADES) - 1)
        lines = ["".join(SHADES[i] * 2 for i in row).rstrip() for row in shades.tolist()]
        title = f"What goes in: {e.image_shape[0]} by {e.image_shape[1]} pixels, as they are (0 is blank)"
        return "\n".join([_title(title), *(f"  {line}".rstrip() for line in lines)])
    rows = []
    for column in e.columns:
        value = "missing" if column.value is None else _cell(column.value)
        if column.role in ("number", "yes/no") or (column.role == "date" and column.value is not None):
            became = number(next(iter(column.becomes.values())))
        else:
            became = ""
        rows.append([column.name, value, became, column.how])
    return "\n".join([_title("What goes in"), _table(["column", "is", "becomes", "how"], rows, "<><<")])


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _layers(e: Explanation) -> str:
    lines = [_title(f"Through network {e.network} of {len(e.answer.shares)}, counted from 0")]
    n_in = sum(map(len, e.inputs.values()))
    used = len(e.inputs)
    lines.append("Each neuron: times the weights, add the bias, activate.")
    if e.image_shape is None:
        lines.append(f"The first layer takes {n_in} numbers, made of {used} {_s('column', used)}.")
    rows = []
    for l, layer in enumerate(e.layers):
        last = l == len(e.layers) - 1
        top = np.argsort(-np.abs(layer.a), kind="stable")[:MOST_ACTIVE]
        name = (lambda j: e.answer.names[j]) if last else (lambda j: f"neuron {j}")
        active = ", ".join(f"{name(int(j))} {number(float(layer.a[j]))}" for j in top)
        off = int((layer.a == 0).sum())
        if off:
            active += f"; {off} are 0"
        rows.append([str(l), str(len(layer.a)), layer.activation, active])
    lines.append(_table(["layer", "neurons", "activation", "largest activations"], rows, ">><<"))
    return "\n".join(lines)


def _neuron(e: Explanation) -> str:
    step = e.neuron
    products = step.x * step.w
    order = np.argsort(-np.abs(products), kind="stable")
    where = "the inputs" if step.layer == 0 else f"layer {step.layer - 1}"
    called = f" ({step.name})" if step.name else ""
    lines = [
        _title(f"Neuron {step.neuron}{called} of layer {step.layer}, network {e.network}, in full"),
        f"It takes {len(products)} numbers from {where}; x times w, largest first:",
    ]
    shown, others = order[:MOST_PRODUCTS], order[MOST_PRODUCTS:]
    rows = [[step.input_names[j], _7(step.x[j]), "*", _7(step.w[j]), "=", _7(products[j])] for j in shown.tolist()]
    if len(others):
        rows.append([f"the other {len(others)} together", "", "", "", "", _7(products[others].sum())])
    rows.append(["+ b, the bias", "", "", "", "", _7(step.b)])
    rows.append(["= z, the sum", "", "", "", "", _7(step.z)])
    activation = e.layers[step.layer].activation
    if activation == "softmax":
        shift = float(np.logaddexp.reduce(e.layers[step.layer].z))
        rows.append(["- log of the sum of e^z of all outputs", "", "", "", "", _7(shift)])
        rows.append(["e to that = a, the activation", "", "", "", "", _7(step.a)])
    else:
        rows.append([f"{activation}(z) = a, the activation", "", "", "", "", _7(step.a)])
    return "\n".join([*lines, _table(None, rows, "<><><>")])


def _answer(e: Explanation) -> str:
    step = e.answer
    lines = [_title("From the networks to the answer")]
    shown = np.arange(len(step.names))
    if len(shown) > MOST_OUTPUTS:
        shown = np.sort(np.argsort(-step.average, kind="stable")[:MOST_OUTPUTS])
        lines.append(f"Of {len(step.names)} outputs, the {MOST_OUTPUTS} largest.")
    rows = [
        [f"network {k}", _7(share), *(_7(A[j]) for j in shown)]
        for k, (share, A) in enumerate(zip(step.shares, step.outputs, strict=True))
    ]
    if len(rows) > 1:
        rows.append(["average", _7(math.fsum(step.shares)), *(_7(step.average[j]) for j in shown)])
    if step.probabilities is not None and step.sharpness != 1:
        rows.append(
            ["made sharper" if step.sharpness > 1 else "made softer", "", *(_7(step.probabilities[j]) for j in shown)]
        )
    header = ["", "share", *(step.names[j] for j in shown)]
    lines.append(_table(header, rows, "<>" + ">" * len(shown)))
    if step.probabilities is not None and step.sharpness != 1:
        whole = (
            "then divided by their sum"
            if len(step.answer) == 1
            else "then divided by the sum of it and the same of 1 minus it"
        )
        lines.append(f"{rows[-1][0].capitalize()}: to the power {step.sharpness:.7g}, {whole}.")
    if step.numbers is not None:
        lines += _in_units(e)
    return "\n".join(lines)


def _in_units(e: Explanation) -> list[str]:
    step = e.answer
    assert step.numbers is not None
    per_target = len(step.names) // len(step.centers)
    lines = ["Back in your units: times the scale, add the centre" + (", and e to that:" if step.log else ":")]
    if per_target > 1:
        lines.insert(0, "Quantiles are put in order.")
    rows = []
    for i, (name, value) in enumerate(zip(step.names, step.numbers, strict=True)):
        t = i // per_target
        plain = math.log(value) if step.log else value
        z = (plain - step.centers[t]) / step.scales[t] if per_target > 1 else step.average[i]
        row = [name, _7(z), "*", f"{step.scales[t]:.9g}", "+", f"{step.centers[t]:.9g}", "=", f"{plain:.9g}"]
        rows.append([*row, f"-> {value:.9g}"] if step.log else row)
    return [*lines, _table(None, rows, "<><><><>" + "<" * step.log)]


def _contributions(e: Explanation) -> str:
    c = e.contributions
    moved = c.answer - c.baseline
    lines = [
        _title("Which inputs moved the answer"),
        f"From a typical row to this one, the {c.of} goes from {number(c.baseline)} to {number(c.answer)}.",
    ]
    if e.image_shape is not None:
        lines.append("The typical row is a blank picture.")
    values = {column.name: column for column in e.columns}
    order = sorted(c.columns, key=lambda name: -abs(c.columns[name]))
    top = max((abs(value) for value in c.columns.values()), default=0.0) or 1.0
    rows = []
    for name in order[:MOST_COLUMNS]:
        column = values[name]
        is_ = "missing" if column.value is None else _cell(column.value)
        bar = ("+" if c.columns[name] > 0 else "-") * round(10 * abs(c.columns[name]) / top)
        rows.append([name, is_, column.typical, f"{c.columns[name]:+.4g}", bar])
    header = ["column", "is", "in the typical row", "moves it by", ""]
    if e.image_shape is not None:
        rows, header = [[*row[:2], *row[3:]] for row in rows], [*header[:2], *header[3:]]
    if len(order) > MOST_COLUMNS:
        rest = sum(c.columns[name] for name in order[MOST_COLUMNS:])
        rows.append([f"the other {len(order) - MOST_COLUMNS} together", *[""] * (len(header) - 3), f"{rest:+.4g}", ""])
    lines.append(_table(header, rows, "<>" + "<" * (len(header) - 4) + "><"))
    if e.image_shape is not None:
        height, width = e.image_shape
        grid = [c.columns[column.name] / top for column in e.columns]
        lines += ["Where in the picture: + moves it up, - down, doubled where strong.", *_map(grid, height, width)]
    how = "exact" if c.method == "exact" else f"integrated gradients over {c.points} points"
    lines.append(f"Check ({how}): sum {c.total:.6g}, answer minus baseline {moved:.6g}.")
    if not c.complete:
        lines.append("They differ by more than a ten-thousandth: take the contributions as rough.")
    return "\n".join(lines)


def _map(grid: Sequence[float], height: int, width: int) -> list[str]:
    def cell(x: float) -> str:
        sign = "+" if x > 0 else "-"
        return "  " if abs(x) < 0.1 else f"{sign} " if abs(x) < 0.4 else sign * 2

    return [("  " + "".join(map(cell, grid[i * width : (i + 1) * width]))).rstrip() for i in range(height)]


def _title(words: str) -> str:
    return f"{words}\n{'-' * len(words)}"


def _s(noun: str, n: int) -> str:
    return noun if n == 1 else f"{noun}s"


def _7(value: float) -> str:
    """Seven places, so that who adds them up comes to the model's own answer."""
    return f"{value:.7f}"


def _table(header: list[str] | None, rows: list[list[str]], align: str) -> str:
    """Columns two spaces apart, each to the left or to the right."""
    lines = [*([header] if header else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, align, widths, strict=True)).rstrip()
        for line in lines
    )

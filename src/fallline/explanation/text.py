"""An explanation in words: short lines, aligned numbers, largest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fallline.wording import listed_briefly, number, printable

if TYPE_CHECKING:
    from fallline.explanation.explanation import Explanation
    from fallline.explanation.first_layer import ColumnStep

Array = npt.NDArray[Any]

MOST_PRODUCTS = 12  # of a neuron; the others are summed
MOST_COLUMNS = 16  # that are listed with their contributions
MOST_OUTPUTS = 5  # side by side
MOST_ACTIVE = 4  # neurons of a layer
MOST_NETWORKS = 4  # of which each has a line
MOST_LISTED = 40  # columns
LONGEST = 30  # letters of a cell
SHADES = " .:-=+*#%@"


def text(e: Explanation) -> str:
    """Put an explanation into words."""
    parts = [_headline(e), _what_goes_in(e), _layers(e), _neuron(e), _answer(e), _contributions(e)]
    return "\n\n".join(parts)


def _headline(e: Explanation) -> str:
    said = ", ".join(_said(e))
    return printable(f"Row {e.row} of {e.data}, counted from 1: the model says {said}.")


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
        shades = (pixels / (pixels.max() or 1.0) * (len(SHADES) - 1)).round().clip(0).astype(int)
        title = f"What goes in: {e.image_shape[0]} by {e.image_shape[1]} pixels, as they are"
        drawn = ("".join(SHADES[i] * 2 for i in row) for row in shades.tolist())
        names = "Pixels are called r0c0, r0c1, ...: row and column, from 0 at the top left."
        return "\n".join([_title(title), *(f"  {line}".rstrip() for line in drawn), names])
    used = [column for column in e.columns if column.role != "unused"]
    rows = [[column.name, _cell(column.value), _became(column), column.how] for column in used[:MOST_LISTED]]
    lines = [_title("What goes in"), _table(["column", "is", "becomes", "how"], rows, "<>><")]
    if len(used) > MOST_LISTED:
        lines.append(f"... and {len(used) - MOST_LISTED} more columns.")
    if any(column.role in ("number", "yes/no") for column in used):
        lines.append("Bounded: z becomes z / sqrt(1 + (z/3)^2), which is like z in the middle and never beyond 3.")
    unused = [column.name for column in e.columns if column.role == "unused"]
    if unused:
        lines.append(printable(f"Not used: {listed_briefly(unused)}."))
    return "\n".join(lines)


def _became(column: ColumnStep) -> str:
    """One number, where it is one that counts."""
    if column.role == "category" and len(column.becomes) > 1:
        return ""
    return number(next(iter(column.becomes.values())))


def _cell(value: float | str | None) -> str:
    if value is None:
        return "missing"
    words = value if isinstance(value, str) else f"{value:.7g}"
    return words if len(words) <= LONGEST else words[: LONGEST - 3] + "..."


def _layers(e: Explanation) -> str:
    k, several = e.network, len(e.answer.shares) > 1
    title = f"Through network {k}, one of {len(e.answer.shares)} (the first is 0)" if several else "Through the network"
    lines = [_title(title), "Each neuron: times the weights, add the bias, activate.", *_into_first(e)]
    rows = []
    for l, layer in enumerate(e.layers):
        names = e.answer.names if l == len(e.layers) - 1 else [f"neuron {j}" for j in range(len(layer.a))]
        top = np.argsort(-np.abs(layer.a), kind="stable")[:MOST_ACTIVE].tolist()
        active = "; ".join(f"{names[j]}: {number(float(layer.a[j]))}" for j in top)
        silent = int((layer.a == 0).sum())
        rows.append([str(l), str(len(layer.a)), layer.activation, str(silent or ""), active])
    lines.append(_table(["layer", "neurons", "activation", "at 0", "largest activations"], rows, ">><><"))
    return "\n".join(lines)


def _into_first(e: Explanation) -> list[str]:
    """What the first layer takes, in a few lines; nothing for pixels, which go in as they are."""
    if e.image_shape is not None:
        return []
    n = len({each.column for each in e.inputs})
    kinds = []
    if any(", wave " in each.name for each in e.inputs):
        kinds.append("A number goes in as itself and as learned waves of it.")
    if any(", learned " in each.name for each in e.inputs):
        kinds.append("A label of a long list goes in as its row of a learned table.")
    made = f"Layer 0 takes {len(e.inputs)} numbers, made of {n} {'column' if n == 1 else 'columns'}"
    return [f"{made}, each times a learned scale.", *kinds]


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
    n_shown = min(MOST_PRODUCTS, int(np.count_nonzero(products)))
    shown, others = order[:n_shown], order[n_shown:]
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
    lines = [_title("From the networks to the answer" if len(step.shares) > 1 else "From the network to the answer")]
    shown = np.arange(len(step.names))
    if len(shown) > MOST_OUTPUTS:
        shown = np.sort(np.argsort(-step.average, kind="stable")[:MOST_OUTPUTS])
        lines.append(f"Of the {len(step.names)} outputs, the {MOST_OUTPUTS} largest.")
    rows = [[name, _7(share), *map(_7, A[shown])] for name, share, A in _grouped(e)]
    if len(rows) > 1:
        rows.append(["average", _7(math.fsum(step.shares)), *map(_7, step.average[shown])])
    p = step.probabilities
    if p is not None and step.sharpness != 1:
        word = "made sharper" if step.sharpness > 1 else "made softer"
        rows.append([word, "", *map(_7, p[shown])])
    lines.append(_table(["", "share", *(step.names[j] for j in shown)], rows, "<>" + ">" * len(shown)))
    if p is not None and step.sharpness != 1:
        whole = "their sum" if len(step.answer) == 1 else "the sum of that and the same of 1 minus it"
        lines.append(f"{word.capitalize()}: to the power {step.sharpness:.7g}, then divided by {whole}.")
    return "\n".join([*lines, *_in_units(e)])


def _grouped(e: Explanation) -> list[tuple[str, float, Array]]:
    """The networks with their shares and outputs; of many, the one shown and the averages of the others."""
    step, shares = e.answer, np.array(e.answer.shares)
    if len(shares) <= MOST_NETWORKS:
        return [(f"network {k}", share, A) for k, (share, A) in enumerate(zip(step.shares, step.outputs, strict=True))]
    others, linear = np.arange(len(shares)) != e.network, np.array(step.linear)
    groups = [(f"network {e.network}", ~others)]
    for kind in (False, True):
        chosen = others & (linear == kind)
        n = int(chosen.sum())
        if n:
            groups.append((f"{n} linear ones" if kind and not linear.all() else f"the other {n}", chosen))
    weights = shares if shares.all() else shares + 1e-300  # those of no share have an average too
    return [(name, float(shares[at].sum()), np.average(step.outputs[at], 0, weights[at])) for name, at in groups]


def _in_units(e: Explanation) -> list[str]:
    step = e.answer
    if step.numbers is None:
        return []
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
    c, picture = e.contributions, e.image_shape
    moved = c.answer - c.baseline
    typical = "a blank picture" if picture is not None else "a typical row"
    lines = [
        _title("Which inputs moved the answer"),
        printable(f"From {typical} to this one, the {c.of} goes {_way(c.baseline, c.answer)}."),
    ]
    columns = {column.name: column for column in e.columns}
    order = sorted(c.columns, key=lambda name: -abs(c.columns[name]))
    top = max(map(abs, c.columns.values())) or 1.0
    rows = []
    for name in order[:MOST_COLUMNS]:
        x = c.columns[name]
        bar = ("+" if x > 0 else "-") * round(10 * abs(x) / top)
        rows.append([name, _cell(columns[name].value), columns[name].typical, _moves(x), bar])
    if len(order) > MOST_COLUMNS:
        rest = order[MOST_COLUMNS:]
        rows.append([f"the other {len(rest)} together", "", "", _moves(sum(c.columns[name] for name in rest)), ""])
    header = ["column", "is", "in the typical row", "moves it by", ""]
    if picture is not None:
        header, rows = [*header[:2], *header[3:]], [[*row[:2], *row[3:]] for row in rows]
    lines.append(_table(header, rows, "<>><" if picture is not None else "<><><"))
    if picture is not None:
        grid = [c.columns[column.name] / top for column in e.columns]
        lines += ["Where in the picture (+ moves it up, - down; two signs: strongly):", *_map(grid, *picture)]
    how = "exact" if c.method == "exact" else f"integrated gradients, {c.points} points"
    lines.append(f"Check ({how}): sum {c.total:.6g}, answer minus baseline {moved:.6g}.")
    if not c.complete:
        lines.append("They differ by more than a ten-thousandth: take the contributions as rough.")
    return "\n".join(lines)


def _way(start: float, end: float) -> str:
    words = number(start), number(end)
    return "from {} to {}".format(*(words if words[0] != words[1] else (f"{start:.9g}", f"{end:.9g}")))


def _moves(x: float) -> str:
    return f"{'+' * (x > 0)}{number(x)}"


def _map(grid: Sequence[float], height: int, width: int) -> list[str]:
    def cell(x: float) -> str:
        sign = "+" if x > 0 else "-"
        return "  " if abs(x) < 0.1 else f"{sign} " if abs(x) < 0.4 else sign * 2

    return [("  " + "".join(map(cell, grid[i * width : (i + 1) * width]))).rstrip() for i in range(height)]


def _title(words: str) -> str:
    words = printable(words)
    return f"{words}\n{'-' * len(words)}"


def _7(value: float) -> str:
    """Seven places, so that who adds them up comes to the model's own answer."""
    return f"{round(value, 7) + 0.0:.7f}"  # no minus before zero


def _table(header: list[str] | None, rows: list[list[str]], align: str) -> str:
    """Columns two spaces apart, each to the left or to the right."""
    lines = [list(map(printable, row)) for row in [*([header] if header else []), *rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, align, widths, strict=True)).rstrip()
        for line in lines
    )

"""A model as plain steps: what becomes of each column, every network's layers, their mixture, the answer.

Each formula stands here once; the writers know nothing of models. The same in NumPy, for training and predicting,
stands in `table/encode.py`, `table/columns.py`, `inputs.py`, `activations.py`, `sharpness.py` and `table/targets.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fallline.activations import LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE
from fallline.errors import DataError
from fallline.files.export.steps import Column, Steps, Type, Value
from fallline.network import Network
from fallline.table import Encoder, Target
from fallline.table.columns import MISSING_LABEL, WEEK, YEAR, ColumnEncoding
from fallline.table.frames import MISSING

DAY = 86_400.0  # seconds
DAY_ZERO = 946_684_800.0  # 2000-01-01, in seconds since 1970
PIXELS = "pixels"

Places = list[tuple[Value, int]]  # numbers, each by its value and its place there


def describe(encoder: Encoder, networks: Sequence[Network], shares: Sequence[float], sharpness: float) -> Steps:
    """Put down what a model computes.

    Parameters
    ----------
    encoder : Encoder
    networks : sequence of Network
    shares : sequence of float
        What each has in the answer.
    sharpness : float

    Returns
    -------
    Steps
        Columns that the model does not use are left out. Its answers: of classes, `label` and `probabilities`, the
        latter of several labels of a row too; of numbers, `prediction`, and `quantiles` where the model was trained for
        them. `outputs` is what they are made of.

    Raises
    ------
    DataError
        A name or a label is no Unicode.
    """
    for text in (
        encoder.target.name,
        *encoder.columns,
        *(label for each in encoder.encodings for label in each.labels),
    ):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise DataError(f"{text!r} is no Unicode; only models whose names and labels are can be exported")
    steps = Steps()
    x, codes = _pixels(steps, encoder) if encoder.image_shape is not None else _columns(steps, encoder)
    mean: Value | None = None
    for k, (network, share) in enumerate(zip(networks, shares, strict=True)):
        if share:
            steps.part = f"network {k + 1}"
            A = _network(steps, network, x, codes).cast("float64")
            part = A if share == 1 else A * share
            mean = part if mean is None else mean + part
    assert mean is not None
    steps.part = "answer"
    if encoder.task == "classification":
        mean = _sharpened(mean, sharpness, encoder.classes is None)
    outputs = mean.cast(networks[0].dtype.name)
    steps.answers = {"outputs": outputs, **_answers(outputs, encoder.target)}
    steps.prune()
    return steps


def _pixels(steps: Steps, encoder: Encoder) -> tuple[Value | None, list[Value]]:
    steps.part = "columns"
    return steps.column(Column(PIXELS, "pixels", len(encoder.columns)), "float32"), []


def _columns(steps: Steps, encoder: Encoder) -> tuple[Value | None, list[Value]]:
    """What the networks take: numbers, of which there may be none, and codes."""
    steps.part = "columns"
    used = [column for column in encoder.encodings if column.role != "unused"]
    types: dict[str, Type] = {"date": "float64", "category": "text"}
    given = {
        each.name: steps.column(Column(each.name, each.kind), types.get(each.role, "float32"))
        for each in used
        if each.kind is not None
    }
    numbers = [each for each in used if each.role in ("number", "yes/no")]
    made = {}
    if numbers:
        made = _numbers(steps.concat([given[each.name] for each in numbers]), numbers)
    embedded: Places = []
    plain: Places = []
    codes: list[Value] = []
    for column in used:
        value = given[column.name]
        if column.role == "date":
            made[column.name] = _date(steps, value, column)
        elif column.role == "category":
            code, table = _category(value, column)
            if column.is_table:
                codes.append(code)
            else:
                row = code.of("row", table)
                plain += [(row, j) for j in range(row.width)]
            continue
        parts, blank = made[column.name]
        (plain if column.role == "yes/no" else embedded).extend(parts)
        plain += blank
    placed = embedded + plain
    return (_together(steps, placed) if placed else None), codes


def _numbers(x: Value, columns: Sequence[ColumnEncoding]) -> dict[str, tuple[Places, Places]]:
    """All columns of numbers at once: each, and whether it is missing where that is to be told."""
    x = x.cast("float64")
    center, scale = (np.array([getattr(each, name) for each in columns]) for name in ("center", "scale"))
    missing = x.of("isnan")
    z = _smoothly_clipped((missing.of("where", center, x) - center) * scale).cast("float32")
    blank = missing.cast("float32")
    return {each.name: ([(z, j)], [(blank, j)] if each.missing else []) for j, each in enumerate(columns)}


def _date(steps: Steps, seconds: Value, column: ColumnEncoding) -> tuple[Places, Places]:
    """Trend and cycles of a date, given as seconds since 1970; zeros where it is missing."""
    days = ((seconds - DAY_ZERO) / DAY).cast("float32").cast("float64")  # as exact as in a table
    missing = days.of("isnan")
    days = missing.of("where", column.center, days)
    trend = _smoothly_clipped((days - column.center) * column.scale)
    angles = days / np.array([YEAR, WEEK, *([1.0] if column.timed else [])]) * (2 * math.pi)
    waves = steps.concat([angles.of("sin"), angles.of("cos")])
    n = angles.width
    waves = missing.of("where", np.zeros(2 * n), waves).cast("float32")
    blank = missing.cast("float32")
    order = [(waves, place) for j in range(n) for place in (j, n + j)]
    return [(trend.cast("float32"), 0), *order], [(blank, 0)] if column.missing else []


def _category(text: Value, column: ColumnEncoding) -> tuple[Value, np.ndarray]:
    """A code, 0 for what is no known label, and the rows that codes stand for where they are not learned."""
    words = {label: i + 1 for i, label in enumerate(column.labels) if label != MISSING_LABEL}
    missing = column.labels.index(MISSING_LABEL) + 1 if MISSING_LABEL in column.labels else 0
    n = len(column.labels)
    table = np.array([[0], [-1], [1]]) if n == 2 else np.eye(n + 1, n, -1)
    return text.of("code", words=dict.fromkeys(MISSING, missing) | words, other=0), table.astype(np.float32)


def _together(steps: Steps, placed: Places) -> Value:
    """Numbers from several values as one value, in this order."""
    first: dict[int, int] = {}  # of each value, where its first number stands among all
    values = []
    width = 0
    for value, _ in placed:
        if value.number not in first:
            first[value.number] = width
            values.append(value)
            width += value.width
    return steps.concat(values).take([first[value.number] + j for value, j in placed])


def _smoothly_clipped(z: Value) -> Value:
    third = z / 3.0
    return z / (third * third + 1.0).of("sqrt")


def _network(steps: Steps, network: Network, x: Value | None, codes: Sequence[Value]) -> Value:
    """The way through the inputs and all layers."""
    A = _inputs(steps, network, x.cast(network.dtype.name) if x else None, codes)
    for layer, W, b in zip(network.layers, network.W, network.b, strict=True):
        A = ACTIVATIONS[layer.activation.name](A.of("affine", W, b))
    return A


def _inputs(steps: Steps, network: Network, x: Value | None, codes: Sequence[Value]) -> Value:
    """What the first layer takes: numbers with their waves, plain numbers, rows of learned tables; all scaled."""
    inputs = network.shape.inputs
    if inputs is None:
        assert x is not None
        return x
    part = inputs.views(network.parameters)
    E, F, size = inputs.embedded, inputs.frequencies, inputs.size
    values: list[Value] = []
    places: list[int] = []
    if x is not None:
        values.append(x)
        if E:
            u = x.take(np.repeat(np.arange(E), F)) * part["w"].ravel() + part["p"].ravel()
            turns = u - u.of("round")  # whole turns are left out, for the digits that they would cost
            values.append((turns * (2 * math.pi)).of("cos").of("grouped", part["M"]) + part["c"].ravel())
            for e in range(E):
                first = x.width + e * (size - 1)
                places += [e, *range(first, first + size - 1)]
        places += range(E, x.width)
    values += [code.of("row", part[f"table.{j}"]) for j, code in enumerate(codes)]
    places += range(len(places), sum(value.width for value in values))
    return steps.concat(values).take(places) * part["scale"]


def _exp_below(z: Value) -> Value:
    """`exp(z) - 1` where z is negative, 0 elsewhere."""
    return z.of("min", 0.0).of("exp") - 1.0


ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    "identity": lambda z: z,
    "sigmoid": lambda z: z.of("sigmoid"),
    "softmax": lambda z: z.of("softmax"),
    "tanh": lambda z: z.of("tanh"),
    "relu": lambda z: z.of("max", 0.0),
    "leaky_relu": lambda z: z.of("max", z * LEAKY_SLOPE),
    "elu": lambda z: (z > 0.0).of("where", z, _exp_below(z)),
    "selu": lambda z: (z > 0.0).of("where", z, _exp_below(z) * SELU_ALPHA) * SELU_SCALE,
    "gelu": lambda z: z * (((z * math.sqrt(0.5)).of("erf") + 1.0) * 0.5),
    "silu": lambda z: z * z.of("sigmoid"),
    "mish": lambda z: z * z.of("softplus").of("tanh"),
    "softplus": lambda z: z.of("softplus"),
}


def _sharpened(A: Value, sharpness: float, each: bool) -> Value:
    if sharpness == 1:
        return A
    if each:  # of a probability and its complement's
        against = (1.0 - A).of("max", 0.0)
        return ((A.of("log") - against.of("log")) * sharpness).of("sigmoid")
    return (A.of("log") * sharpness).of("softmax")


def _answers(outputs: Value, target: Target) -> dict[str, Value]:
    """Labels and probabilities, or numbers in the user's units."""
    if target.classes is not None:
        return {"label": outputs.of("argmax").of("row", target.classes[:, None]), "probabilities": outputs}
    if target.task == "classification":
        return {"label": (outputs > 0.5).cast("int64"), "probabilities": outputs}
    T, quantiles = target.n_targets, target.quantiles
    Q = max(1, len(quantiles))
    y = outputs.cast("float64")
    if Q > 1:
        rank = np.argsort(np.argsort(quantiles))
        y = y.of("sort", groups=T).take([t * Q + j for t in range(T) for j in rank])
    y = y * np.repeat(target.scales, Q) + np.repeat(target.centers, Q)
    if target.log:
        y = y.of("exp")
    middle = int(np.argmin(np.abs(np.subtract(quantiles, 0.5)))) if quantiles else 0
    answer = {"prediction": y.take([t * Q + middle for t in range(T)])}
    return answer | {"quantiles": y} if quantiles else answer

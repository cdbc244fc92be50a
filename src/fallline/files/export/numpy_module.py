"""A model as one Python file that needs NumPy alone: what it does in plain lines, and its numbers in base64 below."""

from __future__ import annotations

import base64
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.files.export import runtime
from fallline.files.export.steps import Step, Steps, Value
from fallline.table import Target

Array = npt.NDArray[Any]

HEAD = '''\
"""A model that fallline trained, as a module that needs NumPy alone.

Columns are a dict, or a data frame, of one sequence for each name in COLUMNS, as long as there are rows. Numbers may be
NaN or None where they are missing. Dates are datetime64, datetime or ISO text, or numbers: seconds since 1970, UTC.
Categories are text, without spaces at its ends; what the training rows did not have may come. Pixels are an array of
shape (n, width), by their name or alone.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import numpy as np

TARGET = {target}
COLUMNS = {columns}
'''

CLASSIFY = '''
CLASSES = {classes}


def predict(columns):
    """The likeliest label of each row, shape (n,); of several labels 0 or 1 each, shape (n, n_targets)."""
    return _answers(columns)["label"]{column}


def predict_proba(columns):
    """Probabilities in the order of CLASSES, shape (n, n_classes); of several labels each one's."""
    return _answers(columns)["probabilities"]
'''

REGRESS = '''

def predict(columns):
    """Numbers in the units of the target, shape (n,){several}."""
    return _answers(columns)["prediction"]{column}
'''

QUANTILES = '''

def predict_quantiles(columns):
    """Quantiles in the order of QUANTILES, shape {shape}."""
    return _answers(columns)["quantiles"]{reshaped}
'''

READ = {"number": "_number_column", "date": "_date_column", "category": "_text_column", "pixels": "_pixel_columns"}
SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "greater": ">"}
CALLS = {"max": "np.maximum", "min": "np.minimum", "round": "np.rint", "where": "np.where", "isnan": "np.isnan"}
CALLS |= {name: f"np.{name}" for name in ("exp", "log", "sqrt", "sin", "cos", "tanh")}
CALLS |= {name: f"_{name}" for name in ("erf", "sigmoid", "softplus", "softmax", "grouped")}


class Numbers:
    """Constants, end to end, and how a line of the module names each."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.at = 0

    def __call__(self, array: Array) -> str:
        """Give Python for a constant, and keep its bits."""
        if not array.ndim:
            return repr(array.item())
        if array.dtype.kind == "U":
            return text_array(array)
        self.parts.append(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        at, self.at = self.at, self.at + array.nbytes
        return f"_numbers({at}, {array.shape}, {array.dtype.name!r})"


def text_array(array: Array) -> str:
    """An array of labels as Python; NumPy makes their type of them."""
    return f"np.array({array.tolist()!a})"


def write(path: str | PathLike[str], steps: Steps, target: Target) -> None:
    """Write the module, atomically.

    Parameters
    ----------
    path : str or path
    steps : Steps
    target : Target

    Raises
    ------
    OSError
        The file cannot be written.
    """
    with whole_file(path) as file:
        file.write(module(steps, target))


def module(steps: Steps, target: Target) -> str:
    """Give the text of the module.

    Parameters
    ----------
    steps : Steps
    target : Target

    Returns
    -------
    str
        ASCII.
    """
    columns = ", ".join(f"{column.name!a}: {column.kind!r}" for column, _ in steps.columns)
    head = HEAD.format(target=ascii(target.name), columns="{" + columns + "}")
    return head + _functions(target) + _runtime() + _compute(steps)


def _functions(target: Target) -> str:
    one = "[:, 0]" if target.n_targets == 1 else ""
    if target.task == "classification":
        known = target.classes
        return CLASSIFY.format(classes="None" if known is None else text_array(known), column=one)
    several = "" if one else f"; here (n, {target.n_targets})"
    text = REGRESS.format(column=one, several=several)
    if target.quantiles:
        Q, T = len(target.quantiles), target.n_targets
        shape, reshaped = (f"(n, {Q})", "") if one else (f"(n, {T}, {Q})", f".reshape(-1, {T}, {Q})")
        text = f"\nQUANTILES = {target.quantiles!r}\n{text}{QUANTILES.format(shape=shape, reshaped=reshaped)}"
    return text


def _runtime() -> str:
    text = Path(runtime.__file__).read_text(encoding="utf-8")
    return "\n\n" + text[text.index("def ") :]


def _compute(steps: Steps) -> str:
    numbers = Numbers()
    lines, part = [], None
    for step in steps.steps:
        if step.part != part:
            lines.append(f"    # {step.part}")
            part = step.part
        lines.append(f"    {_name(step.result)} = {_expression(step, numbers)}")
    given = ", ".join(_name(value) for _, value in steps.columns)
    answers = ", ".join(f"{name!r}: {_name(value)}" for name, value in steps.answers.items())
    read = [
        f"{READ[column.kind]}(columns, {column.name!a}{f', {column.width}' * (column.kind == 'pixels')})"
        for column, _ in steps.columns
    ]
    packed = base64.b64encode(b"".join(numbers.parts)).decode()
    packed = "\n".join(packed[i : i + 120] for i in range(0, len(packed), 120))
    return "\n".join(
        [
            "\n\ndef _answers(columns):",
            "    return _in_blocks(",
            "        _compute,",
            "        [",
            *(f"            {call}," for call in read),
            "        ],",
            "    )",
            "\n\ndef _compute(" + given + "):",
            *lines,
            f"    return {{{answers}}}",
            "\n\ndef _numbers(at, shape, dtype):",
            "    dtype = np.dtype(dtype).newbyteorder('<')",
            "    return np.frombuffer(_BYTES, dtype, math.prod(shape), at).reshape(shape)",
            f'\n\n_BYTES = base64.b64decode("""\n{packed}\n""")\n',
        ]
    )


def _name(value: Value) -> str:
    return f"v{value.number}"


def _expression(step: Step, numbers: Numbers) -> str:
    """One step as Python."""
    name, options = step.name, step.options
    operands = [_name(each) if isinstance(each, Value) else numbers(each) for each in step.operands]
    first = operands[0]
    if name in SYMBOLS:
        return f"{first} {SYMBOLS[name]} {operands[1]}"
    if name in CALLS:
        return f"{CALLS[name]}({', '.join(operands)})"
    if name == "affine":
        return f"{first} @ {operands[1]} + {operands[2]}"
    if name == "concat":
        return f"np.concatenate([{', '.join(operands)}], axis=1)"
    if name == "cast":
        return f"{first}.astype('{options['dtype']}')"
    if name == "take":
        return f"{first}[:, {places(options['places'])}]"
    if name == "code":
        return f"_codes({first}, {options['words']!a}, {options['other']})"
    if name == "row":
        return f"{operands[1]}[{first}]"
    if name == "sort":
        return f"_sort({first}, {options['groups']})"
    assert name == "argmax"
    return f"{first}.argmax(axis=1)"


def places(wanted: list[int]) -> str:
    """Places as a slice where they follow each other, else as a list."""
    if wanted == list(range(wanted[0], wanted[0] + len(wanted))):
        return f"{wanted[0]}:{wanted[0] + len(wanted)}"
    return repr(wanted)

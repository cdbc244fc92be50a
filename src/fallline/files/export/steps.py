"""What a model computes, as plain steps that a writer of any language can put down one after another.

A step makes one value of others. A value is, for each row, `width` numbers of one type. The vocabulary is small on
purpose, for each writer has to know all of it:

| step | gives |
|---|---|
| `add`, `sub`, `mul`, `div`, `max`, `min`, `greater` | of two values, number by number; one may be a constant, or of width 1 |
| `exp`, `log`, `sqrt`, `sin`, `cos`, `tanh`, `erf`, `sigmoid`, `softplus`, `round`, `isnan` | number by number; ties of `round` go to even |
| `where` | numbers of the second where the first is true, else of the third |
| `cast` | the same numbers in another type |
| `concat` | values side by side |
| `take` | the numbers at some places, `places` |
| `code` | for a text its whole number in `words`, else `other` |
| `row` | of a constant, the row that a code names |
| `affine` | times the weights `(width, n_out)`, add the bias |
| `grouped` | of each of G groups of numbers alike, times its own matrix; the constant has shape `(G, width / G, n_out)` |
| `softmax` | of all numbers of the row |
| `sort` | each of `groups` groups of numbers alike, from the smallest up |
| `argmax` | the place of the largest number, the first of several, as a code |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Type: TypeAlias = Literal["float32", "float64", "bool", "int64", "text"]
Kind: TypeAlias = Literal["number", "date", "category", "pixels"]

BINARY = ("add", "sub", "mul", "div", "max", "greater")
UNARY = ("exp", "log", "sqrt", "sin", "cos", "tanh", "erf", "sigmoid", "softplus", "round", "isnan")


@dataclass(frozen=True)
class Column:
    """What the user gives: a column of numbers, of dates or of text, or all pixels of a picture.

    Attributes
    ----------
    name : str
    kind : {"number", "date", "category", "pixels"}
    width : int
        1, but for pixels.
    """

    name: str
    kind: Kind
    width: int = 1


@dataclass(frozen=True, eq=False)
class Value:
    """What a step gives; arithmetic with it makes further steps.

    Attributes
    ----------
    steps : Steps
        Those that it belongs to.
    number : int
        Its own.
    width : int
    dtype : str
    """

    steps: Steps = field(repr=False)
    number: int
    width: int
    dtype: Type

    __array_ufunc__ = None  # an array on the left leaves the arithmetic to this class

    def __add__(self, other: Operand) -> Value:
        return self.steps.add("add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.steps.add("sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.steps.add("sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.steps.add("mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.steps.add("div", self, other)

    def __gt__(self, other: Operand) -> Value:
        return self.steps.add("greater", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def of(self, step: str, *others: Operand, **options: Any) -> Value:
        """Give a step of this value, and of others after it."""
        return self.steps.add(step, self, *others, **options)

    def cast(self, dtype: Type) -> Value:
        """Give the same numbers in another type."""
        return self if dtype == self.dtype else self.steps.add("cast", self, dtype=dtype)

    def take(self, places: Iterable[int]) -> Value:
        """Give the numbers at some places."""
        places = [int(place) for place in places]
        return self if places == list(range(self.width)) else self.steps.add("take", self, places=places)


Operand: TypeAlias = "Value | Array | float"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes
    ----------
    name : str
        As in the table above.
    part : str
        What it is a part of, such as "network 2".
    operands : tuple of Value or array
        Arrays are constants, of the type that the step computes in.
    result : Value
    options : mapping
    """

    name: str
    part: str
    operands: tuple[Value | Array, ...]
    result: Value
    options: Mapping[str, Any]


class Steps:
    """Steps in their order, from the columns to the answers.

    Attributes
    ----------
    columns : list of (Column, Value)
    steps : list of Step
    answers : dict of str to Value
        By their names; see `fallline.files.export.description.describe`.
    part : str
        What the next steps are a part of.

    Examples
    --------
    >>> steps = Steps()
    >>> x = steps.column(Column("age", "number"), "float32")
    >>> y = (x - 40.0) * x.of("sigmoid")
    >>> [step.name for step in steps.steps], y.width, y.dtype
    (['sub', 'sigmoid', 'mul'], 1, 'float32')
    """

    def __init__(self) -> None:
        self.columns: list[tuple[Column, Value]] = []
        self.steps: list[Step] = []
        self.answers: dict[str, Value] = {}
        self.part = ""
        self._count = 0

    def column(self, column: Column, dtype: Type) -> Value:
        """Give what the user gives."""
        value = self._value(column.width, dtype)
        self.columns.append((column, value))
        return value

    def concat(self, values: Sequence[Value]) -> Value:
        """Give values of one type side by side."""
        return values[0] if len(values) == 1 else self.add("concat", *values)

    def add(self, name: str, *operands: Operand, **options: Any) -> Value:
        """Add a step, and give what it gives."""
        values = [operand for operand in operands if isinstance(operand, Value)]
        dtype = values[-1].dtype  # of `where`, the first is the condition
        constant = None if name == "row" else dtype
        taken = tuple(each if isinstance(each, Value) else np.asarray(each, constant) for each in operands)
        result = self._value(_width(name, taken, options), _type(name, dtype, taken, options))
        self.steps.append(Step(name, self.part, taken, result, options))
        return result

    def prune(self) -> None:
        """Leave out what no answer needs."""
        needed = {value.number for value in self.answers.values()}
        kept = []
        for step in reversed(self.steps):
            if step.result.number in needed:
                kept.append(step)
                needed |= {each.number for each in step.operands if isinstance(each, Value)}
        self.steps = kept[::-1]

    def _value(self, width: int, dtype: Type) -> Value:
        self._count += 1
        return Value(self, self._count - 1, width, dtype)


def _width(name: str, operands: Sequence[Value | Array], options: Mapping[str, Any]) -> int:
    if name == "concat":
        return sum(_width_of(operand) for operand in operands)
    if name == "take":
        return len(options["places"])
    if name in ("code", "argmax"):
        return 1
    if name == "row":
        table = operands[1]
        return _width_of(table)
    if name == "affine":
        return _width_of(operands[1])
    if name == "grouped":
        assert isinstance(operands[1], np.ndarray)
        return int(operands[1].shape[0] * operands[1].shape[2])
    return max(map(_width_of, operands))


def _width_of(operand: Value | Array) -> int:
    if isinstance(operand, Value):
        return operand.width
    return int(operand.shape[-1]) if operand.ndim else 1


def _type(name: str, dtype: Type, operands: Sequence[Value | Array], options: Mapping[str, Any]) -> Type:
    if name in ("isnan", "greater"):
        return "bool"
    if name in ("code", "argmax"):
        return "int64"
    if name == "cast":
        given: Type = options["dtype"]
        return given
    if name == "row":
        assert isinstance(operands[1], np.ndarray)
        kind = operands[1].dtype
        return "text" if kind.kind == "U" else kind.name
    return dtype

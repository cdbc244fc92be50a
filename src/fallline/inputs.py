"""What may stand before the first layer: periodic embeddings of numbers, embeddings of categories, a learned scale.

A dense layer takes a number as it is, so that what it makes of it can only bend where neurons bend. Here a number may
become several: itself and sums of cosines whose frequencies are learned, so that the network sees fine steps in it. And
a category, which is no number, becomes a row of a table of numbers, learned as well. All columns are then multiplied by
a scale of their own, which lets a step turn a whole column up or down.

`native/core/inputs.cpp` does the same, faster; tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError

Array = npt.NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """Columns of X, and what becomes of them before the first layer.

    The columns of X are, in this order: numbers that are embedded, numbers that are not, and codes of categories.

    Parameters
    ----------
    embedded : int, default 0
        Numbers `x`, each of which becomes `x, cos(2 pi (x w + p)) @ M + c`, in all `size` numbers; `w` and `p` of shape
        `(frequencies,)`, `M` of shape `(frequencies, size - 1)` and `c` are its own. Gorishniy, Rubachev & Babenko
        2022; with x itself and the bias Holzmueller, Grinsztajn & Steinwart 2024, who call it PBLD.
    plain : int, default 0
        Numbers that go in as they are.
    tables : sequence of (int, int), default ()
        For each column of codes, whole numbers from 0, how many categories there are and how many numbers each becomes.
    frequencies, size : int, default 16 and 4
    spread : (float, float), default (0.15, 1.5)
        Standard deviation of the first frequency and of the last at a random start, in turns for a unit of x; those in
        between form a geometric series, so that coarse waves stand beside fine ones.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Of all that is learned, by name, in its order in the block.

    Raises
    ------
    ParameterError
        A number is out of range, or there is no column.

    Examples
    --------
    >>> inputs = Inputs(embedded=1, plain=2, tables=[(5, 3)])
    >>> inputs.n_in, inputs.n_out
    (4, 9)
    """

    embedded: int = 0
    plain: int = 0
    tables: Sequence[tuple[int, int]] = ()
    frequencies: int = 16
    size: int = 4
    spread: tuple[float, float] = (0.15, 1.5)
    shapes: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, least in (("embedded", 0), ("plain", 0), ("frequencies", 1), ("size", 2)):
            value = getattr(self, name)
            if not _is_whole(value, least):
                raise ParameterError(f"{name} is {value!r}; it must be a whole number, {least} or more")
        if not (isinstance(self.spread, Sequence) and len(self.spread) == 2 and all(map(_is_positive, self.spread))):
            raise ParameterError(f"spread is {self.spread!r}; it must be two positive numbers")
        object.__setattr__(self, "spread", tuple(map(float, self.spread)))
        try:
            tables = tuple((levels, size) for levels, size in self.tables)
        except (TypeError, ValueError):
            tables = ((0, 0),)
        if not all(_is_whole(number, 1) for table in tables for number in table):
            raise ParameterError(f"tables is {self.tables!r}; it must have two whole numbers above 0 for each column")
        object.__setattr__(self, "tables", tables)
        if self.n_in == 0:
            raise ParameterError("inputs have no column; say how many are embedded, plain or codes")
        waves = (self.embedded, self.frequencies)
        shapes: dict[str, tuple[int, ...]] = {
            "scale": (self.n_out,),
            "w": waves,
            "p": waves,
            "M": (*waves, self.size - 1),
            "c": (self.embedded, self.size - 1),
        }
        object.__setattr__(self, "shapes", shapes | {f"table.{j}": table for j, table in enumerate(tables)})

    @property
    def n_in(self) -> int:
        """Columns of X."""
        return self.embedded + self.plain + len(self.tables)

    @property
    def n_out(self) -> int:
        """Columns that the first layer takes."""
        return self.embedded * self.size + self.plain + sum(size for _, size in self.tables)

    def taken(self, given: Sequence[T]) -> list[tuple[T, str]]:
        """What the first layer takes, in its order: whose it is, and what is to be added to its name.

        Parameters
        ----------
        given : sequence of length n_in
            Whatever stands for each input: a name, a number.

        Returns
        -------
        list of (object, str)

        Examples
        --------
        >>> Inputs(embedded=1, plain=1, size=3).taken(["age", "rich"])
        [('age', ''), ('age', ', wave 1'), ('age', ', wave 2'), ('rich', '')]
        """
        numbers, coded = given[: self.embedded + self.plain], given[self.embedded + self.plain :]
        found: list[tuple[T, str]] = []
        for j, item in enumerate(numbers):
            waves = range(1, self.size) if j < self.embedded else ()
            found += [(item, ""), *((item, f", wave {i}") for i in waves)]
        for item, (_, size) in zip(coded, self.tables, strict=True):
            found += [(item, f", learned {i}") for i in range(1, size + 1)]
        return found

    @property
    def n_parameters(self) -> int:
        """Numbers in all that is learned here."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def settings(self) -> dict[str, Any]:
        """What it was made of, as JSON can hold it."""
        names = ("embedded", "plain", "frequencies", "size")
        lists = {"tables": [list(table) for table in self.tables], "spread": list(self.spread)}
        return {name: getattr(self, name) for name in names} | lists

    def views(self, block: Array) -> dict[str, Array]:
        """The parts of a flat block, by name, as views: scale, w, p, M, c, and table.0, table.1, ...

        Parameters
        ----------
        block : array of shape (P,)
            Parameters of a network, which begin with these, or anything that goes with them.

        Returns
        -------
        dict of str to array
        """
        parts, at = {}, 0
        for name, shape in self.shapes.items():
            parts[name] = block[at : at + math.prod(shape)].reshape(shape)
            at += math.prod(shape)
        return parts

    def draw(self, rng: np.random.Generator, block: Array) -> None:
        """Fill the block with a random start."""
        part, bound = self.views(block), 1 / math.sqrt(self.frequencies)
        part["scale"][...] = 1
        part["w"][...] = rng.normal(0, np.geomspace(*self.spread, self.frequencies), part["w"].shape)
        part["p"][...] = rng.uniform(-0.5, 0.5, part["p"].shape)
        for name in ("M", "c"):
            part[name][...] = rng.uniform(-bound, bound, part[name].shape)
        for j in range(len(self.tables)):
            part[f"table.{j}"][...] = rng.normal(0, 1, part[f"table.{j}"].shape)

    def check(self, X: Array) -> None:
        """Refuse codes that their table has no row for.

        Parameters
        ----------
        X : array of shape (n, n_in)

        Raises
        ------
        DataError
            Names row and column.
        """
        first = self.embedded + self.plain
        for j, (levels, _) in enumerate(self.tables):
            codes = X[:, first + j]
            bad = ~((codes >= 0) & (codes < levels) & (codes == np.floor(codes)))
            if bad.any():
                row = int(bad.argmax())
                raise DataError(
                    f"X has {codes[row]:g} in row {row}, column {first + j}; codes there are whole numbers from 0 to "
                    f"{levels - 1}"
                )

    def forward(self, block: Array, X: Array) -> Array:
        """What the first layer takes.

        Parameters
        ----------
        block : array of shape (P,)
        X : array of shape (n, n_in)

        Returns
        -------
        array of shape (n, n_out)
        """
        return self._values(block, X) * self.views(block)["scale"]

    def backward(self, block: Array, X: Array, dF: Array, gradient: Array) -> None:
        """From the gradient for what the first layer takes follows that for all that is learned here.

        Parameters
        ----------
        block : array of shape (P,)
        X : array of shape (n, n_in)
        dF : array of shape (n, n_out)
        gradient : array of shape (P,)
            Its part is written.
        """
        part, d = self.views(block), self.views(gradient)
        d["scale"][...] = (dF * self._values(block, X)).sum(axis=0)
        dF = dF * part["scale"]
        E, size, n = self.embedded, self.size, len(X)
        if E:
            x = X[:, :E, None]  # (n, E, 1)
            turns = _turns(x, part["w"], part["p"])  # (n, E, frequencies)
            de = dF[:, : E * size].reshape(n, E, size)[:, :, 1:]  # (n, E, size - 1)
            d["c"][...] = de.sum(axis=0)
            d["M"][...] = np.einsum("neh,neo->eho", np.cos(turns), de)
            dturns = -2 * math.pi * np.sin(turns) * np.einsum("neo,eho->neh", de, part["M"])
            d["w"][...] = (dturns * x).sum(axis=0)
            d["p"][...] = dturns.sum(axis=0)
        column = E * size + self.plain
        for j, (_, width) in enumerate(self.tables):
            d[f"table.{j}"][...] = 0
            np.add.at(d[f"table.{j}"], X[:, E + self.plain + j].astype(np.intp), dF[:, column : column + width])
            column += width

    def _values(self, block: Array, X: Array) -> Array:
        """What the columns become, before the scale."""
        part, E = self.views(block), self.embedded
        x = X[:, :E, None]  # (n, E, 1)
        waves = np.einsum("neh,eho->neo", np.cos(_turns(x, part["w"], part["p"])), part["M"]) + part["c"]
        codes = X[:, E + self.plain :].astype(np.intp)
        rows = [part[f"table.{j}"][codes[:, j]] for j in range(len(self.tables))]
        embedded = np.concatenate([x, waves], axis=2).reshape(len(X), -1)
        return np.concatenate([embedded, X[:, E : E + self.plain], *rows], axis=1).astype(X.dtype, copy=False)


def _turns(x: Array, w: Array, p: Array) -> Array:
    """Angle of each wave; whole turns are left out first, for the digits that they would cost."""
    u = x * w + p
    return np.asarray(2 * math.pi * (u - np.rint(u)))


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= least

"""How one column of a table becomes numbers for a network, as learned from its training rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fallline.table.table import Kind, Table

Array = npt.NDArray[Any]
Role: TypeAlias = Literal["number", "yes/no", "pixel", "category", "date", "unused"]

MOST_ONE_HOT = 50  # labels; a column of more is learned as a table of numbers
TABLE_SIZE = 8  # numbers that each label of such a column becomes
MOST_LABELS = 1000  # labels that have a place of their own, the commonest; the others share one
WORDS_OF_TEXT = 4  # on average; labels that mostly occur once and have as many are free text
MISSING_LABEL = ""  # no cell of a file is this text
YEAR, WEEK = 365.2425, 7.0  # days
SATURDAY = 0.0  # 2000-01-01, day 0, was one


@dataclass(frozen=True)
class ColumnEncoding:
    """What is known of one column.

    Parameters
    ----------
    name : str
    role : {"number", "yes/no", "pixel", "category", "date", "unused"}
        "yes/no" is a number that has two values; it is not embedded.
    reason : str
        In a few words, why it is taken for that.
    center, scale : float
        Numbers and dates are encoded as ``(x - center) * scale``.
    missing : bool
        Whether a number was missing in the training rows, so that an indicator goes with it.
    labels : tuple of str
        Labels of a category that have a place of their own; "" is a missing one.
    timed : bool
        Whether dates have a time of day.
    """

    name: str
    role: Role
    reason: str = ""
    center: float = 0.0
    scale: float = 1.0
    missing: bool = False
    labels: tuple[str, ...] = ()
    timed: bool = False

    @property
    def kind(self) -> Kind | None:
        """What a reader should take the column for; None where it does not matter."""
        if self.role == "unused":
            return None
        return self.role if self.role in ("category", "date") else "number"

    @property
    def is_table(self) -> bool:
        """Whether its labels are rows of a table that the network learns."""
        return self.role == "category" and len(self.labels) > MOST_ONE_HOT

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """What its numbers mean: those that are embedded, and plain ones (a code not among them)."""
        if self.role in ("unused", "pixel") or self.is_table:
            return [], [self.name] if self.role == "pixel" else []
        blank = [f"{self.name} is missing"] if self.missing else []
        if self.role == "number":
            return [self.name], blank
        if self.role == "yes/no":
            return [], [self.name, *blank]
        if self.role == "date":
            cycles = ["year", "week", *(["day"] if self.timed else [])]
            parts = [f"{self.name}, {wave} of the {cycle}" for cycle in cycles for wave in ("sine", "cosine")]
            return [self.name, *parts], blank
        if len(self.labels) == 2:
            return [], [f"{self.name} is {self.labels[1]!r}"]
        return [], [f"{self.name} is {label!r}" if label else f"{self.name} is missing" for label in self.labels]

    def to_header(self) -> dict[str, Any]:
        """Give it as what JSON can hold: all that differs from the defaults."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != type(self).__dataclass_fields__[name].default
        }

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> ColumnEncoding:
        """Put it together again; TypeError for what it does not know."""
        values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in header.items()}
        return cls(**values)


def fit_column(table: Table, j: int) -> ColumnEncoding:
    """Learn how to encode column `j` of training rows."""
    name, x = table.columns[j], table.X[:, j]
    present = x[~np.isnan(x)]
    missing = len(present) < len(x)
    if not len(present):
        return ColumnEncoding(name, "unused", "all values are missing")
    kind = table.kind(name)
    if kind == "category":
        return _fit_category(name, x, table.labels[name])
    if present.min() == present.max():
        if missing:
            return ColumnEncoding(name, "number", "one number, or missing", float(present[0]), 0.0, missing=True)
        return ColumnEncoding(name, "unused", f"all values are {present[0]:g}")
    low, high = float(present.min()), float(present.max())
    if kind == "number" and ((present == low) | (present == high)).all():
        return ColumnEncoding(name, "yes/no", f"{low:g} or {high:g}", (low + high) / 2, 2 / (high - low), missing)
    center, scale = _robust(present)
    if kind == "date":
        timed = bool((present != np.floor(present)).any())
        return ColumnEncoding(name, "date", "dates", center, scale, missing, timed=timed)
    return ColumnEncoding(name, "number", "numbers", center, scale, missing)


def _fit_category(name: str, x: Array, labels: Sequence[str]) -> ColumnEncoding:
    codes = np.where(np.isnan(x), len(labels), x).astype(np.int64)
    counts = np.bincount(codes, minlength=len(labels) + 1)
    names = (*labels, MISSING_LABEL)
    known = [names[i] for i in np.flatnonzero(counts)]
    if len(known) == 1:
        return ColumnEncoding(name, "unused", f"all values are {known[0]!r}")
    if 2 * len(known) > len(x) > 20 and np.mean([label.count(" ") for label in known]) >= WORDS_OF_TEXT - 1:
        return ColumnEncoding(name, "unused", "free text; make columns of what it says")
    if len(known) == len(x) and len(x) > 20:
        return ColumnEncoding(name, "unused", "each row has a text of its own, as an identifier has")
    reason = f"{len(known)} labels"
    if len(known) > MOST_LABELS:
        commonest = np.argsort(-counts, kind="stable")[:MOST_LABELS]
        known = [names[i] for i in np.sort(commonest[counts[commonest] > 1])]
        reason += f", of which the commonest {len(known)} have a place of their own"
    return ColumnEncoding(name, "category", reason, labels=tuple(known))


def _robust(x: Array) -> tuple[float, float]:
    """Median, and one over the range of the middle half; where that is 0, over the usual distance of the others."""
    x = x.astype(np.float64)
    low, center, high = np.percentile(x, [25, 50, 75])
    spread = high - low if high > low else float(np.median(np.abs(x[x != center] - center)))
    return float(center), float(min(1 / spread, np.finfo(np.float32).max))


def smoothly_clipped(z: Array) -> Array:
    """Z / sqrt(1 + (z / 3)^2): like z in the middle, and never beyond 3 (Holzmueller et al. 2024)."""
    return np.asarray(z / np.sqrt(1 + np.square(z / 3)))


def encode_date(days: Array, column: ColumnEncoding) -> Array:
    """Trend and cycles of dates, shape (n, 5) or, with times of day, (n, 7); zeros where missing."""
    parts = [smoothly_clipped((days - column.center) * column.scale)]
    for period in (YEAR, WEEK, *([1.0] if column.timed else [])):
        angle = 2 * math.pi * (days / period)
        parts += [np.sin(angle), np.cos(angle)]
    return np.asarray(np.nan_to_num(np.stack(parts, axis=1)))


def encode_category(codes: Array, column: ColumnEncoding) -> Array:
    """Indicators of labels, shape (n, n_labels), or (n, 1) from -1 to 1 for two; zeros where unknown.

    `codes` are positions in the column's labels, -1 for what is none of them.
    """
    if len(column.labels) == 2:
        return np.where(codes < 0, 0.0, 2.0 * codes - 1.0)[:, None]
    return np.asarray(codes[:, None] == np.arange(len(column.labels)), dtype=np.float32)

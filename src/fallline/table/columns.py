"""How one column of a table becomes numbers for a network, as learned from its training rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fallline.table.summary import ColumnSummary
from fallline.table.table import Kind

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


def fit_column(known: ColumnSummary, sample: Array) -> ColumnEncoding:
    """Learn how to encode a column from its summary, and from its values in some rows, which may be all."""
    name, missing, n_present = known.name, known.n_missing > 0, known.n_rows - known.n_missing
    if not n_present:
        return ColumnEncoding(name, "unused", "all values are missing")
    if known.kind == "category":
        return _fit_category(known)
    low, high = known.low, known.high
    if low == high:
        if missing:
            return ColumnEncoding(name, "number", "one number, or missing", low, 0.0, missing=True)
        return ColumnEncoding(name, "unused", f"all values are {low:g}")
    if known.kind == "number" and known.n_low + known.n_high == n_present:
        return ColumnEncoding(name, "yes/no", f"{low:g} or {high:g}", (low + high) / 2, 2 / (high - low), missing)
    center, scale = _robust(sample[~np.isnan(sample)], low, high)
    if known.kind == "date":
        return ColumnEncoding(name, "date", "dates", center, scale, missing, timed=known.timed)
    return ColumnEncoding(name, "number", "numbers", center, scale, missing)


def _fit_category(known: ColumnSummary) -> ColumnEncoding:
    name, n_rows = known.name, known.n_rows
    counts = dict(known.counts) | ({MISSING_LABEL: known.n_missing} if known.n_missing else {})
    labels, n_labels = list(counts), len(counts) + known.n_forgotten
    if n_labels == 1:
        return ColumnEncoding(name, "unused", f"all values are {labels[0]!r}")
    if 2 * n_labels > n_rows > 20 and np.mean([label.count(" ") for label in labels]) >= WORDS_OF_TEXT - 1:
        return ColumnEncoding(name, "unused", "free text; make columns of what it says")
    if n_labels == n_rows and n_rows > 20:
        return ColumnEncoding(name, "unused", "each row has a text of its own, as an identifier has")
    reason = f"{n_labels} labels"
    if n_labels > MOST_LABELS:
        often = np.array(list(counts.values()))
        commonest = np.argsort(-often, kind="stable")[:MOST_LABELS]
        labels = [labels[i] for i in np.sort(commonest[often[commonest] > 1])]
        reason += f", of which the commonest {len(labels)} have a place of their own"
    return ColumnEncoding(name, "category", reason, labels=tuple(labels))


def _robust(x: Array, low: float, high: float) -> tuple[float, float]:
    """Median, and one over the range of the middle half; where that is 0, over the usual distance of the others.

    `x` may be some of the values, and none or equal ones alone: then the range of all must do.
    """
    x = x.astype(np.float64)
    lower, center, upper = np.percentile(x, [25, 50, 75]) if len(x) else (low, low, low)
    others = x[x != center]
    spread = upper - lower
    if not spread > 0:
        spread = float(np.median(np.abs(others - center))) if len(others) else high - low
    return float(center), float(min(1 / spread, np.finfo(np.float32).max))


def smoothly_clipped(z: Array) -> Array:
    """Z / sqrt(1 + (z / 3)^2): like z in the middle, and never beyond 3 (Holzmueller et al. 2024)."""
    below: Array = z / 3
    np.square(below, out=below)
    below += 1
    np.sqrt(below, out=below)
    return np.divide(z, below, out=below)


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

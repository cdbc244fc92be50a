"""What is learned about a table's columns from all of its rows, part after part: summaries that can be merged."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline import philox
from fallline.table.table import Indices, Kind, Table, Targets, Task
from fallline.table.target_summary import TargetSummary

Array = npt.NDArray[Any]

SAMPLE_ROWS, SAMPLE_BYTES = 100_000, 1 << 26  # of rows that are remembered as they are
MOST_COUNTED = 200_000  # labels of a column
COUNTED_BYTES, LABEL_BYTES = 1 << 26, 150  # of the labels of all columns; what one takes beside its letters


@dataclass(frozen=True)
class ColumnSummary:
    """What some rows say of a column.

    Parameters
    ----------
    name : str
    kind : {"number", "category", "date"}
    n_rows, n_missing : int
    counts : mapping from str to int
        How often each label of a category occurs, in the order of the labels.
    n_forgotten : int
        Rare labels that were dropped from `counts`, where there were too many.
    low, high : float
        The least and the largest number or date; infinite, the wrong way round, where there is none.
    n_low, n_high : int
        How often these occur.
    timed : bool
        Whether a date has a time of day.
    """

    name: str
    kind: Kind
    n_rows: int = 0
    n_missing: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    n_forgotten: int = 0
    low: float = math.inf
    high: float = -math.inf
    n_low: int = 0
    n_high: int = 0
    timed: bool = False

    @classmethod
    def of(cls, table: Table, j: int) -> ColumnSummary:
        """Of column `j` of a table."""
        name, x = table.columns[j], np.ascontiguousarray(table.X[:, j])
        kind = table.kind(name)
        blank = np.isnan(x)
        known = cls(name, kind, len(x), int(blank.sum()))
        present = x[~blank]
        if not len(present):
            return known
        if kind == "category":
            labels = table.labels[name]
            counts = np.bincount(present.astype(np.int64), minlength=len(labels)).tolist()
            return replace(known, counts={label: n for label, n in zip(labels, counts, strict=True) if n})
        low, high = present.min(), present.max()
        return replace(
            known,
            low=float(low),
            high=float(high),
            n_low=int((present == low).sum()),
            n_high=int((present == high).sum()),
            timed=kind == "date" and bool((present != np.floor(present)).any()),
        )

    def merge(self, other: ColumnSummary, most_bytes: int = COUNTED_BYTES) -> ColumnSummary:
        """Of the rows of both; where the labels take more bytes than so many, half of that is kept, the commonest."""
        counts, n_forgotten = dict(self.counts), self.n_forgotten + other.n_forgotten
        for label, n in other.counts.items():
            counts[label] = counts.get(label, 0) + n
        if len(counts) > MOST_COUNTED or sum(map(len, counts)) + LABEL_BYTES * len(counts) > most_bytes:
            commonest = sorted(counts, key=lambda label: (-counts[label], label))
            ends = np.cumsum([len(label) + LABEL_BYTES for label in commonest])
            n_kept = max(1, min(MOST_COUNTED // 2, int(np.searchsorted(ends, most_bytes // 2, side="right"))))
            n_forgotten += len(counts) - n_kept
            counts = {label: counts[label] for label in commonest[:n_kept]}
        low, high = min(self.low, other.low), max(self.high, other.high)
        return ColumnSummary(
            self.name,
            self.kind,
            self.n_rows + other.n_rows,
            self.n_missing + other.n_missing,
            {label: counts[label] for label in sorted(counts)},
            n_forgotten,
            low,
            high,
            sum(each.n_low for each in (self, other) if each.low == low),
            sum(each.n_high for each in (self, other) if each.high == high),
            self.timed or other.timed,
        )


@final
@dataclass(frozen=True)
class Summary:
    """What some rows of a table say of its columns and its target.

    Parameters
    ----------
    columns : tuple of ColumnSummary
        Empty for pixels, which are left as they are.
    target : TargetSummary
    sample : Table
        Some of the rows as they are, chosen by their numbers alone: for medians and quartiles, and to look at.

    Examples
    --------
    >>> table = Table("four", np.array([[1], [2], [3], [4]], np.float32), np.array([1, 2, 3, 4]), ("x",), "y")
    >>> parts = [Summary.of(table.rows(np.array(rows))) for rows in ([0, 1], [2, 3])]
    >>> whole = parts[0].merge(Summary.from_bytes(parts[1].to_bytes()))
    >>> whole.n_rows, whole.columns[0].high, whole.target.mean.tolist()
    (4, 4.0, [2.5])
    """

    columns: tuple[ColumnSummary, ...]
    target: TargetSummary
    sample: Table

    @classmethod
    def of(cls, table: Table, task: Task | None = None, log: bool = False, sampled: Indices | None = None) -> Summary:
        """Of the rows of a table that has targets.

        Parameters
        ----------
        table : Table
        task : {"classification", "regression"} or None
            None: the targets are looked at in both ways.
        log : bool, default False
            Whether the logarithm of numbers is learned.
        sampled : ndarray of int64, optional
            The rows to remember, as from `sampled`; all of them if nothing is said.

        Returns
        -------
        Summary

        Raises
        ------
        DataError
            A target is no number that a regression could learn.
        """
        assert table.y is not None
        target = TargetSummary.of(table.y, str(table.target), task, log)
        n_columns = table.n_in if table.image_shape is None else 0
        columns = tuple(ColumnSummary.of(table, j) for j in range(n_columns))
        return cls(columns, target, table if sampled is None else table.rows(sampled).with_own_labels())

    @property
    def n_rows(self) -> int:
        """How many rows it is of."""
        return self.target.n_rows

    def merge(self, other: Summary) -> Summary:
        """Of the rows of both: what they say together, whichever came first.

        Parameters
        ----------
        other : Summary
            Of other rows of the same table.

        Returns
        -------
        Summary
        """
        return Summary.of_parts([self, other])

    @classmethod
    def of_parts(cls, parts: Iterable[Summary]) -> Summary:
        """Of the rows of all, in their order; one or more."""
        whole, samples, most = None, [], COUNTED_BYTES
        for part in parts:
            samples.append(part.sample)
            if whole is None:
                whole, most = part, COUNTED_BYTES // max(1, sum(column.kind == "category" for column in part.columns))
            else:
                columns = (one.merge(other, most) for one, other in zip(whole.columns, part.columns, strict=True))
                whole = Summary(tuple(columns), whole.target.merge(part.target), part.sample)
        assert whole is not None
        return replace(whole, sample=joined(samples))

    def to_bytes(self) -> bytes:
        """Give it as bytes, for another process to merge.

        Returns
        -------
        bytes
        """
        table = self.sample
        arrays: dict[str, Any] = {"X": table.X, "y": table.y}
        about = {name: getattr(table, name) for name in ("name", "columns", "target", "image_shape", "first_row")}
        target, of_target = self.target.parts()
        header = {
            "columns": [asdict(column) for column in self.columns],
            "target": target,
            "sample": about | {"labels": dict(table.labels), "dates": sorted(table.dates)},
        }
        file = io.BytesIO()
        np.savez(file, **arrays | of_target, header=np.array(json.dumps(header)))
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Summary:
        """Put it together again.

        Parameters
        ----------
        data : bytes
            From `to_bytes`.

        Returns
        -------
        Summary
        """
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            about = header["sample"]
            shape = about["image_shape"]
            sample = Table(
                about["name"],
                arrays["X"],
                arrays["y"],
                tuple(about["columns"]),
                about["target"],
                None if shape is None else (shape[0], shape[1]),
                {name: tuple(labels) for name, labels in about["labels"].items()},
                frozenset(about["dates"]),
                about["first_row"],
            )
            target = TargetSummary.from_parts(header["target"], arrays)
        return cls(tuple(ColumnSummary(**column) for column in header["columns"]), target, sample)


def sampled(first: int, n: int, n_rows: int, row_bytes: int, seed: int) -> Indices:
    """Which rows of a part of a table belong to the sample of the whole.

    Parameters
    ----------
    first, n : int
        Where the part begins, and how many rows it has.
    n_rows : int
        Of the whole table.
    row_bytes : int
        What a row takes while it is remembered.
    seed : int

    Returns
    -------
    ndarray of int64
        Counted within the part. All of them where the table is small; each row by a number of its own, so that it does
        not matter how the table is cut.
    """
    most = min(SAMPLE_ROWS, max(1000, SAMPLE_BYTES // max(row_bytes, 1)))
    if n_rows <= most:
        return np.arange(n)
    return np.flatnonzero(philox.words(n, seed, 0, 0, philox.PURPOSE_SAMPLE, first) < most / n_rows * 2.0**32)


def joined(tables: Sequence[Table]) -> Table:
    """Rows of one table after those of another; their labels may differ, their columns do not.

    Parameters
    ----------
    tables : sequence of Table
        One or more.

    Returns
    -------
    Table
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    X = np.concatenate([table.X for table in tables])
    all_labels = {}
    for name in first.labels:
        known = sorted({label for table in tables for label in table.labels[name]})
        j = first.columns.index(name)
        X[:, j] = np.concatenate([recoded(table.X[:, j], table.labels[name], known) for table in tables])
        all_labels[name] = tuple(known)
    y: Targets | None = None if first.y is None else np.concatenate([t.y for t in tables if t.y is not None])
    return replace(first, X=X, y=y, labels=all_labels)


def recoded(codes: Array, labels: Sequence[str], known: Sequence[str]) -> npt.NDArray[np.float32]:
    """Positions in some labels as positions in others, -1 for those that are not among them; NaN stays."""
    place = {label: i for i, label in enumerate(known)}
    to = np.array([*(place.get(label, -1) for label in labels), math.nan], np.float32)
    return to[np.where(np.isnan(codes), len(labels), codes).astype(np.int64)]

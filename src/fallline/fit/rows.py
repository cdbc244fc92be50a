"""Which rows are trained on, and which are measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.table import Table, Task, folds, last_rows, split
from fallline.table.table import Indices

Array = npt.NDArray[Any]

LEAST_FOLDS = 8  # fewer starts leave some folds to be learned from by all


@dataclass(frozen=True)
class Rows:
    """Rows to train on, and rows held back: the same for all starts, or for each start a fold of its own.

    Attributes
    ----------
    train : Table
    held_back : Table or None
        None where there are none, or folds.
    train_rows, held_back_rows : array of int
        Of the table that came; the rows held back are the validation table's where there was one.
    fold : array of int, shape (n,)
        Of each row to train on; start k holds back fold `k % n_folds`. Empty without folds.
    n_folds : int
        0 without folds.
    n_streamed : int
        How many rows are trained on where `train` and `train_rows` are some of them; 0: they are all.
    """

    train: Table
    held_back: Table | None
    train_rows: Indices
    held_back_rows: Indices
    fold: Indices
    n_folds: int = 0
    n_streamed: int = 0

    @property
    def n_trained(self) -> int:
        """How many rows are trained on."""
        return self.n_streamed or len(self.train_rows)

    @classmethod
    def of(
        cls,
        table: Table,
        settled: Mapping[str, Any],
        task: Task,
        validation_table: Table | None = None,
        groups: Indices | None = None,
    ) -> Rows:
        """Part the rows as settings say.

        Parameters
        ----------
        table : Table
        settled : mapping
            Of validation, hold_back, starts and seed.
        task : {"classification", "regression"}
        validation_table : Table, optional
            In place of held-back rows.
        groups : array of int, shape (n,), optional
            Rows of one group stay together.

        Returns
        -------
        Rows
        """
        everything, none = np.arange(table.n_rows), np.arange(0)
        share, seed, in_order = settled["validation"], settled["seed"], settled["hold_back"] == "last"
        if validation_table is not None:
            return cls(table, validation_table, everything, np.arange(validation_table.n_rows), none)
        if share == 0:
            return cls(table, None, everything, none, none)
        n_units = table.n_rows if groups is None else len(np.unique(groups))
        n_folds = min(max(settled["starts"], LEAST_FOLDS), table.n_rows // 2, n_units)
        if share == "auto" and n_folds > 1 and not in_order:
            fold = folds(table, n_folds, seed, task, groups)
            return cls(table, None, everything, np.flatnonzero(fold < settled["starts"]), fold, n_folds)
        fraction = 0.2 if share == "auto" else share
        parts = last_rows(table, fraction) if in_order else split(table, fraction, seed, task, groups)
        return cls(table.rows(parts[0]), table.rows(parts[1]), *parts, none)

    def learned(self, n_starts: int) -> Array:
        """1 for what a start learns from, 0 for what it holds back, shape (starts, n); only of folds."""
        own = np.arange(n_starts) % self.n_folds
        return np.asarray(self.fold != own[:, None], dtype=np.float32)

    @property
    def measured(self) -> Table:
        """The rows that are measured on, as a table."""
        return self.train.rows(self.held_back_rows) if self.held_back is None else self.held_back

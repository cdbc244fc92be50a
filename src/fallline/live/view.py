"""What pages are shown of a descent: where it stands, as plain data that another thread may read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Engine, Plan
from fallline.fit import Job
from fallline.live.journal import Journal
from fallline.network import Network
from fallline.table import Table

if TYPE_CHECKING:
    from fallline.live.race import Race

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class View:
    """A descent at one moment, to be looked at while it goes on.

    Attributes
    ----------
    table : Table
        All rows.
    step : int
        Steps that were taken.
    network : Network
        A copy.
    job : Job
        Rows, encoder, settings.
    plan : Plan
    data, validation : Data
        What is learned from, and what is measured on; the latter None where nothing was held back.
    rows : list of dict
        Of the history.
    pairs : list of (int, array of shape (1, P))
        Steps and points of the path so far.
    diverged : bool
    engine : Engine
    journal : Journal
        So far.
    good : array of shape (P,)
        Parameters of the last good point.
    race : Race or None
        That the page has begun, if any.
    by_program : bool
        Whether a program owns the descent: what it does is not in the journal.
    """

    table: Table
    step: int
    network: Network
    job: Job
    plan: Plan
    data: Data
    validation: Data | None
    rows: list[dict[str, float]]
    pairs: list[tuple[int, Array]]
    diverged: bool
    engine: Engine
    journal: Journal
    good: Array
    race: Race | None = None
    by_program: bool = False

    @property
    def measured_table(self) -> Table:
        """The rows of `measured` as the user knows them."""
        return self.job.rows.train if self.validation is None else self.job.rows.measured

    @property
    def measured(self) -> Data:
        """The rows to look at one by one: those held back, or those learned from where there are none."""
        return self.data if self.validation is None else self.validation

    @cached_property
    def history(self) -> dict[str, Array]:
        """Columns step, epoch, loss, validation_loss, the metrics and learning_rate, of one length."""
        names = self.rows[0] if self.rows else ("step", "epoch", "loss", "learning_rate")
        return {name: np.array([row[name] for row in self.rows]) for name in names}

    @cached_property
    def steps(self) -> Array:
        """Steps before each point of the path, shape (T,)."""
        return np.array([step for step, _ in self.pairs])

    @cached_property
    def points(self) -> Array:
        """Points of the path, shape (T, P)."""
        return np.concatenate([point for _, point in self.pairs])

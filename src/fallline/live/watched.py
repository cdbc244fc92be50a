"""A program's descent, looked at while it goes: it can be paused and stepped, but is not changed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import as_engine
from fallline.errors import ParameterError
from fallline.fit import Job
from fallline.fit.rows import Rows
from fallline.interrupt import ctrl_c, pass_on
from fallline.listeners import Epoch, Listener, Progress, Recorder
from fallline.live.control import Control, Subject
from fallline.live.experiment import MOST_ROWS_OF_HISTORY, described, posed
from fallline.live.journal import Journal
from fallline.live.view import View
from fallline.table import Table

Array = npt.NDArray[Any]

LOOK_SECONDS = 0.1  # how long Ctrl-C waits while the descent is paused
COLUMNS_OF_THE_PAGE = ("step", "epoch", "loss", "validation_loss", "learning_rate")


@final
class Watched(Control, Listener):
    """Listens to a descent, and has the thread that takes its steps answer what pages ask; the first start is shown.

    Parameters
    ----------
    table : Table
    settings : mapping
        As they were asked for.
    job : Job
    paused : bool
        Wait at the random start until a page says how to go on.
    version : int
        To count on from.
    """

    def __init__(self, table: Table, settings: Mapping[str, Any], job: Job, paused: bool, version: int) -> None:
        super().__init__()
        self.version, self._begins_with = version, 0.0 if paused else math.inf
        self.descent = WatchedDescent(table, settings, job)
        self.is_over = False

    @property
    def every(self) -> int | None:  # type: ignore[override]
        """Where the next slice ends at the latest: after one step while they are counted."""
        return self.descent.recorder.every if math.isinf(self._left) else 1

    @property
    def _subject(self) -> Subject:
        return self.descent

    def _refuse(self) -> None:
        """After the end nobody is left to answer, but nothing moves either: see `ask`."""

    def ask(self, do: Any, changes: bool = False) -> Any:
        """As of any control; once the descent is over the answer is worked out at once."""
        future = super().ask(do, changes)
        with self._there_is_work:
            if self.is_over:
                self._answer()
        return future

    def _take(self, n_steps: float) -> None:
        if n_steps and self.is_over:
            raise ParameterError("the descent is over; what it came to is shown")
        super()._take(n_steps)

    def close(self) -> None:
        """Let the program go on."""
        if not self.is_over:
            self.run()

    def on_begin(self, progress: Progress) -> None:
        """Stand at the random start."""
        self._left = self._begins_with
        self.descent.begin(progress)
        self._there(progress)

    def on_progress(self, progress: Progress) -> None:
        """Answer what was asked, and wait while there is rest."""
        taken = progress.step - self.descent.step
        self.descent.move(progress)
        self._took(taken, time.monotonic() - self._since, is_over=False)
        self._there(progress)

    def on_epoch(self, epoch: Epoch) -> None:
        """Another row of the history."""
        self.descent.end_epoch(epoch)
        self.version += 1

    def on_end(self, stop_reason: str) -> None:
        """What the descent came to can be looked at from now on by everyone."""
        self.descent.end(stop_reason)
        with self._there_is_work:
            self.is_over = True
            super()._take(0)
            self._answer()
        self.version += 1

    def _there(self, progress: Progress) -> None:
        """Between two slices: answer, and rest if there is to be rest."""
        self._answer()
        if not self.is_running:
            with ctrl_c() as interrupted:
                while not self.is_running and not interrupted.is_set():
                    with self._there_is_work:
                        self._there_is_work.wait_for(lambda: self._asked, LOOK_SECONDS)
                    self._answer()
            if interrupted.is_set():  # the descent hears of it as if there were no studio, and may go on to its end
                super()._take(math.inf)
                pass_on()
        self._since = time.monotonic()


@final
class WatchedDescent:
    """What is shown of a program's descent: its first start, on the rows that this learns from and holds back."""

    def __init__(self, table: Table, settings: Mapping[str, Any], job: Job) -> None:
        self.table, self.job = table, _of_first(job)
        self.journal = Journal(table.name, dict(settings))
        told, n_starts = job.passed_on, job.settled["starts"]
        self.plan, self.data, self.validation = posed(self.job)
        self.steps_per_epoch = math.ceil(len(job.data[0]) / self.plan.batch_size)
        self.engine = as_engine(told["engine"], told["threads"])
        self.name = table.name if n_starts == 1 else f"{table.name}, network 1 of {n_starts}"
        self.measured = [] if self.validation is None else list(told["metrics"])
        self.recorder = Recorder()
        self.step, self.loss, self.ended = 0, math.nan, ""
        self._rows: list[dict[str, float]] = []
        self._rate = self.plan.starts[0].learning_rate

    def begin(self, progress: Progress) -> None:
        """Stand at the random start."""
        self.recorder.on_begin(progress)
        self.step = progress.step  # where it goes on from a checkpoint
        self._parameters = self._good = progress.parameters()[0]
        self._now = progress.parameters

    def move(self, progress: Progress) -> None:
        """Steps were taken."""
        self.recorder.on_progress(progress)
        self.step, self.loss = progress.step, float(progress.loss[0])

    def end_epoch(self, epoch: Epoch) -> None:
        """Write a row of the history, where it was measured."""
        self.recorder.on_epoch(epoch)
        row = epoch.rows[0]
        self.step, self._rate = epoch.progress.step, row["learning_rate"]
        if math.isnan(row.get("validation_loss", 0.0)):
            return
        self._rows.append({name: row[name] for name in row if name in (*COLUMNS_OF_THE_PAGE, *self.measured)})
        self._good = epoch.parameters()[0]
        if len(self._rows) > MOST_ROWS_OF_HISTORY:
            self._rows = self._rows[1::2]

    def end(self, stop_reason: str) -> None:
        """Keep the last parameters: the session that has them goes."""
        self._parameters = self._now()[0]
        self._now = lambda: self._parameters[None]
        self.ended = stop_reason

    @property
    def diverged(self) -> bool:
        """Whether the first start stands still because its loss was no longer a number."""
        return self.step > 0 and math.isnan(self.loss)

    def apply(self, do: str, **arguments: Any) -> None:
        """Raise ParameterError: a program's descent is not changed."""
        raise ParameterError("this descent belongs to a program; it can be watched, paused and stepped here")

    def state(self) -> dict[str, Any]:
        """Where it stands, in numbers for a page."""
        row = self._rows[-1] if self._rows else {}
        return described(self.name, self.job, self.plan, self.validation) | {
            "step": self.step,
            "steps_per_epoch": self.steps_per_epoch,
            "epoch": self.step / self.steps_per_epoch,
            "loss": self.loss,
            "validation_loss": row.get("validation_loss", math.nan),
            "diverged": self.diverged,
            "learning_rate": self._rate,
            "ended": self.ended,
        }

    def view(self) -> View:
        """The descent as it is now, to be looked at by another thread; costs a copy of the parameters."""
        network = self.job.networks[0].copy()
        network.parameters = self._now()[0]
        start = replace(self.plan.starts[0], learning_rate=self._rate)
        return View(
            table=self.table,
            step=self.step,
            network=network,
            job=self.job,
            plan=replace(self.plan, starts=(start,)),
            data=self.data,
            validation=self.validation,
            rows=list(self._rows),
            pairs=[(step, points[:1]) for step, points in self.recorder.pairs],
            diverged=self.diverged,
            engine=self.engine,
            journal=self.journal,
            good=self._good,
            by_program=True,
        )


def _of_first(job: Job) -> Job:
    """The job of the first start alone, with the rows of its own where each holds back others."""
    rows, told, validation = job.rows, job.passed_on, job.validation
    weight = told["sample_weight"]
    if rows.n_folds and validation is not None:
        X, y = job.data
        learned, held_back = np.flatnonzero(weight[0] > 0), np.flatnonzero(validation[2][0] > 0)
        where, none = rows.train_rows, np.arange(0)
        parted = Rows(rows.train.rows(learned), rows.train.rows(held_back), where[learned], where[held_back], none)
        return replace(
            job,
            rows=parted,
            data=(X[learned], y[learned]),
            validation=(X[held_back], y[held_back], validation[2][0][held_back]),
            networks=job.networks[:1],
            passed_on=told | {"sample_weight": weight[0][learned]},
        )
    return replace(job, networks=job.networks[:1])

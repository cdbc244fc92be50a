"""One network's descent in hand: it advances by steps, and takes actions between them. No threads.

What it does follows from the table, the settings and its journal alone, to the last bit: see `Journal`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Plan, Slice, Start, State, as_engine
from fallline.errors import ParameterError
from fallline.fit import Job, check
from fallline.listeners import Recorder
from fallline.listeners.listener import Progress
from fallline.live.journal import Action, Journal
from fallline.live.view import View
from fallline.losses import as_loss
from fallline.metrics import as_metrics, measure
from fallline.model import Model
from fallline.params import PARAMS
from fallline.table import Table

Array = npt.NDArray[Any]

# What a page begins with: a small network and plain gradient descent, whose numbers can be followed by hand.
DEFAULTS: dict[str, Any] = {
    "hidden": (32, 16),
    "inputs": "plain",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "batch_size": 32,
    "weight_decay": 0.0,
    "schedule": "constant",
    "starts": 1,
    "validation": 0.2,
    "label_smoothing": 0.0,
}
SETTABLE = ("learning_rate", "batch_size", "l2")  # while it goes
LONGEST_SLICE = 3600.0  # seconds
TELL_SECONDS = 0.1  # between two words on how far a replay is
MOST_ROWS_AT_FIRST = 5000  # that the random start is measured on
MOST_ROWS_OF_HISTORY = 500  # then every other is dropped


@dataclass(frozen=True)
class Good:
    """A point worth going back to: the random start, or the end of the epoch with the lowest training loss so far."""

    step: int
    rows_seen: int
    loss: float
    parameters: Array
    state: State


@final
class Experiment:
    """A descent of one network that is advanced by hand.

    Parameters
    ----------
    table : Table
        With targets.
    settings : mapping, optional
        See `fallline.params`; `DEFAULTS` holds where nothing is said.
    reading : mapping, optional
        What `fallline.table.read` was told when the table was read, for the journal.
    model : Model, optional
        Of one network: begin with that, not at a random start.
    began_with : str, default ""
        That model's file, for the journal.

    Attributes
    ----------
    journal : Journal
        Settings of this descent, and what was done to it.
    step : int
        Steps that were taken since the random start.
    loss : float
        Mean training loss since the epoch began; NaN before the first step.
    diverged : bool
        The loss is no longer finite: only `back` and `restart` lead on.

    Raises
    ------
    ParameterError, DataError
        As from `fallline.fit.fit`.

    Examples
    --------
    >>> from fallline.table import load_bundled
    >>> experiment = Experiment(load_bundled("iris"))
    >>> experiment.advance(100)
    100
    >>> experiment.apply("set", learning_rate=0.05)
    >>> experiment.step, experiment.plan.starts[0].learning_rate, len(experiment.journal.actions)
    (100, 0.05, 1)
    """

    def __init__(
        self,
        table: Table,
        settings: Mapping[str, Any] | None = None,
        reading: Mapping[str, Any] | None = None,
        model: Model | None = None,
        began_with: str = "",
    ) -> None:
        self.table, self.reading = table, dict(reading or {})
        self._begin({**DEFAULTS, **(settings or {})}, model, began_with)

    def _begin(self, settings: Mapping[str, Any], model: Model | None = None, began_with: str = "") -> None:
        """Make the network and stand where it begins; on an error everything stays as it was."""
        job = Job.of(self.table, check(self.table, settings, begin=model), begin=model)
        told, network = job.passed_on, job.networks[0]
        if told["precision"] is not None or len(job.networks) > 1 or job.settled["starts"] != 1 or job.rows.n_folds:
            raise ParameterError("a descent in hand has one start, a share of the rows held back, and no precision")
        plan, data, validation = posed(job)
        self.job, self.plan, self.data, self.validation = job, plan, data, validation
        self.metrics = as_metrics(told["metrics"])
        self.engine = as_engine(told["engine"], told["threads"])
        self.journal = Journal(self.table.name, dict(settings), self.reading, began_with)
        self.step, self.diverged = 0, False
        self._rows_seen = self._n_epochs = 0
        self._loss_sum = self._weight_sum = 0.0
        self._last_loss = math.nan
        self.session = self.engine.session(self.plan, network.parameters[None], data)
        self.recorder = Recorder()
        self.recorder.on_begin(self._progress())
        self._history: list[dict[str, float]] = []
        self._measure_every = 1
        n = len(data.X)
        some = data.rows(slice(0, n, max(1, n // MOST_ROWS_AT_FIRST)))
        self.good = self._here(self.engine.loss(plan, network.parameters, some))

    @property
    def steps_per_epoch(self) -> int:
        """Batches that visit every row once."""
        return math.ceil(len(self.data.X) / self.plan.batch_size)

    @property
    def epoch(self) -> float:
        """How many times every row was visited."""
        return self._rows_seen / len(self.data.X)

    @property
    def loss(self) -> float:
        """Mean training loss since the epoch began; at its very beginning that of the one before."""
        return self._loss_sum / self._weight_sum if self._weight_sum > 0 else self._last_loss

    def advance(self, n_steps: int, seconds: float = math.inf) -> int:
        """Take steps against the gradient.

        Parameters
        ----------
        n_steps : int
        seconds : float, default inf
            End sooner, when so much time has passed.

        Returns
        -------
        int
            Steps that were taken: fewer where the time was up, or the descent diverged.
        """
        began, deadline = self.step, time.perf_counter() + seconds
        while self.step - began < n_steps and not self.diverged:
            room = min(
                n_steps - (self.step - began),
                self.steps_per_epoch - self.step % self.steps_per_epoch,
                self.recorder.every - self.step % self.recorder.every,
            )
            done = self.session.run(np.ones(room), max(0.0, min(deadline - time.perf_counter(), LONGEST_SLICE)))
            self._count(done)
            if time.perf_counter() > deadline:
                break
        return self.step - began

    def _count(self, done: Slice) -> None:
        """Take note of steps that were taken."""
        n, spe, size = len(self.data.X), self.steps_per_epoch, self.plan.batch_size
        at = int(done.diverged_step[0])
        end = self.step + done.n_steps if at < 0 else at  # the step that diverged moved nothing
        if end > self.step:
            self._rows_seen += (end - self.step) * size - (spe * size - n if end % spe == 0 else 0)
        self.step = end
        self._loss_sum += float(done.loss_sum[0])
        self._weight_sum += float(done.weight_sum[0])
        ends_epoch = done.n_steps > 0 and self.step % spe == 0
        self.diverged = at >= 0 or (ends_epoch and not np.isfinite(self.session.parameters()).all())
        if self.diverged:
            return
        self.recorder.on_progress(self._progress())
        if ends_epoch:
            self._close_epoch()

    def _close_epoch(self) -> None:
        """Remember a good point, and write a row of the history where it is time for one."""
        loss = self.loss
        if loss < self.good.loss:
            self.good = self._here(loss)
        self._loss_sum = self._weight_sum = 0.0
        self._last_loss = loss
        self._n_epochs += 1
        if self._n_epochs % self._measure_every == 0:
            row = {"step": self.step, "epoch": self.epoch, "loss": loss} | self._measured()
            row["learning_rate"] = self.plan.starts[0].learning_rate
            self._history.append(row)
            if len(self._history) > MOST_ROWS_OF_HISTORY:
                self._history = self._history[1::2]
                self._measure_every *= 2

    def _measured(self) -> dict[str, float]:
        """Validation loss and metrics as the network is now."""
        rows = self.validation
        if rows is None:
            return {}
        theta = self.session.parameters()[0]
        A = self.engine.predict(self.plan.shape, theta, rows.X)
        predictions = self.plan.loss.predictions(A, self.plan.shape.layers[-1].activation)
        with np.errstate(over="ignore", invalid="ignore"):  # of a network that is about to diverge
            return {"validation_loss": self.engine.loss(self.plan, theta, rows)} | {
                name: measure(metric, predictions, rows.Y, rows.weight) for name, metric in self.metrics.items()
            }

    def apply(self, do: str, **arguments: Any) -> None:
        """Do something to the descent, and write it into the journal.

        Parameters
        ----------
        do : {"set", "back", "restart"}
            Set `SETTABLE` settings from the next step on; halve the learning rate and go back to the last good point;
            begin anew from a random start with other settings.
        **arguments
            Settings.

        Raises
        ------
        ParameterError
            There is no such action or setting, or a value is out of range; then nothing has changed.
        """
        if do == "restart":
            self._begin({**self.journal.settings, **arguments})
            return
        if do == "set":
            values: dict[str, Any] | None = {name: self._checked(name, value) for name, value in arguments.items()}
        elif do == "back" and not arguments:
            values = None
        else:
            raise ParameterError(f"there is no action {do!r} with {sorted(arguments)}; choose set, back or restart")
        self.journal.actions.append(Action(self.step, do, arguments))
        if values is None:
            self._go_back()
        else:
            self._go_on_with(**values)

    def _checked(self, name: str, value: Any) -> Any:
        if name not in SETTABLE:
            raise ParameterError(f"{name} cannot be set while the descent goes; that can be: {', '.join(SETTABLE)}")
        value = PARAMS[name].check(value)
        if value == "auto":
            raise ParameterError(f"{name} is 'auto'; it must be a number here")
        return value

    def _go_on_with(self, batch_size: int | None = None, **of_start: Any) -> None:
        """The same descent with other settings: parameters and what the rule remembers stay."""
        size = self.plan.batch_size if batch_size is None else min(batch_size, len(self.data.X))
        self.plan = replace(self.plan, batch_size=size, starts=(replace(self.plan.starts[0], **of_start),))
        self._resume(self.session.parameters(), self.session.state())

    def _go_back(self) -> None:
        """To the last good point, with half the learning rate."""
        start = self.plan.starts[0]
        self.plan = replace(self.plan, starts=(replace(start, learning_rate=start.learning_rate / 2),))
        self._resume(self.good.parameters, self.good.state)
        self.step, self._rows_seen, self.diverged = self.good.step, self.good.rows_seen, False
        self._loss_sum = self._weight_sum = 0.0
        self._history = [row for row in self._history if row["step"] <= self.step]
        self.recorder.forget_after(self.step)

    def _resume(self, parameters: Array, state: State) -> None:
        self.session = self.engine.session(self.plan, parameters, self.data)
        self.session.resume(state)

    def _here(self, loss: float) -> Good:
        return Good(self.step, self._rows_seen, loss, self.session.parameters(), self.session.state())

    def _progress(self) -> Progress:
        nowhere = np.array([self.loss])
        return Progress(self.step, 0, self._n_epochs, 0, nowhere, 0.0, self.session.parameters)

    def state(self) -> dict[str, Any]:
        """Where it stands, in numbers for a page."""
        row = self._history[-1] if self._history else {}
        return described(self.table.name, self.job, self.plan, self.validation) | {
            "step": self.step,
            "steps_per_epoch": self.steps_per_epoch,
            "epoch": self.epoch,
            "loss": self.loss,
            "validation_loss": row.get("validation_loss", math.nan),
            "diverged": self.diverged,
            "good_step": self.good.step,
            "actions": len(self.journal.actions),
            "ended": "",
        }

    def view(self) -> View:
        """The experiment as it is now, to be looked at by another thread; costs a copy of the parameters."""
        network = self.job.networks[0].copy()
        network.parameters = self.session.parameters()[0]
        return View(
            table=self.table,
            step=self.step,
            network=network,
            job=self.job,
            plan=self.plan,
            data=self.data,
            validation=self.validation,
            rows=list(self._history),
            pairs=self.recorder.pairs,
            diverged=self.diverged,
            engine=self.engine,
            journal=replace(self.journal, actions=list(self.journal.actions)),
            good=self.good.parameters[0],
        )


def posed(job: Job) -> tuple[Plan, Data, Data | None]:
    """A job of one start as an engine takes it.

    Parameters
    ----------
    job : Job

    Returns
    -------
    plan : Plan
        At the rule's own learning rate.
    data, validation : Data
        What is learned from, and what is measured on; the latter None where nothing was held back.
    """
    told, network = job.passed_on, job.networks[0]
    loss, rule = as_loss(told["loss"], network.output), told["optimizer"]
    X, y = job.data
    data = Data.of(network, loss, X, y, told["sample_weight"])
    plan = Plan(
        shape=network.shape,
        loss=loss,
        optimizer=rule,
        batch_size=min(told["batch_size"], len(data.X)),
        seed=told["seed"],
        starts=(Start(0, rule.learning_rate, rule.weight_decay, told["l1"], told["l2"]),),
        dropout=(told["dropout"],) * (len(network.shape.layers) - 1),
        clip_norm=told["clip_norm"] or 0.0,
        rates=told["rates"],
    )
    if job.validation is None:
        return plan, data, None
    rows = job.validation
    return plan, data, Data.of(network, loss, rows[0], rows[1], rows[2] if len(rows) > 2 else None)


def described(name: str, job: Job, plan: Plan, validation: Data | None) -> dict[str, Any]:
    """What a page's state line says of a descent wherever it stands."""
    start, settled = plan.starts[0], job.settled
    return {
        "name": name,
        "task": settled["task"],
        "rows": len(job.data[0]),
        "rows_held_back": 0 if validation is None else len(validation.X),
        "learning_rate": start.learning_rate,
        "batch_size": plan.batch_size,
        "l2": start.l2,
        "dropout": settled["dropout"],
        "optimizer": settled["optimizer"],
        "hidden": list(job.networks[0].layer_sizes[1:-1]),
        "activation": settled["activation"],
        "layer_sizes": list(job.networks[0].layer_sizes),
        "n_parameters": plan.shape.n_parameters,
        "seed": plan.seed,
    }


def replay(
    experiment: Experiment, journal: Journal, step: int, tell: Callable[[int], None] = lambda step: None
) -> Experiment:
    """Do all again that a journal says, up to a step.

    Parameters
    ----------
    experiment : Experiment
        Where the journal began: the same table, settings, and model if there was one.
    journal : Journal
    step : int
    tell : callable
        Hears now and then which step it has come to.

    Returns
    -------
    Experiment
        The same, with the parameters that it had then, to the last bit.
    """
    for action in (*journal.actions, Action(step, "", {})):
        while experiment.step < action.step and experiment.advance(action.step - experiment.step, TELL_SECONDS):
            tell(experiment.step)
        if action.do:
            experiment.apply(action.do, **action.arguments)
    return experiment

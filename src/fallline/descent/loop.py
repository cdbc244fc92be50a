"""The loop. It runs in slices, tells listeners what happens, and knows when to stop."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Sequence
from copy import copy
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.descent.measurement import Measurement
from fallline.engines import Data, Engine, Plan, Session, Slice
from fallline.errors import DivergenceWarning
from fallline.interrupt import ctrl_c
from fallline.listeners import Epoch, History, Listener, Progress, Recorder
from fallline.listeners.listener import heard, is_better
from fallline.network import Network
from fallline.run import Run, Snapshot
from fallline.schedules import Factors, Schedule

Array = npt.NDArray[Any]

SLICE_SECONDS = 0.05  # how long an engine runs before the loop looks up: listeners, Ctrl-C


@final
class Descent:
    """One descent under way: what `descend` set up, and where it stands."""

    def __init__(
        self,
        plan: Plan,
        networks: list[Network],
        data: Data,
        schedule: Schedule,
        epochs: int,
        measurement: Measurement,
        keep: str,
        measure_every: int,
        callbacks: Sequence[Listener],
        engine: Engine,
    ) -> None:
        self.plan, self.networks, self.data = plan, networks, data
        self.epochs, self.measurement, self.keep, self.measure_every = epochs, measurement, keep, measure_every
        self.engine = engine
        self.numbers = np.arange(len(networks))  # of the starts
        self.learning_rates = np.array([start.learning_rate for start in plan.starts])
        self.history = History()
        self.callbacks = callbacks
        self.heard = heard([self.history, *callbacks])
        self.steps_per_epoch = math.ceil(len(data.X) / plan.batch_size)
        self.n_steps = epochs * self.steps_per_epoch
        self.factors = Factors(schedule, self.n_steps)
        self.began = time.perf_counter()
        self.interrupted = threading.Event()
        self.stops_because = ""  # where a listener asked for the end
        self.diverged = np.full(len(networks), -1)  # the step, as in Slice
        first = np.stack([network.parameters for network in networks])
        self.latest = Snapshot(first, np.zeros(len(networks), dtype=int), np.full(len(networks), np.nan))
        self.current = first.copy()  # what a session's parameters are read into, ready for when somebody waits
        self.best = Snapshot(np.empty_like(first), self.latest.step.copy(), np.full(len(networks), np.inf))

    def run(self) -> Run:
        """Epoch after epoch until something ends it."""
        session = self.engine.session(self.plan, self.latest.parameters, self.data)
        reason = "failed"
        try:
            with ctrl_c() as self.interrupted:
                self._tell("on_begin", self._progress(0, np.full(len(self.networks), np.nan), session))
                for epoch in range(1, self.epochs + 1):
                    reason = self._epoch(session, epoch)
                    if reason != "finished":
                        break
        finally:
            self._tell("on_end", reason)
        run = self._kept(reason)
        if (self.diverged >= 0).any():
            warnings.warn(run.message, DivergenceWarning, stacklevel=3)
        return run

    def _epoch(self, session: Session, epoch: int) -> str:
        """Steps to the end of an epoch, then its rows; "finished", or why the descent must end."""
        step, end = (epoch - 1) * self.steps_per_epoch, epoch * self.steps_per_epoch
        factors = self.factors.of_steps(step, end)
        done: Slice | None = None
        stop = False
        while step < end:
            done = session.run(factors[step - end :][: self._slice_steps(step)], SLICE_SECONDS, done)
            step += done.n_steps
            self.diverged = done.diverged_step
            good = self.diverged < 0
            n_good = np.count_nonzero(good)
            nowhere = np.full(len(good), np.nan)
            loss = np.divide(done.loss_sum, done.weight_sum, out=nowhere, where=done.weight_sum > 0)
            if n_good < len(good):
                loss[~good] = np.nan
            if not n_good:
                return "diverged"
            if self.heard["on_progress"]:
                stop |= self._tell("on_progress", self._progress(step, loss, session))
            if (stop or self.interrupted.is_set()) and step < end:
                parameters = session.parameters(self.current)
                self.current = self.latest.exchange(self._healthy(parameters, step), parameters, step, loss)
                return "stopped" if stop else "interrupted"
        assert done is not None  # an epoch has a step
        reason = self._close_epoch(session, epoch, loss, done, float(factors[-1]))
        return "stopped" if stop and reason == "finished" else reason

    def _close_epoch(self, session: Session, epoch: int, loss: Array, done: Slice, factor: float) -> str:
        """Measure, write the rows, remember the best, and ask the listeners."""
        parameters, step = session.parameters(self.current), epoch * self.steps_per_epoch
        good = self._healthy(parameters, step)
        is_measured = epoch % self.measure_every == 0 or epoch == self.epochs
        measured = self.measurement.of(parameters, good if is_measured else np.zeros_like(good), self.interrupted)
        if measured is None:
            self.current = self.latest.exchange(good, parameters, step, math.nan)
            return "interrupted"
        if self.measurement.rows is None:
            # An epoch's loss is about the parameters that it began with, closer than about those that it ended with.
            monitored = loss
            self.best.take(is_better(loss, self.best.loss), self.latest.parameters, self.latest.step, loss)
        else:
            monitored = self.measurement.monitored(measured)
            self.best.take(good & is_better(monitored, self.best.loss), parameters, step, monitored)
        self.current = self.latest.exchange(good, parameters, step, monitored)
        if not np.count_nonzero(good):
            return "diverged"
        progress = self._progress(step, loss, session)
        columns = {
            "epoch": epoch,
            "step": step,
            "start": self.numbers,
            "loss": loss,
            **measured,
            "learning_rate": factor * self.learning_rates,
            "gradient_norm": done.gradient_norm,
            "seconds": progress.seconds,
        }
        stop = self._tell("on_epoch", Epoch(progress, columns, monitored))
        if self.interrupted.is_set():
            return "interrupted"
        return "stopped" if stop else "finished"

    def _healthy(self, parameters: Array, step: int) -> Array:
        """Which starts have finite parameters, shape (K,); the others diverged in the last step if not before."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = parameters.sum()  # one pass, and no array; it is finite only where all of them are
        if not math.isfinite(total):
            finite = np.isfinite(parameters)
            self.diverged = np.where((self.diverged < 0) & ~finite.all(axis=1), step - 1, self.diverged)
        return self.diverged < 0

    def _kept(self, reason: str) -> Run:
        """The run, at the parameters that are kept."""
        kept, validated = self.latest, self.measurement.rows is not None
        by_best = reason != "finished" or (self.keep == "best" and validated)
        for k in range(len(self.networks)):
            if validated and by_best and np.isfinite(self.best.loss[k]):
                kept.take(np.arange(len(self.networks)) == k, self.best.parameters, self.best.step, self.best.loss)
            elif by_best or self.diverged[k] >= 0:
                kept.parameters[k], kept.step[k], kept.loss[k] = self._lowest(k)
        begun_at = np.stack([network.parameters for network in self.networks])
        for network, theta in zip(self.networks, kept.parameters, strict=True):
            network.parameters = theta
        return Run(
            networks=self.networks,
            best_start=int(np.argmin(np.where(np.isnan(kept.loss), np.inf, kept.loss))),
            history=self.history,
            stop_reason=reason,
            message=self._message(reason, kept.step),
            kept_steps=[int(step) for step in kept.step],
            kept_epochs=[int(step) // self.steps_per_epoch for step in kept.step],
            losses=kept.loss,
            monitor=self.measurement.monitor if validated else "loss",
            plan=self.plan,
            data=self.data,
            validation=self.measurement.rows,
            recorder=next((copy(one) for one in self.callbacks if isinstance(one, Recorder)), None),
            begun_at=begun_at,
            stopped_because=self.stops_because if reason == "stopped" else "",
        )

    def _lowest(self, k: int) -> tuple[Array, int, float]:
        """Of what start k may keep, that with the lowest loss over some rows: the random start, the best, the latest.

        No more rows than can be measured in a moment, evenly spread: this is how a descent ends that was not to.
        """
        rows = self.measurement.rows[k] if self.measurement.rows else self.data.of_start(k)
        start = self.networks[k].parameters
        n_parts = max(1, len(rows.X) * len(start) * len(self.networks) // 250_000_000)  # some 0.5 GFLOP in all
        sample = rows.rows(np.arange(0, len(rows.X), n_parts))
        later = [some for some in (self.best, self.latest) if some.step[k] > 0]
        found = {0: start} | {int(some.step[k]): some.parameters[k] for some in later}
        if len(found) == 1:
            return start, 0, math.nan
        losses = {step: self.engine.loss(self.plan, theta, sample) for step, theta in found.items()}
        lowest = min(found, key=lambda step: losses[step] if math.isfinite(losses[step]) else math.inf)
        return found[lowest], lowest, losses[lowest] if math.isfinite(losses[lowest]) else math.nan

    def _message(self, reason: str, kept_steps: Array) -> str:
        epochs = len(self.history) // len(self.networks)
        if (self.diverged >= 0).any():
            k = int(np.argmax(self.diverged >= 0))
            step, kept, rate = int(self.diverged[k]), int(kept_steps[k]), self.plan.starts[k].learning_rate
            who = "the loss" if len(self.networks) == 1 else f"the loss of start {k}"
            clip = "" if self.plan.clip_norm else ", or set clip_norm"
            return (
                f"{who} was no longer a finite number at step {step + 1} (epoch {step // self.steps_per_epoch + 1}): "
                f"the learning rate {rate:g} is too large for these data; try {rate / 10:g}, scale the inputs{clip}; "
                + (f"the parameters after step {kept} were kept" if kept else "the random start was kept")
            )
        n_epochs = f"{epochs} epoch{'s' * (epochs != 1)}"
        where = "" if len(set(kept_steps.tolist())) > 1 else f", those after step {kept_steps[0]}"
        return {
            "finished": f"all {n_epochs} were done",
            "stopped": f"stopped after {n_epochs}: {self.stops_because}",
            "interrupted": f"interrupted after {n_epochs}; the best parameters so far were kept{where}",
        }[reason]

    def _slice_steps(self, step: int) -> int | None:
        """How many steps a slice may have for the listeners' sake; None: as many as there are."""
        every = [listener.every for listener in self.callbacks if listener.every]
        return min((n - step % n for n in every), default=None)

    def _progress(self, step: int, loss: Array, session: Session) -> Progress:
        epoch = step // self.steps_per_epoch
        return Progress(step, self.n_steps, epoch, self.epochs, loss, self._seconds(), session.parameters)

    def _seconds(self) -> float:
        return time.perf_counter() - self.began

    def _tell(self, event: str, what: Any) -> bool:
        """Tell all who listen to such an event; True if one of them asks to stop."""
        asking = [hear for hear in self.heard[event] if hear(what)]
        if asking:
            self.stops_because = getattr(asking[0], "__self__", Listener).stops_because
        return bool(asking)

"""The loop. It runs in slices, tells listeners what happens, mends what diverges, and knows when to stop."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.checkpoint import Checkpoint, Contents
from fallline.descent import words
from fallline.descent.measurement import Measurement
from fallline.descent.repair import GoodPoints
from fallline.descent.saving import Saver, identity, remember, remind
from fallline.engines import Data, Engine, Plan, Session, Slice, Start, State, Stream, session_of
from fallline.errors import DataError, DivergenceError, DivergenceWarning
from fallline.interrupt import ctrl_c
from fallline.listeners import Epoch, History, Listener, Progress, Recorder, Repair
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
        data: Data | Stream,
        schedule: Schedule,
        epochs: int,
        measurement: Measurement,
        keep: str,
        measure_every: int,
        callbacks: Sequence[Listener],
        engine: Engine,
        repair: int,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.asked = self.plan = plan  # the learning rates may become others
        self.networks, self.data, self.engine = networks, data, engine
        self.epochs, self.measurement, self.keep, self.measure_every = epochs, measurement, keep, measure_every
        self.numbers = np.arange(len(networks))  # of the starts
        self.learning_rates = np.array([start.learning_rate for start in plan.starts])
        self.history = History()
        self.callbacks = callbacks
        self.heard = heard([self.history, *callbacks])
        self.steps_per_epoch = math.ceil(data.n / plan.batch_size)
        self.n_steps = epochs * self.steps_per_epoch
        self.factors = Factors(schedule, self.n_steps)
        self.began = time.perf_counter()
        self.interrupted = threading.Event()
        self.is_alone = engine.group[1] == 1
        first = np.stack([network.parameters for network in networks])
        self.begun_at = first
        # Where it stands: all this is in a checkpoint.
        self.step = 0
        self.sums: Slice | None = None  # of the steps since the epoch began
        self.diverged = np.full(len(networks), -1)  # the step, as in Slice
        self.asked_to_stop = False
        self.stops_because = ""  # where a listener asked for the end
        self.latest = Snapshot(first.copy(), np.zeros(len(networks), dtype=int), np.full(len(networks), np.nan))
        self.current = first.copy()  # what a session's parameters are read into, ready for when somebody waits
        self.best = Snapshot(np.zeros_like(first), self.latest.step.copy(), np.full(len(networks), np.inf))
        self.points = GoodPoints(repair, first, plan.optimizer.n_moments)
        self.saver: Saver | None = None
        if checkpoint is not None:
            own = {"keep": keep, "measure_every": measure_every, "repair": repair}
            known = partial(identity, plan, networks, data, schedule, epochs, measurement, engine, **own)
            self.saver = Saver(checkpoint, known, engine)

    def run(self) -> Run:
        """Epoch after epoch until something ends it."""
        self._check_alike()
        kept, ended = None if self.saver is None else self.saver.last(), ""
        if kept is None:
            self.session = session_of(self.engine, self.plan, self.begun_at, self.data)
        else:
            ended = self._go_on_from(kept)
        reason = "failed"
        try:
            with ctrl_c() as self.interrupted:
                self._tell("on_begin", self._progress(self.step, np.full(len(self.networks), np.nan)))
                if kept is not None:
                    remind(self.callbacks, kept)
                elif self.saver is not None and self.saver.is_due:
                    self._save()
                reason = ended or self._descend()
        finally:
            self._tell("on_end", reason)
        if not ended and reason != "interrupted":
            self._save_if_begun(reason)
        run = self._kept(reason)
        if (self.diverged >= 0).any() or self.history.repairs:
            warnings.warn(run.message, DivergenceWarning, stacklevel=3)
        return run

    def _check_alike(self) -> None:
        """DataError where processes of a group have other rows or networks, for they would wait for ever."""
        each = self.engine.gather(np.array([self.data.n, self.n_steps, self.begun_at.size]))
        for process, other in enumerate(each):
            if (other != each[0]).any():
                here, there = ("{:.0f} rows, {:.0f} steps and {:.0f} numbers".format(*one) for one in (other, each[0]))
                raise DataError(f"process {process} has {here}, but process 0 has {there}; give all the same")

    def _descend(self) -> str:
        """Epoch after epoch; why the descent ends."""
        while self.history.n_epochs < self.epochs:
            reason = self._epoch()
            if reason != "finished":
                return reason
            if self.saver is not None and self.saver.is_due and self.history.n_epochs < self.epochs:
                self._save()
        return "finished"

    def _epoch(self) -> str:
        """Steps to the end of the epoch under way, then its rows; "finished", or why the descent must end."""
        begin = self.history.n_epochs * self.steps_per_epoch
        end = begin + self.steps_per_epoch
        factors = self.factors.of_steps(begin, end)
        while self.step < end and (self.diverged < 0).any():
            is_whole = self._take_steps(factors[self.step - end :][: self._slice_steps()])
            if not (self.diverged < 0).any():
                break
            if self.heard["on_progress"]:
                self.asked_to_stop |= self._tell("on_progress", self._progress(self.step, self._loss()))
            if self._stops() and self.step < end:
                return self._leave(is_whole, factors)
            if self.step < end and is_whole and self.saver is not None and self.saver.is_due:
                self._save()
        reason = self._close_epoch(begin, end, float(factors[-1]))
        return "stopped" if self.asked_to_stop and reason == "finished" else reason

    def _stops(self) -> bool:
        """Whether to leave, because a listener asked for it or Ctrl-C did."""
        self.asked_to_stop, interrupted = self._agreed(self.asked_to_stop, self.interrupted.is_set())
        return self.asked_to_stop or interrupted

    def _agreed(self, *flags: bool) -> list[bool]:
        """Whether any process of the group says so; all must ask, for all must do the same."""
        if self.is_alone:
            return list(flags)
        return [bool(column.any()) for column in self.engine.gather(np.array(flags)).T]

    def _take_steps(self, factors: Array) -> bool:
        """Steps for a moment, or one for each factor; whether none is half done."""
        self.sums = self.session.run(factors, SLICE_SECONDS, self.sums)
        self.step += self.sums.n_steps
        if (self.sums.diverged_step >= 0).any():
            self.diverged = np.where(self.diverged < 0, self.sums.diverged_step, self.diverged)
        return self.sums.n_steps == len(factors) or self.sums.waits

    def _leave(self, is_whole: bool, factors: Array) -> str:
        """Take note of where it stands within an epoch, and leave."""
        if not self.asked_to_stop:
            place = self.step % self.steps_per_epoch
            is_whole = not self._agreed(not is_whole)[0]  # process 0 may have asked for fewer steps, and had them all
            if is_whole or self._take_steps(factors[place : place + 1]):  # another moment to end the step
                self._save_if_begun()
        parameters, loss = self.session.parameters(self.current), self._loss()
        self.current = self.latest.exchange(self._healthy(parameters, self.step), parameters, self.step, loss)
        return "stopped" if self.asked_to_stop else "interrupted"

    def _close_epoch(self, begin: int, end: int, factor: float) -> str:
        """Mend what diverged, measure, remember the best, and write the rows."""
        parameters = self.session.parameters(self.current)
        lost = ~self._healthy(parameters, end) & ~self.points.given_up
        if lost.any():
            if not self._mend(lost, begin, end):
                return self._put_off(parameters, end)
            parameters = self.session.parameters(self.current)
        assert self.sums is not None  # an epoch has a step
        if (self.sums.diverged_step >= 0).all():
            return "diverged"
        good, loss, epoch = self.diverged < 0, self._loss(), self.history.n_epochs + 1
        is_measured = epoch % self.measure_every == 0 or epoch == self.epochs
        measured = self.measurement.of(parameters, good if is_measured else np.zeros_like(good), self.interrupted)
        if self._agreed(measured is None)[0] or measured is None:
            return self._put_off(parameters, end)
        if self.measurement.rows is None:
            # An epoch's loss is about the parameters that it began with, closer than about those that it ended with.
            monitored = loss
            self.best.take(is_better(loss, self.best.loss), self.latest.parameters, self.latest.step, loss)
        else:
            monitored = self.measurement.monitored(measured)
            self.best.take(good & is_better(monitored, self.best.loss), parameters, end, monitored)
        self.points.close_epoch(self.session, parameters, end, loss)
        self.current = self.latest.exchange(good, parameters, end, monitored)
        if not np.count_nonzero(good):
            return "diverged"
        progress = self._progress(end, loss)
        columns = {
            "epoch": epoch,
            "step": end,
            "start": self.numbers,
            "loss": loss,
            **measured,
            "learning_rate": factor * self.learning_rates,
            "gradient_norm": self.sums.gradient_norm,
            "seconds": progress.seconds,
        }
        self.sums = None
        stop = self._tell("on_epoch", Epoch(progress, columns, monitored))
        stop, interrupted = self._agreed(stop, self.interrupted.is_set())
        if interrupted:
            self._save_if_begun()
            return "interrupted"
        return "stopped" if stop else "finished"

    def _put_off(self, parameters: Array, end: int) -> str:
        """Leave the end of the epoch to whoever goes on; without one what there is counts, though unmeasured."""
        if not self.asked_to_stop:
            self._save_if_begun()
        self.current = self.latest.exchange(self.diverged < 0, parameters, end, math.nan)
        return "stopped" if self.asked_to_stop else "interrupted"

    def _healthy(self, parameters: Array, step: int) -> Array:
        """Which starts have finite parameters, shape (K,); the others diverged in the last step if not before."""
        with np.errstate(over="ignore", invalid="ignore"):
            total = parameters.sum()  # one pass, and no array; it is finite only where all of them are
        if not math.isfinite(total):
            finite = np.isfinite(parameters)
            self.diverged = np.where((self.diverged < 0) & ~finite.all(axis=1), step - 1, self.diverged)
        return self.diverged < 0

    def _mend(self, lost: Array, begin: int, end: int) -> bool:
        """Let starts that diverged go through the epoch again, from a good point; False where there is no time for it.

        The others have come to its end, and wait.
        """
        if not self.points.times:
            raise DivergenceError(self._divergence(int(np.argmax(lost))))
        assert self.sums is not None
        mended: dict[int, tuple[Start, Session, Slice]] = {}
        for k in np.flatnonzero(lost).tolist():
            for start in self.points.tries(k, self.plan.starts[k]):
                walked = self._walk_again(k, start, begin, end)
                if walked is None:
                    return False
                if walked[1].diverged_step[0] < 0:
                    mended[k] = start, *walked
                    break
        parameters, state = self.session.parameters(), self.session.state()
        starts, sums, diverged = (
            list(self.plan.starts),
            [part.copy() for part in _parts(self.sums)],
            self.diverged.copy(),
        )
        for k, (start, alone, own) in mended.items():
            back_to, good = int(self.points.good.step[k]), self.points.good.parameters[k].copy()
            epoch, rate = begin // self.steps_per_epoch + 1, start.learning_rate
            self._tell("on_repair", Repair(k, int(diverged[k]), epoch, back_to, rate, good))
            self.points.note(k, round(math.log2(starts[k].learning_rate / rate)))
            starts[k], diverged[k] = start, -1
            parameters[k], state.moments[:, k] = alone.parameters()[0], alone.state().moments[:, 0]
            for part, value in zip(sums, _parts(own), strict=True):
                part[k] = value[0]
        self.points.give_up(diverged >= 0)
        self.diverged = diverged
        self._set(starts)
        if (diverged < 0).any():
            self.step, self.sums = end, Slice(0, *sums)
            self.session = session_of(self.engine, self.plan, parameters, self.data)
            self.session.resume(State(end, state.moments, diverged, self.sums.gradient_norm))
        return True

    def _set(self, starts: list[Start]) -> None:
        """Other learning rates of the starts."""
        self.plan = replace(self.plan, starts=tuple(starts))
        self.learning_rates = np.array([start.learning_rate for start in starts])

    def _walk_again(self, k: int, start: Start, begin: int, end: int) -> tuple[Session, Slice] | None:
        """A start alone from its good point to the end of the epoch, with the epoch's sums; None: asked to leave."""
        parameters, state = self.points.good.of_start(k)
        alone = session_of(self.engine, replace(self.plan, starts=(start,)), parameters, self.data.of_start(k))
        alone.resume(state)
        nowhere, sums = self._progress(state.step, np.full(len(self.networks), np.nan)), None
        for first, last in ((state.step, begin), (begin, end)):
            factors, sums = self.factors.of_steps(first, last), None
            while len(factors):
                sums = alone.run(factors, SLICE_SECONDS, sums)
                factors = factors[sums.n_steps :]
                if sums.diverged_step[0] >= 0:
                    return alone, sums
                self.asked_to_stop |= self._tell("on_progress", nowhere)
                if self._stops():
                    return None
        assert sums is not None
        if not np.isfinite(alone.parameters()).all():
            sums = replace(sums, diverged_step=np.array([end - 1]))
        return alone, sums

    def _kept(self, reason: str) -> Run:
        """The run, at the parameters that are kept."""
        kept, validated = self.latest, self.measurement.rows is not None
        by_best = reason != "finished" or (self.keep == "best" and validated)
        for k in range(len(self.networks)):
            if validated and by_best and np.isfinite(self.best.loss[k]):
                kept.take(np.arange(len(self.networks)) == k, self.best.parameters, self.best.step, self.best.loss)
            elif by_best or self.diverged[k] >= 0:
                kept.parameters[k], kept.step[k], kept.loss[k] = self._lowest(k)
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
            data=self.data.at_hand,
            validation=self.measurement.rows,
            recorder=next((copy(one) for one in self.callbacks if isinstance(one, Recorder)), None),
            begun_at=self.begun_at,
            stopped_because=self.stops_because if reason == "stopped" else "",
        )

    def _lowest(self, k: int) -> tuple[Array, int, float]:
        """Of what start k may keep, that with the lowest loss over some rows: the random start, the best, the latest.

        No more rows than can be measured in a moment, evenly spread: this is how a descent ends that was not to.
        """
        rows = self.measurement.rows[k] if self.measurement.rows else self.data.at_hand.of_start(k)
        start = self.begun_at[k]
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
        if (self.diverged >= 0).any():
            k = int(np.argmax(self.diverged >= 0))
            return f"{self._divergence(k)}; {words.kept(int(kept_steps[k]))}"
        folder = self.saver.checkpoint.folder if self.saver is not None and self.saver.is_begun else None
        message = words.ended(reason, self.history.n_epochs, self.stops_because, kept_steps.tolist(), folder)
        return message + words.repaired(self.history.repairs, len(self.networks))

    def _divergence(self, k: int) -> str:
        step, halvings = int(self.diverged[k]), int(self.points.halvings[k])
        return words.diverged(self.asked, k, step, step // self.steps_per_epoch, halvings)

    def _loss(self) -> Array:
        """Mean training loss since the epoch began, shape (K,); NaN where a start diverged."""
        assert self.sums is not None
        nowhere = np.full(len(self.networks), np.nan)
        well = (self.sums.diverged_step < 0) & (self.sums.weight_sum > 0)
        return np.asarray(np.divide(self.sums.loss_sum, self.sums.weight_sum, out=nowhere, where=well))

    def _slice_steps(self) -> int | None:
        """How many steps a slice may have for the listeners' sake, or a checkpoint's; None: as many as there are."""
        if self.saver is not None and self.saver.is_due:
            return 1  # so that it is over when the slice is
        every = [listener.every for listener in self.callbacks if listener.every]
        return min((n - self.step % n for n in every), default=None)

    def _progress(self, step: int, loss: Array) -> Progress:
        epoch = step // self.steps_per_epoch
        return Progress(step, self.n_steps, epoch, self.epochs, loss, self._seconds(), self.session.parameters)

    def _seconds(self) -> float:
        return time.perf_counter() - self.began

    def _tell(self, event: str, what: Any) -> bool:
        """Tell all who listen to such an event; True if one of them asks to stop."""
        asking = [hear for hear in self.heard[event] if hear(what)]
        if asking:
            self.stops_because = getattr(asking[0], "__self__", Listener).stops_because
        return bool(asking)

    def _save_if_begun(self, ended: str = "") -> None:
        """Write a checkpoint, if it is not too early for the first one."""
        if self.saver is not None and self.saver.is_begun:
            self._save(ended)

    def _save(self, ended: str = "") -> None:
        """Write a checkpoint; `ended` says why the descent is over, where it is."""
        assert self.saver is not None
        state = self.session.state()
        numbers = {
            "ended": ended,
            "step": self.step,
            "seconds": self._seconds(),
            "asked_to_stop": self.asked_to_stop,
            "stops_because": self.stops_because,
        }
        tensors: dict[str, Any] = {
            "begun_at": self.begun_at,
            "learning_rate": self.learning_rates,
            "parameters": self.session.parameters(),
            "moments": state.moments,
            "gradient_norm": state.gradient_norm,
            "diverged": self.diverged,
        }
        tensors |= {f"latest.{name}": part for name, part in vars(self.latest).items()}
        tensors |= {f"best.{name}": part for name, part in vars(self.best).items()}
        tensors |= {f"points.{name}": part for name, part in self.points.state().items()}
        tensors |= {f"history.{name}": part for name, part in self.history.state().items()}
        if self.sums is not None:
            tensors |= {f"sums.{i}": part for i, part in enumerate(_parts(self.sums))}
        names, of_listeners = remember(self.callbacks)
        path = self.saver.write(numbers | {"listeners": names}, tensors | of_listeners)
        if path is not None:
            self._tell("on_checkpoint", path)

    def _go_on_from(self, kept: Contents) -> str:
        """Stand where a checkpoint stood; why the descent was over, if it was."""
        header, tensors = kept.header, kept.tensors
        self.step, self.asked_to_stop = header["step"], header["asked_to_stop"]
        self.stops_because, self.began = header["stops_because"], self.began - header["seconds"]
        rates = tensors["learning_rate"].tolist()
        starts = [replace(start, learning_rate=rate) for start, rate in zip(self.plan.starts, rates, strict=True)]
        self._set(starts)
        self.diverged = tensors["diverged"]
        self.latest, self.best = Snapshot(**kept.under("latest.")), Snapshot(**kept.under("best."))
        self.points.resume(kept.under("points."))
        self.history.resume(kept.under("history."))
        sums = kept.under("sums.")
        self.sums = Slice(0, *(sums[str(i)] for i in range(len(sums)))) if sums else None
        self.session = session_of(self.engine, self.plan, tensors["parameters"], self.data)
        self.session.resume(State(self.step, tensors["moments"], self.diverged, tensors["gradient_norm"]))
        return str(header["ended"])


def _parts(sums: Slice) -> tuple[Array, ...]:
    """The arrays of a slice, in its order."""
    return sums.loss_sum, sums.weight_sum, sums.penalty_sum, sums.gradient_norm, sums.diverged_step

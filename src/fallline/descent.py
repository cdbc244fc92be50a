"""The loop: start, gradient, step, repeat. It runs in slices, tells listeners what happens, and knows when to stop."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Engine, Plan, Session, Slice, as_engine
from fallline.errors import DataError, DivergenceWarning, ParameterError
from fallline.interrupt import ctrl_c
from fallline.listeners import Epoch, History, Listener, Progress, Recorder
from fallline.listeners.listener import as_listeners, heard, is_better
from fallline.losses import Loss, OwnLoss, as_loss
from fallline.metrics import LARGER_IS_BETTER, Metric, as_metrics, measure
from fallline.network import Network
from fallline.optimizers import PerStart, StepRule, as_rule
from fallline.params import PARAMS
from fallline.rates import EQUAL_RATES, Rates
from fallline.run import Run, Snapshot
from fallline.schedules import Factors, Schedule, as_schedule
from fallline.starts import as_starts

Array = npt.NDArray[Any]

SLICE_SECONDS = 0.05  # how long an engine runs before the loop looks up: listeners, Ctrl-C


def descend(
    net: Network | Sequence[Network],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Loss | str = "auto",
    optimizer: StepRule | str = "adam",
    schedule: Schedule | str = "constant",
    batch_size: int | None = 32,
    epochs: int = 100,
    validation: tuple[npt.ArrayLike, ...] | None = None,
    metrics: str | Sequence[str] | Mapping[str, Metric] = (),
    starts: int = 1,
    seed: int = 0,
    sample_weight: npt.ArrayLike | None = None,
    l1: PerStart = 0.0,
    l2: PerStart = 0.0,
    dropout: float | Sequence[float] = 0.0,
    clip_norm: float | None = None,
    shuffle: bool = True,
    keep: str = "best",
    monitor: str = "validation_loss",
    measure_every: int = 1,
    callbacks: Listener | Sequence[Listener] = (),
    engine: Engine | str = "native",
    threads: int | str | None = None,
    precision: str | None = None,
    rates: Rates = EQUAL_RATES,
) -> Run:
    """Gradient descent from one or several random starts.

    Parameters
    ----------
    net : Network or sequence of Network
        The first start, or each start as given: `[net] * 3` is the same one three times, for a sweep. They are left as
        they are, the run has its own copies.
    X : array of shape (n, n_in)
    y : array of shape (n,) or (n, n_targets)
        Targets; classes as whole numbers where the network has several outputs.
    loss : Loss or str, default "auto"
        See `fallline.losses`; "auto" follows the output: squared error for identity, cross-entropy otherwise. Of an
        `OwnLoss` the gradient is compared with finite differences first; only the reference engine takes it.
    optimizer : StepRule or str, default "adam"
        See `fallline.optimizers`. Its learning rate and weight decay may be sequences, one number for each start.
    schedule : Schedule or str, default "constant"
        What the rule's learning rate is multiplied by as the training goes on; see `fallline.schedules`.
    batch_size : int or None, default 32
        Rows in a batch; None means all rows. The last batch of an epoch takes what is left, and counts for what it is.
    epochs : int, default 100
        Times that every row is visited.
    validation : (X, y) or (X, y, sample_weight), optional
        Rows to measure on after each epoch. With weights of shape `(starts, n)` each start is measured on the rows to
        which it gives any.
    metrics : str, sequence of str or mapping of str to callable, default ()
        Measured on the validation rows: "accuracy", "rmse", "mae", "r2", or your own; see `fallline.metrics`.
    starts : int, default 1
        Random starts to train: `net` and `starts - 1` others of its seed. Sequences for other parameters say it too.
        A start's number, from 0, chooses its dropout masks.
    seed : int, default 0
        Of the row orders and the dropout masks. The same seed gives the same path.
    sample_weight : array of shape (n,) or (starts, n), optional
        Weight of each row, for all starts or for each; the loss of a batch is the weighted mean over its rows. A start
        learns nothing from a row of weight 0: so folds, or bootstrap samples, are trained in one descent.
    l1, l2 : float or sequence of float, default 0
        Penalties `l1 * sum |W| + l2 / 2 * sum W^2` over all weights, of all starts or of each; the losses reported
        leave them out.
    dropout : float or sequence of float, default 0
        Share of neurons dropped after each hidden layer (Srivastava et al. 2014), one for all or one each.
    clip_norm : float, optional
        Gradients longer than this are shortened to it (Pascanu, Mikolov & Bengio 2013).
    shuffle : bool, default True
        Visit the rows in a new order each epoch.
    keep : {"best", "last"}, default "best"
        With validation rows, keep each start's parameters of the epoch that is best by `monitor`, or those after the
        last step. A descent that was interrupted or diverged keeps the best so far, and so does one that a
        listener stopped; without validation rows that goes by the training loss.
    monitor : str, default "validation_loss"
        What says which epoch is best: the validation loss, or one of the metrics, where it is smallest; with a minus
        before the name, such as "-accuracy", where it is largest.
    measure_every : int, default 1
        Measure on the validation rows after every so many epochs, and after the last; where epochs are short, that is
        what takes the time. The history has NaN in between.
    callbacks : Listener or sequence of Listener, default ()
        Hear of every slice and epoch and may stop the descent, for example `EarlyStopping(patience=10)`.
    engine : {"native", "reference"} or Engine, default "native"
        What computes: the compiled core, or NumPy to be read.
    threads : int, "auto" or None, default None
        How many the compiled core uses; None and "auto" mean as many as the process may use. The result is the same.
    precision : "bf16" or None, default None
        "bf16": the matrix products of layers with five outputs or more round their operands to 8 binary digits, and
        sum up in float32; weights, losses and steps stay float32. Faster on processors with AVX-512 BF16, not used on
        others. None means the network's own numbers throughout.
    rates : Rates, default all 1
        What the learning rate is multiplied by for each part of the network; see `fallline.rates`.

    Returns
    -------
    Run

    Raises
    ------
    DataError, ParameterError
        The data do not fit the network or the loss; a setting is out of range.

    Warns
    -----
    DivergenceWarning
        The loss of a start became infinite or NaN; its last good parameters were kept.
    PrecisionWarning
        The processor does not multiply bf16, so the products are those of float32.

    Notes
    -----
    Ctrl-C ends the descent within a fraction of a second (the reference engine finishes its step) and returns the run;
    a second Ctrl-C raises KeyboardInterrupt. Rows that already have the network's dtype and C order are not copied:
    leave them alone while the descent runs.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> from fallline import SGD
    >>> net = Network([1, 16, 1], "tanh", seed=1)
    >>> run = descend(net, x, x[:, 0] ** 2, optimizer=SGD(0.1, momentum=0.9), epochs=200)
    >>> bool(run.history["loss"][-1, 0] < 1e-3)
    True

    A sweep of the step size from the same random start:

    >>> run = descend([net] * 3, x, x[:, 0] ** 2, optimizer=SGD([0.001, 0.01, 0.1]), epochs=50)
    >>> run.history["learning_rate"][-1].tolist(), run.best_start
    ([0.001, 0.01, 0.1], 2)
    """
    rule, law = as_rule(optimizer), as_schedule(schedule)
    networks, settings = as_starts(net, rule, starts, l1, l2)
    net = networks[0]
    record = as_loss(loss, net.output)
    data = Data.of(net, record, X, y, sample_weight, len(networks))
    if isinstance(record, OwnLoss):
        record.check_gradient(net.forward(data.X[:8]).A[-1], data.Y[:8])
    n = len(data.X)
    size = n if batch_size is None else min(PARAMS["batch_size"].number(batch_size), n)
    plan = Plan(
        shape=net.shape,
        loss=record,
        optimizer=rule,
        batch_size=size,
        shuffle=shuffle and size < n,
        seed=PARAMS["seed"].check(seed),
        starts=settings,
        dropout=_dropout_rates(dropout, len(net.shape.layers) - 1),
        clip_norm=PARAMS["clip_norm"].check(clip_norm) or 0.0,
        bf16=PARAMS["precision"].check(precision) == "bf16",
        rates=rates,
    )
    epsilon, least = getattr(rule, "epsilon", 1.0), float(np.finfo(net.dtype).tiny)
    if epsilon < least:
        raise ParameterError(f"epsilon is {epsilon:g}, which is 0 in {net.dtype}; it must be {least:.2g} or more")
    if plan.bf16 and net.dtype != np.float32:
        raise ParameterError(f"precision is 'bf16', but the network's numbers are {net.dtype}; make it a float32 one")
    if keep not in ("best", "last"):
        raise ParameterError(f"keep is {keep!r}; it must be 'best' or 'last'")
    held_back = None if validation is None else _held_back(net, record, validation, len(networks))
    if metrics and held_back is None:
        raise ParameterError("metrics are measured on validation rows; set validation=(X, y)")
    if monitor.removeprefix("-") not in ("validation_loss", *as_metrics(metrics)):
        raise ParameterError(f"monitor is {monitor!r}; it must be 'validation_loss' or one of the metrics")
    if monitor in LARGER_IS_BETTER:
        raise ParameterError(f"monitor is {monitor!r}, of which more is better; put a minus before it: '-{monitor}'")
    return _Descent(
        plan,
        networks,
        data,
        law,
        PARAMS["epochs"].number(epochs),
        held_back,
        as_metrics(metrics),
        keep,
        monitor,
        _whole("measure_every", measure_every),
        as_listeners(callbacks),
        as_engine(engine, threads),
    ).run()


def _held_back(net: Network, loss: Loss, validation: Sequence[npt.ArrayLike], n_starts: int) -> list[Data]:
    """Rows to measure each start on."""
    if not isinstance(validation, Sequence) or len(validation) not in (2, 3):
        raise ParameterError("validation must be (X, y) or (X, y, sample_weight)")
    try:
        weight = validation[2] if len(validation) == 3 else None
        rows = Data.of(net, loss, validation[0], validation[1], weight, n_starts)
    except DataError as error:
        raise DataError(f"validation: {error}") from None
    if rows.weight.ndim == 1:
        return [rows] * n_starts
    return [rows.of_start(k).rows(rows.weight[k] > 0) for k in range(n_starts)]


def _dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> tuple[float, ...]:
    rates = tuple(dropout) if isinstance(dropout, (Sequence, np.ndarray)) else (dropout,) * n_hidden
    if len(rates) != n_hidden:
        raise ParameterError(f"dropout has {len(rates)} rates; it must be one, or one a hidden layer, {n_hidden} here")
    return tuple(PARAMS["dropout"].check(rate) for rate in rates)


def _whole(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ParameterError(f"{name} is {value!r}; it must be a whole number, 1 or more")
    return value


def _parts(rows: Data, n_parameters: int) -> list[tuple[Data, float]]:
    """Rows to measure on in parts of at most some 0.5 GFLOP, so that Ctrl-C need not wait; and each part's weight."""
    size = max(1024, 250_000_000 // n_parameters)
    parts = [rows.rows(slice(first, first + size)) for first in range(0, len(rows.X), size)]
    return [(part, float(part.weight.sum(dtype=np.float64))) for part in parts]


class _Descent:
    """One descent under way: what `descend` set up, and where it stands."""

    def __init__(
        self,
        plan: Plan,
        networks: list[Network],
        data: Data,
        schedule: Schedule,
        epochs: int,
        validation: list[Data] | None,
        metrics: dict[str, Metric],
        keep: str,
        monitor: str,
        measure_every: int,
        callbacks: Sequence[Listener],
        engine: Engine,
    ) -> None:
        self.plan, self.networks, self.data = plan, networks, data
        self.epochs, self.validation, self.metrics, self.keep = epochs, validation, metrics, keep
        self.monitor, self.measure_every = monitor, measure_every
        self.engine = engine
        self.numbers = np.arange(len(networks))  # of the starts
        self.learning_rates = np.array([start.learning_rate for start in plan.starts])
        self.parts = {id(rows): _parts(rows, len(networks[0].parameters)) for rows in validation or ()}
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
        loss_sum, weight_sum, stop = np.zeros(len(self.networks)), np.zeros(len(self.networks)), False
        while step < end:
            done = session.run(factors[step - end :][: self._slice_steps(step)], SLICE_SECONDS)
            step += done.n_steps
            loss_sum += done.loss_sum
            weight_sum += done.weight_sum
            self.diverged = done.diverged_step
            good = self.diverged < 0
            n_good = np.count_nonzero(good)
            loss = np.divide(loss_sum, weight_sum, out=np.full_like(loss_sum, np.nan), where=weight_sum > 0)
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
        reason = self._close_epoch(session, epoch, loss, done, float(factors[-1]))
        return "stopped" if stop and reason == "finished" else reason

    def _close_epoch(self, session: Session, epoch: int, loss: Array, done: Slice, factor: float) -> str:
        """Measure, write the rows, remember the best, and ask the listeners."""
        parameters, step = session.parameters(self.current), epoch * self.steps_per_epoch
        good = self._healthy(parameters, step)
        is_measured = epoch % self.measure_every == 0 or epoch == self.epochs
        measured = self._measure(parameters, good if is_measured else np.zeros_like(good))
        if measured is None:
            self.current = self.latest.exchange(good, parameters, step, math.nan)
            return "interrupted"
        if self.validation is None:
            # An epoch's loss is about the parameters that it began with, closer than about those that it ended with.
            monitored = loss
            self.best.take(is_better(loss, self.best.loss), self.latest.parameters, self.latest.step, loss)
        else:
            name = self.monitor.removeprefix("-")
            monitored = measured[name] if name == self.monitor else -measured[name]
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

    def _measure(self, parameters: Array, good: Array) -> dict[str, Array] | None:
        """Validation loss and metrics, each of shape (K,), or None if Ctrl-C came before the end."""
        if self.validation is None:
            return {}
        measured = {name: np.full(len(parameters), np.nan) for name in ("validation_loss", *self.metrics)}
        for k in np.flatnonzero(good).tolist():
            found = self._scores(parameters[k], self.validation[k])
            if found is None:
                return None
            for name, score in found.items():
                measured[name][k] = score
        return measured

    def _scores(self, theta: Array, rows: Data) -> dict[str, float] | None:
        """Validation loss and metrics of one start, worked off in parts so that Ctrl-C need not wait."""
        loss_sum, weight_sum, outputs = 0.0, 0.0, []
        for part, weight in self.parts[id(rows)]:
            if self.interrupted.is_set():
                return None
            loss_sum += weight * self.engine.loss(self.plan, theta, part) if weight > 0 else 0.0
            weight_sum += weight
            if self.metrics:
                outputs.append(self.engine.predict(self.plan.shape, theta, part.X))
        scores = {"validation_loss": loss_sum / weight_sum}
        if self.metrics:
            A = self.plan.loss.predictions(np.concatenate(outputs), self.plan.shape.layers[-1].activation)
            with np.errstate(over="ignore", invalid="ignore"):  # of a network that is about to diverge
                scores |= {name: measure(metric, A, rows.Y, rows.weight) for name, metric in self.metrics.items()}
        return scores

    def _kept(self, reason: str) -> Run:
        """The run, at the parameters that are kept."""
        kept, validated = self.latest, self.validation is not None
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
            monitor=self.monitor if validated else "loss",
            plan=self.plan,
            data=self.data,
            validation=self.validation,
            recorder=next((copy(one) for one in self.callbacks if isinstance(one, Recorder)), None),
            begun_at=begun_at,
            stopped_because=self.stops_because if reason == "stopped" else "",
        )

    def _lowest(self, k: int) -> tuple[Array, int, float]:
        """Of what start k may keep, that with the lowest loss over some rows: the random start, the best, the latest.

        No more rows than can be measured in a moment, evenly spread: this is how a descent ends that was not to.
        """
        rows = self.validation[k] if self.validation else self.data.of_start(k)
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

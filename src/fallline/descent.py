"""The loop: start, gradient, step, repeat. It runs in slices, tells listeners what happens, and knows when to stop."""

from __future__ import annotations

import math
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Engine, Plan, Session, Slice, as_engine
from fallline.errors import DivergenceWarning, ParameterError
from fallline.interrupt import ctrl_c
from fallline.listeners import Epoch, History, Listener, Progress
from fallline.listeners.listener import is_better
from fallline.losses import Loss, as_loss
from fallline.metrics import Metric, as_metrics
from fallline.network import Network
from fallline.optimizers import StepRule, as_rule
from fallline.params import PARAMS
from fallline.schedules import Schedule, as_schedule

Array = npt.NDArray[Any]

SLICE_SECONDS = 0.05  # how long an engine runs before the loop looks up: listeners, Ctrl-C


@dataclass(frozen=True)
class Run:
    """What a descent came to.

    Attributes
    ----------
    networks : list of Network
        One for each start, each at its kept parameters.
    best_start : int
        The start whose kept parameters have the lowest loss.
    history : History
        Rows of every epoch.
    stop_reason : {"finished", "stopped", "interrupted", "diverged"}
        All epochs done; a listener asked for it; Ctrl-C; every start's loss was no longer finite.
    message : str
        The same in words, with what to do about it.
    kept_epochs : list of int
        The epoch each start's kept parameters come from; 0 is the random start.
    losses : array of shape (K,)
        Loss of each start at its kept parameters: on the validation rows, or the training loss of that epoch.
    """

    networks: list[Network]
    best_start: int
    history: History
    stop_reason: str
    message: str
    kept_epochs: list[int]
    losses: Array

    @property
    def network(self) -> Network:
        """The network of the best start."""
        return self.networks[self.best_start]


def descend(
    net: Network,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Loss | str = "auto",
    optimizer: StepRule | str = "adam",
    schedule: Schedule | str = "constant",
    batch_size: int | None = 32,
    epochs: int = 10,
    validation: tuple[npt.ArrayLike, ...] | None = None,
    metrics: str | Sequence[str] | Mapping[str, Metric] = (),
    starts: int = 1,
    seed: int = 0,
    sample_weight: npt.ArrayLike | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: float | Sequence[float] = 0.0,
    clip_norm: float | None = None,
    shuffle: bool = True,
    keep: str = "best",
    callbacks: Sequence[Listener] = (),
    engine: Engine | str = "native",
) -> Run:
    """Gradient descent from one or several random starts.

    Parameters
    ----------
    net : Network
        The first start; it is left as it is, the run has its own copies.
    X : array of shape (n, n_in)
    y : array of shape (n,) or (n, n_targets)
        Targets; classes as whole numbers where the network has several outputs.
    loss : Loss or str, default "auto"
        See `fallline.losses`; "auto" follows the output: squared error for identity, cross-entropy otherwise.
    optimizer : StepRule or str, default "adam"
        See `fallline.optimizers`.
    schedule : Schedule or str, default "constant"
        What the rule's learning rate is multiplied by as the training goes on; see `fallline.schedules`.
    batch_size : int or None, default 32
        Rows in a batch; None means all rows. The last batch of an epoch takes what is left, and counts for what it is.
    epochs : int, default 10
        Times that every row is visited.
    validation : (X, y) or (X, y, sample_weight), optional
        Rows to measure on after each epoch.
    metrics : sequence of str or mapping of str to callable, default ()
        Measured on the validation rows: "accuracy", "rmse", "mae", "r2", or your own `f(A, Y) -> float`.
    starts : int, default 1
        Random starts to train: `net` and `starts - 1` others of its seed.
    seed : int, default 0
        Of the row orders and the dropout masks. The same seed gives the same path.
    sample_weight : array of shape (n,), optional
        Weight of each row; the loss of a batch is the weighted mean over its rows.
    l1, l2 : float, default 0
        Penalties `l1 * sum |W| + l2 / 2 * sum W^2` over all weights; the losses reported leave them out.
    dropout : float or sequence of float, default 0
        Share of neurons dropped after each hidden layer (Srivastava et al. 2014), one for all or one each.
    clip_norm : float, optional
        Gradients longer than this are shortened to it (Pascanu, Mikolov & Bengio 2013).
    shuffle : bool, default True
        Visit the rows in a new order each epoch.
    keep : {"best", "last"}, default "best"
        With validation rows or a listener that stopped the descent, keep each start's parameters of the epoch with the
        lowest loss, or those after the last step. A descent that was interrupted or diverged keeps the best so far.
    callbacks : sequence of Listener, default ()
        Hear of every slice and epoch and may stop the descent, for example `EarlyStopping(patience=10)`.
    engine : {"native", "reference"} or Engine, default "native"

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

    Notes
    -----
    Ctrl-C ends the descent within a fraction of a second and returns the run; a second Ctrl-C raises KeyboardInterrupt.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> from fallline import SGD
    >>> net = Network([1, 16, 1], "tanh", seed=1)
    >>> run = descend(net, x, x[:, 0] ** 2, optimizer=SGD(0.1, momentum=0.9), epochs=200)
    >>> bool(run.history["loss"][-1, 0] < 1e-3)
    True
    """
    record, rule, law = as_loss(loss, net.output), as_rule(optimizer), as_schedule(schedule)
    data = Data.of(net, record, X, y, sample_weight)
    n = len(data.X)
    size = n if batch_size is None else min(PARAMS["batch_size"].check(batch_size), n)
    plan = Plan(
        layers=net.layers,
        loss=record,
        optimizer=rule,
        batch_size=size,
        shuffle=shuffle and size < n,
        seed=PARAMS["seed"].check(seed),
        starts=tuple(range(PARAMS["starts"].check(starts))),
        l1=PARAMS["l1"].check(l1),
        l2=PARAMS["l2"].check(l2),
        dropout=_dropout_rates(dropout, len(net.layers) - 1),
        clip_norm=PARAMS["clip_norm"].check(clip_norm) or 0.0,
    )
    if keep not in ("best", "last"):
        raise ParameterError(f"keep is {keep!r}; it must be 'best' or 'last'")
    held_back = None
    if validation is not None:
        if len(validation) not in (2, 3):
            raise ParameterError(f"validation has {len(validation)} parts; it must be (X, y) or (X, y, sample_weight)")
        held_back = Data.of(net, record, *validation)
    networks = [net.copy()] + [net.restart(index) for index in plan.starts[1:]]
    return _Descent(
        plan,
        networks,
        data,
        law,
        PARAMS["epochs"].check(epochs),
        held_back,
        as_metrics(metrics),
        keep,
        callbacks,
        as_engine(engine),
    ).run()


def _dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> tuple[float, ...]:
    rates = (dropout,) * n_hidden if isinstance(dropout, (int, float)) else tuple(dropout)
    if len(rates) != n_hidden:
        raise ParameterError(f"dropout has {len(rates)} rates; it must be one, or one a hidden layer, {n_hidden} here")
    return tuple(PARAMS["dropout"].check(rate) for rate in rates)


class _Descent:
    """One descent under way: what `descend` set up, and where it stands."""

    def __init__(
        self,
        plan: Plan,
        networks: list[Network],
        data: Data,
        schedule: Schedule,
        epochs: int,
        validation: Data | None,
        metrics: dict[str, Metric],
        keep: str,
        callbacks: Sequence[Listener],
        engine: Engine,
    ) -> None:
        self.plan, self.networks, self.data, self.schedule = plan, networks, data, schedule
        self.epochs, self.validation, self.metrics, self.keep = epochs, validation, metrics, keep
        self.engine = engine
        self.history = History()
        self.listeners = [self.history, *callbacks]
        self.steps_per_epoch = math.ceil(len(data.X) / plan.batch_size)
        self.n_steps = epochs * self.steps_per_epoch
        self.began = time.perf_counter()
        self.last = np.stack([network.parameters for network in networks])  # at the end of the last finite epoch
        self.last_epoch = np.zeros(len(networks), dtype=int)
        self.last_loss = np.full(len(networks), np.nan)
        self.best, self.best_epoch = self.last.copy(), self.last_epoch.copy()
        self.best_loss = np.full(len(networks), np.inf)
        self.diverged = np.full(len(networks), -1)

    def run(self) -> Run:
        """Epoch after epoch until something ends it."""
        session = self.engine.session(self.plan, self.last, self.data)
        self._tell("on_begin", self._progress(0, np.full(len(self.networks), np.nan)))
        reason = "finished"
        with ctrl_c() as interrupted:
            for epoch in range(1, self.epochs + 1):
                reason = self._epoch(session, epoch, interrupted)
                if reason != "finished":
                    break
        self._tell("on_end", reason)
        return self._kept(reason)

    def _epoch(self, session: Session, epoch: int, interrupted: threading.Event) -> str:
        """Steps to the end of an epoch, then its rows; "finished", or why the descent must end."""
        step, end = (epoch - 1) * self.steps_per_epoch, epoch * self.steps_per_epoch
        rates = self.learning_rates(step, end)
        loss_sum, weight_sum = np.zeros(len(self.networks)), 0.0
        while step < end:
            done = session.run(rates[step - end :], SLICE_SECONDS)
            step += done.n_steps
            loss_sum += done.loss_sum
            weight_sum += done.weight_sum
            self.diverged = done.diverged_step
            loss = np.where(self.diverged < 0, loss_sum / max(weight_sum, np.finfo(float).tiny), np.nan)
            if interrupted.is_set() and step < end:
                self._take_over(session.parameters(), epoch - 1, self.last_loss)
                return "interrupted"
            if (self.diverged >= 0).all():
                return "diverged"
            if self._tell("on_progress", self._progress(step, loss)) and step < end:
                self._take_over(session.parameters(), epoch - 1, self.last_loss)
                return "stopped"
        return self._close_epoch(session, epoch, loss, done, float(rates[-1]), interrupted)

    def _close_epoch(
        self, session: Session, epoch: int, loss: Array, done: Slice, rate: float, interrupted: threading.Event
    ) -> str:
        """Measure, write the rows, remember the best, and ask the listeners."""
        parameters = session.parameters()
        rows, monitored = self._rows(epoch, loss, parameters, done.gradient_norm, rate)
        self._take_over(parameters, epoch, monitored)
        better = is_better(monitored, self.best_loss)
        self.best[better], self.best_epoch[better] = parameters[better], epoch
        self.best_loss[better] = monitored[better]
        event = Epoch(self._progress(epoch * self.steps_per_epoch, loss), rows, monitored, session.parameters)
        stop = self._tell("on_epoch", event)
        if interrupted.is_set():
            return "interrupted"
        return "stopped" if stop else "finished"

    def learning_rates(self, first: int, end: int) -> Array:
        """Learning rates of the steps from `first` up to `end`, shape `(end - first,)`."""
        t = np.arange(first, end, dtype=np.float64) / self.n_steps
        return self.plan.optimizer.learning_rate * self.schedule.factor(t)

    def _rows(
        self, epoch: int, loss: Array, parameters: Array, gradient_norm: Array, rate: float
    ) -> tuple[list[dict[str, Any]], Array]:
        """The epoch's history rows, and the loss that "best" goes by."""
        monitored = loss.copy()
        rows = []
        for k, theta in enumerate(parameters):
            row: dict[str, Any] = {
                "epoch": epoch,
                "step": epoch * self.steps_per_epoch,
                "start": k,
                "loss": float(loss[k]),
            }
            if self.validation is not None:
                if self.diverged[k] < 0:
                    monitored[k] = self.engine.loss(self.plan, theta, self.validation)
                row["validation_loss"] = float(monitored[k])
                if self.metrics:
                    A = self.engine.predict(self.plan.layers, theta, self.validation.X)
                    with np.errstate(over="ignore", invalid="ignore"):  # of a network that is about to diverge
                        row |= {name: float(metric(A, self.validation.Y)) for name, metric in self.metrics.items()}
            row |= {"learning_rate": rate, "gradient_norm": float(gradient_norm[k]), "seconds": self._seconds()}
            rows.append(row)
        return rows, monitored

    def _take_over(self, parameters: Array, epoch: int, loss: Array) -> None:
        """These are the last good parameters of the starts that have not diverged and whose loss is a number."""
        good = (self.diverged < 0) & np.isfinite(parameters).all(axis=1) & ~np.isinf(loss)
        self.last[good], self.last_epoch[good], self.last_loss[good] = parameters[good], epoch, loss[good]

    def _kept(self, reason: str) -> Run:
        """The run, at the parameters that are kept."""
        keep_best = reason in ("interrupted", "diverged") or (
            self.keep == "best" and (self.validation is not None or reason == "stopped")
        )
        use_best = np.full(len(self.networks), keep_best) & (self.best_epoch > 0)
        for k in np.flatnonzero(self.diverged >= 0).tolist():
            use_best[k] = True
            self._fall_back(k)
        kept = np.where(use_best[:, None], self.best, self.last)
        losses = np.where(use_best, self.best_loss, self.last_loss)
        ranked = np.where(np.isfinite(losses), losses, np.inf)
        message = self._message(reason)
        if (self.diverged >= 0).any():
            warnings.warn(message, DivergenceWarning, stacklevel=4)
        return Run(
            networks=[network.copy(theta) for network, theta in zip(self.networks, kept, strict=True)],
            best_start=int(np.argmin(ranked)),
            history=self.history,
            stop_reason=reason,
            message=message,
            kept_epochs=[int(epoch) for epoch in np.where(use_best, self.best_epoch, self.last_epoch)],
            losses=losses,
        )

    def _fall_back(self, k: int) -> None:
        """After a divergence: where start k's best parameters are no better than its random start, keep that."""
        rows = self.validation or self.data
        at_best, at_start = (
            self.engine.loss(self.plan, theta, rows) for theta in (self.best[k], self.networks[k].parameters)
        )
        if not at_best < at_start:
            self.best[k], self.best_epoch[k], self.best_loss[k] = self.networks[k].parameters, 0, at_start

    def _message(self, reason: str) -> str:
        n_rows = len(self.history)
        epochs = self.history.rows[-1]["epoch"] if n_rows else 0
        if (self.diverged >= 0).any():
            k = int(np.argmax(self.diverged >= 0))
            step, rate = int(self.diverged[k]), self.plan.optimizer.learning_rate
            who = "the loss" if len(self.networks) == 1 else f"the loss of start {k}"
            kept = (
                f"the parameters of epoch {self.best_epoch[k]} were" if self.best_epoch[k] else "the random start was"
            )
            return (
                f"{who} was no longer a finite number at step {step + 1} (epoch {step // self.steps_per_epoch + 1}): "
                f"the learning rate {rate:g} is too large for these data; try {rate / 10:g}, scale the inputs, or set "
                f"clip_norm; {kept} kept"
            )
        return {
            "finished": f"all {self.epochs} epochs were done",
            "stopped": f"a listener stopped the descent after {epochs} epochs",
            "interrupted": f"interrupted after {epochs} epochs; the best parameters so far were kept",
        }[reason]

    def _progress(self, step: int, loss: Array) -> Progress:
        return Progress(step, self.n_steps, step // self.steps_per_epoch, self.epochs, loss, self._seconds())

    def _seconds(self) -> float:
        return time.perf_counter() - self.began

    def _tell(self, event: str, what: Any) -> bool:
        """Tell all listeners; True if one of them asks to stop."""
        answers = [getattr(listener, event)(what) is True for listener in self.listeners]
        return any(answers)

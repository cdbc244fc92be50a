"""`descend`: what a user says of a descent, checked, and put into the loop's terms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.checkpoint import Checkpoint, as_checkpoint
from fallline.descent.loop import Descent
from fallline.descent.measurement import Measurement
from fallline.engines import Data, Engine, Plan, Share, Stream, as_engine
from fallline.engines.choice import suited
from fallline.errors import DataError, ParameterError
from fallline.listeners import Listener
from fallline.listeners.listener import as_listeners
from fallline.losses import Loss, OwnLoss, as_loss
from fallline.metrics import LARGER_IS_BETTER, Metric, as_metrics
from fallline.network import Network
from fallline.optimizers import PerStart, StepRule, as_rule
from fallline.params import PARAMS
from fallline.rates import EQUAL_RATES, Rates
from fallline.run import Run
from fallline.schedules import Schedule, as_schedule
from fallline.starts import as_starts

Array = npt.NDArray[Any]


def descend(
    net: Network | Sequence[Network],
    X: npt.ArrayLike | Stream | Share,
    y: npt.ArrayLike = (),
    loss: Loss | str = "auto",
    optimizer: StepRule | str = "adam",
    schedule: Schedule | str = "constant",
    batch_size: int | None = 32,
    epochs: int = 100,
    validation: tuple[npt.ArrayLike, ...] | None = None,
    metrics: str | Sequence[str] | Mapping[str, Metric] = (),
    starts: int | range = 1,
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
    repair: bool | int = True,
    checkpoint: Checkpoint | str | PathLike[str] | None = None,
) -> Run:
    """Gradient descent from one or several random starts.

    Parameters
    ----------
    net : Network or sequence of Network
        The first start, or each start as given: `[net] * 3` is the same one three times, for a sweep. They are left as
        they are, the run has its own copies.
    X : array of shape (n, n_in)
        In a group of processes (docs/many-machines.md) all rows, of which the engine takes this process's share. Or
        with the targets a `fallline.engines.Stream`, rows that are read as they are needed, or that `Share`.
    y : array of shape (n,) or (n, n_targets)
        Targets, but of a stream or share; classes as whole numbers where the network has several outputs.
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
    starts : int or range, default 1
        Random starts to train: `net` and `starts - 1` others of its seed. Sequences for other parameters say it too.
        A start's number, from 0, chooses its dropout masks. A range says which numbers: `range(4, 8)` is the last half
        of 8, to the same bits.
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
    engine : {"native", "reference", "xla", "auto"} or Engine, default "native"
        What computes: the compiled core, NumPy to be read, or JAX, for GPUs and TPUs. "auto" is JAX where there is a
        GPU or TPU and the work is large enough to pay, which the logger "fallline" says; otherwise the core.
    threads : int, "auto" or None, default None
        How many the compiled core uses; None and "auto" mean as many as the process may use. The result is the same.
    precision : "bf16" or None, default None
        "bf16": the matrix products of layers with five outputs or more round their operands to 8 binary digits, and
        sum up in float32; weights, losses and steps stay float32. Faster on processors with AVX-512 BF16, not used on
        others. None means the network's own numbers throughout.
    rates : Rates, default all 1
        What the learning rate is multiplied by for each part of the network; see `fallline.rates`.
    repair : bool or int, default True
        How often a start whose loss became infinite or NaN is set back to its last good point, and goes on with half
        the step size; the others do not feel it. True means 3 times, False never: then there is a DivergenceError.
    checkpoint : Checkpoint, str or path, optional
        The folder where the descent is kept as it goes, and how often; see `Checkpoint` and `resume`.

    Returns
    -------
    Run

    Raises
    ------
    DataError, ParameterError
        The data do not fit the network or the loss; a setting is out of range; the checkpoint is of another descent.
    DivergenceError
        The loss of a start became infinite or NaN, and `repair` is False.
    CheckpointError
        There are checkpoints to go on from, but none is good.

    Warns
    -----
    DivergenceWarning
        The loss of a start became infinite or NaN; it was set back, or, where that did not help, its last good
        parameters were kept.
    CheckpointWarning
        A checkpoint could not be written, or the last one not be read.
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
    data = X if isinstance(X, (Stream, Share)) else Data.of(net, record, X, y, sample_weight, len(networks))
    if isinstance(record, OwnLoss) and isinstance(data, Data):
        record.check_gradient(net.forward(data.X[:8]).A[-1], data.Y[:8])
    n = data.n
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
    measured = None if validation is None else held_back(net, record, validation, len(networks))
    if metrics and measured is None:
        raise ParameterError("metrics are measured on validation rows; set validation=(X, y)")
    if monitor.removeprefix("-") not in ("validation_loss", *as_metrics(metrics)):
        raise ParameterError(f"monitor is {monitor!r}; it must be 'validation_loss' or one of the metrics")
    if monitor in LARGER_IS_BETTER:
        raise ParameterError(f"monitor is {monitor!r}, of which more is better; put a minus before it: '-{monitor}'")
    n_epochs = PARAMS["epochs"].number(epochs)
    if engine == "auto":
        engine = suited(net.shape, net.dtype, size * len(networks), n_epochs * math.ceil(n / size), threads)
    engine = as_engine(engine, threads)
    return Descent(
        plan,
        networks,
        data,
        law,
        n_epochs,
        Measurement(engine, plan, measured, as_metrics(metrics), monitor),
        keep,
        _whole("measure_every", measure_every),
        as_listeners(callbacks),
        engine,
        _times(repair),
        as_checkpoint(checkpoint),
    ).run()


def held_back(net: Network, loss: Loss, validation: Sequence[npt.ArrayLike], n_starts: int) -> list[Data]:
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


def _times(repair: bool | int) -> int:
    """How often a start may be set back."""
    if repair is True:
        repair = PARAMS["repair"].default
    return int(PARAMS["repair"].check(0 if repair is False else repair))


def _dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> tuple[float, ...]:
    rates = tuple(dropout) if isinstance(dropout, (Sequence, np.ndarray)) else (dropout,) * n_hidden
    if len(rates) != n_hidden:
        raise ParameterError(f"dropout has {len(rates)} rates; it must be one, or one a hidden layer, {n_hidden} here")
    return tuple(PARAMS["dropout"].check(rate) for rate in rates)


def _whole(name: str, value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ParameterError(f"{name} is {value!r}; it must be a whole number, 1 or more")
    return value

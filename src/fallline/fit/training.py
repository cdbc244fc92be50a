"""`fit`: from a table to a model."""

from __future__ import annotations

import math
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fallline
from fallline import losses, metrics, optimizers, params
from fallline.descent import descend
from fallline.engines import as_engine
from fallline.errors import DataError, DivergenceWarning, ParameterError
from fallline.fit.beside import linear_network
from fallline.fit.budget import Budget, Deadline
from fallline.fit.calibration import Unseen
from fallline.fit.judgement import Judgement, judge, with_linear
from fallline.fit.rows import Rows
from fallline.listeners import CycleStopping, EarlyStopping, Listener
from fallline.losses import OwnLoss
from fallline.metrics import Metric
from fallline.model import Model
from fallline.network import Network
from fallline.recipes import RECIPES, Recipe
from fallline.run import Run
from fallline.schedules import Coslog4
from fallline.table import Encoder, Table, Target, Task, guess_task
from fallline.table.number import as_number
from fallline.table.table import Indices

Array = npt.NDArray[Any]
# How good outputs (n, n_out) are for targets as the loss takes them and weights of the rows; the larger the better.
Score = Callable[[Target, Array, Array, Array], float]

MOST_MEASUREMENTS = 60  # of short epochs: enough to find the best, and not what takes the time
LINEAR_SHARE = 0.1  # of the time left, for the linear model
MOST_BLENDED = 2000  # rows; with more a linear model has nothing to add
# What each task can be trained with; the first is its "auto".
LOSSES = {
    "softmax": ("categorical_cross_entropy", "squared_error"),
    "sigmoid": ("binary_cross_entropy", "squared_error"),
    "identity": ("squared_error", "absolute_error", "huber", "quantile"),
}


@dataclass(frozen=True)
class Fit:
    """What `fit` came to.

    Attributes
    ----------
    model : Model
    run : Run
        The descent, with its history.
    judgement : Judgement
        What rows say that the networks did not learn from.
    train_rows : array of int
        The table's rows that were trained on.
    held_back_rows : array of int
        The rows that were measured on: the table's, or the validation table's where there was one.
    n_folds : int
        0: the rows held back are the same for all starts. Otherwise each start held back one of so many parts of the
        rows; where there are as many starts, all rows were trained on by some and measured on by others.
    start : int
        The random start that is best on the rows it did not learn from.
    starts : list of int
        The starts whose networks the model has.
    held_back_chose : bool
        Whether the rows held back had a say in which epoch or start was kept, so their scores are a bit too good.
    rows : Rows
        All of these rows as tables.
    """

    model: Model
    run: Run
    judgement: Judgement
    train_rows: Indices
    held_back_rows: Indices
    n_folds: int
    start: int
    starts: list[int]
    held_back_chose: bool
    rows: Rows

    @property
    def judged(self) -> Table:
        """The rows that `judgement.outputs` answers, a copy; none where nothing was held back."""
        return self.rows.measured.rows(self.judgement.rows)

    @property
    def scores(self) -> dict[str, float]:
        """On the rows held back, in the user's units; empty where there are none."""
        return self.judgement.scores

    @property
    def beside(self) -> dict[str, dict[str, float]]:
        """Scores on the same rows of what a network should beat: "guess", and "linear"; see `Judgement`."""
        return self.judgement.beside


def fit(
    table: Table,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Listener] = (),
    validation_table: Table | None = None,
    sample_weight: Array | None = None,
    groups: Array | None = None,
    monitor: tuple[str, Score] | None = None,
    loss: OwnLoss | None = None,
    begin: Model | None = None,
    classes: Array | None = None,
) -> Fit:
    """Train networks on a table.

    By default several random starts go down together, each of which holds back another part of the rows. Each is kept
    at the epoch that is best on the rows it held back, and their answers are averaged.

    Parameters
    ----------
    table : Table
        With targets.
    settings : mapping from names to values, optional
        See `fallline.params`; the recipe chooses what is "auto".
    callbacks : sequence of Listener
        Hear of the descent.
    validation_table : Table, optional
        Rows to measure on, with the same columns, in place of held-back ones.
    sample_weight : array of shape (n,), optional
        Weight of each row of the table, in the loss and in what the epochs are chosen by.
    groups : array of shape (n,), optional
        Rows of one group are held back together, or not at all.
    monitor : (str, callable), optional
        A name, and what says which epoch is best: `(target, A, Y, weight) -> float`, the larger the better, with the
        outputs, the targets as the loss takes them and the weights of held-back rows. Otherwise the Brier score says
        it, for numbers the loss.
    loss : OwnLoss, optional
        Of your own, in place of the setting; of probabilities or standardised numbers, in the reference engine.
    begin : Model, optional
        Go on from its networks, with what it knows of the columns.
    classes : array of shape (n_classes,), optional
        All that there are, where these rows may not have them all.

    Returns
    -------
    Fit

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    DataError
        The table has no targets, too few rows, or rows that do not fit together.

    Examples
    --------
    >>> from fallline.table import load_bundled
    >>> result = fit(load_bundled("iris"), {"epochs": 30, "engine": "reference", "starts": 3})
    >>> len(result.model.networks), result.n_folds, result.scores["accuracy"] > 0.8
    (3, 8, True)
    """
    began = time.perf_counter()
    checked = params.check(settings)
    if table.y is None:
        raise DataError(f"{table.name}: there is no target to learn")
    task: Task = _guess(table, table.y) if checked["task"] == "auto" else checked["task"]
    checked["task"] = task
    if table.y.ndim > 1 and checked["label_smoothing"] == "auto":
        checked["label_smoothing"] = 0.0  # labels that are there or not are no classes
    if loss is not None:
        checked |= {"engine": "reference", "loss": "auto", "label_smoothing": 0.0}
    if begin is not None:
        checked |= {"starts": len(begin.training["starts"]), "hidden": begin.network.layer_sizes[1:-1]}
        checked["activation"] = begin.training["settings"]["activation"]
    recipe = RECIPES["table" if table.image_shape is None else "picture"]
    weight = None if sample_weight is None else np.asarray(sample_weight, np.float32)

    def prepared(settings: Mapping[str, Any]) -> tuple[Rows, dict[str, Any], _Job]:
        rows = Rows.of(table, recipe.settle(settings, task, table.n_rows), task, validation_table, groups)
        settled = recipe.settle(settings, task, len(rows.train_rows))
        if settled["patience"] and rows.held_back is None and not rows.n_folds:
            raise ParameterError("patience needs rows to measure on; set validation above 0")
        return rows, settled, _Job.of(rows, settled, recipe, weight, monitor, loss, begin, classes)

    rows, settled, job = prepared(checked)
    budget = Budget(checked["time_budget"] or math.inf, began)
    if checked["time_budget"]:
        chosen = budget.choose(checked, settled, len(rows.train_rows), job.try_out)
        if any(settled[name] != value for name, value in chosen.items()):
            rows, settled, job = prepared(checked | chosen)
        callbacks = [*callbacks, Deadline(budget.deadline - LINEAR_SHARE * budget.left)]
    if settled["patience"]:
        callbacks = [*callbacks, EarlyStopping(settled["patience"])]
    if job.keeps_best and settled["schedule"] == Coslog4.name and checked["epochs"] == "auto":
        callbacks = [*callbacks, CycleStopping(Coslog4.cycle_ends)]
    run = job.descend(callbacks)
    learned = np.isfinite(run.losses) & (np.array(run.kept_steps) > 0)
    sound = [int(k) for k in np.flatnonzero(learned)] or [run.best_start]
    starts = sound if settled["combine"] == "average" else [run.best_start]
    early = run.stop_reason in ("interrupted", "diverged")
    one_of_several = len(run.networks) > 1 and settled["combine"] == "best"
    held_back_chose = job.validation is not None and bool(job.keeps_best or early or one_of_several)

    networks, shares = with_linear([run.networks[k] for k in starts], [], 0.0)
    judgement = Judgement()
    if job.validation is not None:
        engine = as_engine(settled["engine"], settled["threads"])
        n_rows = len(rows.train_rows)
        wants_linear = recipe.keeps_best and not early and budget.left > 0
        epochs = settled["epochs"] if checked["time_budget"] else recipe.choose(checked, task, n_rows)["epochs"]
        linear = job.linear_networks(epochs, Deadline(budget.deadline)) if wants_linear else []
        few = n_rows < MOST_BLENDED and settled["combine"] == "average"
        unseen = Unseen.of(rows, job.data, job.validation)
        judgement = judge(job.encoder, rows, unseen, engine, networks, starts, linear, job.keeps_best, few)
        networks, shares = with_linear(networks, linear, judgement.linear_share)
    model = Model(
        job.encoder,
        networks,
        engine=settled["engine"],
        threads=settled["threads"],
        sharpness=judgement.sharpness,
        shares=shares,
        errors=judgement.errors,
    )
    model.training.update(_record(table, rows, recipe, settled, job, run, starts, judgement, held_back_chose))
    return Fit(
        model=model,
        run=run,
        judgement=judgement,
        train_rows=rows.train_rows,
        held_back_rows=rows.held_back_rows,
        n_folds=rows.n_folds,
        start=run.best_start,
        starts=starts,
        held_back_chose=held_back_chose,
        rows=rows,
    )


@dataclass(frozen=True)
class _Job:
    """What goes down: the network, the rows as it takes them, and what else `descend` is told."""

    encoder: Encoder
    networks: list[Network]
    data: tuple[Array, Array]
    validation: tuple[Array, ...] | None
    keeps_best: bool
    passed_on: dict[str, Any]

    @classmethod
    def of(
        cls,
        rows: Rows,
        settled: Mapping[str, Any],
        recipe: Recipe,
        weight: Array | None,
        monitor: tuple[str, Score] | None,
        loss: OwnLoss | None,
        begin: Model | None,
        classes: Array | None,
    ) -> _Job:
        """Encode the rows, and put settings into the descent's terms."""
        if begin is not None:
            encoder, networks = begin.encoder, begin.networks[: settled["starts"]]
        else:
            quantiles = settled["quantiles"] if settled["loss"] == "quantile" else ()
            encoder = Encoder.fit(rows.train, settled["task"], settled["target_transform"] == "log", quantiles, classes)
            networks = [
                Network(
                    [encoder.n_in, *settled["hidden"], encoder.n_out],
                    activation=settled["activation"],
                    output=encoder.target.output,
                    seed=settled["seed"],
                    inputs=encoder.inputs,
                )
            ]
        data = _encoded(rows.train, encoder)
        validation: tuple[Array, ...] | None = None
        if rows.n_folds:
            learned, of_rows = rows.learned(settled["starts"]), np.float32(1) if weight is None else weight
            weight, validation = learned * of_rows, (*data, (1 - learned) * of_rows)
        elif rows.held_back is not None:
            validation = _encoded(rows.held_back, encoder)
            if weight is not None and len(weight) > len(data[0]):  # some of the table's own rows are held back
                validation, weight = (*validation, weight[rows.held_back_rows]), weight[rows.train_rows]
        measured = {} if validation is None else _metrics(encoder.target, monitor)
        asks = bool(settled["patience"]) or monitor is not None
        keeps_best = validation is not None and (recipe.keeps_best or asks)
        rule, rates = recipe.rule(settled)
        passed_on = {name: settled[name] for name in _PASSED_ON} | {
            "loss": loss or _loss(settled, encoder.target),
            "optimizer": rule,
            "rates": rates,
            "sample_weight": weight,
            "validation": validation,
            "metrics": measured,
            "keep": "best" if keeps_best else "last",
            "monitor": _monitored(measured, monitor),
            "measure_every": 1 if settled["patience"] else max(1, settled["epochs"] // MOST_MEASUREMENTS),
        }
        return cls(encoder, networks, data, validation, keeps_best, passed_on)

    def descend(self, callbacks: Sequence[Listener]) -> Run:
        """Go down, from one random start and others of its seed, or from each network as it is."""
        begin = self.networks if len(self.networks) > 1 else self.networks[0]
        return descend(begin, *self.data, callbacks=callbacks, **self.passed_on)

    def try_out(self, listener: Listener) -> Run:
        """Go down for a moment, which nobody else hears of."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)
            return self.descend([listener])

    def linear_networks(self, epochs: int, listener: Listener) -> list[Network]:
        """Train networks of no hidden layer on the same rows, a start each."""
        own = {"dropout": 0.0, "schedule": "cosine", "epochs": epochs, "measure_every": 10}
        network = linear_network(self.encoder, self.networks[0].seed)
        return descend(network, *self.data, callbacks=listener, **self.passed_on | own).networks


# Settings that a descent takes by the same names.
_PASSED_ON = (
    "schedule",
    "batch_size",
    "epochs",
    "starts",
    "seed",
    "l1",
    "l2",
    "dropout",
    "clip_norm",
    "threads",
    "precision",
    "engine",
)


def _record(
    table: Table,
    rows: Rows,
    recipe: Recipe,
    settled: Mapping[str, Any],
    job: _Job,
    run: Run,
    starts: list[int],
    judgement: Judgement,
    held_back_chose: bool,
) -> dict[str, Any]:
    """How the model came about, for its file."""
    return {
        "recipe": recipe.name,
        "settings": {name: list(value) if isinstance(value, tuple) else value for name, value in settled.items()},
        "loss": losses.settings(job.passed_on["loss"]),
        "optimizer": optimizers.settings(job.passed_on["optimizer"]),
        "rates": asdict(job.passed_on["rates"]),
        "schedule": settled["schedule"],
        "table": table.name,
        "rows": {"trained": len(rows.train_rows), "held_back": len(rows.held_back_rows), "folds": rows.n_folds},
        "starts": starts,
        "kept_epochs": [run.kept_epochs[k] for k in starts],
        "stop_reason": run.stop_reason,
        "scores": judgement.scores,
        "each": judgement.each,
        "beside": judgement.beside,
        "linear_share": judgement.linear_share,
        "held_back_chose": held_back_chose,
        "history": run.history.rows,
        "versions": {"fallline": fallline.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def _monitored(measured: Mapping[str, Metric], monitor: tuple[str, Score] | None) -> str:
    """What says which epoch is best, as `descend` takes it."""
    if monitor is not None and measured:
        return f"-{monitor[0]}"
    return "brier" if "brier" in measured else "validation_loss"


def _guess(table: Table, y: Array) -> Task:
    """The task that the targets suggest; a column of numbers with a few words in it is a mistake, not classes."""
    if y.dtype.kind == "U":
        words = [row for row, value in enumerate(y.tolist()) if as_number(value) is None]
        if 2 * len(words) < len(y):
            row = words[0] if words else 0
            value = f"{str(y[row])!r} in row {row + 1}"
            raise DataError(
                f"{table.name}: target {table.target!r} is {value}, but mostly numbers; mend it, or set the task to "
                "classification"
            )
    return guess_task(y)


def _loss(settings: Mapping[str, Any], target: Target) -> losses.Loss:
    name, smoothing, known = settings["loss"], settings["label_smoothing"], LOSSES[target.output]
    if name == "auto":
        name = known[0]
    if name not in known:
        raise ParameterError(f"loss {name!r} is not for {target.task}; choose from {', '.join(known)}")
    if name == "categorical_cross_entropy":
        return losses.CategoricalCrossEntropy(label_smoothing=smoothing)
    if smoothing:
        raise ParameterError(f"label_smoothing is {smoothing}; with the loss {name} it must be 0")
    return losses.Quantile(target.quantiles) if name == "quantile" else losses.LOSSES[name]()


def _encoded(table: Table, encoder: Encoder) -> tuple[Array, Array]:
    """Give inputs `(n, n_in)` and targets of a table as the descent takes them."""
    if table.y is None:
        raise DataError(f"{table.name}: there is no target {encoder.target.name!r} to measure with")
    return encoder.encode_inputs(encoder.rows_of(table)), encoder.target.encode(table.y)


def _metrics(target: Target, monitor: tuple[str, Score] | None) -> dict[str, Metric]:
    """Choose what the history measures on the held-back rows, in the user's units."""
    measured: dict[str, Metric]
    if target.task == "classification":
        measured = {"accuracy": metrics.accuracy, "brier": metrics.brier}
    else:

        def in_units(metric: Metric) -> Metric:
            return lambda A, Y, weight: metric(target.decode(A).reshape(len(A), -1), target.truth(Y), weight)

        measured = {"rmse": in_units(metrics.rmse), "r2": in_units(metrics.r2)}
    if monitor is not None:
        name, good = monitor
        measured[name] = lambda A, Y, weight: good(target, A, Y, weight)
    return measured

"""What is to go down: a table's rows as a network takes them, the network, and what else a descent is told."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline import losses, metrics, params
from fallline.checkpoint import Checkpoint
from fallline.descent import descend
from fallline.engines import Share, Stream
from fallline.engines.choice import suited
from fallline.errors import DataError, DivergenceWarning, ParameterError
from fallline.fit.beside import linear_network
from fallline.fit.rows import Rows
from fallline.listeners import Listener
from fallline.losses import OwnLoss
from fallline.metrics import Metric
from fallline.model import Model
from fallline.network import Network
from fallline.recipes import RECIPES, Recipe
from fallline.run import Run
from fallline.table import Encoder, Table, Target, Task, guess_task
from fallline.table.number import as_number
from fallline.table.table import Indices

Array = npt.NDArray[Any]
# How good outputs (n, n_out) are for targets as the loss takes them and weights of the rows; the larger the better.
Score = Callable[[Target, Array, Array, Array], float]

MOST_MEASUREMENTS = 60  # of short epochs: enough to find the best, and not what takes the time
# What each task can be trained with; the first is its "auto".
LOSSES = {
    "softmax": ("categorical_cross_entropy", "squared_error"),
    "sigmoid": ("binary_cross_entropy", "squared_error"),
    "identity": ("squared_error", "absolute_error", "huber", "quantile"),
}


def check(
    table: Table, settings: Mapping[str, Any] | None = None, loss: OwnLoss | None = None, begin: Model | None = None
) -> dict[str, Any]:
    """Check settings and say which task they are for; the recipe has not chosen yet.

    Parameters
    ----------
    table : Table
    settings : mapping from names to values, optional
    loss : OwnLoss, optional
    begin : Model, optional

    Returns
    -------
    dict
        A value for each of `fallline.params`, "auto" among them.

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    DataError
        The table has no targets, or they are neither classes nor numbers.
    """
    checked = params.check(settings)
    if table.y is None:
        raise DataError(f"{table.name}: there is no target to learn")
    if checked["task"] == "auto":
        checked["task"] = _guess(table, table.y)
    if table.y.ndim > 1 and checked["label_smoothing"] == "auto":
        checked["label_smoothing"] = 0.0  # labels that are there or not are no classes
    if loss is not None:
        checked |= {"engine": "reference", "loss": "auto", "label_smoothing": 0.0}
    if begin is not None:
        checked |= {"starts": len(begin.training["starts"]), "hidden": begin.network.layer_sizes[1:-1]}
        checked["activation"] = begin.training["settings"]["activation"]
    return checked


@dataclass(frozen=True)
class Job:
    """What goes down.

    Attributes
    ----------
    rows : Rows
        The table's rows, parted.
    settled : dict
        The settings, with what the recipe has chosen.
    recipe : Recipe
    encoder : Encoder
    networks : list of Network
        One to begin from, or one for each start.
    data : (X, y)
        To learn from, as the networks take them; some of them where there is a stream.
    validation : (X, y) or (X, y, weight) or None
        To measure on.
    keeps_best : bool
        Whether each start is kept at its best epoch.
    passed_on : dict
        What else `descend` is told.
    stream : Stream, Share or None
        The rows to learn from, where they are not at hand, or this process has but its share of them.
    """

    rows: Rows
    settled: dict[str, Any]
    recipe: Recipe
    encoder: Encoder
    networks: list[Network]
    data: tuple[Array, Array]
    validation: tuple[Array, ...] | None
    keeps_best: bool
    passed_on: dict[str, Any]
    stream: Stream | Share | None = None

    @classmethod
    def of(
        cls,
        table: Table,
        checked: Mapping[str, Any],
        validation_table: Table | None = None,
        weight: Array | None = None,
        groups: Indices | None = None,
        monitor: tuple[str, Score] | None = None,
        loss: OwnLoss | None = None,
        begin: Model | None = None,
        classes: Array | None = None,
    ) -> Job:
        """Part and encode the rows, and put settings into the descent's terms; parameters as of `fit` and `check`."""
        recipe, task = RECIPES["table" if table.image_shape is None else "picture"], checked["task"]
        rows = Rows.of(table, recipe.settle(checked, task, table.n_rows), task, validation_table, groups)
        settled = recipe.settle(checked, task, rows.n_trained)
        if settled["patience"] and rows.held_back is None and not rows.n_folds:
            raise ParameterError("patience needs rows to measure on; set validation above 0")
        if begin is not None:
            encoder, networks = begin.encoder, begin.networks[: settled["starts"]]
        else:
            encoder = Encoder.fit(rows.train, settled["task"], **told_of_target(settled), classes=classes)
            networks = [network_for(encoder, settled)]
        data = encoded(rows.train, encoder)
        validation: tuple[Array, ...] | None = None
        if rows.n_folds:
            learned, of_rows = rows.learned(settled["starts"]), np.float32(1) if weight is None else weight
            weight, validation = learned * of_rows, (*data, (1 - learned) * of_rows)
        elif rows.held_back is not None:
            validation = encoded(rows.held_back, encoder)
            if weight is not None and len(weight) > len(data[0]):  # some of the table's own rows are held back
                validation, weight = (*validation, weight[rows.held_back_rows]), weight[rows.train_rows]
        return cls.put_together(rows, settled, recipe, encoder, networks, data, validation, weight, monitor, loss)

    @classmethod
    def put_together(
        cls,
        rows: Rows,
        settled: dict[str, Any],
        recipe: Recipe,
        encoder: Encoder,
        networks: list[Network],
        data: tuple[Array, Array],
        validation: tuple[Array, ...] | None,
        weight: Array | None = None,
        monitor: tuple[str, Score] | None = None,
        loss: OwnLoss | None = None,
        stream: Stream | Share | None = None,
    ) -> Job:
        """Say the rest in the descent's terms."""
        measured = {} if validation is None else _metrics(encoder.target, monitor)
        asks = bool(settled["patience"]) or monitor is not None
        keeps_best = validation is not None and (recipe.keeps_best or asks)
        if settled["engine"] == "auto":
            size = min(settled["batch_size"], rows.n_trained)
            n_steps = settled["epochs"] * math.ceil(rows.n_trained / size)
            shape, n_starts = networks[0].shape, settled["starts"]
            settled["engine"] = suited(shape, networks[0].dtype, size * n_starts, n_steps, settled["threads"])
        rule, rates = recipe.rule(settled)
        passed_on = {name: settled[name] for name in _PASSED_ON} | {
            "loss": loss or loss_of(settled, encoder.target),
            "optimizer": rule,
            "rates": rates,
            "sample_weight": weight,
            "validation": validation,
            "metrics": measured,
            "keep": "best" if keeps_best else "last",
            "monitor": _monitored(measured, monitor),
            "measure_every": 1 if settled["patience"] else max(1, settled["epochs"] // MOST_MEASUREMENTS),
        }
        return cls(rows, settled, recipe, encoder, networks, data, validation, keeps_best, passed_on, stream)

    def descend(self, callbacks: Sequence[Listener], checkpoint: Checkpoint | None = None) -> Run:
        """Go down, from one random start and others of its seed, or from each network as it is."""
        begin = self.networks if len(self.networks) > 1 else self.networks[0]
        told = self.passed_on | {"callbacks": callbacks, "checkpoint": checkpoint}
        return descend(begin, *self.data, **told) if self.stream is None else descend(begin, self.stream, **told)

    def close(self) -> None:
        """Let go of a stream."""
        if isinstance(self.stream, Stream):
            self.stream.close()

    def seconds_to_read(self) -> float:
        """What reading the rows of an epoch takes, as far as is known; 0 where they are in memory."""
        return self.stream.n * self.stream.seconds_per_row if isinstance(self.stream, Stream) else 0.0

    def try_out(self, listener: Listener) -> Run:
        """Go down for a moment, which nobody else hears of."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)
            return self.descend([listener])

    def linear_networks(self, epochs: int, listener: Listener, checkpoint: Checkpoint | None = None) -> list[Network]:
        """Train networks of no hidden layer on the same rows, of a stream on those at hand, a start each."""
        own = {"dropout": 0.0, "schedule": "cosine", "epochs": epochs, "measure_every": 10}
        network = linear_network(self.encoder, self.networks[0].seed)
        told = self.passed_on | own
        return descend(network, *self.data, callbacks=listener, checkpoint=checkpoint, **told).networks


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
    "repair",
)


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


def _monitored(measured: Mapping[str, Metric], monitor: tuple[str, Score] | None) -> str:
    """What says which epoch is best, as `descend` takes it."""
    if monitor is not None and measured:
        return f"-{monitor[0]}"
    return "brier" if "brier" in measured else "validation_loss"


def told_of_target(settled: Mapping[str, Any]) -> dict[str, Any]:
    """What settings say of the target, as `Encoder.fit` takes it."""
    quantiles = settled["quantiles"] if settled["loss"] == "quantile" else ()
    return {"log": settled["target_transform"] == "log", "quantiles": quantiles}


def network_for(encoder: Encoder, settled: Mapping[str, Any]) -> Network:
    """The first random start."""
    return Network(
        [encoder.n_in, *settled["hidden"], encoder.n_out],
        activation=settled["activation"],
        output=encoder.target.output,
        seed=settled["seed"],
        inputs=encoder.plain_inputs if settled["inputs"] == "plain" else encoder.inputs,
    )


def loss_of(settings: Mapping[str, Any], target: Target) -> losses.Loss:
    """The loss that settings ask for; ParameterError where it is not for the task."""
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


def encoded(table: Table, encoder: Encoder) -> tuple[Array, Array]:
    """Give inputs `(n, n_in)` and targets of a table as the descent takes them."""
    if table.y is None:
        raise DataError(f"{table.name}: there is no target {encoder.target.name!r} to measure with")
    try:
        y = encoder.target.encode(table.y)
    except DataError as error:
        raise DataError(f"{table.name}: {error}") from None
    return encoder.encode_inputs(encoder.rows_of(table)), y


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

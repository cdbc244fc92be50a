"""A table in, a model out: the one place where encoding, recipe, random start and descent meet."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import fallline
from fallline import losses, metrics, optimizers, params
from fallline.descent import descend
from fallline.errors import DataError, ParameterError
from fallline.inputs import Inputs
from fallline.listeners import EarlyStopping, Listener
from fallline.model import Model, score, sharpened
from fallline.network import Network
from fallline.recipes import RECIPES
from fallline.run import Run
from fallline.table import Encoder, Table, Task, folds, guess_task, split
from fallline.table.number import as_number
from fallline.table.table import Indices

Array = npt.NDArray[Any]

LEAST_FOLDS = 8  # fewer starts leave some folds to be learned from by all
MOST_MEASUREMENTS = 60  # of short epochs: enough to find the best, and not what takes the time
# What each task can be trained with; the first is its "auto".
LOSSES = {
    "classification": ("categorical_cross_entropy", "squared_error"),
    "regression": ("squared_error", "absolute_error", "huber"),
}


@dataclass(frozen=True)
class Fit:
    """What `fit` came to.

    Attributes
    ----------
    model : Model
    run : Run
        The descent, with its history.
    scores : dict of str to float
        Of networks on rows that they did not learn from, in the user's units (see `Model.evaluate`); empty where there
        are none.
    beside : dict of str to dict
        Scores on the same rows of what a network should beat: "guess", the commonest class or the mean, and "linear", a
        linear model of the same columns; empty for pictures, and where nothing was measured.
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
    """

    model: Model
    run: Run
    scores: dict[str, float]
    beside: dict[str, dict[str, float]]
    train_rows: Indices
    held_back_rows: Indices
    n_folds: int
    start: int
    starts: list[int]
    held_back_chose: bool


def fit(
    table: Table,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Listener] = (),
    validation_table: Table | None = None,
    sample_weight: Array | None = None,
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
    checked = params.check(settings)
    if table.y is None:
        raise DataError(f"{table.name}: there is no target to learn")
    task: Task = _guess(table, table.y) if checked["task"] == "auto" else checked["task"]
    recipe = RECIPES["table" if table.image_shape is None else "picture"]
    rows = _Rows.of(table, recipe.settle(checked, task, table.n_rows), task, validation_table)
    settled = recipe.settle(checked, task, len(rows.train_rows))
    if settled["patience"] and rows.held_back is None and not rows.n_folds:
        raise ParameterError("patience needs rows to measure on; set validation above 0")

    loss = _loss(settled, task)
    rule, rates = recipe.rule(settled)
    encoder = Encoder.fit(rows.train, task)
    network = Network(
        [encoder.n_in, *settled["hidden"], encoder.n_out],
        activation=settled["activation"],
        output="softmax" if task == "classification" else "identity",
        seed=settled["seed"],
        inputs=encoder.inputs,
    )
    data = _encoded(rows.train, encoder)
    weight: Array | None = None if sample_weight is None else np.asarray(sample_weight, np.float32)
    validation: tuple[Array, ...] | None = None
    if rows.n_folds:
        learned, of_rows = rows.learned(settled["starts"]), np.float32(1) if weight is None else weight
        weight, validation = learned * of_rows, (*data, (1 - learned) * of_rows)
    elif rows.held_back is not None:
        validation = _encoded(rows.held_back, encoder)
        if weight is not None and validation_table is None:
            validation, weight = (*validation, weight[rows.held_back_rows]), weight[rows.train_rows]
    measured = {} if validation is None else _metrics(encoder)
    keeps_best = validation is not None and (recipe.keeps_best or bool(settled["patience"]))
    passed_on = {name: settled[name] for name in _PASSED_ON} | {
        "loss": loss,
        "optimizer": rule,
        "rates": rates,
        "sample_weight": weight,
        "validation": validation,
        "metrics": measured,
        "keep": "best" if keeps_best else "last",
        "monitor": "brier" if "brier" in measured else "validation_loss",
        "measure_every": 1 if settled["patience"] else max(1, settled["epochs"] // MOST_MEASUREMENTS),
    }
    if settled["patience"]:
        callbacks = [*callbacks, EarlyStopping(settled["patience"])]
    run = descend(network, *data, callbacks=callbacks, **passed_on)
    sound = [int(k) for k in np.flatnonzero(np.isfinite(run.losses))] or [run.best_start]
    starts = sound if settled["combine"] == "average" else [run.best_start]
    early = run.stop_reason in ("interrupted", "diverged")
    one_of_several = len(run.networks) > 1 and settled["combine"] == "best"
    held_back_chose = validation is not None and bool(keeps_best or early or one_of_several)
    networks = [run.networks[k] for k in starts]
    model = Model(encoder, networks, {}, engine=settled["engine"], threads=settled["threads"])
    scores = _measured(model, starts, rows)
    beside = {}
    if scores and recipe.keeps_best and not early:
        own = {
            "dropout": 0.0,
            "schedule": "cosine",
            "epochs": recipe.choose(checked, task, len(rows.train_rows))["epochs"],
            "measure_every": 10,
        }
        linear = descend(_linear(network), *data, **passed_on | own).networks
        beside["guess"] = _guessed(encoder, rows)
        straight = Model(encoder, linear, {}, engine=settled["engine"], threads=settled["threads"])
        beside["linear"] = _measured(straight, range(len(linear)), rows)
    model.training.update(
        recipe=recipe.name,
        settings={name: list(value) if isinstance(value, tuple) else value for name, value in settled.items()},
        loss=losses.settings(loss),
        optimizer=optimizers.settings(rule),
        rates=asdict(rates),
        schedule=settled["schedule"],
        table=table.name,
        rows={"trained": len(rows.train_rows), "held_back": len(rows.held_back_rows), "folds": rows.n_folds},
        starts=starts,
        kept_epochs=[run.kept_epochs[k] for k in starts],
        stop_reason=run.stop_reason,
        scores=scores,
        beside=beside,
        held_back_chose=held_back_chose,
        history=run.history.rows,
        versions={"fallline": fallline.__version__, "numpy": np.__version__, "python": platform.python_version()},
    )
    return Fit(
        model,
        run,
        scores,
        beside,
        rows.train_rows,
        rows.held_back_rows,
        rows.n_folds,
        run.best_start,
        starts,
        held_back_chose,
    )


@dataclass(frozen=True)
class _Rows:
    """Which rows are trained on, and which are measured on."""

    train: Table
    held_back: Table | None
    train_rows: Indices
    held_back_rows: Indices
    fold: Indices  # of each row to train on; start k holds back fold k % n_folds
    n_folds: int = 0

    @classmethod
    def of(cls, table: Table, settled: Mapping[str, Any], task: Task, validation_table: Table | None) -> _Rows:
        everything, none = np.arange(table.n_rows), np.arange(0)
        share, n_folds = settled["validation"], min(max(settled["starts"], LEAST_FOLDS), table.n_rows // 2)
        if validation_table is not None:
            return cls(table, validation_table, everything, np.arange(validation_table.n_rows), none)
        if share == "auto" and n_folds > 1:
            fold = folds(table, n_folds, settled["seed"], task)
            return cls(table, None, everything, np.flatnonzero(fold < settled["starts"]), fold, n_folds)
        if share == 0:
            return cls(table, None, everything, none, none)
        train_rows, held_back_rows = split(table, 0.2 if share == "auto" else share, settled["seed"], task)
        return cls(table.rows(train_rows), table.rows(held_back_rows), train_rows, held_back_rows, none)

    def learned(self, n_starts: int) -> Array:
        """1 for what a start learns from, 0 for what it holds back, shape (starts, n); only of folds."""
        own = np.arange(n_starts) % self.n_folds
        return np.asarray(self.fold != own[:, None], dtype=np.float32)


def _measured(model: Model, starts: Sequence[int], rows: _Rows) -> dict[str, float]:
    """How good the model is on rows that its networks did not learn from; of folds, each by those that held it back.

    Of folds, these rows also tell how sure the networks may be: all rows say one number.
    """
    if rows.held_back is not None:
        return model.evaluate(rows.held_back)
    if not rows.n_folds:
        return {}
    encoder, table = model.encoder, rows.train
    total, n_answers = np.zeros((table.n_rows, encoder.n_out)), np.zeros(table.n_rows)
    for k, network in zip(starts, model.networks, strict=True):
        own = np.flatnonzero(rows.fold == k % rows.n_folds)
        one = Model(encoder, [network], engine=model.engine, threads=model.threads)
        total[own] += one.outputs(table.rows(own))
        n_answers[own] += 1
    there = n_answers > 0
    assert table.y is not None
    A, y = total[there] / n_answers[there, None], table.y[there]
    if encoder.classes is not None:
        model.sharpness = _sharpness(A, encoder.encode_target(y))
        A = sharpened(A, model.sharpness)
    return score(encoder, A, y)


def _linear(network: Network) -> Network:
    """A network of no hidden layer for the same columns, whose numbers go in as they are."""
    inputs = network.shape.inputs
    assert inputs is not None
    straight = Inputs(plain=inputs.embedded + inputs.plain, tables=inputs.tables)
    return Network([inputs.n_in, network.layer_sizes[-1]], (), network.output, seed=network.seed, inputs=straight)


def _guessed(encoder: Encoder, rows: _Rows) -> dict[str, float]:
    """Score the shares of the classes, or the mean, of the rows to train on, whatever a row says."""
    measured = rows.train.rows(rows.held_back_rows) if rows.held_back is None else rows.held_back
    assert rows.train.y is not None
    assert measured.y is not None
    if encoder.classes is None:
        A = np.zeros((measured.n_rows, 1))
    else:
        shares = np.bincount(encoder.encode_target(rows.train.y), minlength=encoder.n_out) / rows.train.n_rows
        A = np.tile(shares, (measured.n_rows, 1))
    return score(encoder, A, measured.y)


def _sharpness(A: Array, target: Array) -> float:
    """What makes the log loss of probabilities smallest."""
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    rows = np.arange(len(A))

    def log_loss(log_sharpness: float) -> float:
        right = sharpened(A, math.exp(log_sharpness))[rows, target]
        return float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())

    return math.exp(minimize_scalar(log_loss, bounds=(-2.0, 2.0), method="bounded").x)


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


def _loss(settings: Mapping[str, Any], task: str) -> losses.Loss:
    name, smoothing = settings["loss"], settings["label_smoothing"]
    if name == "auto":
        name = LOSSES[task][0]
    if name not in LOSSES[task]:
        raise ParameterError(f"loss {name!r} is not for {task}; choose from {', '.join(LOSSES[task])}")
    if name == "categorical_cross_entropy":
        return losses.CategoricalCrossEntropy(label_smoothing=smoothing)
    if smoothing:
        raise ParameterError(f"label_smoothing is {smoothing}; with the loss {name} it must be 0")
    return losses.LOSSES[name]()


def _encoded(table: Table, encoder: Encoder) -> tuple[Array, Array]:
    """Give inputs `(n, n_in)` and targets of a table as the descent takes them."""
    if table.y is None:
        raise DataError(f"{table.name}: there is no target {encoder.target!r} to measure with")
    return encoder.encode_inputs(encoder.rows_of(table)), encoder.encode_target(table.y)


def _metrics(encoder: Encoder) -> dict[str, metrics.Metric]:
    """Choose what the history measures on the held-back rows, in the user's units."""
    if encoder.task == "classification":
        return {"accuracy": metrics.accuracy, "brier": metrics.brier}
    return {"rmse": lambda A, Y: metrics.rmse(A, Y) * encoder.target_scale, "r2": metrics.r2}

"""A table in, a model out: the one place where encoding, recipe, random start and descent meet."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import fallline
from fallline import losses, metrics, optimizers, params
from fallline.descent import descend
from fallline.errors import DataError, ParameterError
from fallline.listeners import EarlyStopping, Listener
from fallline.model import Model, inputs_of
from fallline.network import Network
from fallline.recipes import RECIPES
from fallline.run import Run
from fallline.table import Encoder, Table, Task, guess_task, split
from fallline.table.number import as_number

Array = npt.NDArray[Any]

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
        Of the model on the held-back rows, in the user's units (see `Model.evaluate`); empty where there are none.
    train_rows : array of int
        The table's rows that were trained on.
    held_back_rows : array of int
        The rows that were measured on: the table's, or the validation table's where there was one.
    start : int
        The random start whose network is the model's.
    held_back_chose : bool
        Whether the held-back rows had a say in which epoch or start was kept, so their scores are a bit too good.
    """

    model: Model
    run: Run
    scores: dict[str, float]
    train_rows: npt.NDArray[np.int64]
    held_back_rows: npt.NDArray[np.int64]
    start: int
    held_back_chose: bool


def fit(
    table: Table,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Listener] = (),
    validation_table: Table | None = None,
) -> Fit:
    """Train a network on a table.

    Some rows are held back to measure on, at random. They do not influence the model, unless there are several starts,
    of which the one with the lowest loss on them becomes the model, or `patience` asks for the epoch that is best on
    them, or the descent was interrupted.

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
    >>> result = fit(load_bundled("iris"), {"epochs": 30, "engine": "reference"})
    >>> len(result.train_rows), len(result.held_back_rows), result.scores["accuracy"] > 0.8
    (120, 30, True)
    """
    checked = params.check(settings)
    if table.y is None:
        raise DataError(f"{table.name}: there is no target to learn")
    task: Task = _guess(table, table.y) if checked["task"] == "auto" else checked["task"]
    train_rows, held_back_rows = np.arange(table.n_rows), np.arange(0)
    train, held_back = table, validation_table
    if held_back is not None:
        held_back_rows = np.arange(held_back.n_rows)
    elif checked["validation"] > 0:
        train_rows, held_back_rows = split(table, checked["validation"], checked["seed"], task)
        train, held_back = table.rows(train_rows), table.rows(held_back_rows)
    if checked["patience"] and held_back is None:
        raise ParameterError("patience needs rows to measure on; set validation above 0")

    recipe = RECIPES["default"]
    settled = recipe.settle(checked, train.n_rows)
    loss = _loss(settled, task)
    rule = optimizers.as_rule(settled["optimizer"])
    rule = replace(rule, learning_rate=settled["learning_rate"], weight_decay=settled["weight_decay"])  # type: ignore[type-var]
    encoder = Encoder.fit(train, task)
    network = Network(
        [encoder.n_in, *settled["hidden"], encoder.n_out],
        activation=settled["activation"],
        output="softmax" if task == "classification" else "identity",
        seed=settled["seed"],
    )
    patience = settled["patience"]
    run = descend(
        network,
        *_rows(train, encoder),
        loss=loss,
        optimizer=rule,
        validation=None if held_back is None else _rows(held_back, encoder),
        metrics={} if held_back is None else _metrics(encoder),
        keep="best" if patience else "last",
        callbacks=[*callbacks, EarlyStopping(patience)] if patience else callbacks,
        **{name: settled[name] for name in _PASSED_ON},
    )
    start = run.best_start
    early = run.stop_reason in ("interrupted", "diverged")
    held_back_chose = held_back is not None and bool(patience or early or settled["starts"] > 1)
    model = Model(encoder, run.networks[start], {}, engine=settled["engine"], threads=settled["threads"])
    scores = {} if held_back is None else model.evaluate(held_back)
    model.training.update(
        recipe=recipe.name,
        settings={name: list(value) if isinstance(value, tuple) else value for name, value in settled.items()},
        loss=losses.settings(loss),
        optimizer=optimizers.settings(rule),
        schedule=settled["schedule"],
        table=table.name,
        rows={"trained": len(train_rows), "held_back": len(held_back_rows)},
        start=start,
        kept_epoch=run.kept_epochs[start],
        stop_reason=run.stop_reason,
        scores=scores,
        held_back_chose=held_back_chose,
        history=run.history.rows,
        versions={"fallline": fallline.__version__, "numpy": np.__version__, "python": platform.python_version()},
    )
    return Fit(model, run, scores, train_rows, held_back_rows, start, held_back_chose)


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


def _rows(table: Table, encoder: Encoder) -> tuple[Array, Array]:
    """Give inputs `(n, n_in)` and targets of a table as the descent takes them."""
    if table.y is None:
        raise DataError(f"{table.name}: there is no target {encoder.target!r} to measure with")
    return encoder.encode_inputs(inputs_of(table, encoder)), encoder.encode_target(table.y)


def _metrics(encoder: Encoder) -> dict[str, metrics.Metric]:
    """Choose what the history measures on the held-back rows, in the user's units."""
    if encoder.task == "classification":
        return {"accuracy": metrics.accuracy}
    return {"rmse": lambda A, Y: metrics.rmse(A, Y) * encoder.target_scale, "r2": metrics.r2}

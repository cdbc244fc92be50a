"""`fit`: from a table to a model."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import fallline
from fallline import losses, optimizers, params
from fallline.checkpoint import Checkpoint
from fallline.descent.saving import last
from fallline.engines import Engine, as_engine
from fallline.errors import ParameterError
from fallline.fit.budget import Budget, Deadline
from fallline.fit.calibration import Unseen
from fallline.fit.job import Job, Score, check
from fallline.fit.judgement import Judgement, judge, with_linear
from fallline.fit.rows import Rows
from fallline.fit.streaming import streamed_job
from fallline.fit.survey import MEMORY, Heard, Survey
from fallline.fit.watchers import WATCHERS
from fallline.listeners import CycleStopping, EarlyStopping, Listener
from fallline.losses import OwnLoss
from fallline.model import Model
from fallline.params import PARAMS
from fallline.run import Run
from fallline.schedules import Coslog4
from fallline.table import Source, Table
from fallline.table.table import Indices
from fallline.wording import in_mb

Array = npt.NDArray[Any]
LINEAR_SHARE = 0.1  # of the time left, for the linear model
MOST_BLENDED = 2000  # rows; with more a linear model has nothing to add


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
        The table's rows that were trained on; of a source a sample of them, that which `rows.train` has.
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
    table: Table | Source,
    settings: Mapping[str, Any] | None = None,
    callbacks: Sequence[Listener] = (),
    validation_table: Table | None = None,
    sample_weight: Array | None = None,
    groups: Array | None = None,
    monitor: tuple[str, Score] | None = None,
    loss: OwnLoss | None = None,
    begin: Model | None = None,
    classes: Array | None = None,
    checkpoint: Checkpoint | None = None,
    memory: int | None = MEMORY,
    heard: Heard | None = None,
) -> Fit:
    """Train networks on a table.

    By default several random starts go down together, each of which holds back another part of the rows. Each is kept
    at the epoch that is best on the rows it held back, and their answers are averaged.

    Parameters
    ----------
    table : Table or Source
        With targets. Of a source no more is held at once than fits into `memory`; all starts measure on the same
        held-back rows, as folds would take them all at hand. See docs/design/streaming.md.
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
    checkpoint : Checkpoint, optional
        Where the training is kept as it goes, and whether it goes on from what is there.
    memory : int, default 1 GB
        Bytes that the rows of a source may take, beside what the program takes itself. None: they are held at once, of
        a group of processes each holds its share (docs/many-machines.md).
    heard : callable, optional
        `(rows, share)`: hears of a source's rows as they are read for the first time, and up to which share of those
        that this process reads.

    Returns
    -------
    Fit

    Raises
    ------
    ParameterError
        A setting is unknown or out of range.
    DataError
        The table has no targets, too few rows, or rows that do not fit together.
    CheckpointError
        There are checkpoints to go on from, but none is good.

    Examples
    --------
    >>> from fallline.table import load_bundled
    >>> result = fit(load_bundled("iris"), {"epochs": 30, "engine": "reference", "starts": 3})
    >>> len(result.model.networks), result.n_folds, result.scores["accuracy"] > 0.8
    (3, 8, True)
    """
    began = time.perf_counter()
    survey = None
    if isinstance(table, Source):
        if any(one is not None for one in (sample_weight, groups, monitor, loss, begin, classes)):
            raise ParameterError("sample_weight, groups, monitor, loss, begin and classes need the table in memory")
        checked = params.check(settings)
        engine = as_engine(checked["engine"], checked["threads"])
        survey = Survey.of(table, checked, memory, validation_table is None, heard, engine)
        checked = survey.checked
    else:
        checked = check(table, settings, loss, begin)
    weight = None if sample_weight is None else np.asarray(sample_weight, np.float32)

    def prepared(settings: Mapping[str, Any]) -> Job:
        if isinstance(table, Source) and survey is not None:
            return streamed_job(survey, settings, validation_table, engine if memory is None else None)
        assert isinstance(table, Table)
        return Job.of(table, settings, validation_table, weight, groups, monitor, loss, begin, classes)

    engine = as_engine(checked["engine"], checked["threads"])
    streamed_through = memory if survey is not None else None
    kept = None if checkpoint is None else resumed(checkpoint, checked, engine, streamed_through)
    if kept is not None:
        began -= kept["spent"]
    job = prepared(checked)
    budget = Budget(checked["time_budget"] or math.inf, began)
    chosen: dict[str, Any] = {}
    if checked["time_budget"]:
        if kept is not None:  # what the clock said then
            chosen = kept["chosen"]
        else:
            chosen = budget.choose(checked, job.settled, job.rows.n_trained, job.try_out, job.seconds_to_read)
            chosen = json.loads(engine.exchange(json.dumps(chosen).encode())[0])
        if any(job.settled[name] != value for name, value in chosen.items()):
            job.close()
            job = prepared(checked | chosen)
        callbacks = [*callbacks, Deadline(budget.deadline - LINEAR_SHARE * budget.left)]
    rows, settled, recipe = job.rows, job.settled, job.recipe
    if settled["patience"]:
        callbacks = [*callbacks, EarlyStopping(settled["patience"])]
    if job.keeps_best and settled["schedule"] == Coslog4.name and checked["epochs"] == "auto":
        callbacks = [*callbacks, CycleStopping(Coslog4.cycle_ends)]
    if checkpoint is not None:
        about = {"settings": _as_json(checked), "chosen": chosen, "before": budget.spent, "memory": streamed_through}
        if kept is not None:
            about["before"] = kept["before"]
        elif engine.group[0] == 0:
            _of_linear(checkpoint).remove()
        checkpoint = replace(checkpoint, about=checkpoint.about | about)
    watchers = [watch(table, settings or {}, job) for watch in WATCHERS if isinstance(table, Table)]
    try:
        run = job.descend([*callbacks, *watchers], checkpoint)
    finally:
        job.close()
    learned = np.isfinite(run.losses) & (np.array(run.kept_steps) > 0)
    sound = [int(k) for k in np.flatnonzero(learned)] or [run.best_start]
    starts = sound if settled["combine"] == "average" else [run.best_start]
    early = run.stop_reason in ("interrupted", "diverged")
    one_of_several = len(run.networks) > 1 and settled["combine"] == "best"
    held_back_chose = job.validation is not None and bool(job.keeps_best or early or one_of_several)

    networks, shares = with_linear([run.networks[k] for k in starts], [], 0.0)
    judgement = Judgement()
    if job.validation is not None:
        task, n_rows = checked["task"], rows.n_trained
        is_time = bool(engine.gather(np.array(budget.left > 0)).all())
        wants_linear = recipe.keeps_best and not early and is_time
        epochs = settled["epochs"] if checked["time_budget"] else recipe.choose(checked, task, n_rows)["epochs"]
        beside = None if checkpoint is None else _of_linear(checkpoint)
        linear = job.linear_networks(epochs, Deadline(budget.deadline), beside) if wants_linear else []
        few = n_rows < MOST_BLENDED and settled["combine"] == "average"
        unseen = Unseen.of(rows, job.data, job.validation)
        judge_by = as_engine(settled["engine"], settled["threads"])
        judgement = judge(job.encoder, rows, unseen, judge_by, networks, starts, linear, job.keeps_best, few)
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
    model.training.update(record(table, job, run, starts, judgement, held_back_chose))
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


def resumed(
    checkpoint: Checkpoint, checked: Mapping[str, Any], engine: Engine, memory: int | None
) -> dict[str, Any] | None:
    """What the last good checkpoint says of the fit: what a time budget chose, and the seconds until then.

    None where there is nothing to go on from; ParameterError where it is of a fit with other settings, or of one whose
    rows were streamed through another memory than `memory`, which decides which of them meet.
    """
    found = last(checkpoint, engine)
    if found is None:
        return None
    about = found.header["about"]
    if about.get("memory") != memory:
        now, was = ("none" if one is None else in_mb(one) for one in (memory, about.get("memory")))
        raise ParameterError(
            f"memory is {now}, but the training in {checkpoint.folder} began with {was}; give the same again, or "
            "another folder"
        )
    asked = json.loads(json.dumps(_as_json(checked)))
    for name, value in asked.items():
        if name != "threads" and about.get("settings", {}).get(name) != value:
            was = about.get("settings", {}).get(name)
            raise ParameterError(
                f"{name} is {PARAMS[name].text(_of_json(value))}, but the training in {checkpoint.folder} began with "
                f"{PARAMS[name].text(_of_json(was))}; give the same again, or another folder"
            )
    return {"chosen": about["chosen"], "before": about["before"], "spent": about["before"] + found.header["seconds"]}


def forget(checkpoint: Checkpoint) -> None:
    """Remove all that a fit kept there."""
    for one in (checkpoint, _of_linear(checkpoint)):
        one.remove()


def _of_linear(checkpoint: Checkpoint) -> Checkpoint:
    """Where the linear model that stands beside the networks is kept."""
    return checkpoint.named("linear")


def _as_json(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}


def _of_json(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def record(
    table: Table | Source,
    job: Job,
    run: Run,
    starts: list[int],
    judgement: Judgement,
    held_back_chose: bool,
) -> dict[str, Any]:
    """How the model came about, for its file."""
    rows, settled = job.rows, job.settled
    return {
        "recipe": job.recipe.name,
        "settings": _as_json(settled),
        "loss": losses.settings(job.passed_on["loss"]),
        "optimizer": optimizers.settings(job.passed_on["optimizer"]),
        "rates": asdict(job.passed_on["rates"]),
        "schedule": settled["schedule"],
        "table": table.name,
        "rows": {"trained": rows.n_trained, "held_back": len(rows.held_back_rows), "folds": rows.n_folds},
        "starts": starts,
        "kept_epochs": [run.kept_epochs[k] for k in starts],
        "stop_reason": run.stop_reason,
        "scores": judgement.scores,
        "each": judgement.each,
        "beside": judgement.beside,
        "linear_share": judgement.linear_share,
        "held_back_chose": held_back_chose,
        "history": run.history.rows,
        "repairs": run.history.repairs,
        "versions": {"fallline": fallline.__version__, "numpy": np.__version__, "python": platform.python_version()},
    }

"""What a descent in hand came to so far: as a run that can be diagnosed, and as a model that can be kept."""

from __future__ import annotations

import math
import shlex
from typing import Any

import numpy as np

from fallline.errors import ParameterError
from fallline.fit.calibration import Unseen
from fallline.fit.judgement import Judgement, judge
from fallline.fit.training import record
from fallline.listeners import History
from fallline.live.view import View
from fallline.model import Model
from fallline.params import PARAMS
from fallline.run import Run
from fallline.table import BUNDLED


def run_of(view: View, since: int = 0) -> Run:
    """The descent as a run.

    Parameters
    ----------
    view : View
    since : int, default 0
        Leave out what was before this step.

    Returns
    -------
    Run
    """
    epochs: list[dict[str, Any]] = [
        {**row, "epoch": round(row["epoch"]), "start": 0} for row in view.rows if row["step"] > since
    ]
    lowest = math.nan
    reached = int(epochs[-1]["epoch"]) if epochs else 0
    if view.diverged:
        last = view.rows[-1] if view.rows else {"epoch": 0.0, "step": 0}
        measured = () if view.validation is None else ("validation_loss", *view.job.passed_on["metrics"])
        nothing = dict.fromkeys(("loss", *measured), math.nan)
        steps_per_epoch = math.ceil(len(view.data.X) / view.plan.batch_size)
        reached = round(last["epoch"]) + 1 + int(view.step - last["step"]) // steps_per_epoch
        rate = view.plan.starts[0].learning_rate
        epochs.append({"epoch": reached, "step": view.step, "start": 0, **nothing, "learning_rate": rate})
    elif epochs:
        lowest = epochs[-1].get("validation_loss", epochs[-1]["loss"])
    begun = max(0, int(np.searchsorted(view.steps, since, "right")) - 1)
    return Run(
        networks=[view.network],
        best_start=0,
        history=History(epochs),
        stopped_because="",
        monitor="loss" if view.validation is None else "validation_loss",
        stop_reason="diverged" if view.diverged else "finished",
        message="the descent was taken in hand",
        kept_steps=[view.step],
        kept_epochs=[reached],
        losses=np.array([lowest]),
        plan=view.plan,
        data=view.data,
        validation=None if view.validation is None else [view.validation],
        recorder=None,
        begun_at=view.points[[begun]],
    )


def model_of(view: View) -> Model:
    """The network as it is now, as a model: to be saved, asked, explained, evaluated.

    Parameters
    ----------
    view : View

    Returns
    -------
    Model
        Its training record holds the journal, and the command that repeats the run where there is one.

    Raises
    ------
    ParameterError
        The descent has diverged, so the network says nothing.
    """
    answers = view.engine.predict(view.plan.shape, view.network.parameters, view.measured.X)
    if view.diverged or not np.isfinite(answers).all():
        raise ParameterError("the descent has diverged, so there is no network to keep; go back first")
    job, start = view.job, view.plan.starts[0]
    judgement = Judgement()
    if job.validation is not None:
        unseen = Unseen.of(job.rows, job.data, job.validation)
        judgement = judge(job.encoder, job.rows, unseen, view.engine, [view.network], [0], [], False, False)
    model = Model(
        job.encoder,
        [view.network],
        engine=job.settled["engine"],
        threads=job.settled["threads"],
        errors=judgement.errors,
    )
    model.training.update(record(view.table, job, run_of(view), [0], judgement, held_back_chose=False))
    now = {"learning_rate": start.learning_rate, "batch_size": view.plan.batch_size, "l2": start.l2}
    model.training["settings"] |= now | {"epochs": max(1, model.training["kept_epochs"][0])}
    model.training["optimizer"]["learning_rate"] = start.learning_rate
    model.training["journal"] = view.journal.to_dict(view.step)
    if (repeats := command(view)) is not None:
        model.training["command"] = repeats
    return model


def command(view: View) -> str | None:
    """The command line that goes the same way, as many whole epochs; None where there is none.

    There is none where the descent was taken in hand, began with a model's network, or belongs to a program.

    Parameters
    ----------
    view : View

    Returns
    -------
    str or None
    """
    if view.journal.actions or view.journal.model or view.by_program:
        return None
    table, steps_per_epoch = view.table, math.ceil(len(view.data.X) / view.plan.batch_size)
    settings: dict[str, Any] = view.journal.settings | {"epochs": max(1, view.step // steps_per_epoch)}
    words = ["fallline", "train", table.name]
    knows_its_own = table.image_shape is not None or table.name in BUNDLED
    if table.target is not None and not (knows_its_own and table.target == _own_target(table.name, table.target)):
        words += ["--target", table.target]
    words += [word for column in view.journal.reading.get("drop", ()) for word in ("--drop", column)]
    kinds = view.journal.reading.get("kinds", {})
    words += [word for column, kind in kinds.items() for word in ("--column", f"{column}={kind}")]
    for name, param in PARAMS.items():
        if name in settings and (value := param.check(settings[name])) != param.default:
            words += [param.flag, param.text(value)]
    return shlex.join(words)


def _own_target(name: str, otherwise: str) -> str:
    """What a table has as its target if nobody names one."""
    return BUNDLED[name].target if name in BUNDLED else otherwise

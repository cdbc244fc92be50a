"""The account of a training, for programs and for people.

What the columns were taken for, how good the model is and how sure, what was noticed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fallline.cli.output import aligned
from fallline.wording import SCORE_NAMES, listed_briefly, number, score, score_text

if TYPE_CHECKING:
    from pathlib import Path

    from fallline.diagnosis import Finding
    from fallline.fit import Fit
    from fallline.table import Encoder

MOST_FINDINGS = 3


def summary_of(fitted: Fit, name: str, model: Path | None, report: Path | None, seconds: float) -> dict[str, Any]:
    """Say what came of a fit, for programs.

    Parameters
    ----------
    fitted : Fit
        Whose model knows what was noticed.
    name : str
        Of the table.
    model, report : Path or None
        Where they were written, if they were.
    seconds : float
        That all of it took.

    Returns
    -------
    dict
        As `train --json` prints it.
    """
    trained, run = fitted.model, fitted.run
    return {
        "model": None if model is None else str(model),
        "data": name,
        "task": trained.task,
        "target": trained.encoder.target.name,
        "classes": None if trained.classes is None else trained.classes.tolist(),
        "columns": {column.name: column.role for column in trained.encoder.encodings},
        "unused": {column.name: column.reason for column in trained.encoder.encodings if column.role == "unused"},
        "inputs": len(trained.encoder.columns),
        "layers": list(trained.network.layer_sizes),
        "activation": trained.training["settings"]["activation"],
        "parameters": len(trained.network.parameters),
        "rows_trained": fitted.rows.n_trained,
        "rows_held_back": len(fitted.held_back_rows),
        "scores": fitted.scores,
        "beside": fitted.beside,
        "held_back_chose": fitted.held_back_chose,
        "epochs": run.history.rows[-1]["epoch"] if len(run.history) else 0,
        "kept_epochs": [run.kept_epochs[k] for k in fitted.starts],
        "starts": len(run.networks),
        "kept_starts": fitted.starts,
        "folds": fitted.n_folds,
        "losses": [loss if math.isfinite(loss) else None for loss in run.losses.tolist()],
        "stop_reason": run.stop_reason,
        "message": run.message,
        "repairs": run.history.repairs,
        "each": fitted.judgement.each,
        "linear_share": fitted.judgement.linear_share,
        "findings": trained.training["findings"],
        "engine": trained.engine,
        "seconds_training": round(run.history.rows[-1]["seconds"], 3) if len(run.history) else 0.0,
        "seconds": round(seconds, 3),
        "report": None if report is None else str(report),
    }


def account(fitted: Fit, summary: dict[str, Any], findings: list[Finding]) -> str:
    """Say what came of a fit, for people.

    Parameters
    ----------
    fitted : Fit
    summary : dict
        From `summary_of`.
    findings : list of Finding
        The most telling first, of which a few are said.

    Returns
    -------
    str
    """
    encoder = fitted.model.encoder
    if encoder.classes is None:
        target = encoder.target
        center, spread = number(target.centers[0]), number(target.scales[0])
        if target.log:
            center, spread = number(math.exp(target.centers[0])), f"{100 * math.expm1(target.scales[0]):.0f} %"
        kind = f"a number, {center} on average, give or take {spread}" + (", its logarithm" if target.log else "")
    else:
        kind = f"{len(encoder.classes)} classes: {listed_briefly(encoder.classes.tolist())}"
        if encoder.classes.dtype.kind in "if" and len(encoder.classes) > 10:
            kind += " (--task regression for a number)"
    activation = f", {summary['activation']}" if len(summary["layers"]) > 2 else ""
    epochs, several = summary["epochs"], len(summary["kept_starts"]) > 1
    count = f"{epochs} epoch{'s' * (epochs != 1)}"
    first, last = min(summary["kept_epochs"]), max(summary["kept_epochs"])
    kept = f"{first} to {last}" if first < last else f"{last}"
    kept = "" if first == epochs else f", kept at epoch {kept}"
    rows = [
        ["data", f"{summary['data']}: {summary['inputs']} inputs ({listed_briefly(encoder.columns)})"],
        *_columns(encoder),
        ["target", f"{encoder.target.name}: {kind}"],
        [
            "networks" if several else "network",
            (f"{len(summary['kept_starts'])}, averaged: " if several else "")
            + f"{'-'.join(map(str, summary['layers']))}{activation}, {summary['parameters']:,} numbers"
            + (" each" if several else ""),
        ],
        ["rows", _rows(summary)],
        ["training", f"{count} in {summary['seconds_training']:.2f} s{kept}; {_end(fitted)}"],
    ]
    if fitted.scores and summary["model"]:
        chosen = "epoch" if summary["starts"] == 1 or several else "start"
        chose = f" (they chose the {chosen}, so expect a little worse)" if fitted.held_back_chose else ""
        if fitted.n_folds and several:  # each row was answered by few of the networks, all of them together do better
            chose = ""
        rows.append(["held back", score_text(fitted.scores) + chose])
        rows += _each(fitted)
        rows += _beside(fitted)
    rows += [["noticed", str(finding)] for finding in findings[:MOST_FINDINGS]]
    rows.append(["model", summary["model"] or "not written"])
    if summary["report"]:
        rows.append(["report", summary["report"]])
    return aligned(rows)


def _end(fitted: Fit) -> str:
    """Say what ended the training."""
    run, ends = fitted.run, {"finished": "all were done", "interrupted": "interrupted"}
    return run.stopped_because or ends.get(run.stop_reason, "diverged")


def _each(fitted: Fit) -> list[list[str]]:
    """Say how far the starts differ, each by itself."""
    each = fitted.judgement.each
    if len(each) < 2:
        return []
    name = "accuracy" if "accuracy" in each[0] else "rmse"
    values = [scores[name] for scores in each]
    where = ", each on rows of its own" if fitted.n_folds else ""
    return [
        [
            "one start alone",
            f"{SCORE_NAMES.get(name, name)} {score(name, min(values))} to {score(name, max(values))}{where}",
        ]
    ]


def _beside(fitted: Fit) -> list[list[str]]:
    """Say what a linear model and the simplest guess come to on the same rows."""
    if not fitted.beside:
        return []
    guess, linear = fitted.beside["guess"], fitted.beside["linear"]
    share = fitted.judgement.linear_share
    added = f"; it has {100 * share:.0f} % of the answer" if share else ""
    simplest = "the commonest class" if "log_loss" in guess else "the mean"
    return [["a linear model", score_text(linear) + added], [simplest, score_text(guess)]]


def _rows(summary: dict[str, Any]) -> str:
    """Say which rows were trained on."""
    trained, held_back = summary["rows_trained"], summary["rows_held_back"]
    if summary["folds"]:
        return f"{trained:,}; each network held back another 1/{summary['folds']} of them to measure on"
    return f"{trained:,} to train on" + (f", {held_back:,} held back" if held_back else "")


def _columns(encoder: Encoder) -> list[list[str]]:
    """Say what the columns were taken for, where they are not all numbers."""
    roles: dict[str, list[str]] = {}
    for column in encoder.encodings:
        roles.setdefault(column.role, []).append(column.name)
    if set(roles) <= {"number", "pixel"}:
        return []
    taken = {"number": "numbers", "yes/no": "yes or no", "category": "categories", "date": "dates"}
    rows = [[word, listed_briefly(roles[role])] for role, word in taken.items() if role in roles]
    unused = [f"{column.name}: {column.reason}" for column in encoder.encodings if column.role == "unused"]
    if unused:
        rows.append(["left out", "; ".join(unused[:5]) + (f" and {len(unused) - 5} more" if unused[5:] else "")])
    return rows

"""`fallline train`: a table in, a model file out."""

from __future__ import annotations

import math
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline.cli.output import aligned, check_different, check_writable, complain, listed_briefly, number, score_text
from fallline.cli.settings import parse, setting
from fallline.errors import ParameterError
from fallline.params import PARAMS

if TYPE_CHECKING:
    from fallline.fit import Fit
    from fallline.table import Table

DATA = "CSV, Parquet, NPZ or IDX file; - for CSV on standard input; or a bundled set, such as digits."


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column to learn; NPZ, IDX and bundled sets know theirs.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the model is written.")] = Path("model.fallline"),
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write losses and measures of all epochs: .csv or .json.")
    ] = None,
    validation: Annotated[
        str,
        typer.Option(
            metavar="SHARE|FILE", help="Share of the rows held back to measure on; or a file of rows to measure on."
        ),
    ] = "0.2",
    drop: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Column to leave out; may be given several times.")
    ] = None,
    task: Annotated[str, setting("task")] = "auto",
    hidden: Annotated[str, setting("hidden")] = "auto",
    activation: Annotated[str, setting("activation")] = "relu",
    loss: Annotated[str, setting("loss")] = "auto",
    epochs: Annotated[str, setting("epochs")] = "auto",
    batch_size: Annotated[str, setting("batch_size")] = "32",
    optimizer: Annotated[str, setting("optimizer")] = "adamw",
    learning_rate: Annotated[str, setting("learning_rate")] = "auto",
    schedule: Annotated[str, setting("schedule")] = "cosine",
    clip_norm: Annotated[str, setting("clip_norm")] = "none",
    weight_decay: Annotated[str, setting("weight_decay")] = "auto",
    l1: Annotated[str, setting("l1")] = "0",
    l2: Annotated[str, setting("l2")] = "0",
    dropout: Annotated[str, setting("dropout")] = "0",
    label_smoothing: Annotated[str, setting("label_smoothing")] = "0",
    patience: Annotated[str, setting("patience")] = "none",
    starts: Annotated[str, setting("starts")] = "1",
    seed: Annotated[str, setting("seed")] = "0",
    threads: Annotated[str, setting("threads")] = "auto",
    precision: Annotated[str, setting("precision")] = "none",
    engine: Annotated[str, setting("engine")] = "native",
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, and no summary.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> int:
    """Train a network on a table and write the model to a file.

    Some rows are held back and only measured on. Ctrl-C stops the training; the best so far is written, and the exit
    status is 130. If the loss of every start became infinite the last good model is written and the exit status is 1.
    """
    if not data:
        raise ParameterError("DATA is empty; name a file or a bundled set")
    settings = parse({name: text for name, text in locals().items() if name in PARAMS and name != "validation"})
    validation_file = None if _is_number(validation) else validation
    if validation_file is None:
        settings["validation"] = PARAMS["validation"].parse(validation)
    check_writable("--out", out)
    if history is not None:
        check_writable("--history", history, (".csv", ".json"))
    check_different({"DATA": data, "--validation": validation_file, "--out": out, "--history": history})

    from fallline.fit import fit
    from fallline.listeners.progress_bar import ProgressBar
    from fallline.table import read

    began = time.perf_counter()
    table = read(data, target, drop=drop or ())
    validation_table = None
    if validation_file is not None:
        validation_table = read(validation_file, table.target, columns=table.columns)
    fitted = fit(table, settings, () if quiet else (ProgressBar(),), validation_table)
    fitted.model.training["command"] = shlex.join(["fallline", *sys.argv[1:]])
    reason = fitted.run.stop_reason
    written = fitted.run.kept_steps[fitted.start] > 0
    if written:
        fitted.model.save(out)
    if history is not None:
        fitted.run.history.write(history)
    summary = _summary(fitted, table, out if written else None, time.perf_counter() - began)
    if as_json:
        from fallline.files.model_file import to_json

        print(to_json(summary))
    elif not quiet:
        print(_in_words(fitted, summary))
    status = 130 if reason == "interrupted" else 1
    if not written:
        return complain("nothing was learned, so no model was written", status)
    if reason == "interrupted":
        return complain(f"{fitted.run.message}, in {out}", status)
    return 1 if reason == "diverged" else 0


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _summary(fitted: Fit, table: Table, out: Path | None, seconds: float) -> dict[str, Any]:
    """Say what came of it, for programs."""
    model, run = fitted.model, fitted.run
    return {
        "model": None if out is None else str(out),
        "data": table.name,
        "task": model.task,
        "target": model.encoder.target,
        "classes": None if model.classes is None else model.classes.tolist(),
        "inputs": model.encoder.n_in,
        "layers": list(model.network.layer_sizes),
        "activation": model.training["settings"]["activation"],
        "parameters": len(model.network.parameters),
        "rows_trained": len(fitted.train_rows),
        "rows_held_back": len(fitted.held_back_rows),
        "scores": fitted.scores,
        "held_back_chose": fitted.held_back_chose,
        "epochs": run.history.rows[-1]["epoch"] if len(run.history) else 0,
        "kept_epoch": run.kept_epochs[fitted.start],
        "starts": len(run.networks),
        "kept_start": fitted.start,
        "losses": [loss if math.isfinite(loss) else None for loss in run.losses.tolist()],
        "stop_reason": run.stop_reason,
        "message": run.message,
        "engine": model.engine,
        "seconds_training": round(run.history.rows[-1]["seconds"], 3) if len(run.history) else 0.0,
        "seconds": round(seconds, 3),
    }


def _in_words(fitted: Fit, summary: dict[str, Any]) -> str:
    """Say what came of it, for people."""
    encoder = fitted.model.encoder
    if encoder.classes is None:
        kind = f"a number, {number(encoder.target_center)} on average, give or take {number(encoder.target_scale)}"
    else:
        kind = f"{len(encoder.classes)} classes: {listed_briefly(encoder.classes.tolist())}"
        if encoder.classes.dtype.kind in "if" and len(encoder.classes) > 10:
            kind += " (--task regression for a number)"
    activation = f", {summary['activation']}" if len(summary["layers"]) > 2 else ""
    held_back, epochs = summary["rows_held_back"], summary["epochs"]
    kept = "" if summary["kept_epoch"] == epochs else f", of which epoch {summary['kept_epoch']} was kept"
    losses = [loss for loss in summary["losses"] if loss is not None]
    starts = f"; {len(losses)} starts, losses from {min(losses):.3g} to {max(losses):.3g}" if len(losses) > 1 else ""
    rows = [
        ["data", f"{summary['data']}: {summary['inputs']} inputs ({listed_briefly(encoder.columns)})"],
        ["target", f"{encoder.target}: {kind}"],
        [
            "network",
            f"{'-'.join(map(str, summary['layers']))}{activation}, {summary['parameters']:,} numbers",
        ],
        ["rows", f"{summary['rows_trained']} to train on" + (f", {held_back} held back" if held_back else "")],
        ["training", f"{epochs} epoch{'s' * (epochs != 1)} in {summary['seconds_training']:.2f} s{kept}{starts}"],
    ]
    if fitted.scores and summary["model"]:
        chosen = "start" if summary["starts"] > 1 else "epoch"
        chose = f" (they chose the {chosen}, so expect a little worse)" if fitted.held_back_chose else ""
        rows.append(["held back", score_text(fitted.scores) + chose])
    rows.append(["model", summary["model"] or "not written"])
    return aligned(rows)

"""`fallline train`: a table in, a model file out."""

from __future__ import annotations

import math
import shlex
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline.cli.group import Coordinator, Process, Processes, Wait, check_group, group_of, is_shared
from fallline.cli.memory import advise, as_bytes, check_validation, source_of
from fallline.cli.output import check_different, check_writable, complain, tell_what_is_logged
from fallline.cli.settings import parse, setting
from fallline.errors import ParameterError
from fallline.params import PARAMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fallline.fit import Fit
    from fallline.table import Kind, Source, Table

_STATUS = {"interrupted": 130, "diverged": 1}  # by the stop reason
KINDS = ("number", "category", "date")
DATA = (
    "CSV, Parquet, Arrow, Feather, JSON lines, NPZ or IDX file; a folder of Parquet or Arrow files, or a pattern in "
    "quotes; - for CSV on standard input; or a bundled set, such as digits."
)
# How a command is told which columns of its DATA are what.
Target = Annotated[
    str | None, typer.Option(metavar="NAME", help="Column to learn; NPZ, IDX and bundled sets know theirs.")
]
Drop = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Column to leave out; may be given several times.")
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=KIND", help="What a column holds: number, category or date; may be given several times."
    ),
]


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    target: Target = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the model is written.")] = Path("model.fallline"),
    history: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write losses and measures of all epochs: .csv or .json.")
    ] = None,
    validation: Annotated[
        str,
        typer.Option(
            metavar="SHARE|FILE",
            help="Share of the rows held back to measure on; or a file of rows to measure on. auto: each of several "
            "starts holds back other rows.",
        ),
    ] = "auto",
    drop: Drop = None,
    column: Column = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column whose equal values mark rows that are held back together; no input."),
    ] = None,
    task: Annotated[str, setting("task")] = "auto",
    hold_back: Annotated[str, setting("hold_back")] = "random",
    target_transform: Annotated[str, setting("target_transform")] = "none",
    hidden: Annotated[str, setting("hidden")] = "auto",
    activation: Annotated[str, setting("activation")] = "auto",
    inputs: Annotated[str, setting("inputs")] = "embedded",
    loss: Annotated[str, setting("loss")] = "auto",
    quantiles: Annotated[str, setting("quantiles")] = "0.05,0.5,0.95",
    epochs: Annotated[str, setting("epochs")] = "auto",
    batch_size: Annotated[str, setting("batch_size")] = "auto",
    optimizer: Annotated[str, setting("optimizer")] = "adamw",
    learning_rate: Annotated[str, setting("learning_rate")] = "auto",
    schedule: Annotated[str, setting("schedule")] = "auto",
    clip_norm: Annotated[str, setting("clip_norm")] = "none",
    weight_decay: Annotated[str, setting("weight_decay")] = "auto",
    l1: Annotated[str, setting("l1")] = "0",
    l2: Annotated[str, setting("l2")] = "0",
    dropout: Annotated[str, setting("dropout")] = "0",
    label_smoothing: Annotated[str, setting("label_smoothing")] = "auto",
    patience: Annotated[str, setting("patience")] = "none",
    starts: Annotated[str, setting("starts")] = "auto",
    combine: Annotated[str, setting("combine")] = "average",
    time_budget: Annotated[str, setting("time_budget")] = "none",
    seed: Annotated[str, setting("seed")] = "0",
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Stream the rows of Parquet or Arrow files through so much memory, such as 1GB, be they many more.",
        ),
    ] = None,
    threads: Annotated[str, setting("threads")] = "auto",
    precision: Annotated[str, setting("precision")] = "none",
    repair: Annotated[str, setting("repair")] = "3",
    engine: Annotated[str, setting("engine")] = "native",
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder where the training is kept as it goes; none: nowhere. What takes more than a minute is kept "
            "anyway, beside the model until that is written.",
        ),
    ] = None,
    checkpoint_every: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Time between checkpoints.")] = 30.0,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the last checkpoint: the same command, and the same model in the end."
        ),
    ] = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: Process = None,
    wait: Wait = 300.0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a report to look at: one .html file with pictures.")
    ] = None,
    studio: Annotated[
        bool, typer.Option("--studio", help="Watch the first network learn, on a page in the browser.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, and no summary.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> int:
    """Train networks on a table and write the model to a file.

    Columns may hold numbers, categories and dates, and values may be missing. Several networks are trained at once,
    each of which holds back other rows, and answer together. Ctrl-C stops the training; the best so far is written,
    and the exit status is 130. If the loss of every start became infinite the last good model is written and the exit
    status is 1. A training that was cut short goes on with --resume.
    """
    typed = dict(locals())
    settings = parse({name: text for name, text in typed.items() if name in PARAMS and name != "validation"})
    kinds = kinds_of(column or ())
    validation_file = None if validation == "auto" or _is_number(validation) else validation
    if validation_file is None:
        settings |= parse({"validation": validation})
    memory_size = None if memory is None else as_bytes(memory)
    check_group(coordinator, processes, process, engine, data, memory)
    check_writable("--out", out)
    if history is not None:
        check_writable("--history", history, (".csv", ".json"))
    if report is not None:
        check_writable("--report", report, (".html", ".htm"))
    check_different(
        {"DATA": data, "--validation": validation_file, "--out": out, "--history": history, "--report": report}
    )

    from fallline.cli.account import account
    from fallline.cli.keeping import Keeping, checkpoint_of
    from fallline.cli.progress import RowsBar
    from fallline.fit import diagnose, fit
    from fallline.listeners import Listener, Recorder
    from fallline.listeners.progress_bar import ProgressBar
    from fallline.table import Source, Table, read

    began = time.perf_counter()
    alone = coordinator is None
    kept = checkpoint_of(checkpoint, out, checkpoint_every, resume, at_once=not alone)
    groups, streamed = None, memory_size is not None
    rows: Table | Source
    with ExitStack() as page:
        with group_of(coordinator, processes, process, wait, typed, kept) as number:
            if streamed or (not alone and is_shared(data, group, studio)):
                given = {"group": group is not None, "studio": studio}
                rows = source_of(data, target=target, drop=drop or [], kinds=kinds, **given)
                as_trained = dict(rows.kinds)
            else:
                advise(data)
                rows = read(data, target, drop=drop or (), kinds=kinds | ({} if group is None else {group: "category"}))
                if group is not None:
                    rows, groups = rows.without(group)
                as_trained = {name: rows.kind(name) for name in rows.columns}
            validation_table = None
            if validation_file is not None:
                if memory_size is not None:
                    check_validation(validation_file, memory_size)
                validation_table = read(validation_file, rows.target, columns=rows.columns, kinds=as_trained)
            callbacks: list[Listener] = [] if report is None else [Recorder()]
            if not quiet and number == 0:
                tell_what_is_logged()
                bar = ProgressBar(rows.n_rows if streamed else None)
                callbacks += [bar] if kept is None else [bar, Keeping(kept, bar)]
            if studio and number == 0:
                page.enter_context(_page())
            with RowsBar("read", shown=isinstance(rows, Source) and not quiet and number == 0) as reading:
                told = (rows, settings, callbacks, validation_table)
                fitted = fit(*told, groups=groups, checkpoint=kept, memory=memory_size, heard=reading.advance)
        if number:  # process 0 has the rest to do
            return _STATUS.get(fitted.run.stop_reason, 0)
        table = rows if isinstance(rows, Table) else fitted.rows.train  # of a stream a sample
        fitted.model.training["command"] = shlex.join(["fallline", *sys.argv[1:]])
        reason = fitted.run.stop_reason
        findings = diagnose(fitted, table)
        fitted.model.training["findings"] = [asdict(finding) for finding in findings]
        written = any(fitted.run.kept_steps[k] > 0 for k in fitted.starts)
        if written:
            fitted.model.save(out)
        if history is not None:
            fitted.run.history.write(history)
        if report is not None:
            from fallline.report import report_of_fit, write

            write(report_of_fit(fitted, table, findings), report)
        summary = _summary(fitted, rows.name, out if written else None, time.perf_counter() - began)
        summary["report"] = None if report is None else str(report)
        if as_json:
            from fallline.files.model_file import to_json

            print(to_json(summary))
        elif not quiet:
            print(account(fitted, summary, findings))
        if kept is not None and checkpoint is None and written and reason != "interrupted":
            kept.remove()
            kept.named("linear").remove()
        if not written:
            return complain("nothing was learned, so no model was written", _STATUS.get(reason, 1))
        if reason == "interrupted":
            leads_on = "; --resume goes on" if kept is not None and kept.files else ""
            return complain(f"{fitted.run.message}, in {out}{leads_on}", _STATUS[reason])
        return _STATUS.get(reason, 0)


def _page() -> AbstractContextManager[Any]:
    """On which every descent within is shown; it stays while somebody has it open."""
    from fallline.live.program import studio

    return studio()


def kinds_of(columns: Sequence[str]) -> dict[str, Kind]:
    """What `--column` says, `NAME=KIND` each."""
    kinds: dict[str, Kind] = {}
    for text in columns:
        name, _, kind = text.rpartition("=")
        if not name or kind not in KINDS:
            raise ParameterError(f"--column is {text!r}; it must be NAME=KIND, where KIND is one of {', '.join(KINDS)}")
        kinds[name] = kind  # type: ignore[assignment]
    return kinds


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _summary(fitted: Fit, name: str, out: Path | None, seconds: float) -> dict[str, Any]:
    """Say what came of it, for programs."""
    model, run = fitted.model, fitted.run
    return {
        "model": None if out is None else str(out),
        "data": name,
        "task": model.task,
        "target": model.encoder.target.name,
        "classes": None if model.classes is None else model.classes.tolist(),
        "columns": {column.name: column.role for column in model.encoder.encodings},
        "unused": {column.name: column.reason for column in model.encoder.encodings if column.role == "unused"},
        "inputs": len(model.encoder.columns),
        "layers": list(model.network.layer_sizes),
        "activation": model.training["settings"]["activation"],
        "parameters": len(model.network.parameters),
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
        "findings": model.training["findings"],
        "engine": model.engine,
        "seconds_training": round(run.history.rows[-1]["seconds"], 3) if len(run.history) else 0.0,
        "seconds": round(seconds, 3),
    }

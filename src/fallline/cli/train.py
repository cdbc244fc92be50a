"""`fallline train`: a table in, a model file out."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline.cli.columns import Column, Drop, Target, kinds_of
from fallline.cli.group import Coordinator, Process, Processes, Wait, check_group, group_of, is_shared
from fallline.cli.memory import advise, as_bytes, check_validation, source_of
from fallline.cli.output import check_different, check_writable, complain, tell_what_is_logged
from fallline.cli.settings import parse, setting
from fallline.params import PARAMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from fallline.checkpoint import Checkpoint
    from fallline.diagnosis import Finding
    from fallline.fit import Fit
    from fallline.listeners import Listener
    from fallline.run import Run
    from fallline.table import Kind, Source, Table

_STATUS = {"interrupted": 130, "diverged": 1}  # by the stop reason
DATA = (
    "CSV, Parquet, Arrow, Feather, JSON lines, NPZ or IDX file; a folder of Parquet or Arrow files, or a pattern in "
    "quotes; - for CSV on standard input; or a bundled set, such as digits."
)


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
    _check_files(data, validation_file, out, history, report)

    from fallline.cli.account import account, summary_of
    from fallline.cli.keeping import checkpoint_of
    from fallline.cli.progress import RowsBar
    from fallline.fit import diagnose, fit, forget
    from fallline.listeners import Recorder
    from fallline.table import Source, Table

    began = time.perf_counter()
    alone = coordinator is None
    kept = checkpoint_of(checkpoint, out, checkpoint_every, resume, at_once=not alone)
    groups, streamed = None, memory_size is not None
    rows: Table | Source
    with ExitStack() as page:
        with group_of(coordinator, processes, process, wait, typed, kept) as number:
            shown = number == 0 and not quiet
            if streamed or (not alone and is_shared(data, group, studio)):
                needing = {"group": group is not None, "studio": studio}
                rows = source_of(data, target=target, drop=drop or [], kinds=kinds, **needing)
            else:
                rows, groups = _table(data, target, drop or (), kinds, group)
            other_rows = None if validation_file is None else _measured_on(validation_file, rows, memory_size)
            callbacks: list[Listener] = [] if report is None else [Recorder()]
            if shown:
                tell_what_is_logged()
                callbacks += _watching(rows.n_rows if streamed else None, kept)
            if studio and number == 0:
                page.enter_context(_page())
            with RowsBar("read", shown=shown and isinstance(rows, Source)) as reading:
                told = (rows, settings, callbacks, other_rows)
                fitted = fit(*told, groups=groups, checkpoint=kept, memory=memory_size, heard=reading.advance)
        if number:  # process 0 has the rest to do
            return _STATUS.get(fitted.run.stop_reason, 0)
        table = rows if isinstance(rows, Table) else fitted.rows.train  # of a stream a sample
        findings = diagnose(fitted, table)
        model = _write(fitted, table, findings, out, history, report)
        summary = summary_of(fitted, rows.name, model, report, time.perf_counter() - began)
        if as_json:
            from fallline.files.model_file import to_json

            print(to_json(summary))
        elif not quiet:
            print(account(fitted, summary, findings))
        if kept is not None and checkpoint is None and model is not None and fitted.run.stop_reason != "interrupted":
            forget(kept)
        return _status(fitted.run, model, kept)


def _check_files(data: str, validation: str | None, out: Path, history: Path | None, report: Path | None) -> None:
    """ParameterError where a file could not be written in the end, or would be written over another."""
    check_writable("--out", out)
    if history is not None:
        check_writable("--history", history, (".csv", ".json"))
    if report is not None:
        check_writable("--report", report, (".html", ".htm"))
    check_different({"DATA": data, "--validation": validation, "--out": out, "--history": history, "--report": report})


def _table(
    data: str, target: str | None, drop: Sequence[str], kinds: dict[str, Kind], group: str | None
) -> tuple[Table, npt.NDArray[np.float32] | None]:
    """All rows, and which group each is of, if a column says that."""
    from fallline.table import read

    advise(data)
    if group is None:
        return read(data, target, drop=drop, kinds=kinds), None
    return read(data, target, drop=drop, kinds=kinds | {group: "category"}).without(group)


def _measured_on(path: str, rows: Table | Source, memory: int | None) -> Table:
    """Other rows to measure on, whose columns are taken for what those of the rows to train on are."""
    from fallline.table import Table, read

    if memory is not None:
        check_validation(path, memory)
    kinds = {name: rows.kind(name) for name in rows.columns} if isinstance(rows, Table) else rows.kinds
    return read(path, rows.target, columns=rows.columns, kinds=kinds)


def _watching(n_rows: int | None, kept: Checkpoint | None) -> list[Listener]:
    """Who tells a person how far the descent is, and of its checkpoints."""
    from fallline.cli.keeping import Keeping
    from fallline.listeners.progress_bar import ProgressBar

    bar = ProgressBar(n_rows)
    return [bar] if kept is None else [bar, Keeping(kept, bar)]


def _page() -> AbstractContextManager[Any]:
    """On which every descent within is shown; it stays while somebody has it open."""
    from fallline.live.program import studio

    return studio()


def _write(
    fitted: Fit, table: Table, findings: list[Finding], out: Path, history: Path | None, report: Path | None
) -> Path | None:
    """Write the files that were asked for, and give the model's; None where nothing was learned, so it is not written.

    The model takes along how it was made and what was noticed.
    """
    fitted.model.training["command"] = shlex.join(["fallline", *sys.argv[1:]])
    fitted.model.training["findings"] = [asdict(finding) for finding in findings]
    is_learned = any(fitted.run.kept_steps[k] > 0 for k in fitted.starts)
    if is_learned:
        fitted.model.save(out)
    if history is not None:
        fitted.run.history.write(history)
    if report is not None:
        from fallline.report import report_of_fit, write

        write(report_of_fit(fitted, table, findings), report)
    return out if is_learned else None


def _status(run: Run, model: Path | None, kept: Checkpoint | None) -> int:
    """The exit status, with a line for what is not as it was meant to be."""
    if model is None:
        return complain("nothing was learned, so no model was written", _STATUS.get(run.stop_reason, 1))
    if run.stop_reason == "interrupted":
        leads_on = "; --resume goes on" if kept is not None and kept.files else ""
        return complain(f"{run.message}, in {model}{leads_on}", _STATUS["interrupted"])
    return _STATUS.get(run.stop_reason, 0)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

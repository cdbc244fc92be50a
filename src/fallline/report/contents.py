"""Reports: of a fit, of a model and a table, of a run; each one page."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fallline
from fallline.atomic import whole_file
from fallline.diagnosis import Finding
from fallline.errors import ParameterError
from fallline.fit import Fit
from fallline.listeners import History
from fallline.model import Model
from fallline.pictures.network import NetworkDisplay
from fallline.report.data import data_section, digest
from fallline.report.figures import displayed
from fallline.report.page import Block, Code, Grid, Note, Page, Section, Text
from fallline.report.result import evaluated, result_section
from fallline.report.rows import rows_section
from fallline.report.training import descent_section, loss_curve_of, network_section, starts_section
from fallline.run import Run
from fallline.table import Table
from fallline.table.table import Indices
from fallline.table.targets import no_known_label
from fallline.wording import SCORE_NAMES, number, score

FIRST_SCORES = {"classification": ("accuracy", "log_loss"), "regression": ("rmse", "r2")}


def report_of_fit(fitted: Fit, table: Table, findings: Sequence[Finding] = ()) -> Page:
    """What came of a table: the data, the network, the way down, the result on rows that were held back.

    Parameters
    ----------
    fitted : Fit
    table : Table
        That was trained on.
    findings : sequence of Finding
        What a diagnosis says of it.

    Returns
    -------
    Page
    """
    model = fitted.model
    chose = " They had a say in which epoch was kept." if fitted.held_back_chose and not fitted.n_folds else ""
    held = "each row by the networks that did not learn from it" if fitted.n_folds else "rows that were held back"
    sections = [_findings(findings), data_section(model, table), network_section(model, table)]
    sections.append(descent_section(fitted.run.history, fitted.run, loss_curve_of(fitted.run)))
    numbers: list[tuple[str, str, str]] = []
    if len(fitted.judgement.rows):
        judged, outputs = fitted.judged, fitted.judgement.outputs
        which = f"{judged.n_rows:,} rows, {held}"
        sections.append(result_section(model, judged, outputs, f"{which}.{chose}".removesuffix("."), fitted.beside))
        numbers = _numbers(model, judged, outputs, fitted.beside)
    each = fitted.judgement.each
    sections.append(starts_section(fitted.run, each, fitted.starts, [fitted.run.kept_epochs[k] for k in fitted.starts]))
    sections += [rows_section(model, *_judged(fitted, table)), _settings(model, table)]
    return Page(_title(model), _subtitle(model, table), _with_sizes(numbers, model, table), sections, _foot())


def report_of_model(model: Model, table: Table | None = None) -> Page:
    """What a model is, and how good it is on a table.

    Parameters
    ----------
    model : Model
    table : Table, optional
        With targets, to measure on. Rows with a label that the model does not know are left out there.

    Returns
    -------
    Page

    Raises
    ------
    DataError
        The model knows none of the labels, or a target is no number where numbers are learned.
    """
    known = None if table is None else _known(model, table)
    findings = [Finding(**found) for found in model.training.get("findings", ())]
    sections = [_findings(findings)]
    sections += [] if table is None else [data_section(model, table)]
    sections.append(network_section(model, table))
    history = History(model.training.get("history", ()), model.training.get("repairs", ()))
    sections.append(descent_section(history, None, loss_curve_of(model)))
    numbers: list[tuple[str, str, str]] = []
    if table is not None and known is not None and len(known):
        measured = table.rows(known)
        outputs, n_unknown = model.outputs(measured), table.n_rows - len(known)
        left_out = f" ({n_unknown:,} more have a label that the model does not know)" if n_unknown else ""
        which = f"the {len(known):,} rows of {table.name}{left_out}"
        which += "; if the networks learned from them, they are too good"
        sections.append(result_section(model, measured, outputs, which, {}))
        numbers = _numbers(model, measured, outputs, {})
    sections.append(starts_section(None, *(model.training.get(name, ()) for name in ("each", "starts", "kept_epochs"))))
    sections += [] if table is None else [rows_section(model, table, known)]
    sections.append(_settings(model, table))
    return Page(_title(model), _subtitle(model, table), _with_sizes(numbers, model, table), sections, _foot())


def report_of_run(run: Run) -> Page:
    """What a descent came to: the network, the way down, where each start ended.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Page
    """
    net, n = run.network, len(run.networks)
    loss = f"{number(float(run.losses[run.best_start]))}" if np.isfinite(run.losses[run.best_start]) else "-"
    measured = run.plan.loss.name.replace("_", " ")
    sizes = "-".join(map(str, net.layer_sizes))
    rows = [
        ["layers", sizes],
        ["activations", ", ".join([*net.activation, net.output])],
        ["loss", measured],
        ["step rule", repr(run.plan.optimizer)],
        ["batch", f"{run.plan.batch_size:,} of {len(run.data.X):,} rows"],
        ["seed", f"{run.plan.seed} of the orders, {net.seed} of the random start"],
        *([["dropout", ", ".join(f"{share:g}" for share in run.plan.dropout)]] if any(run.plan.dropout) else []),
        *_versions(),
    ]
    sections = [
        _findings(run.diagnose()),
        Section(
            "network",
            "The network",
            [displayed(lambda ax: NetworkDisplay.from_network(net, run.data.X[:1], ax=ax), size=(10, 6.2), wide=True)],
        ),
        descent_section(run.history, run, loss_curve_of(run)),
        starts_section(run, (), (), ()),
        Section("settings", "Settings", [Grid("What was set", ["setting", "value"], rows)]),
    ]
    head = [
        (f"{'validation' if run.validation else 'training'} loss", loss, measured),
        ("numbers learned", f"{len(net.parameters):,}", sizes),
        ("starts", str(n), "the best is shown" if n > 1 else "one random start"),
        ("steps", f"{max(run.kept_steps):,}", f"kept; {run.message}"),
    ]
    return Page(f"A descent of {sizes}", f"{_sentence(run.message)}.", head, sections, _foot())


def write(page: Page, path: str | Path) -> None:
    """Write a report to a file, atomically.

    Parameters
    ----------
    page : Page
    path : str or Path
        Ends in `.html` or `.htm`; ParameterError otherwise.
    """
    if Path(path).suffix not in (".html", ".htm"):
        raise ParameterError(f"report {str(path)!r}: the name must end in .html")
    text = page.html()
    with whole_file(Path(path)) as file:
        file.write(text)


def _findings(findings: Sequence[Finding]) -> Section:
    notes: list[Block] = [
        Note(f"{_sentence(found.says)}.", f"{_sentence(found.evidence)}.", f"{_sentence(found.advice)}.")
        for found in findings
    ]
    return Section("findings", "What to look at", notes)


def _known(model: Model, table: Table) -> Indices | None:
    """The rows whose targets the model can be compared with."""
    target = model.encoder.target
    if table.y is None:
        return None
    if target.classes is None:
        target.encode(table.y)  # DataError for what is no number
        return np.arange(table.n_rows)
    codes = target.codes_of(table.y)
    known: Indices = np.flatnonzero(codes >= 0)
    if table.n_rows and not len(known):
        raise no_known_label(target, table.name, dict.fromkeys(map(str, table.y.tolist())))
    return known


def _judged(fitted: Fit, table: Table) -> tuple[Table, Indices]:
    """The table that rows were held back from, and which of them were judged by; all where there are none."""
    rows, which = fitted.rows, fitted.judgement.rows
    if not len(which):
        return table, np.arange(table.n_rows)
    of_its_own = rows.held_back is not None and len(rows.train_rows) == table.n_rows
    return (rows.measured, which) if of_its_own else (table, fitted.held_back_rows[which])


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _title(model: Model) -> str:
    return f"{model.encoder.target.name}, learned from {len(model.encoder.columns)} columns"


def _subtitle(model: Model, table: Table | None) -> str:
    n = len(model.networks)
    networks = f"{n} networks that answer together" if n > 1 else "One network"
    classes = model.classes
    what = "a number" if classes is None else f"{len(classes)} classes"
    if classes is None and model.task == "classification":
        what = f"{model.encoder.target.n_targets} labels"
    of_table = "" if table is None else f" Rows from {table.name}."
    return f"{networks}; the target is {what}.{of_table}"


def _numbers(model: Model, table: Table, outputs: Any, beside: Any) -> list[tuple[str, str, str]]:
    """The scores that matter most, and what a linear model and the simplest guess come to."""
    evaluation = evaluated(model, table, outputs)
    if evaluation is None:
        return []
    told = []
    for name in FIRST_SCORES[model.task]:
        each = evaluation.scores[name]
        linear = beside.get("linear", {}).get(name)
        other = [] if linear is None else [f"a linear model {score(name, linear)}"]
        words = ", ".join([*other, f"the best constant {score(name, each.constant)}"])
        told.append((SCORE_NAMES.get(name, name), score(name, each.value), words))
    return told


def _with_sizes(numbers: list[tuple[str, str, str]], model: Model, table: Table | None) -> list[tuple[str, str, str]]:
    trained = model.training.get("rows", {}).get("trained")
    if trained:
        numbers = [*numbers, ("rows learned from", f"{trained:,}", f"{len(model.encoder.columns)} columns")]
    what = "numbers each" if len(model.networks) > 1 else "weights and biases"
    return [*numbers, ("networks", str(len(model.networks)), f"{len(model.network.parameters):,} {what}")]


def _settings(model: Model, table: Table | None) -> Section:
    """What was set, and how to do it again."""
    training = model.training
    command = training.get("command")
    blocks: list[Block] = []
    if command:
        blocks += [Text("The command that repeats it:"), Code(command)]
    rows = [[name, _value(value)] for name, value in training.get("settings", {}).items()]
    blocks.append(Grid("What was set, or chosen by the recipe", ["setting", "value"], rows, folded=True))
    more = [] if table is None else [["data", f"{table.name}, SHA-256 of its numbers {digest(table)}"]]
    blocks.append(Grid("Made with", ["what", "which"], [*more, *_versions()], folded=True))
    return Section("settings", "Settings", blocks)


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _versions() -> list[list[str]]:
    return [
        ["fallline", fallline.__version__],
        ["NumPy", np.__version__],
        ["Python", platform.python_version()],
    ]


def _foot() -> str:
    return f"Made by fallline {fallline.__version__}. Nothing on this page is loaded from elsewhere."

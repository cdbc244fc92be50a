"""What a studio can begin with: a table, a model that goes on learning, or a journal that is done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fallline.errors import DataError
from fallline.live.experiment import Experiment, replay
from fallline.live.journal import Journal
from fallline.model import Model, load
from fallline.params import PARAMS
from fallline.table import BUNDLED, Kind, Table, read

MODEL, JOURNAL = ".fallline", ".json"
LARGEST_JOURNAL = 64 << 20  # bytes
# What a descent in hand needs, whatever the model was trained with; rows held back may have taught its network.
IN_HAND = {"starts": 1, "validation": 0.2, "schedule": "constant", "precision": None, "patience": None,
           "time_budget": None}  # fmt: skip


def from_table(
    data: str,
    target: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Experiment:
    """A random start on a table's rows.

    Parameters
    ----------
    data, target, drop, kinds
        As of `fallline.table.read`.
    settings : mapping, optional

    Returns
    -------
    Experiment
    """
    reading = {"target": target, "drop": list(drop), "kinds": dict(kinds or {})}
    said = {name: value for name, value in reading.items() if value}
    return Experiment(read(data, target, drop=drop, kinds=kinds), settings, said)


def from_model(path: str, data: str | None = None) -> Experiment:
    """The first network of a model, on the rows that it was trained on or on others.

    Parameters
    ----------
    path : str
    data : str, optional
        A table with the model's columns; otherwise what the model says it was trained on.

    Returns
    -------
    Experiment

    Raises
    ------
    ModelFileError, DataError
        There is no such model; its rows cannot be found, or are others.
    """
    model = load(path)
    rows = str(model.training.get("table", "")) if data is None else data
    if data is None and rows not in BUNDLED and not Path(rows).exists():
        raise DataError(f"{path} was trained on {rows or 'rows of a program'}, which is not here; name rows after it")
    table = _as_the_model_wants(rows, model)
    trained_with = model.training.get("settings", {})
    settings = {name: value for name, value in trained_with.items() if name in PARAMS} | IN_HAND
    settings["hidden"] = model.network.layer_sizes[1:-1]
    first = Model(model.encoder, [model.network], {**model.training, "starts": [0]}, model.engine, model.threads)
    return Experiment(table, settings, model=first, began_with=path)


def from_journal(path: str, data: str | None = None, tell: Callable[[int], None] = lambda step: None) -> Experiment:
    """A descent that was taken in hand, done again to where the journal ends: the same bits.

    Parameters
    ----------
    path : str
    data : str, optional
        The table, where it is not where it was.
    tell : callable
        Hears now and then which step it has come to.

    Returns
    -------
    Experiment

    Raises
    ------
    DataError, ModelFileError
        It is no journal; the table or the model that it names is not there.
    """
    file = Path(path)
    try:
        if file.stat().st_size > LARGEST_JOURNAL:
            raise DataError(f"{path}: too large for a journal")
        journal, step = Journal.from_dict(json.loads(file.read_bytes()))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not a journal of a studio") from None
    rows = journal.data if data is None else data
    if journal.model:
        return replay(from_model(journal.model, rows), journal, step, tell)
    if rows not in BUNDLED and not Path(rows).exists():
        raise DataError(f"{path} is of {rows}, which is not here; name rows after it")
    try:
        experiment = from_table(rows, settings=journal.settings, **journal.reading)
    except TypeError:
        raise DataError(f"{path}: not a journal of a studio") from None
    return replay(experiment, journal, step, tell)


def _as_the_model_wants(rows: str, model: Model) -> Table:
    """A table with the model's columns, of the kinds that it knows them as."""
    encoder = model.encoder
    return read(rows, encoder.target.name, columns=encoder.columns, kinds=encoder.kinds_to_measure)

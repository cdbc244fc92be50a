"""History: what a descent was like, as rows that a program or a person can read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import ParameterError
from fallline.listeners.listener import Epoch, Listener, Repair, rows_of

Array = npt.NDArray[Any]

_OF_REPAIR = ("start", "step", "epoch", "back_to", "learning_rate")


class History(Listener):
    """Rows of a descent, one for each epoch and start, all JSON-serialisable.

    A row holds `epoch` (from 1), `step` (taken so far), `start` (from 0), `loss` (mean over the epoch's batches),
    `validation_loss` and one entry a metric where there is validation, `learning_rate` (of the last step),
    `gradient_norm` (of the last step) and `seconds` (since the descent began).

    Parameters
    ----------
    rows : sequence of dict, default ()
        Those of a history that was kept, for example in a model file.
    repairs : sequence of dict, default ()
        Likewise.

    Attributes
    ----------
    repairs : list of dict
        Of each time that a start was set back: `start`, `step` (whose loss was no longer finite), `epoch`, `back_to`
        (the step from which it went on), `learning_rate` (from there on).
    """

    def __init__(self, rows: Sequence[dict[str, Any]] = (), repairs: Sequence[dict[str, Any]] = ()) -> None:
        self.repairs = list(repairs)
        self._n_starts = len({row["start"] for row in rows}) or 1
        self._epochs = [_columns_of(rows[i : i + self._n_starts]) for i in range(0, len(rows), self._n_starts)]
        self._rows: list[dict[str, Any]] = []  # of the epochs that were asked for as rows

    def on_epoch(self, epoch: Epoch) -> None:
        """Take over the epoch's columns."""
        self._n_starts = len(epoch.columns["start"])
        self._epochs.append(epoch.columns)

    def on_repair(self, repair: Repair) -> None:
        """Take note of it."""
        self.repairs.append({name: getattr(repair, name) for name in _OF_REPAIR})

    @property
    def n_epochs(self) -> int:
        """Epochs so far."""
        return len(self._epochs)

    def state(self) -> dict[str, npt.ArrayLike]:
        """The columns, and those of the repairs."""
        columns = {name: [columns[name] for columns in self._epochs] for name in (self._epochs or [{}])[0]}
        of_repairs = {name: [repair[name] for repair in self.repairs] for name in (self.repairs or [{}])[0]}
        both = columns | {f"repairs.{name}": values for name, values in of_repairs.items()}
        return {name: np.array(values) for name, values in both.items()}

    def resume(self, state: Mapping[str, Array]) -> None:
        """Go on from there."""
        of_repairs = {name: values for name, values in state.items() if name.startswith("repairs.")}
        columns = {name: values for name, values in state.items() if name not in of_repairs}
        of_repairs = {name.removeprefix("repairs."): values for name, values in of_repairs.items()}
        self._epochs, self.repairs = _split(columns), _split(of_repairs)
        self._n_starts = len(self._epochs[0]["start"]) if self._epochs else 1
        self._rows = []

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows, epoch after epoch; made when they are first asked for."""
        for columns in self._epochs[len(self._rows) // self._n_starts :]:
            self._rows += rows_of(columns)
        return self._rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"History({len(self)} rows: {', '.join(self._epochs[0]) if self._epochs else 'none'})"

    def __len__(self) -> int:
        return len(self._epochs) * self._n_starts

    def __getitem__(self, column: str) -> Array:
        """One column as an array of shape `(epochs, starts)`, for example `history["loss"]`."""
        if not self._epochs:
            return np.empty((0, 1))
        if column not in self._epochs[0]:
            raise ParameterError(f"the history has no {column!r}; it has {', '.join(self._epochs[0])}")
        values = np.array([columns[column] for columns in self._epochs])
        return values if values.ndim == 2 else np.repeat(values[:, None], self._n_starts, axis=1)

    def write(self, path: str | Path) -> None:
        """Write the rows to a file, as CSV or JSON by its ending.

        Parameters
        ----------
        path : str or Path
            Ends in `.csv` or `.json`; ParameterError otherwise. JSON has no NaN: a loss that is none becomes null.
        """
        path = Path(path)
        if path.suffix == ".json":
            with whole_file(path) as file:
                file.write(json.dumps(_finite(self.rows), indent=1) + "\n")
        elif path.suffix == ".csv":
            with whole_file(path) as file:
                writer = csv.DictWriter(file, list(self._epochs[0]) if self._epochs else ["epoch"])
                writer.writeheader()
                writer.writerows(self.rows)
        else:
            raise ParameterError(f"history file {str(path)!r} must end in .csv or .json")


def _split(columns: dict[str, Array]) -> list[dict[str, Any]]:
    """Columns one below the other as they were before: numbers, or arrays of one for each start."""
    lists = [values.tolist() if values.ndim == 1 else list(values) for values in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]

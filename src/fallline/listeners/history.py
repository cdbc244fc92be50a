"""History: what a descent was like, as rows that a program or a person can read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import ParameterError
from fallline.listeners.listener import Epoch, Listener, rows_of

Array = npt.NDArray[Any]


class History(Listener):
    """Rows of a descent, one for each epoch and start, all JSON-serialisable.

    A row holds `epoch` (from 1), `step` (taken so far), `start` (from 0), `loss` (mean over the epoch's batches),
    `validation_loss` and one entry a metric where there is validation, `learning_rate` (of the last step),
    `gradient_norm` (of the last step) and `seconds` (since the descent began).

    Parameters
    ----------
    rows : sequence of dict, default ()
        Those of a history that was kept, for example in a model file.
    """

    def __init__(self, rows: Sequence[dict[str, Any]] = ()) -> None:
        self._n_starts = len({row["start"] for row in rows}) or 1
        self._epochs = [_columns_of(rows[i : i + self._n_starts]) for i in range(0, len(rows), self._n_starts)]
        self._rows: list[dict[str, Any]] = []  # of the epochs that were asked for as rows

    def on_epoch(self, epoch: Epoch) -> None:
        """Take over the epoch's columns."""
        self._n_starts = len(epoch.columns["start"])
        self._epochs.append(epoch.columns)

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


def _columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]

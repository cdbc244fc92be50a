"""History: what a descent was like, as rows that a program or a person can read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import ParameterError
from fallline.listeners.listener import Epoch, Listener

Array = npt.NDArray[Any]


class History(Listener):
    """Rows of a descent, one for each epoch and start, all JSON-serialisable.

    A row holds `epoch` (from 1), `step` (taken so far), `start` (from 0), `loss` (mean over the epoch's batches),
    `validation_loss` and one entry a metric where there is validation, `learning_rate` (of the last step),
    `gradient_norm` (of the last step) and `seconds` (since the descent began).

    Attributes
    ----------
    rows : list of dict
    """

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows: list[dict[str, Any]] = [] if rows is None else rows

    def on_epoch(self, epoch: Epoch) -> None:
        """Take over the epoch's rows."""
        self.rows.extend(epoch.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"History({len(self.rows)} rows: {', '.join(self.rows[0]) if self.rows else 'none'})"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> Array:
        """One column as an array of shape `(epochs, starts)`, for example `history["loss"]`."""
        if self.rows and column not in self.rows[0]:
            raise ParameterError(f"the history has no {column!r}; it has {', '.join(self.rows[0])}")
        n_starts = 1 + max((row["start"] for row in self.rows), default=0)
        return np.asarray([row[column] for row in self.rows]).reshape(-1, n_starts)

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
                writer = csv.DictWriter(file, list(self.rows[0]) if self.rows else ["epoch"])
                writer.writeheader()
                writer.writerows(self.rows)
        else:
            raise ParameterError(f"history file {str(path)!r} must end in .csv or .json")


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in row.items()}
        for row in rows
    ]

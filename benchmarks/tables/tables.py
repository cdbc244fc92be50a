"""A folder of tables: `tables.json` (name, target, task of each), `tabular/NAME.parquet`, `splits/NAME.parquet`.

A split has two columns, `row` (of the table, from 0) and `part` ("train" or "test"); other rows are not used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Split:
    """The rows of one table.

    Attributes
    ----------
    name, target : str
    regression : bool
    train, test : polars.DataFrame
        The target among the columns.
    """

    name: str
    target: str
    regression: bool
    train: pl.DataFrame
    test: pl.DataFrame

    @property
    def labels(self) -> list[str]:
        """The classes, sorted, as text."""
        return sorted({str(label) for label in self.train[self.target]})


def names(folder: Path) -> list[str]:
    """Tables that have a split."""
    return [table["name"] for table in _index(folder) if (folder / "splits" / f"{table['name']}.parquet").exists()]


def load(folder: Path, name: str) -> Split:
    """Read one table by its split."""
    about = next(table for table in _index(folder) if table["name"] == name)
    frame = pl.read_parquet(folder / "tabular" / f"{name}.parquet")
    split = pl.read_parquet(folder / "splits" / f"{name}.parquet")
    parts = [frame[split.filter(pl.col("part") == part)["row"].to_numpy()] for part in ("train", "test")]
    return Split(name, about["target"], about["task"] == "regression", *parts)


def _index(folder: Path) -> list[dict[str, str]]:
    tables: list[dict[str, str]] = json.loads((folder / "tables.json").read_text(encoding="utf-8"))
    return tables


def scores(split: Split, predicted: np.ndarray) -> dict[str, float]:
    """Error and log loss on the test rows.

    Parameters
    ----------
    split : Split
    predicted : array of shape (n,) or (n, n_classes)
        Numbers; or probabilities of `split.labels`.

    Returns
    -------
    dict
        error: share of wrong labels, or RMSE over the standard deviation of the test targets; log_loss of classes.
    """
    y = split.test[split.target]
    if split.regression:
        truth = y.cast(pl.Float64).to_numpy()
        return {"error": float(np.sqrt(np.mean((predicted - truth) ** 2)) / truth.std())}
    place = {label: k for k, label in enumerate(split.labels)}
    codes = np.array([place[str(label)] for label in y])
    right = np.clip(predicted[np.arange(len(codes)), codes], 1e-7, 1)
    wrong = predicted.argmax(axis=1) != codes
    return {"error": float(wrong.mean()), "log_loss": float(-np.log(right).mean())}

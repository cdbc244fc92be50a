"""The benchmark of tables: its arithmetic, its reading of splits, and that every contender learns something."""

import importlib.util
import json
import math

import numpy as np
import polars as pl
import pytest
from benchmarks.tables import report
from benchmarks.tables.contenders import CONTENDERS
from benchmarks.tables.tables import load, names, scores


@pytest.fixture
def folder(tmp_path):
    """A number and a class that follow from a number, a category and a date, with values missing."""
    rng = np.random.default_rng(0)
    n = 300
    x, colour = rng.normal(size=n), rng.integers(0, 3, n)
    value = 3 * x + 2 * colour
    frame = pl.DataFrame(
        {
            "x": [None if r % 17 == 0 else v for r, v in enumerate(x.tolist())],
            "colour": [None if r % 13 == 0 else ["red", "green", "blue"][c] for r, c in enumerate(colour)],
            "day": pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 10, 26), eager=True),
            "y": value,
        }
    )
    for part in ("tabular", "splits"):
        (tmp_path / part).mkdir()
    frame.write_parquet(tmp_path / "tabular" / "numbers.parquet")
    frame.with_columns(y=pl.when(pl.col("y") > 2).then(pl.lit("high")).otherwise(pl.lit("low"))).write_parquet(
        tmp_path / "tabular" / "classes.parquet"
    )
    split = pl.DataFrame({"row": range(250), "part": ["train"] * 200 + ["test"] * 50})
    tables = []
    for name, task in (("numbers", "regression"), ("classes", "binary")):
        split.write_parquet(tmp_path / "splits" / f"{name}.parquet")
        tables.append({"name": name, "target": "y", "task": task})
    tables.append({"name": "unsplit", "target": "y", "task": "binary"})
    (tmp_path / "tables.json").write_text(json.dumps(tables))
    return tmp_path


def test_splits_are_read_and_scored(folder):
    assert names(folder) == ["numbers", "classes"]
    numbers, classes = load(folder, "numbers"), load(folder, "classes")
    assert (numbers.train.height, numbers.test.height, classes.labels) == (200, 50, ["high", "low"])
    truth = numbers.test["y"].to_numpy()
    assert scores(numbers, np.full(50, truth.mean()))["error"] == pytest.approx(1)
    certain = np.array([[label == "high", label == "low"] for label in classes.test["y"]], float)
    assert scores(classes, certain) == pytest.approx({"error": 0, "log_loss": 0})
    assert scores(classes, np.full((50, 2), 0.5))["log_loss"] == pytest.approx(math.log(2))


@pytest.mark.parametrize("peer", CONTENDERS)
@pytest.mark.parametrize("table", ["numbers", "classes"])
@pytest.mark.filterwarnings("ignore")
def test_everybody_beats_the_simplest_guess(folder, peer, table):
    fit, packages = CONTENDERS[peer]
    if any(importlib.util.find_spec(package) is None for package in packages):
        pytest.skip("a peer that is not installed here")
    if peer == "realmlp":
        pytest.skip("256 epochs are too slow for a test")
    split = load(folder, table)
    error = scores(split, fit(split, 0)())["error"]
    assert error < (0.7 if split.regression else 0.3)


def test_ratios_are_geometric_means_against_the_best():
    def result(table, model, error, **more):
        return {"table": table, "model": model, "error": error, "fit_seconds": 1.0, **more}

    results = [
        result("a", "fallline", 0.1, seed=0, log_loss=0.3),
        result("b", "fallline", 0.4, seed=0),
        result("a", "catboost", 0.2, log_loss=0.6),
        result("b", "catboost", 0.4),
        result("a", "lightgbm", 0.1),
        result("b", "lightgbm", 0.8),
        result("c", "lightgbm", 0.5),
    ]
    assert report.ratios(results, ("catboost",)) == pytest.approx(math.sqrt(0.5))
    assert report.ratios(results, ("catboost", "lightgbm")) == pytest.approx(1)
    assert report.ratios(results, ("catboost",), "log_loss") == pytest.approx(0.5)
    assert math.isnan(report.ratios(results, ("realmlp",)))
    text = report.summary(results)
    assert "catboost                 error 0.707  log loss 0.500" in text
    assert "seconds: fallline 2, catboost 2, lightgbm 3" in text

"""How good a model is on a table, for people and for programs."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as sk

from fallline.fit import fit
from fallline.model import load
from fallline.table import load_bundled, read


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("iris", "diabetes", "breast_cancer", "digits"):
        fit(load_bundled(name), {"epochs": 3, "starts": 2, "hidden": (8,)}).model.save(folder / f"{name}.fallline")
    return folder


def as_frame(name):
    table = load_bundled(name)
    return pl.DataFrame(table.X, schema=list(table.columns)).with_columns(pl.Series(table.target, table.y))


def test_classes(run, models):
    iris, model = load_bundled("iris"), load(models / "iris.fallline")
    status, out, err = run("evaluate", models / "iris.fallline", "iris", "--json")
    assert (status, err) == (0, "")
    result = json.loads(out)
    said = model.predict(iris)
    assert (result["rows"], result["data"]) == (150, "iris")
    assert result["left_out"] == {"without_target": 0, "unknown_label": 0, "unknown_labels": []}
    assert result["intervals"] == {"level": 0.95, "resamples": 1000, "rows_resampled": 150}
    assert result["confusion"]["labels"] == list(model.classes)
    assert result["confusion"]["counts"] == sk.confusion_matrix(iris.y, said).tolist()
    scores = result["scores"]
    assert list(scores) == ["accuracy", "balanced_accuracy", "log_loss", "brier", "roc_auc", "f1"]
    assert scores["accuracy"]["value"] == pytest.approx(sk.accuracy_score(iris.y, said))
    assert scores["f1"]["value"] == pytest.approx(sk.f1_score(iris.y, said, average="macro"))
    for name, value in model.evaluate(iris).items():
        assert scores[name]["value"] == pytest.approx(value)
    for score in scores.values():
        assert set(score) == {"value", "low", "high", "constant"}
        assert score["low"] <= score["value"] <= score["high"]

    text = run("evaluate", models / "iris.fallline", "iris").out
    accuracy = scores["accuracy"]
    line = next(line for line in text.splitlines() if line.startswith("accuracy"))
    expected = [f"{100 * accuracy[key]:.2f} %" for key in ("value", "low", "high", "constant")]
    assert [
        word.strip() for word in line.removeprefix("accuracy").replace(" to ", "  ").split("  ") if word
    ] == expected
    assert "F1, mean" in text
    assert text.splitlines()[-3].split() == ["setosa", *map(str, result["confusion"]["counts"][0])]


def test_of_two_classes_f1_is_that_of_the_second(run, models):
    table, model = load_bundled("breast_cancer"), load(models / "breast_cancer.fallline")
    assert "F1 of malignant" in run("evaluate", models / "breast_cancer.fallline", "breast_cancer").out
    scores = json.loads(run("evaluate", models / "breast_cancer.fallline", "breast_cancer", "--json").out)["scores"]
    assert scores["f1"]["value"] == pytest.approx(sk.f1_score(table.y, model.predict(table), pos_label="malignant"))
    assert scores["roc_auc"]["value"] == pytest.approx(sk.roc_auc_score(table.y, model.predict_proba(table)[:, 1]))


def test_numbers(run, models):
    diabetes, model = load_bundled("diabetes"), load(models / "diabetes.fallline")
    result = json.loads(run("evaluate", models / "diabetes.fallline", "diabetes", "--json").out)
    assert "confusion" not in result
    predicted = model.predict(diabetes)
    expected = {
        "rmse": sk.root_mean_squared_error(diabetes.y, predicted),
        "mae": sk.mean_absolute_error(diabetes.y, predicted),
        "median_absolute_error": sk.median_absolute_error(diabetes.y, predicted),
        "r2": sk.r2_score(diabetes.y, predicted),
    }
    assert {name: score["value"] for name, score in result["scores"].items()} == pytest.approx(expected)
    text = run("evaluate", models / "diabetes.fallline", "diabetes").out
    assert "median absolute error" in text
    assert "taken for" not in text


def test_ten_classes_are_told_apart_and_more_are_not(run, models, tmp_path):
    assert "taken for" in run("evaluate", models / "digits.fallline", "digits").out
    x = np.arange(110.0)
    pl.DataFrame({"x": x, "y": [f"label {i % 11:02}" for i in range(110)]}).write_csv(tmp_path / "eleven.csv")
    fit(read(tmp_path / "eleven.csv", "y"), {"epochs": 1, "starts": 2}).model.save(tmp_path / "eleven.fallline")
    assert "taken for" not in run("evaluate", "eleven.fallline", "eleven.csv").out
    assert "confusion" not in json.loads(run("evaluate", "eleven.fallline", "eleven.csv", "--json").out)


def test_rows_without_a_known_target_are_left_out_and_counted(run, models):
    frame = as_frame("iris")
    whole = json.loads(run("evaluate", models / "iris.fallline", "iris", "--json").out)
    others = [None, "", "rose", "rose", "tulip"]
    more = frame.head(5).with_columns(pl.Series("species", others))
    pl.concat([more, frame]).write_csv("t.csv")
    result = json.loads(run("evaluate", models / "iris.fallline", "t.csv", "--json").out)
    assert result["left_out"] == {"without_target": 2, "unknown_label": 3, "unknown_labels": ["rose", "tulip"]}
    assert (result["rows"], result["scores"]) == (150, whole["scores"])
    text = run("evaluate", models / "iris.fallline", "t.csv").out
    assert "left out   2 without a target\n" in text
    assert "left out   3 whose label the model does not know: rose, tulip\n" in text


@pytest.mark.parametrize(
    ("model", "target", "message"),
    [
        (
            "iris",
            ["rose"] * 3,
            "t.csv: the model knows no label in 'species': 'rose' (it knows 'setosa', 'versicolor', ",
        ),
        ("iris", [None] * 3, "t.csv: the target 'species' is missing in all 3 rows"),
        ("iris", None, "t.csv: there is no target 'species' to compare with"),
        ("diabetes", [None] * 3, "t.csv: the target 'progression' is missing in all 3 rows"),
        ("diabetes", None, "t.csv: there is no target 'progression' to compare with"),
        ("diabetes", ["1", "", "many"], "t.csv, line 4, column 'progression': 'many' is not a number"),
        ("diabetes", ["1", "", "inf"], "t.csv, line 4, column 'progression': 'inf' is not a finite number"),
    ],
)
def test_targets_to_compare_nothing_with(run, refused, models, model, target, message):
    frame = as_frame(model).head(3)
    name = frame.columns[-1]
    frame = frame.drop(name) if target is None else frame.with_columns(pl.Series(name, target, pl.String))
    run("info")  # in an empty folder
    frame.write_csv("t.csv")
    assert refused("evaluate", models / f"{model}.fallline", "t.csv").startswith(message)


def test_one_row_is_enough(run, models):
    run("info")
    for name in ("iris", "diabetes"):
        as_frame(name).head(1).write_csv("t.csv")
        status, out, err = run("evaluate", models / f"{name}.fallline", "t.csv", "--json")
        assert (status, err) == (0, "")
        assert json.loads(out)["rows"] == 1
    as_frame("iris").head(1).write_csv("t.csv")
    assert (
        json.loads(run("evaluate", models / "iris.fallline", "t.csv", "--json").out)["scores"]["roc_auc"]["value"]
        is None
    )
    auc = next(line for line in run("evaluate", models / "iris.fallline", "t.csv").out.splitlines() if "ROC" in line)
    assert auc.split() == ["ROC", "AUC", "-", "-", "0.5"]
    assert Path("t.csv").exists()

"""From a table to a model and to predictions, as a user types it."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fallline
from fallline.model import load
from fallline.params import PARAMS
from fallline.table import BUNDLED, load_bundled


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))


def test_train_predict_evaluate_on_a_csv_of_numbers(run, houses, tmp_path):
    status, out, err = run("train", houses, "--target", "price", "--starts", 4)
    assert (status, err) == (0, "")
    assert "price: a number" in out
    assert "2 inputs (area, rooms)" in out
    assert "60; each network held back another 1/8 of them to measure on" in out
    assert "4, averaged: 2-128-128-1, silu" in out
    assert "RMSE" in out
    assert out.endswith("model.fallline\n")

    scores = json.loads(run("evaluate", "model.fallline", houses, "--json").out)
    assert scores["rows"] == 60
    values = {name: score["value"] for name, score in scores["scores"].items()}
    assert values["r2"] > 0.9
    assert 0 < values["mae"] <= values["rmse"] < 15_000

    shuffled = pl.read_csv(houses).drop("price").reverse().select("rooms", "area")
    shuffled.write_csv(tmp_path / "new.csv")
    forward = rows_of(run("predict", "model.fallline", houses).out)
    backward = rows_of(run("predict", "model.fallline", "new.csv").out)
    assert forward[0] == backward[0] == ["price"]
    assert len(forward) == 61
    assert forward[1:] == backward[:0:-1]


def test_the_scores_are_those_of_the_rows_held_back(run):
    settings = ["--validation", "0.2", "--starts", 1, "--epochs", 20]
    summary = json.loads(run("train", "wine", "--json", "--out", "wine.fallline", *settings).out)
    assert (summary["rows_trained"], summary["rows_held_back"]) == (142, 36)
    assert summary["classes"] == ["class_0", "class_1", "class_2"]
    everything = json.loads(run("evaluate", "wine.fallline", "wine", "--json").out)
    assert set(everything["scores"]) > set(summary["scores"]) == {"accuracy", "log_loss"}
    right_in_part = round(36 * summary["scores"]["accuracy"])
    assert right_in_part / 36 == summary["scores"]["accuracy"]


@pytest.mark.parametrize("kind", ["parquet", "npz", "bundled", "stdin"])
def test_every_kind_of_data(run, tmp_path, monkeypatch, kind):
    iris = load_bundled("iris")
    frame = pl.DataFrame(dict(zip(iris.columns, iris.X.T, strict=True))).with_columns(pl.Series("species", iris.y))
    arguments = ["--target", "species"]
    if kind == "parquet":
        source = tmp_path / "iris.parquet"
        frame.write_parquet(source)
    elif kind == "npz":
        source, arguments = tmp_path / "iris.npz", []
        np.savez(source, X=iris.X, y=iris.y)
    elif kind == "bundled":
        source, arguments = "iris", []
    else:
        source = "-"

    def stdin():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(frame.write_csv().encode())))

    stdin()
    assert run("train", source, *arguments, "--quiet").status == 0
    stdin()
    predicted = rows_of(run("predict", "model.fallline", source).out)
    assert len(predicted) == 151
    assert np.mean(np.array(predicted[1:])[:, 0] == iris.y) > 0.9


def test_probabilities_have_a_column_a_class_and_sum_to_one(run, tmp_path):
    run("train", "iris", "--epochs", 30)
    status, out, err = run("predict", "model.fallline", "iris", "--proba", "--out", "p.csv")
    assert (status, out, err) == (0, "", "")
    header, *rows = rows_of((tmp_path / "p.csv").read_text())
    assert header == ["setosa", "versicolor", "virginica"]
    np.testing.assert_allclose(np.array(rows, dtype=float).sum(axis=1), 1, atol=1e-6)
    labels = np.array(header)[np.array(rows, dtype=float).argmax(axis=1)]
    assert [[label] for label in labels] == rows_of(run("predict", "model.fallline", "iris").out)[1:]


def test_the_history_is_written_whole(run, tmp_path):
    run("train", "iris", "--epochs", 4, "--starts", 3, "--history", "h.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "h.csv").read_text())))
    assert [(row["epoch"], row["start"]) for row in rows[:4]] == [("1", "0"), ("1", "1"), ("1", "2"), ("2", "0")]
    assert len(rows) == 12
    assert float(rows[-1]["loss"]) < float(rows[2]["loss"])


def test_intervals_and_quantiles(run):
    run("train", "diabetes", "--epochs", 5, "--starts", 4)
    header, *rows = rows_of(run("predict", "model.fallline", "diabetes", "--interval", 0.8).out)
    assert header == ["progression", "progression low", "progression high"]
    answer, low, high = np.array(rows, dtype=float).T
    assert ((low < answer) & (answer < high)).all()
    assert 0.7 < ((low < load_bundled("diabetes").y) & (load_bundled("diabetes").y < high)).mean() < 0.95
    run("train", "diabetes", "--epochs", 5, "--starts", 4, "--loss", "quantile", "--quantiles", "0.1,0.9")
    header, *rows = rows_of(run("predict", "model.fallline", "diabetes").out)
    assert header == ["progression 0.1", "progression 0.9"]
    assert (np.diff(np.array(rows, dtype=float), axis=1) > 0).all()
    assert run("predict", "model.fallline", "diabetes", "--interval", 0.8).status == 2
    run("train", "iris", "--epochs", 1)
    assert "only numbers have intervals" in run("predict", "model.fallline", "iris", "--interval", 0.8).err


def test_rows_of_a_group_in_the_order_of_time_and_a_time(run, houses):
    summary = json.loads(run("train", houses, "--target", "price", "--group", "rooms", "--epochs", 2, "--json").out)
    assert list(summary["columns"]) == ["area"]
    last = json.loads(run("train", houses, "--target", "price", "--hold-back", "last", "--epochs", 2, "--json").out)
    assert (last["rows_trained"], last["rows_held_back"], last["folds"]) == (48, 12, 0)
    quick = json.loads(run("train", houses, "--target", "price", "--time", "0.5s", "--json").out)
    assert quick["seconds"] < 10
    assert "--time is 'soon'; it must be a positive number of seconds, such as 60 or 60s, 5m, 1h" in (
        run("train", houses, "--target", "price", "--time", "soon").err
    )
    assert "'roams'" in run("train", houses, "--target", "price", "--group", "roams").err


def test_a_file_of_rows_to_measure_on(run, houses, tmp_path):
    lines = houses.read_text().splitlines(keepends=True)
    (tmp_path / "new.csv").write_text("".join([lines[0], *lines[-10:]]))
    summary = json.loads(run("train", houses, "--target", "price", "--validation", "new.csv", "--json").out)
    assert (summary["rows_trained"], summary["rows_held_back"]) == (60, 10)
    measured = json.loads(run("evaluate", "model.fallline", "new.csv", "--json").out)
    for name, value in summary["scores"].items():
        assert measured["scores"][name]["value"] == pytest.approx(value, rel=1e-4)


def test_what_was_noticed_is_said_and_kept(run):
    settings = ["--learning-rate", "1e-6", "--epochs", 6, "--starts", 1]
    said = [line for line in run("train", "iris", *settings).out.splitlines() if line.startswith("noticed")]
    findings = json.loads(run("train", "iris", *settings, "--json").out)["findings"]
    assert [one["name"] for one in findings] == ["step_too_small", "few_rows"]
    assert load("model.fallline").training["findings"] == findings
    assert [" ".join(line.split()[1:]) for line in said] == [
        f"{one['says']} ({one['evidence']}): {one['advice']}" for one in findings
    ]
    assert json.loads(run("train", "digits", "--epochs", 15, "--json").out)["findings"] == []


def test_nothing_held_back(run):
    summary = json.loads(run("train", "iris", "--validation", "0", "--epochs", 2, "--json").out)
    assert (summary["rows_trained"], summary["rows_held_back"], summary["scores"]) == (150, 0, {})


def test_patience_stops_and_says_that_the_held_back_rows_chose(run):
    status, out, _ = run("train", "breast_cancer", "--patience", 2, "--epochs", 500, "--starts", 1)
    assert status == 0
    assert "kept at epoch" in out
    assert "they chose the epoch" in out
    training = load("model.fallline").training
    assert training["stop_reason"] == "stopped"
    assert max(training["kept_epochs"]) == training["history"][-1]["epoch"] - 2


def test_dropped_columns_are_not_asked_for_again(run, houses, tmp_path):
    run("train", houses, "--target", "price", "--drop", "rooms", "--epochs", 2)
    pl.read_csv(houses).select("area").write_csv(tmp_path / "area.csv")
    assert run("predict", "model.fallline", "area.csv").status == 0


def test_settings_reach_the_model(run):
    run("train", "iris", "--hidden", "5,4", "--activation", "tanh", "--optimizer", "sgd", "--epochs", 3, "--seed", 7)
    model = load("model.fallline")
    assert model.network.layer_sizes == (4, 5, 4, 3)
    assert model.network.activation == ("tanh", "tanh")
    assert model.training["optimizer"]["name"] == "sgd"
    assert model.training["settings"]["learning_rate"] == 0.1
    assert model.training["command"].startswith("fallline train iris --hidden 5,4")
    assert set(model.training["settings"]) == set(PARAMS)


def test_quiet_says_nothing(run):
    assert run("train", "iris", "--epochs", 2, "--quiet") == (0, "", "")


def test_info(run):
    about = json.loads(run("info", "--json").out)
    assert about["fallline"] == fallline.__version__
    assert about["instruction_set"] in about["instruction_sets"]
    assert about["engines"] == ["native", "reference", *(["xla"] if find_spec("jax") else [])]
    assert run("info").out.startswith("fallline")
    run("train", "diabetes", "--epochs", 2, "--starts", 2)
    assert "progression" in run("info", "model.fallline").out
    contents = json.loads(run("info", "model.fallline", "--json").out)
    assert (contents["format"], len(contents["sha256"])) == (4, 64)
    assert contents["layers"] == [10, 128, 128, 1]
    assert contents["networks"] == 2 + 2 * (contents["linear_share"] > 0)
    assert contents["rows"] == {"trained": 442, "held_back": 112, "folds": 8}


def test_datasets(run):
    assert list(json.loads(run("datasets", "--json").out)) == list(BUNDLED)
    out = run("datasets").out
    assert all(name in out for name in BUNDLED)


@pytest.mark.filterwarnings("always")
def test_a_training_that_diverges_leaves_an_older_model_alone(run, tmp_path):
    (tmp_path / "model.fallline").write_text("older")
    status, out, err = run("train", "iris", "--optimizer", "sgd", "--learning-rate", "1e30", "--json")
    assert status == 1
    assert "learning rate" in err
    assert all(line.startswith("fallline: ") for line in err.splitlines())
    assert json.loads(out)["stop_reason"] == "diverged"
    assert json.loads(out)["model"] is None
    assert (tmp_path / "model.fallline").read_text() == "older"


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
def test_ctrl_c_saves_the_best_so_far(houses, tmp_path):
    """The process says when it is under way: through a bar that speaks, put in place as Python starts."""
    (tmp_path / "sitecustomize.py").write_text(
        "from fallline.listeners.progress_bar import ProgressBar\n"
        "ProgressBar.on_epoch = lambda self, epoch: epoch.progress.epoch == 3 and print('under way', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "fallline.cli", "train", houses, "--target", "price", "--epochs", "30000"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "under way\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith("fallline: interrupted after ")
    assert err.endswith(", in model.fallline\n")
    assert "epochs in" in out
    assert load(tmp_path / "model.fallline").training["stop_reason"] == "interrupted"


def test_a_reader_that_has_seen_enough(run, houses, tmp_path):
    """There is more to say than a pipe holds."""
    run("train", houses, "--target", "price", "--epochs", 1)
    header, *rows = houses.read_text().splitlines(keepends=True)
    (tmp_path / "many.csv").write_text(header + "".join(rows * 500))
    command = f"{sys.executable} -m fallline.cli predict model.fallline many.csv | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("price\n", "")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_is_what_a_bare_call_gives(run, arguments):
    status, out, err = run(*arguments)
    assert (status, err) == (0, "")
    assert "train     Train networks on a table" in out


def test_an_interrupted_or_unlearned_model_is_not_written(run, monkeypatch):
    """Ctrl-C before anything is better than the random start: an older model stays whole."""
    import fallline.descent.loop

    assert run("train", "iris", "--epochs", 3).status == 0
    before = Path("model.fallline").read_bytes()

    class Pressed:
        def is_set(self):
            return True

    @contextmanager
    def pressed():
        yield Pressed()

    monkeypatch.setattr(fallline.descent.loop, "ctrl_c", pressed)
    monkeypatch.setattr(fallline.descent.loop, "SLICE_SECONDS", 0.0)
    status, out, err = run("train", "iris", "--learning-rate", 1e-30, "--batch-size", 16)
    assert status == 130
    assert "not written" in out
    assert "nothing was learned, so no model was written" in err
    assert Path("model.fallline").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="pipes with names are POSIX")
def test_nothing_but_a_plain_file_is_written_over(run):
    os.mkfifo("pipe.csv")
    assert run("train", "iris", "--epochs", 1).status == 0
    for arguments in (
        ["train", "iris", "--out", os.devnull],
        ["predict", "model.fallline", "iris", "--out", "pipe.csv"],
    ):
        status, _, err = run(*arguments)
        assert status == 2
        assert err.strip().endswith("a device or a pipe; name a file")


@pytest.mark.parametrize(
    "write",
    [
        ["train", "iris", "--history", "h.csv"],
        ["predict", "model.fallline", "iris", "--out", "p.csv"],
        ["predict", "model.fallline", "iris", "--out", "p.parquet"],
    ],
)
def test_a_full_disk_leaves_the_old_file(run, monkeypatch, write):
    assert run("train", "iris", "--epochs", 1).status == 0
    Path("h.csv").write_text("old")
    Path("p.csv").write_text("old")
    Path("p.parquet").write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    if write[0] == "predict":
        status, _, err = run(*write)
    else:
        status, _, err = run(*write, "--epochs", 1)
    assert (status, err.count("\n")) == (2, 1)
    assert "No space left on device" in err
    assert ".csv" in err or ".parquet" in err or "model.fallline" in err
    assert {Path(name).read_text() for name in ("h.csv", "p.csv", "p.parquet")} == {"old"}
    assert not list(Path().glob(".fallline-*"))


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names there are Unicode")
def test_a_file_name_that_is_not_unicode(run):
    name = os.fsdecode(b"lat\xf6.csv")
    Path(name).write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    assert run("train", name, "--target", "y", "--epochs", 1).status == 0
    assert "lat" in load("model.fallline").training["table"]


def test_outputs_that_are_not_finite_are_not_predictions(run):
    Path("t.csv").write_text("x,y\n" + "".join(f"{i},{i / 3}\n" for i in range(40)))
    assert run("train", "t.csv", "--target", "y", "--epochs", 1).status == 0
    model = load("model.fallline")
    for network in model.networks:
        network.W[-1][...] = 3e38
    model.save("model.fallline")
    for command in ("predict", "evaluate"):
        status, out, err = run(command, "model.fallline", "t.csv")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "t.csv, row 1: no finite prediction" in err


def test_a_half_empty_target_does_not_keep_from_predicting(run):
    Path("t.csv").write_text("x,y\n" + "".join(f"{i},{i / 3}\n" for i in range(40)))
    Path("half.csv").write_text("x,y\n1,2\n3,\n")
    assert run("train", "t.csv", "--target", "y", "--epochs", 1).status == 0
    assert run("predict", "model.fallline", "half.csv").out.count("\n") == 3

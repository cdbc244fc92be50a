"""`fallline train --checkpoint`, `--resume`: the same command goes on, to the same model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.checkpoint import read
from fallline.cli import keeping
from fallline.descent import saving
from fallline.fit import fit
from fallline.fit.budget import Budget
from fallline.listeners import Epoch
from fallline.table import load_bundled


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints may take all the time; and there is no power cut here to wait for the disk."""
    monkeypatch.setattr(saving, "MOST_OF_THE_TIME", np.inf)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


class Cut(fl.Listener):
    """The power is cut after so many epochs: what was on the disk is copied. Or the first Ctrl-C comes."""

    def __init__(self, epoch: int, folder: Path | None = None, copy: Path | None = None) -> None:
        self.epoch, self.folder, self.copy = epoch, folder, copy

    def on_epoch(self, epoch: Epoch) -> None:
        if epoch.progress.epoch == self.epoch:
            if self.folder is not None and self.copy is not None:
                shutil.copytree(self.folder, self.copy, dirs_exist_ok=True)
                saving.MOST_OF_THE_TIME = 0.5  # after that fewer will do
            else:
                os.kill(os.getpid(), signal.SIGINT)


def assert_same_model(one: fl.Model, other: fl.Model) -> None:
    assert len(one.networks) == len(other.networks)
    for a, b in zip(one.networks, other.networks, strict=True):
        assert a.settings() == b.settings()
        np.testing.assert_array_equal(a.parameters, b.parameters)
    assert list(one.shares) == list(other.shares)
    assert one.sharpness == other.sharpness
    if one.errors is not None:
        np.testing.assert_array_equal(one.errors, other.errors)
    left_out = ("history", "command")
    assert [{k: v for k, v in model.training.items() if k not in left_out} for model in (one,)] == [
        {k: v for k, v in model.training.items() if k not in left_out} for model in (other,)
    ]


@pytest.mark.usefixtures("at_every_step")
@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_the_recipe_in_full(name: str, tmp_path: Path) -> None:
    """Twelve networks on folds, a linear model beside, calibration: cut short in both descents."""
    table, settings = load_bundled(name), {"epochs": 12, "hidden": (16, 16)}
    alone = fit(table, settings)
    assert len(alone.run.networks) == 12
    for k, epoch in enumerate((5, 12)):
        there, then = tmp_path / f"run {k}", tmp_path / f"copy {k}"
        kept = fit(table, settings, [Cut(epoch, there, then)], checkpoint=fl.Checkpoint(there, seconds=0))
        assert_same_model(kept.model, alone.model)
        resumed = fit(table, settings, checkpoint=fl.Checkpoint(then, resume=True))
        assert_same_model(resumed.model, alone.model)
        np.testing.assert_array_equal(resumed.judgement.outputs, alone.judgement.outputs)
    older = sorted(there.glob("linear-*"))[0]
    assert not read(older).header["ended"], "the linear models were being trained then"
    sorted(there.glob("linear-*"))[-1].unlink()
    assert_same_model(fit(table, settings, checkpoint=fl.Checkpoint(there, resume=True)).model, alone.model)


@pytest.mark.usefixtures("at_every_step")
def test_what_a_time_budget_chose_is_chosen_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock: another machine, or a busy one, would choose otherwise; and the time that was used is used."""
    table, settings = load_bundled("iris"), {"time_budget": 600.0, "hidden": (8,)}
    monkeypatch.setattr(Budget, "choose", lambda *_: {"starts": 5, "epochs": 9})
    there, then = tmp_path / "run", tmp_path / "copy"
    alone = fit(table, settings, [Cut(4, there, then)], checkpoint=fl.Checkpoint(there, seconds=0))

    def choose(*_: Any) -> Any:
        raise AssertionError("it was chosen before")

    monkeypatch.setattr(Budget, "choose", choose)
    resumed = fit(table, settings, checkpoint=fl.Checkpoint(then, resume=True))
    assert len(resumed.run.networks) == 5
    assert_same_model(resumed.model, alone.model)
    header = read(fl.Checkpoint(then).files[0]).header
    assert header["about"]["chosen"] == {"starts": 5, "epochs": 9}
    assert header["about"]["before"] > 0


@pytest.mark.usefixtures("at_every_step")
def test_early_stopping_and_given_rows(tmp_path: Path) -> None:
    table = load_bundled("diabetes")
    settings = {"epochs": 40, "hidden": (8,), "patience": 3, "starts": 2, "validation": 0.3, "learning_rate": 0.03}
    there, then = tmp_path / "run", tmp_path / "copy"
    alone = fit(table, settings, [Cut(5, there, then)], checkpoint=fl.Checkpoint(there, seconds=0))
    assert alone.run.stop_reason == "stopped"
    resumed = fit(table, settings, checkpoint=fl.Checkpoint(then, resume=True))
    assert_same_model(resumed.model, alone.model)
    assert resumed.run.message == alone.run.message


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
def test_the_command_killed_again_and_again(tmp_path: Path) -> None:
    """By SIGKILL, in a process of its own."""
    train = [sys.executable, "-m", "fallline.cli", "train", "diabetes", "--epochs", "600", "--hidden", "8", "--quiet"]
    train += ["--starts", "3"]
    options: dict[str, Any] = {"cwd": tmp_path, "stderr": subprocess.PIPE, "text": True}
    subprocess.run([*train, "--out", "alone.fallline"], check=True, **options)
    kept = [*train, "--checkpoint", "kept", "--resume", "--checkpoint-every"]
    steps = [-1]
    for _ in range(2):
        process = subprocess.Popen([*kept, "0"], cwd=tmp_path, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not _last_step(tmp_path / "kept") > steps[-1]:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        steps.append(_last_step(tmp_path / "kept"))
    assert not (tmp_path / "model.fallline").exists()
    assert subprocess.run([*kept, "30"], check=True, **options).stderr == ""
    assert_same_model(fl.load(tmp_path / "model.fallline"), fl.load(tmp_path / "alone.fallline"))


def _last_step(folder: Path) -> int:
    try:
        found = fl.Checkpoint(folder).last()
    except fl.CheckpointError:  # both were removed since they were listed
        return -1
    return -1 if found is None else int(found.header["step"])


def test_ctrl_c_says_how_to_go_on(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fallline.listeners.progress_bar import ProgressBar

    assert run("train", "iris", "--epochs", 8, "--hidden", 8).status == 0
    alone = fl.load("model.fallline")
    with monkeypatch.context() as patched:
        patched.setattr(ProgressBar, "on_epoch", Cut(3).on_epoch)
        status, _, err = run("train", "iris", "--epochs", 8, "--hidden", 8, "--checkpoint", "kept")
    assert status == 130
    assert err.startswith("fallline: interrupted after 3 epochs; the checkpoint in kept leads on; the best parameters")
    assert err.endswith(", in model.fallline; --resume goes on\n")
    status, out, err = run("train", "iris", "--epochs", 8, "--hidden", 8, "--checkpoint", "kept", "--resume")
    assert status == 0
    assert "8 epochs in" in out
    assert err == "fallline: going on after epoch 3 of 8, from the checkpoint in kept\n"
    assert_same_model(fl.load("model.fallline"), alone)
    assert Path("kept").is_dir(), "whoever named it keeps it"


def test_what_takes_long_is_kept_anyway(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the model, said in one line, and gone when that is written."""
    from fallline.listeners.progress_bar import ProgressBar

    train = ("train", "iris", "--epochs", 8, "--hidden", 8, "--checkpoint-every", 0)
    assert run(*train).err == ""
    assert not Path("model.fallline.checkpoint").exists(), "it took less than a minute"
    monkeypatch.setattr(keeping, "LONG", 1e-3)
    with monkeypatch.context() as patched:
        patched.setattr(ProgressBar, "on_epoch", Cut(3).on_epoch)
        status, _, err = run(*train)
    assert status == 130
    said = "fallline: this takes a while: checkpoints are in model.fallline.checkpoint, from where --resume goes on\n"
    assert err.startswith(said)
    assert Path("model.fallline.checkpoint").is_dir()
    earlier = "fallline: there is a checkpoint of an earlier training in model.fallline.checkpoint; --resume goes on"
    assert run(*train, "--checkpoint", "none").err == ""
    status, _, err = run(*train, "--resume")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("fallline: going on after epoch 3 of 8")
    assert not Path("model.fallline.checkpoint").exists()
    shutil.rmtree("kept", ignore_errors=True)
    assert run(*train, "--resume").err.startswith("fallline: there is no checkpoint in model.fallline.checkpoint; the")
    Path("model.fallline.checkpoint").mkdir(exist_ok=True)
    Path("model.fallline.checkpoint/descent-00000001.checkpoint").write_bytes(b"")
    assert run(*train).err.startswith(earlier)


def test_what_is_wrong_is_said_in_a_line(run: Any, refused: Any, houses: Path) -> None:
    train = ("train", houses, "--target", "price", "--epochs", 3, "--starts", 2, "--hidden", 4)
    kept = ("--checkpoint", "kept", "--quiet")
    assert run(*train, *kept).status == 0
    said = refused(*train, *kept, "--resume", "--epochs", 4)
    assert said == "epochs is 4, but the training in kept began with 3; give the same again, or another folder"
    said = refused(*train, *kept, "--resume", "--hidden", "4,4")
    assert said == "hidden is 4,4, but the training in kept began with 4; give the same again, or another folder"
    table = houses.read_text()
    houses.write_text(table.replace("\n", "\n", 1)[:-2] + "9\n")
    assert refused(*train, *kept, "--resume").startswith("the rows to train on are others")
    houses.write_text(table)
    assert run(*train, *kept, "--resume").status == 0
    for path in Path("kept").glob("descent-*"):
        path.write_bytes(path.read_bytes()[:-9])
    assert "cut short" in refused(*train, *kept, "--resume")
    assert (
        refused(*train, "--checkpoint", "none", "--resume") == "--resume needs a checkpoint, but --checkpoint is none"
    )
    assert refused(*train, "--checkpoint", houses).startswith(f"--checkpoint {houses}: cannot be a folder")
    assert "checkpoint-every" in refused(*train, *kept, "--checkpoint-every", -1)


@pytest.mark.filterwarnings("always")
def test_a_start_that_was_set_back_is_told_of(run: Any) -> None:
    train = (
        "train",
        "diabetes",
        "--optimizer",
        "sgd",
        "--inputs",
        "plain",
        "--starts",
        2,
        "--epochs",
        12,
        "--hidden",
        16,
    )
    status, out, err = run(*train, "--learning-rate", 1, "--json")
    assert status == 0
    summary = json.loads(out)
    assert summary["repairs"]
    assert "step_halved" in [finding["name"] for finding in summary["findings"]]
    assert "so it went back to step" in summary["message"]
    assert f"fallline: {summary['message']}" in err
    model = fl.load("model.fallline")
    assert model.training["repairs"] == summary["repairs"]
    assert run("report", "model.fallline", "--out", "report.html").status == 0
    assert "on with half the step size" in Path("report.html").read_text()
    status, out, err = run(*train, "--learning-rate", 1, "--repair", 0)
    assert (status, out) == (1, "")
    assert "the learning rate 1 is too large for these data" in err

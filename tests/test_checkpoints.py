"""A descent that was cut short goes on to the same bits, whatever it remembers; what is wrong with a file is said."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import atomic
from fallline.checkpoint import read
from fallline.descent import saving
from fallline.engines import ENGINES
from fallline.listeners import CycleStopping, Epoch, Progress
from fallline.optimizers import SGD, Adam, RMSprop

RULES = [SGD(0.05), SGD(0.05, 0.9), SGD(0.05, 0.9, nesterov=True), RMSprop(), Adam(), fl.AdamW(weight_decay=0.1)]
both_engines = pytest.mark.parametrize("engine", ENGINES)


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, np.sin(X[:, 0]) + 0.3 * rng.normal(size=n)


NET = fl.Network([3, 8, 1], "tanh", seed=2)
WEIGHTS = np.random.default_rng(5).uniform(0, 2, (3, 50))
EVERYTHING: dict[str, Any] = {
    "batch_size": 16, "epochs": 12, "starts": 3, "dropout": 0.2, "l1": 1e-4, "l2": [0.0, 0.01, 0.02],
    "clip_norm": 0.5, "schedule": "coslog4", "sample_weight": WEIGHTS, "validation": rows(30, 1), "metrics": ["r2"],
    "seed": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints may take all the time; and there is no power cut here to wait for the disk."""
    monkeypatch.setattr(saving, "MOST_OF_THE_TIME", np.inf)
    monkeypatch.setattr(atomic.os, "fsync", lambda handle: None)


class Killed(Exception):
    """In place of a signal, within one process."""


class Kill(fl.Listener):
    """After so many steps; it looks at each."""

    every = 1

    def __init__(self, step: int | None = None) -> None:
        self.step = step

    def on_progress(self, progress: Progress) -> None:
        if self.step is not None and progress.step >= self.step:
            raise Killed


def descend(folder: Path | None = None, resume: bool = False, *listeners: fl.Listener, **settings: Any) -> fl.Run:
    checkpoint = None if folder is None else fl.Checkpoint(folder, seconds=1e6 if resume else 0, resume=resume)
    net = settings.pop("net", NET)
    return fl.descend(net, *settings.pop("rows", rows(50)), callbacks=listeners, checkpoint=checkpoint, **settings)


def assert_same(one: fl.Run, other: fl.Run) -> None:
    """To the last bit, all but what a clock said."""
    for a, b in zip(one.networks, other.networks, strict=True):
        np.testing.assert_array_equal(a.parameters, b.parameters)
    names = ("stop_reason", "kept_steps", "kept_epochs", "best_start", "message", "stopped_because")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    np.testing.assert_array_equal(one.losses, other.losses)
    np.testing.assert_array_equal(one.begun_at, other.begun_at)
    assert len(one.history) == len(other.history)
    assert one.history.repairs == other.history.repairs
    for mine, yours in zip(one.history, other.history, strict=True):
        assert list(mine) == list(yours)
        assert [*map(type, mine.values())] == [*map(type, yours.values())]
        np.testing.assert_array_equal([v for n, v in mine.items() if n != "seconds"],
                                      [v for n, v in yours.items() if n != "seconds"])  # fmt: skip
    seconds = one.history["seconds"][:, 0]
    assert (np.diff(seconds) > 0).all(), "and the clock went on"
    if one.recorder is not None and other.recorder is not None:
        np.testing.assert_array_equal(one.recorder.steps, other.recorder.steps)
        np.testing.assert_array_equal(one.recorder.points, other.recorder.points)


def killed_and_resumed(folder: Path, step: int, make: Callable[[], list[fl.Listener]], **settings: Any) -> fl.Run:
    with pytest.raises(Killed):
        descend(folder, False, *make(), Kill(step), **settings)
    return descend(folder, True, *make(), Kill(), **settings)


@both_engines
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_every_rule_goes_on_to_the_same_bits(rule: Any, engine: str, tmp_path: Path) -> None:
    """With everything that a step depends on, killed at several steps one after the other."""
    alone = descend(None, False, Kill(), optimizer=rule, engine=engine, **EVERYTHING)
    for step in np.random.default_rng(0).choice(np.arange(1, 48), 2, replace=False).tolist():
        run = killed_and_resumed(tmp_path / str(step), step, list, optimizer=rule, engine=engine, **EVERYTHING)
        assert_same(run, alone)


SITUATIONS: dict[str, tuple[Callable[[], list[fl.Listener]], dict[str, Any]]] = {
    "early stopping": (lambda: [fl.EarlyStopping(3)], {"epochs": 60, "optimizer": SGD(0.2), "validation": rows(20, 1)}),
    "early stopping by the training loss": (lambda: [fl.EarlyStopping(2)], {"epochs": 60, "optimizer": SGD(0.9)}),
    "the end of a cycle": (
        lambda: [CycleStopping((0.3, 0.6))],
        {"epochs": 30, "optimizer": SGD(0.2), "starts": 4, "validation": rows(20, 1)},
    ),
    "a recorder": (lambda: [fl.Recorder(most_points=9)], {"epochs": 20, "starts": 2}),
    "keep the last": (list, {"epochs": 20, "keep": "last", "validation": rows(20, 1), "optimizer": SGD(0.7)}),
    "float64": (list, {"epochs": 20, "net": fl.Network([3, 8, 1], dtype="float64")}),
    "all rows in a batch": (list, {"epochs": 30, "batch_size": None}),
    "rows as they come": (list, {"epochs": 20, "shuffle": False, "batch_size": 7}),
    "measured now and then": (list, {"epochs": 20, "measure_every": 3, "validation": rows(20, 1), "starts": 2}),
    "given networks": (list, {"epochs": 20, "net": [NET, NET.restart(7)], "optimizer": SGD([0.1, 0.2])}),
    "rates of its parts": (list, {"epochs": 20, "rates": fl.Rates(fan_in=0.5, bias=2.0)}),
}


@both_engines
@pytest.mark.parametrize("situation", SITUATIONS)
def test_whatever_it_remembers(situation: str, engine: str, tmp_path: Path) -> None:
    make, settings = SITUATIONS[situation]
    settings = {"batch_size": 20, "engine": engine} | settings
    alone = descend(None, False, *make(), Kill(), **settings)
    last = int(alone.history["step"][-1, 0])
    for step in np.random.default_rng(1).choice(np.arange(1, last), 2, replace=False).tolist():
        run = killed_and_resumed(tmp_path / str(step), step, make, **settings)
        assert_same(run, alone)


@both_engines
def test_starts_that_diverge_and_are_mended(engine: str, tmp_path: Path) -> None:
    """One is mended, one is given up, one is well; killed before, between and after."""
    settings: dict[str, Any] = {
        "net": [fl.Network([3, 16, 1], "relu", seed=1)] * 3, "optimizer": SGD([0.05, 2.0, 1e6]), "epochs": 30,
        "batch_size": 16, "validation": rows(20, 1), "engine": engine,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fl.DivergenceWarning)
        alone = descend(None, False, fl.Recorder(), Kill(), **settings)
        assert {repair["start"] for repair in alone.history.repairs} == {1}
        assert np.isnan(alone.history["loss"][-1, 2])
        mended = alone.history.repairs[-1]["step"]
        for step in (2, 9, mended - 1, mended + 1, mended + 4, 100):
            assert_same(killed_and_resumed(tmp_path / str(step), step, lambda: [fl.Recorder()], **settings), alone)


def test_a_long_descent_whose_good_point_is_far_back(tmp_path: Path) -> None:
    """Two of those points are in the checkpoint, each start having its own."""

    class Later(fl.schedules.Schedule):
        def factor(self, t: np.ndarray) -> np.ndarray:
            return np.where(t >= 0.5, 7.0, 1.0)

    start = [fl.Network([1, 1], parameters=[3.0, 0.0])] * 2, np.ones((4, 1)), np.ones(4)
    settings: dict[str, Any] = {
        "optimizer": SGD([0.1, 0.02], 0.1), "schedule": Later(), "batch_size": 2, "epochs": 1000,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fl.DivergenceWarning)
        alone = fl.descend(*start, **settings)
        assert alone.history.repairs[0]["back_to"] > 0
        for k, step in enumerate((901, 1050)):
            rarely = fl.Checkpoint(tmp_path / str(k), seconds=0.1)
            with pytest.raises(Killed):
                fl.descend(*start, callbacks=Kill(step), checkpoint=rarely, **settings)
            run = fl.descend(*start, checkpoint=dataclasses.replace(rarely, resume=True), **settings)
            assert_same(run, alone)


def test_an_epoch_of_many_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that a slice leaves half done, and sums over slices that end anywhere: the same losses, to the last bit."""
    from fallline.descent import loop

    monkeypatch.setattr(loop, "SLICE_SECONDS", 1e-4)
    settings: dict[str, Any] = {
        "rows": rows(6000), "batch_size": 2000, "epochs": 8, "starts": 3, "net": fl.Network([3, 60, 60, 1], seed=1)
    }  # fmt: skip
    alone = descend(None, False, **settings)
    with pytest.raises(Killed):
        descend(tmp_path, False, Kill(7), **settings)
    assert_same(descend(tmp_path, True, **settings), alone)


def test_a_finished_descent_is_there_at_once(tmp_path: Path) -> None:
    first = descend(tmp_path, False, fl.EarlyStopping(3), epochs=50, validation=rows(20, 1), optimizer=SGD(0.2))

    class Never(fl.Listener):
        def on_progress(self, progress: Progress) -> None:
            raise AssertionError("there is nothing left to do")

    settings: dict[str, Any] = {"epochs": 50, "validation": rows(20, 1), "optimizer": SGD(0.2)}
    assert first.stop_reason == "stopped"
    again = descend(tmp_path, True, fl.EarlyStopping(3), Never(), **settings)
    assert_same(again, first)
    np.testing.assert_array_equal(again.history["seconds"], first.history["seconds"])


def test_with_nothing_to_go_on_from_it_begins(tmp_path: Path) -> None:
    assert_same(descend(tmp_path / "new" / "folder", True, epochs=3), descend(None, epochs=3))
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2, "the last two are kept"


def test_ctrl_c_leaves_a_checkpoint(tmp_path: Path) -> None:
    class Press(fl.Listener):
        def on_epoch(self, epoch: Epoch) -> None:
            if epoch.progress.epoch == 5:
                os.kill(os.getpid(), signal.SIGINT)

    run = fl.descend(NET, *rows(50), epochs=20, callbacks=Press(), checkpoint=fl.Checkpoint(tmp_path, seconds=1e6))
    assert run.stop_reason == "interrupted"
    assert f"the checkpoint in {tmp_path} leads on" in run.message
    assert_same(descend(tmp_path, True, epochs=20), descend(None, epochs=20))


def test_ctrl_c_in_the_middle_of_measuring(tmp_path: Path) -> None:
    """The epoch is at its end but not closed: whoever goes on measures it."""
    pressed = []

    def press(A: np.ndarray, Y: np.ndarray, weight: np.ndarray) -> float:
        if len(pressed) == 5 and not pressed.append(0):  # type: ignore[func-returns-value]
            os.kill(os.getpid(), signal.SIGINT)
        pressed.append(0)
        return 0.0

    settings: dict[str, Any] = {"epochs": 20, "starts": 2, "validation": rows(20, 1), "metrics": {"press": press}}
    checkpoint = fl.Checkpoint(tmp_path, seconds=1e6)
    assert fl.descend(NET, *rows(50), checkpoint=checkpoint, **settings).stop_reason == "interrupted"
    (last, *_) = checkpoint.files
    assert read(last).header["step"] == 6
    pressed = [0] * 9
    assert_same(descend(tmp_path, True, **settings), descend(None, **settings))


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training goes on with a warning, the checkpoint before stays good, and with room again there are more."""
    real, full = os.fsync, [False]

    def fsync(handle: int) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        real(handle)

    class Fill(fl.Listener):
        def on_epoch(self, epoch: Epoch) -> None:
            full[0] = 4 <= epoch.progress.epoch < 7

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    with pytest.warns(fl.CheckpointWarning, match=r"no checkpoint was written in .* \(No space left on device\)"):
        run = descend(tmp_path, False, Fill(), Kill(), epochs=12)
    assert_same(run, descend(None, False, Kill(), epochs=12))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".checkpoint"] * 2
    shutil.rmtree(tmp_path)
    with pytest.warns(fl.CheckpointWarning), pytest.raises(Killed):
        descend(tmp_path, False, Fill(), Kill(12), epochs=12)
    assert read(fl.Checkpoint(tmp_path).files[0]).header["step"] == 7
    full[0] = False
    assert_same(descend(tmp_path, True, Kill(), epochs=12), descend(None, False, Kill(), epochs=12))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _flip(path: Path) -> None:
    """One bit of a weight."""
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(bytes(data))


def _edit(path: Path) -> None:
    """A number of the header."""
    path.write_bytes(path.read_bytes().replace(b'\\"seed\\": 0', b'\\"seed\\": 1'))


def _foreign(path: Path) -> None:
    from safetensors.numpy import save

    path.write_bytes(save({"a": np.zeros(3)}))


def _newer(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'\\"format\\": 1', b'\\"format\\": 2'))


WRONG = {
    _cut: "not a fallline checkpoint, or cut short",
    _empty: "not a fallline checkpoint, or cut short",
    _zeros: "not a fallline checkpoint, or cut short",
    _flip: "damaged .its checksum is another",
    _edit: "damaged .its checksum is another",
    _foreign: "a safetensors file, but not a fallline checkpoint",
    _newer: "of format 2, but this fallline reads format 1; update fallline",
}


@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__)
def test_a_file_that_is_not_good(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    """The older one is used, and said so; if that is no better, a line says what is wrong."""
    alone = descend(None, False, Kill(), epochs=12)
    with pytest.raises(Killed):
        descend(tmp_path, False, Kill(15), epochs=12)
    last, older = fl.Checkpoint(tmp_path).files
    before = last.read_bytes()
    spoil(last)
    assert last.read_bytes() != before
    with pytest.warns(fl.CheckpointWarning, match=f"{last.name}: {WRONG[spoil]}.*; going on from {older.name}"):
        run = descend(tmp_path, True, Kill(), epochs=12)
    assert_same(run, alone)
    for path in fl.Checkpoint(tmp_path).files:
        path.write_bytes(before)
        spoil(path)
    with pytest.raises(fl.CheckpointError, match=WRONG[spoil]) as caught:
        descend(tmp_path, True, Kill(), epochs=12)
    assert "\n" not in str(caught.value)
    assert "there is no other" in str(caught.value)


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "epochs": ({"epochs": 13}, "epochs is 13, was 12, so the checkpoint in .* is of another descent"),
    "seed": ({"seed": 1}, "seed is 1, was 0,"),
    "a rule": ({"optimizer": SGD(0.2)}, r"optimizer is name sgd, learning_rate 0\.2.*, was name adam"),
    "rows": ({"rows": rows(50, 9)}, "the rows to train on are others"),
    "an order": ({"rows": tuple(part[::-1] for part in rows(50))}, "the rows to train on are others, or in another"),
    "weights": ({"sample_weight": WEIGHTS[0]}, "the rows to train on are others"),
    "validation": ({"validation": rows(20, 1)}, "the validation rows are others"),
    "a start": ({"net": NET.restart(3)}, "the networks begin at other parameters"),
    "layers": ({"net": fl.Network([3, 9, 1], "tanh")}, r"network is layer_sizes \[3, 9, 1\]"),
    "repair": ({"repair": False}, "repair is 0, was 3,"),
    "an engine": ({"engine": "reference"}, "engine is 'reference', was 'native',"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_descent_is_refused(other: str, tmp_path: Path) -> None:
    settings, message = OTHERS[other]
    with pytest.raises(Killed):
        descend(tmp_path, False, Kill(15), epochs=12)
    before = [path.read_bytes() for path in fl.Checkpoint(tmp_path).files]
    with pytest.raises(fl.ParameterError, match=message):
        descend(tmp_path, True, Kill(), **{"epochs": 12} | settings)
    assert [path.read_bytes() for path in fl.Checkpoint(tmp_path).files] == before


def test_other_listeners_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        descend(tmp_path, False, fl.EarlyStopping(3), Kill(15), epochs=12)
    with pytest.raises(fl.ParameterError, match=r"remember something are none, but .* were EarlyStopping; give the"):
        descend(tmp_path, True, Kill(), epochs=12)


def test_a_listener_of_one_s_own_that_remembers(tmp_path: Path) -> None:
    class Count(fl.Listener):
        def on_begin(self, progress: Progress) -> None:
            self.epochs = 0

        def on_epoch(self, epoch: Epoch) -> None:
            self.epochs += 1

        def state(self) -> dict[str, Any]:
            return {"epochs": self.epochs}

        def resume(self, state: Any) -> None:
            self.epochs = int(state["epochs"])

    with pytest.raises(Killed):
        descend(tmp_path, False, Count(), Kill(15), epochs=12)
    count = Count()
    descend(tmp_path, True, count, Kill(), epochs=12)
    assert count.epochs == 12


def test_the_header_is_json_that_says_what_it_is_of(tmp_path: Path) -> None:
    descend(tmp_path, epochs=2, starts=2)
    header = read(fl.Checkpoint(tmp_path).files[0]).header
    assert json.loads(json.dumps(header)) == header
    assert header["format"] == 1
    assert (header["ended"], header["step"], header["descent"]["epochs"]) == ("finished", 4, 2)
    assert header["descent"]["network"]["layer_sizes"] == [3, 8, 1]


def test_seconds_are_numbers() -> None:
    with pytest.raises(fl.ParameterError, match="checkpoint: seconds is -1; it must be a number of seconds, 0 or more"):
        fl.Checkpoint("run", seconds=-1)

"""A training is killed at any moment, inside a checkpoint's writing too: it goes on to the same bits, each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.forked_descents import descend_here, settings

import fallline as fl

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no fork on Windows")

PLACES = ("half", "unnamed", "named", "too many")


class Forks:
    """The process that forks descents."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.forked_descents"]
        root = Path(__file__).parents[1]
        self.process = subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, **told: Any) -> int:
        """A descent that is about to take its first step: the number of its process."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """How it ended: 0, or by which signal."""
        word, status = self._line().split()
        assert word == "ended"
        return int(status)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    process = Forks()
    yield process
    process.process.communicate()


def assert_same(run: fl.Run, rule: str, epochs: int) -> None:
    """As the descent that was left alone, to the last bit."""
    told = settings(rule, epochs)
    alone = fl.descend(**told)
    for mine, yours in zip(run.networks, alone.networks, strict=True):
        np.testing.assert_array_equal(mine.parameters, yours.parameters)
    assert (run.kept_steps, run.stop_reason, run.message) == (alone.kept_steps, alone.stop_reason, alone.message)
    assert len(run.history) == len(alone.history)
    for column in ("loss", "validation_loss", "learning_rate", "gradient_norm"):
        np.testing.assert_array_equal(run.history[column], alone.history[column])
    assert run.recorder is not None
    assert alone.recorder is not None
    np.testing.assert_array_equal(run.recorder.points, alone.recorder.points)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_killed_at_25_random_moments(rule: str, forks: Forks, tmp_path: Path) -> None:
    """Again and again, each life going on from where the one before was killed; whenever one is through, a new one."""
    rng, kills, runs, lives = np.random.default_rng(7), 0, 0, 0
    while kills < 25:
        assert lives < 80
        child, lives = forks.begin(folder=str(tmp_path / str(runs)), rule=rule, epochs=40), lives + 1
        time.sleep(rng.uniform(0, 0.15))
        with suppress(ProcessLookupError):  # it has come to its end
            os.kill(child, signal.SIGKILL)
        if forks.end() == signal.SIGKILL:
            kills += 1
        else:
            runs += 1
    for k in range(runs + 1):
        assert_same(descend_here(str(tmp_path / str(k)), rule, 40), rule, 40)


@pytest.mark.parametrize("place", PLACES)
def test_killed_inside_a_checkpoint(place: str, forks: Forks, tmp_path: Path) -> None:
    """The first, some in the middle, a late one."""
    for k, times in enumerate((1, 2, 7, 20, 45)):
        folder = tmp_path / str(k)
        forks.begin(folder=str(folder), dies=[place, times])
        assert forks.end() == signal.SIGKILL
        parts, whole = list(folder.glob("*.part")), list(folder.glob("*.checkpoint"))
        assert len(parts) == (place in ("half", "unnamed"))
        assert len(whole) == {"named": min(times, 3), "too many": 3}.get(place, min(times - 1, 2))
        assert_same(descend_here(str(folder)), "adam", 12)
        assert len(list(folder.iterdir())) == 2


def test_a_power_cut(forks: Forks, tmp_path: Path) -> None:
    """What the disk held at some moment, files half written and all: copied while the descent goes on."""
    forks.begin(folder=str(tmp_path / "run"), epochs=60)
    while not (tmp_path / "run").exists():
        time.sleep(0.001)
    for k in range(10):
        time.sleep(0.013)
        (tmp_path / str(k)).mkdir()
        for path in list((tmp_path / "run").iterdir()):
            try:
                (tmp_path / str(k) / path.name).write_bytes(path.read_bytes())
            except FileNotFoundError:
                continue  # it has got its name, or was removed, since
    assert forks.end() == 0
    for k in range(10):
        assert_same(descend_here(str(tmp_path / str(k)), "adam", 60), "adam", 60)

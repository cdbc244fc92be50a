"""Two and four processes of this machine train as one, end together when one is lost, and go on in any number.

JAX takes seconds to begin, in each process: these are run by `make test-hosts`, not by pytest alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fallline as fl

pytestmark = [pytest.mark.hosts, pytest.mark.skipif(os.name == "nt", reason="gloo needs POSIX")]

ROOT = Path(__file__).parents[1]
TOO_LONG = 240  # seconds
LOST = 30  # seconds in which all know of a loss
ON = "leads on: the same command with --resume, with as many processes as there are\n"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def write_table(folder: Path) -> Path:
    """A table in three files, of 2,000 rows."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i, n in enumerate((700, 900, 400)):
        a, b, c = rng.normal(size=n), rng.choice(["u", "v", "w"][: 2 + i], n), rng.normal(size=n)
        y = np.sin(2 * a) + (b == "v") + 0.1 * rng.normal(size=n)
        pl.DataFrame({"a": a, "b": b, "c": c, "y": y}).write_parquet(folder / f"{i}.parquet")
    return folder


@contextmanager
def begun(commands: Sequence[Sequence[str]]) -> Iterator[list[subprocess.Popen[str]]]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen(command, **pipes) for command in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def check_all(n: int, folder: Path, *checks: str) -> None:
    """Do checks of `tests.host_process` in a group of processes."""
    module = [sys.executable, "-m", "tests.host_process", str(free_port()), str(n)]
    with begun([[*module, str(i), str(folder), *checks] for i in range(n)]) as processes:
        said = [process.communicate(timeout=TOO_LONG) for process in processes]
        for process, (out, err) in zip(processes, said, strict=True):
            assert process.returncode == 0, err
            assert [line.split()[1] for line in out.splitlines()] == list(checks)


def train(n: int, data: Path, *others: str) -> list[list[str]]:
    command = [sys.executable, "-m", "fallline", "train", str(data), "--target", "y", "--engine", "xla"]
    group = ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(n), "--hidden", "16"]
    return [[*command, *group, "--process", str(i), *others] for i in range(n)]


def until(there: Any, processes: list[subprocess.Popen[str]]) -> None:
    last = time.monotonic() + TOO_LONG
    while not there():
        assert time.monotonic() < last
        assert all(process.poll() is None for process in processes)
        time.sleep(0.1)


def parameters(path: Path) -> np.ndarray[Any, Any]:
    return np.concatenate([network.parameters for network in fl.load(path).networks])


def test_the_path_does_not_depend_on_the_processes(tmp_path: Path) -> None:
    write_table(tmp_path / "table")
    check_all(2, tmp_path, "exchange", "paths", "stops", "repairs", "half", "tables")
    assert [path.name for path in tmp_path.glob("of-*")] == ["of-0"]
    check_all(4, tmp_path, "exchange", "whole")
    check_all(1, tmp_path, "tables")
    one, two = (parameters(tmp_path / f"{n}.fallline") for n in (1, 2))
    assert np.linalg.norm(two - one) < 1e-5 * np.linalg.norm(one)


@pytest.mark.parametrize(("what", "who"), [("KILL", 1), ("KILL", 0), ("STOP", 1)])
def test_one_is_lost(what: str, who: int, tmp_path: Path) -> None:
    """The others say in a line which it was and how to go on; and it does go on, in one process fewer."""
    data, kept = write_table(tmp_path / "table"), tmp_path / "kept"
    told = ["--epochs", "100000", "--checkpoint", str(kept), "--checkpoint-every", "1", "--json"]
    told += ["--out", str(tmp_path / "model.fallline")]
    with begun(train(2, data, *told)) as processes:
        until(lambda: len(list(kept.glob("descent-*2.checkpoint"))), processes)
        processes[who].send_signal(signal.Signals[f"SIG{what}"])
        began = time.monotonic()
        out, err = processes[1 - who].communicate(timeout=TOO_LONG)
        assert time.monotonic() - began < LOST
        assert processes[1 - who].returncode == 1
        assert out == ""
        how = "has not been heard of for 20 seconds" if what == "STOP" else "is gone"
        line = f"fallline: process {who} of 2 {how}, so this one ends too; the checkpoint in {kept} {ON}"
        assert err[err.index("fallline: process") :] == line
    assert not (tmp_path / "model.fallline").exists()
    if (what, who) != ("KILL", 1):
        return
    with begun(train(1, data, *told, "--resume")) as (process,):
        numbers = sorted(int(path.stem.split("-")[1]) for path in kept.glob("descent-*"))
        until(lambda: list(kept.glob(f"descent-*{numbers[-1] + 2}.checkpoint")), [process])
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=TOO_LONG)
        assert process.returncode == 130
        assert json.loads(out)["stop_reason"] == "interrupted"
        assert "going on after epoch" in err


@pytest.mark.parametrize("who", [0, 1])
def test_one_is_told_to_end(who: int, tmp_path: Path) -> None:
    """All end, and the first one writes the model."""
    data, kept, out = write_table(tmp_path / "table"), tmp_path / "kept", tmp_path / "model.fallline"
    told = ["--epochs", "100000", "--checkpoint", str(kept), "--checkpoint-every", "1", "--out", str(out), "--json"]
    with begun(train(2, data, *told)) as processes:
        until(lambda: list(kept.glob("descent-*3.checkpoint")), processes)
        processes[who].send_signal((signal.SIGTERM, signal.SIGINT)[who])
        said = [process.communicate(timeout=TOO_LONG) for process in processes]
        assert [process.returncode for process in processes] == [130, 130]
        assert json.loads(said[0][0])["stop_reason"] == "interrupted"
        assert said[1] == ("", "")
    assert len(fl.load(out).networks) > 0


def test_other_settings_are_refused(tmp_path: Path) -> None:
    commands = train(2, write_table(tmp_path / "table"))
    commands[1] += ["--seed", "3"]
    with begun(commands) as processes:
        for process in processes:
            out, err = process.communicate(timeout=TOO_LONG)
            assert (process.returncode, out) == (2, "")
            assert err == "fallline: --seed is 3 for process 1, but 0 for process 0; give all the same command\n"

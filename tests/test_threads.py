"""How many threads: what the machine allows, read from fake files; what the user says; and no result changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import control_groups, threads
from fallline.cli.__main__ import main
from fallline.engines import Data, Plan, Start, as_engine
from fallline.engines.native import NativeEngine
from fallline.losses import SquaredError
from fallline.optimizers import SGD


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight processors without control groups; gives the folder of its files."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(control_groups, "PROCESS_GROUPS", tmp_path / "process")
    monkeypatch.setattr(control_groups, "GROUPS", tmp_path / "groups")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")


def test_the_affinity_mask_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads.limits() == {"affinity": 8}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7}, raising=False)
    assert threads.available() == 2


@pytest.mark.parametrize(("count", "expected"), [(6, 6), (None, 1)])
def test_machines_without_an_affinity_mask(count: int | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert threads.limits() == {"affinity": expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", 3), ("4,2", 4), (" 5 ", 5), ("0", 8), ("-2", 8), ("many", 8), ("", 8), ("2.5", 8), (",2", 8), ("99", 8)],
)
def test_the_environment(text: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert threads.available() == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"process": "0::/", "groups/cpu.max": "300000 100000"}, 3),
        ({"process": "0::/", "groups/cpu.max": "250000 100000"}, 3),
        ({"process": "0::/", "groups/cpu.max": "10000 100000"}, 1),
        ({"process": "0::/", "groups/cpu.max": "1600000 100000"}, 16),
        ({"process": "0::/", "groups/cpu.max": "max 100000"}, None),
        ({"process": "0::/", "groups/cpu.max": ""}, None),
        ({"process": "0::/", "groups/cpu.max": "nonsense"}, None),
        ({"process": "0::/", "groups/cpu.max": "100000 0"}, None),
        ({"process": "0::/a/b", "groups/a/b/cpu.max": "max 100000", "groups/a/cpu.max": "200000 100000"}, 2),
        ({"process": "0::/a/b", "groups/a/b/cpu.max": "500000 100000", "groups/a/cpu.max": "400000 100000"}, 4),
        ({"process": "0::/a/b", "groups/a/b/cpu.max": "300000 100000", "groups/a/cpu.max": "400000 100000"}, 3),
        ({"process": "0::/elsewhere", "groups/cpu.max": "500000 100000"}, 5),
        ({"process": "0::/../..", "groups/cpu.max": "500000 100000", "cpu.max": "100000 100000"}, 5),
        ({"process": "nonsense"}, None),
        ({"process": ""}, None),
        ({}, None),
        (
            {
                "process": "5:memory:/x\n4:cpu,cpuacct:/x\n1:name=systemd:/x",
                "groups/cpu,cpuacct/x/cpu.cfs_quota_us": "350000",
                "groups/cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            4,
        ),
        (
            {
                "process": "1:cpu:/x/y\n0::/",
                "groups/cpu/x/y/cpu.cfs_quota_us": "-1",
                "groups/cpu/x/y/cpu.cfs_period_us": "100000",
                "groups/cpu/x/cpu.cfs_quota_us": "100000",
                "groups/cpu/x/cpu.cfs_period_us": "50000",
            },
            2,
        ),
        ({"process": "1:cpu:/", "groups/cpu/cpu.cfs_quota_us": "-1", "groups/cpu/cpu.cfs_period_us": "100000"}, None),
        ({"process": "1:cpu:/", "groups/cpu/cpu.cfs_quota_us": "100000"}, None),
        ({"process": "1:cpuset:/", "groups/cpu/cpu.cfs_quota_us": "1", "groups/cpu/cpu.cfs_period_us": "1"}, None),
    ],
    ids=str,
)
def test_control_groups(files: dict[str, str], expected: int | None, machine: Path) -> None:
    write(machine, files)
    assert threads.limits() == {"affinity": 8} | ({} if expected is None else {"cgroup": expected})


def test_the_least_limit_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(machine, {"process": "0::/", "groups/cpu.max": "300000 100000"})
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads.limits() == {"affinity": 8, "cgroup": 3, "OMP_NUM_THREADS": 5}
    assert threads.available() == 3
    assert NativeEngine().threads == as_engine("native").threads == as_engine("native", "auto").threads == 3  # type: ignore[attr-defined]


def test_a_number_is_taken_as_given() -> None:
    assert NativeEngine(100).threads == as_engine("native", 100).threads == 100  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "many", True])
def test_what_is_no_number_of_threads_gets_one_line(wrong: Any) -> None:
    net, rows = fl.Network([1, 1]), ([[0.0]], [0.0])
    for engine in ("native", "reference"):
        for call in (fl.descend, fl.gradient):
            with pytest.raises(fl.ParameterError) as caught:
                call(net, *rows, engine=engine, threads=wrong)  # type: ignore[operator]
            assert str(caught.value) == f"threads is {wrong!r}; it must be a whole number, 1 or more, or 'auto'"
    with pytest.raises(fl.ParameterError, match="threads is "):
        NativeEngine(wrong)


def test_an_engine_that_is_made_has_its_own_number() -> None:
    engine = NativeEngine(3)
    assert as_engine(engine) is as_engine(engine, "auto") is engine
    with pytest.raises(fl.ParameterError, match="threads is 2, but the engine is made already"):
        as_engine(engine, 2)


def test_the_compiled_core_does_not_trust_its_caller() -> None:
    net, loss = fl.Network([1, 1], dtype="float64"), SquaredError()
    data, plan = Data.of(net, loss, [[0.0]], [0.0]), Plan(net.shape, loss, SGD())
    engine = NativeEngine(1)
    engine.threads = 0
    calls = [
        lambda: engine.session(plan, net.parameters[None], data),
        lambda: engine.predict(net.shape, net.parameters, data.X),
        lambda: engine.loss(plan, net.parameters, data),
        lambda: engine.gradient(plan, net.parameters, data),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="threads must be 1 or more"):
            call()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_result_does_not_depend_on_the_number(dtype: str) -> None:
    """Everything that is computed, with one, two, three and seven threads: the same bits."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 20)), rng.normal(size=3000)
    net, loss = fl.Network([20, 64, 32, 1], "tanh", seed=1, dtype=dtype), SquaredError()
    data = Data.of(net, loss, X, y)
    starts = tuple(Start(k, 1e-3, l2=1e-3) for k in range(3))
    plan = Plan(net.shape, loss, SGD(momentum=0.9), batch_size=1300, starts=starts, dropout=(0.2, 0.0))
    parameters = np.stack([net.restart(k).parameters for k in range(3)])

    def everything(n: int) -> list[np.ndarray]:
        engine = NativeEngine(n)
        session = engine.session(plan, parameters, data)
        done = session.run(np.ones(6), 1e9)
        value, gradient = engine.gradient(plan, parameters[0], data)
        loss = engine.loss(plan, parameters[0], data)
        found = [session.parameters(), done.loss_sum, done.gradient_norm, gradient, np.array([value, loss])]
        return [*found, engine.predict(net.shape, parameters[0], data.X)]

    first = everything(1)
    for n in (2, 3, 7):
        for one, other in zip(first, everything(n), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_process_makes_threads_of_its_own() -> None:
    """A fork copies the memory of the pool, but none of its threads: waiting for them would be for ever."""
    code = """
import os, sys
import numpy as np
import fallline as fl

X = np.random.default_rng(0).random((512, 64), dtype=np.float32)

def train():
    net = fl.Network([64, 96, 96, 1], "relu", seed=1)
    return fl.descend(net, X, X[:, 0], epochs=2, batch_size=128, threads=3).network.parameters.tobytes()

before = train()
child = os.fork()
if child == 0:
    os._exit(0 if train() == before else 1)
print(os.waitpid(child, 0)[1], train() == before)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "0 True\n"


def test_settings_reach_the_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    """`--threads` of every command ends at the compiled core."""
    used: list[int] = []

    def noted(self: NativeEngine, threads: int | str | None = None) -> None:
        made(self, threads)
        used.append(self.threads)

    made = NativeEngine.__init__
    monkeypatch.setattr(NativeEngine, "__init__", noted)
    monkeypatch.chdir(tmp_path)
    for command in ("train iris --epochs 1", "predict model.fallline iris", "evaluate model.fallline iris"):
        for asked, expected in (("5", 5), ("auto", 8)):
            used.clear()
            monkeypatch.setattr(sys, "argv", ["fallline", *command.split(), "--threads", asked])
            assert main() == 0, capsys.readouterr().err
            assert set(used) == {expected}, command


def test_info_says_how_many_and_why(machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    write(machine, {"process": "0::/", "groups/cpu.max": "300000 100000"})
    monkeypatch.setattr(sys, "argv", ["fallline", "info", "--json"])
    assert main() == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["threads"], about["thread_limits"]) == (3, {"affinity": 8, "cgroup": 3})
    monkeypatch.setattr(sys, "argv", ["fallline", "info"])
    assert main() == 0
    assert "affinity 8, cgroup 3" in capsys.readouterr().out

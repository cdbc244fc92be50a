"""What the tests of workers share: what is done there, in modules that workers can import, and how runs compare."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

import fallline as fl
from fallline.threads import available

TASKS = Path("/proc/self/task")  # where Linux lists a process's threads


def rows(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(n, 4))
    return X, X[:, 0] * X[:, 1]


def fitted_there(estimator: Any, X: Any, y: Any) -> tuple[int, Any]:
    """The process, and what was fitted in it."""
    return os.getpid(), estimator.fit(X, y)


def mean_score(estimator: Any, X: Any, y: Any) -> float:
    from sklearn.model_selection import cross_val_score  # slow to import

    return float(cross_val_score(estimator, X, y, cv=2).mean())


def threads_while_training(n: int | str = "auto") -> tuple[int, int]:
    """How many threads there should be, and by how many the process grows in steps that are worth many."""
    X, before = np.random.default_rng(0).random((512, 64), dtype=np.float32), len(list(TASKS.iterdir()))
    while_training: list[int] = []

    class Count(fl.Listener):
        def on_epoch(self, epoch: Any) -> None:
            while_training.append(len(list(TASKS.iterdir())))

    net = fl.Network([64, 256, 256, 1], "relu", seed=1)
    fl.descend(net, X, X[:, 0], epochs=3, batch_size=256, threads=n, callbacks=Count())
    return available(), max(while_training) - before


def assert_same(run: fl.Run, together: fl.Run) -> None:
    """Two runs are the same in all that does not tell the time."""
    for one, other in zip(run.networks, together.networks, strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)
        assert (one.seed, one.start) == (other.seed, other.start)
    for name in (together.history.rows or [{}])[0]:
        if name != "seconds":
            np.testing.assert_array_equal(run.history[name], together.history[name])
    assert [list(row) for row in run.history] == [list(row) for row in together.history]
    assert run.history.repairs == together.history.repairs
    np.testing.assert_array_equal(run.losses, together.losses)
    np.testing.assert_array_equal(run.begun_at, together.begun_at)
    for name in ("best_start", "stop_reason", "stopped_because", "message", "kept_steps", "kept_epochs", "monitor"):
        assert getattr(run, name) == getattr(together, name), name
    assert run.plan == together.plan
    assert run.data.fingerprint == together.data.fingerprint
    if together.validation is None:
        assert run.validation is None
    else:
        assert run.validation is not None
        assert [own.fingerprint for own in run.validation] == [own.fingerprint for own in together.validation]

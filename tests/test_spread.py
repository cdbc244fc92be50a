"""Starts that go down on joblib's workers: the run is that of one process, to the last bit."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config
from tests.elsewhere import assert_same, rows

import fallline as fl
from fallline import spreading

N_STARTS = 5


@pytest.fixture(scope="module", autouse=True)
def workers() -> Any:
    """Two processes for all tests here, which are gone afterwards."""
    with parallel_config("loky", n_jobs=2):
        yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"starts": N_STARTS},
    "dropout": {"starts": N_STARTS, "dropout": 0.3, "optimizer": "adamw", "schedule": "cosine", "clip_norm": 1.0},
    "sweep": {"optimizer": fl.Adam(np.linspace(1e-3, 1e-2, N_STARTS), weight_decay=0.01), "l1": [0.0, 0.1, 0, 0, 0.01]},
    "validated": {"starts": N_STARTS, "validation": rows(40), "metrics": "rmse", "monitor": "rmse"},
    "last": {"starts": N_STARTS, "validation": rows(40), "keep": "last"},
    "a range": {"starts": range(3, 3 + N_STARTS), "dropout": 0.3},
    "one": {"starts": 1},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
def test_it_is_the_run_of_one_process(settings: dict[str, Any]) -> None:
    net = fl.Network([4, 16, 16, 1], "tanh", seed=3)
    before = net.parameters.copy()
    together = fl.descend(net, *rows(), epochs=4, **settings)
    assert_same(fl.spread(net, *rows(), epochs=4, **settings), together)
    np.testing.assert_array_equal(net.parameters, before)


@pytest.mark.parametrize("n_jobs", [1, 3, 4, 50])
def test_any_number_of_parts(n_jobs: int) -> None:
    """In threads, so that parts of every size are cheap."""
    net, settings = fl.Network([4, 8, 1], "tanh", seed=3), SETTINGS["dropout"]
    with parallel_config("threading"):
        assert_same(
            fl.spread(net, *rows(), n_jobs=n_jobs, epochs=2, **settings), fl.descend(net, *rows(), epochs=2, **settings)
        )


def test_weights_and_held_back_rows_of_each_start() -> None:
    X, y = rows()
    fold = np.arange(len(X)) % N_STARTS
    train = np.array([fold != k for k in range(N_STARTS)], dtype=float)
    nets = [fl.Network([4, 8, 1], "tanh", seed=seed) for seed in range(N_STARTS)]
    settings: dict[str, Any] = {"sample_weight": train, "validation": (X, y, 1 - train), "metrics": "r2", "epochs": 3}
    assert_same(fl.spread(nets, X, y, **settings), fl.descend(nets, X, y, **settings))


def test_rows_that_joblib_puts_on_the_disk() -> None:
    """From a megabyte on the workers see them through a file that they cannot write."""
    X = np.random.default_rng(0).normal(size=(2000, 200)).astype(np.float32)
    net, settings = fl.Network([200, 8, 1], seed=3), {"starts": 2, "epochs": 1, "validation": (X, X[:, 0])}
    assert_same(fl.spread(net, X, X[:, 0], **settings), fl.descend(net, X, X[:, 0], **settings))  # type: ignore[arg-type]


def test_classes_and_a_loss_of_your_own() -> None:
    X, y = rows()
    net, classes = fl.Network([4, 8, 2], output="softmax", seed=1), (y > 0).astype(int)
    settings: dict[str, Any] = {"starts": 3, "epochs": 2}
    assert_same(fl.spread(net, X, classes, **settings), fl.descend(net, X, classes, **settings))
    own = fl.losses.OwnLoss(lambda A, Y: (((A - Y) ** 2).mean(axis=1), 2 * (A - Y)))
    net, settings = fl.Network([4, 8, 1], seed=1), settings | {"loss": own, "engine": "reference"}
    run, together = fl.spread(net, X, y, **settings), fl.descend(net, X, y, **settings)
    np.testing.assert_array_equal(run.begun_at, together.begun_at)
    np.testing.assert_array_equal(run.losses, together.losses)


def test_starts_that_are_set_back_and_starts_that_are_lost() -> None:
    net = fl.Network([4, 16, 1], "relu", seed=1)
    for rates, message in (
        ([0.01, 0.8, 0.01, 0.01, 0.3], "all 6 epochs were done; the loss of start 4 was no longer finite"),
        ([0.01, 1e6, 0.01, 0.01, 1e6], "the loss of start 1 was no longer a finite number"),
        ([1e6] * N_STARTS, "the loss of start 0 was no longer a finite number"),
    ):
        settings: dict[str, Any] = {"optimizer": fl.SGD(rates), "epochs": 6, "batch_size": 10}
        with pytest.warns(fl.DivergenceWarning, match=f"^{message}"):
            together = fl.descend(net, *rows(), **settings)
        with pytest.warns(fl.DivergenceWarning, match=f"^{message}") as caught:
            run = fl.spread(net, *rows(), **settings)
        assert [warning.filename for warning in caught] == [__file__]
        assert_same(run, together)
    with pytest.raises(fl.DivergenceError, match="the loss of start 3 was no longer a finite number"):
        fl.spread(net, *rows(), optimizer=fl.SGD([0.01, 0.01, 0.01, 1e6]), repair=False)


def test_a_part_that_ends_early_has_no_numbers_in_the_history() -> None:
    """All starts of the last part are lost; the others go on, and so does the run."""
    net = fl.Network([4, 16, 1], "relu", seed=1)
    with pytest.warns(fl.DivergenceWarning, match="^the loss of start 2 was no longer a finite number"):
        run = fl.spread(net, *rows(), optimizer=fl.SGD([0.01, 0.01, 1e6, 1e6]), epochs=6)
    assert run.stop_reason == "finished"
    assert run.history["loss"].shape == (6, 4)
    np.testing.assert_array_equal(np.isnan(run.history["loss"][-1]), [False, False, True, True])
    assert run.best_start in (0, 1)


def test_ctrl_c_is_raised_by_one_process_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*told: Any, **settings: Any) -> fl.Run:
        return replace(fl.descend(*told, **settings), stop_reason="interrupted")

    monkeypatch.setattr("fallline.spreading.descend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fl.spread(fl.Network([1, 1]), [[0.0], [1.0]], [0.0, 1.0], n_jobs=1, starts=2, epochs=1)


def test_the_run_can_be_asked_and_pickled() -> None:
    settings: dict[str, Any] = {"starts": 4, "epochs": 5, "optimizer": fl.SGD(1e-6)}
    run = fl.spread(fl.Network([4, 8, 1], "tanh", seed=3), *rows(), **settings)
    assert run.diagnose() == fl.descend(fl.Network([4, 8, 1], "tanh", seed=3), *rows(), **settings).diagnose() != []
    assert_same(pickle.loads(pickle.dumps(run)), run)


def test_the_workers_are_those_of_joblib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many parts as `n_jobs` says, or the configuration around the call."""
    parts: list[int] = []

    def noted(networks: Any, *rest: Any) -> Any:
        parts.append(len(networks))
        return part(networks, *rest)

    part = spreading._part
    monkeypatch.setattr(spreading, "_part", noted)
    net = fl.Network([4, 8, 1], seed=1)
    for config, n_jobs, expected in (({"n_jobs": 2}, None, [2, 3]), ({}, None, [5]), ({"n_jobs": 2}, 3, [1, 2, 2])):
        parts.clear()
        with parallel_config("threading", **({"n_jobs": 1} | config)):
            fl.spread(net, *rows(), n_jobs=n_jobs, starts=5, epochs=1)
        assert sorted(parts) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"callbacks": fl.EarlyStopping()}, "callbacks is for a descent in one process; leave it out, or call descend"),
        ({"checkpoint": "folder"}, "checkpoint is for a descent in one process; leave it out, or call descend"),
        ({"starts": 0}, "starts is 0; it must be a whole number, 1 or more"),
        ({"starts": 2, "l2": [0.1]}, "starts is 2, but l2 has 1 numbers; each start takes one"),
        ({"epochs": 0}, "epochs is 0; it must be a whole number, 1 or more"),
        ({"validation": rows(5)[:1]}, "validation must be (X, y) or (X, y, sample_weight)"),
    ],
    ids=str,
)
def test_what_does_not_fit_gets_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(fl.ParameterError) as caught:
        fl.spread(fl.Network([4, 1]), *rows(), **settings)
    assert str(caught.value).startswith(message)

"""Self-repair: a start that diverged goes back to a good point and on with half the step size."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engines import ENGINES
from fallline.optimizers import SGD

both_engines = pytest.mark.parametrize("engine", ENGINES)


class Later(fl.schedules.Schedule):
    """After half of the training, steps that are so many times as long."""

    def __init__(self, times: float, until: float = 1.0) -> None:
        self.times, self.until = times, until

    def factor(self, t: np.ndarray) -> np.ndarray:
        return np.where((t >= 0.5) & (t < self.until), self.times, 1.0)


def wave(n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).uniform(-1, 1, (n, 1))
    return x, np.sin(3 * x[:, 0])


@both_engines
def test_half_the_step_size_mends_it(engine: str) -> None:
    """Of (W + b - 1)^2 a step size above 0.5 diverges, a smaller one converges."""
    net = fl.Network([1, 1], parameters=[3.0, 0.0])
    X, y = np.ones((1, 1)), np.ones(1)
    settings: dict[str, Any] = {"batch_size": None, "epochs": 400, "engine": engine}
    with pytest.warns(fl.DivergenceWarning, match=r"so it went back to step 0 and on with the learning rate 0\.375"):
        run = fl.descend(net, X, y, optimizer=SGD(0.75), **settings)
    assert run.stop_reason == "finished"
    (repair,) = run.history.repairs
    assert repair["learning_rate"] == 0.375
    assert repair["back_to"] == 0
    assert json.loads(json.dumps(run.history.repairs)) == run.history.repairs
    rates = run.history["learning_rate"][:, 0]
    np.testing.assert_array_equal(np.unique(rates), [0.375, 0.75])
    assert repair["epoch"] == np.argmax(rates == 0.375) + 1
    assert len(run.history) == 400
    assert run.losses[0] < 1e-12
    # from the good point on it is the descent that half the step size would have been
    half = fl.descend(net, X, y, optimizer=SGD(0.375), **settings)
    np.testing.assert_array_equal(run.network.parameters, half.network.parameters)
    np.testing.assert_array_equal(run.history["loss"][-1], half.history["loss"][-1])


@both_engines
def test_the_other_starts_do_not_feel_it(engine: str) -> None:
    """Three step sizes; the middle one diverges, is mended, and goes the same way as by itself."""
    net, (X, y) = fl.Network([1, 16, 1], "relu", seed=1), wave()
    settings: dict[str, Any] = {"epochs": 60, "batch_size": 16, "engine": engine, "validation": wave(20)}
    rates = [0.05, 1.7, 0.01]
    with pytest.warns(fl.DivergenceWarning, match="the loss of start 1 was no longer finite"):
        together = fl.descend([net] * 3, X, y, optimizer=SGD(rates), **settings)
    assert {repair["start"] for repair in together.history.repairs} == {1}
    assert together.stop_reason == "finished"
    for k, rate in enumerate(rates):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fl.DivergenceWarning)
            alone = fl.descend(net, X, y, optimizer=SGD(rate), **settings)
        np.testing.assert_array_equal(together.networks[k].parameters, alone.network.parameters)
        for column in ("loss", "validation_loss", "learning_rate", "gradient_norm"):
            np.testing.assert_array_equal(together.history[column][:, k], alone.history[column][:, 0])
        assert [repair | {"start": 0} for repair in together.history.repairs if repair["start"] == k] == (
            alone.history.repairs
        )


@both_engines
def test_it_goes_back_to_a_good_point_and_not_to_the_beginning(engine: str) -> None:
    """Longer steps after half of 4000: what was learned by then is there again."""
    net, X, y = fl.Network([1, 1], parameters=[3.0, 0.0]), np.ones((1, 1)), np.ones(1)
    recorder = fl.Recorder()
    with pytest.warns(fl.DivergenceWarning, match="went back to step 2000 and on with the learning rate 0.05$"):
        run = fl.descend(
            net, X, y, optimizer=SGD(0.1), schedule=Later(7.0), epochs=4000, callbacks=recorder, engine=engine
        )
    (repair,) = run.history.repairs
    assert 2000 < repair["epoch"] < 2500
    loss = run.history["loss"][:, 0]
    assert np.isfinite(loss).all()
    assert loss[repair["epoch"] - 2] > 1e9
    assert loss[repair["epoch"] - 1 :].max() < 1e-9, "from the random start it would be 2 or so"
    still = (recorder.steps > 2000) & (recorder.steps < repair["epoch"])
    assert still.any()
    assert (recorder.points[still] == recorder.points[still][0]).all()
    assert np.isfinite(recorder.points).all()


@both_engines
def test_three_times_at_most(engine: str) -> None:
    """Two halvings are enough for 1.9, three for 3.9; four would be for 4.1."""
    net, X, y = fl.Network([1, 1], parameters=[3.0, 0.0]), np.ones((1, 1)), np.ones(1)
    settings: dict[str, Any] = {"batch_size": None, "epochs": 900, "engine": engine}
    for rate, halvings in ((1.9, 2), (3.9, 3)):
        with pytest.warns(fl.DivergenceWarning, match=f"with the learning rate {rate / 2**halvings:g}, the last of"):
            run = fl.descend(net, X, y, optimizer=SGD(rate), **settings)
        assert run.stop_reason == "finished"
        assert run.plan.starts[0].learning_rate == rate / 2**halvings
        assert len(run.history.repairs) <= halvings
    with pytest.warns(fl.DivergenceWarning, match=r"the learning rate 4\.1 .*and 0\.5125 still is; try 0\.05125"):
        run = fl.descend(net, X, y, optimizer=SGD(4.1), **settings)
    assert run.stop_reason == "diverged"
    with pytest.warns(fl.DivergenceWarning, match=r"the learning rate 3\.9 .*and 1\.95 still is"):
        assert fl.descend(net, X, y, optimizer=SGD(3.9), repair=1, **settings).stop_reason == "diverged"


@both_engines
@pytest.mark.parametrize("repair", [False, 0])
def test_or_an_error_instead(engine: str, repair: bool | int) -> None:
    heard: list[str] = []

    class Ear(fl.Listener):
        def on_end(self, stop_reason: str) -> None:
            heard.append(stop_reason)

    with pytest.raises(fl.DivergenceError, match=r"the loss of start 1 .*the learning rate 1e\+06 is too large"):
        fl.descend(
            fl.Network([1, 16, 1]), *wave(), optimizer=SGD([0.01, 1e6]), repair=repair, callbacks=Ear(), engine=engine
        )
    assert heard == ["failed"]
    with pytest.raises(fl.ParameterError, match="repair is -1; it must be a whole number, 0 or more"):
        fl.descend(fl.Network([1, 16, 1]), *wave(), repair=-1)


@both_engines
def test_a_start_that_is_mended_goes_the_same_way_whatever_the_other_does(engine: str) -> None:
    """With all that a step may depend on: moments, dropout masks, and a row order and weights of its own."""
    net, (X, y) = fl.Network([1, 16, 1], "tanh", seed=1), wave()
    settings: dict[str, Any] = {"epochs": 400, "batch_size": 16, "engine": engine, "schedule": Later(40.0, 0.53)}
    settings |= {"dropout": 0.1, "sample_weight": np.random.default_rng(1).uniform(0.5, 2, (2, 64))}
    runs = []
    for other in (1e-7, 0.03):  # which diverges too
        with pytest.warns(fl.DivergenceWarning):
            runs.append(fl.descend([net] * 2, X, y, optimizer=SGD([0.02, other], 0.9), **settings))
    one, two = ([repair for repair in run.history.repairs if repair["start"] == 0] for run in runs)
    assert one == two
    assert one[-1]["back_to"] == 500
    assert len(runs[1].history.repairs) > len(two)
    np.testing.assert_array_equal(runs[0].networks[0].parameters, runs[1].networks[0].parameters)
    np.testing.assert_array_equal(runs[0].history["loss"][:, 0], runs[1].history["loss"][:, 0])

"""The recorder: evenly spaced points of a path, the first and last among them, and never too many."""

from __future__ import annotations

import numpy as np
import pytest

import fallline as fl

RNG = np.random.default_rng(1)
X, Y = RNG.standard_normal((100, 3)), RNG.standard_normal(100)


def recorded(epochs: int, most_points: int = 200, batch_size: int = 10, **settings: object) -> fl.Run:
    recorder = fl.Recorder(most_points)
    net = fl.Network([3, 4, 1], seed=1)
    return fl.descend(net, X, Y, epochs=epochs, batch_size=batch_size, callbacks=recorder, keep="last", **settings)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(("epochs", "most_points"), [(1, 200), (3, 200), (3, 8), (7, 5), (41, 16), (3, 3)])
def test_points_are_evenly_spaced_and_the_last_is_there(epochs: int, most_points: int, engine: str) -> None:
    run = recorded(epochs, most_points, engine=engine)
    assert run.recorder is not None
    steps, points = run.recorder.steps, run.recorder.points
    assert points.shape == (len(steps), 1, len(run.network.parameters))
    assert steps[0] == 0
    assert steps[-1] == 10 * epochs
    assert len(steps) <= most_points + 1
    spaces = np.diff(steps)
    assert (spaces[:-1] == spaces[0]).all()
    assert spaces[-1] <= spaces[0]
    assert len(steps) > min(most_points, 10 * epochs) / 2
    assert (points[0, 0] == fl.Network([3, 4, 1], seed=1).parameters).all()
    assert (points[-1, 0] == run.network.parameters).all()


def test_points_are_those_of_shorter_descents() -> None:
    run = recorded(4)
    assert run.recorder is not None
    for epochs in (1, 2, 3):
        shorter = recorded(epochs).network.parameters
        assert (run.recorder.points[10 * epochs, 0] == shorter).all()


def test_recording_changes_no_bit() -> None:
    net = fl.Network([3, 4, 1], seed=1)
    bare = fl.descend(net, X, Y, epochs=4, batch_size=10, keep="last")
    assert (bare.network.parameters == recorded(4).network.parameters).all()
    assert bare.recorder is None


def test_starts_stand_side_by_side_and_a_second_descent_begins_anew() -> None:
    recorder = fl.Recorder()
    runs = []
    for starts in (3, 2):
        runs.append(fl.descend(fl.Network([3, 4, 1]), X, Y, epochs=2, starts=starts, callbacks=recorder))
        assert recorder.points.shape[:2] == (9, starts)
    assert [run.recorder.points.shape[1] for run in runs] == [3, 2], "each run has its own path"


def test_memory_is_bounded() -> None:
    recorder = fl.Recorder(most_bytes=10 * 21 * 4)
    fl.descend(fl.Network([3, 4, 1]), X, Y, epochs=30, callbacks=recorder)
    assert 5 <= len(recorder.steps) <= 11


def test_before_a_descent_there_is_nothing() -> None:
    assert len(fl.Recorder().steps) == len(fl.Recorder().points) == 0


def test_too_few_points_are_refused() -> None:
    with pytest.raises(fl.ParameterError, match="most_points is 2; it must be 3 or more"):
        fl.Recorder(2)

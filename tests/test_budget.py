"""What a time is enough for: starts and epochs for a speed that is made up."""

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest

from fallline.errors import ParameterError
from fallline.fit.budget import Budget, Deadline
from fallline.listeners import Progress

SETTLED = {"starts": 8, "epochs": 24, "batch_size": 50}
AUTO = {"starts": "auto", "epochs": "auto"}


def progress(step, seconds):
    return Progress(step, 100, 0, 1, np.zeros(8), seconds, lambda: np.zeros((8, 1)))


def chosen(enough, asked=AUTO, stop_reason="stopped", reading=0.0):
    """What is chosen where the time planned with is so many times what the recipe wants: 20 steps an epoch."""
    seconds = 1000.0
    budget = Budget(seconds, time.perf_counter())

    def descend(trial):
        steps_per_second = enough * 24 * 20 / (0.8 * seconds)
        assert not trial.on_progress(progress(0, 50.0))  # the first rows of a stream come late
        assert not trial.on_progress(progress(0.2 * steps_per_second, 50.2))
        assert trial.on_progress(progress(2 * steps_per_second, 52.0))
        return SimpleNamespace(stop_reason=stop_reason)

    return budget.choose(asked, SETTLED, 1000, descend, lambda: reading)


@pytest.mark.parametrize(
    ("enough", "starts", "epochs"), [(1.5, 8, 24), (4.1, 16, 49), (0.25, 4, 12), (0.004, 1, 1), (1000, 32, 96)]
)
def test_time_goes_to_starts_and_epochs_alike(enough, starts, epochs):
    got = chosen(enough)
    assert got["starts"] == starts
    assert abs(got["epochs"] - epochs) <= 1


def test_no_more_epochs_than_can_be_read():
    """Of 800 seconds, of which learning 24 epochs takes half, a quarter, or four times as much as there is."""
    assert chosen(2.1, reading=100.0) == {"starts": 12, "epochs": 7}
    assert chosen(4.1, {"starts": 8, "epochs": "auto"}, reading=100.0) == {"starts": 8, "epochs": 7}
    assert chosen(0.25, reading=100.0) == {"starts": 4, "epochs": 7}
    assert chosen(4.1, reading=30.0) == {"starts": 8, "epochs": 24}
    assert chosen(4.1, reading=1.0) == chosen(4.1)


def test_what_was_asked_for_stays():
    assert chosen(0.25, {"starts": 8, "epochs": "auto"}) == {"starts": 8, "epochs": pytest.approx(6, abs=1)}
    assert chosen(0.26, {"starts": "auto", "epochs": 24}) == {"starts": 2, "epochs": 24}
    assert chosen(0.01, {"starts": 8, "epochs": 24}) == {"starts": 8, "epochs": 24}


def test_a_time_that_is_over():
    with pytest.raises(ParameterError, match="time_budget is 1 s, which reading and encoding 1000 rows takes already"):
        Budget(1.0, time.perf_counter() - 2).choose(AUTO, SETTLED, 1000, lambda trial: None)
    assert Budget(math.inf, 0.0).left == math.inf


def test_ctrl_c_in_the_trial_ends_all():
    with pytest.raises(KeyboardInterrupt):
        chosen(1.0, stop_reason="interrupted")


def test_a_deadline():
    assert Deadline(time.perf_counter() - 1).on_progress(progress(1, 1.0))
    assert not Deadline(time.perf_counter() + 60).on_progress(progress(1, 1.0))

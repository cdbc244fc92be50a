"""The trainer's thread: what is asked is done between slices, and steps are counted."""

import time

import numpy as np
import pytest

from fallline.live.experiment import Experiment
from fallline.live.trainer import Trainer
from fallline.table import load_bundled


@pytest.fixture
def trainer():
    trainer = Trainer(Experiment(load_bundled("digits")))
    yield trainer
    trainer.close()


def step_of(trainer):
    return trainer.ask(lambda experiment: experiment.step).result(5)


def test_pauses_and_steps(trainer):
    assert step_of(trainer) == 0
    trainer.run().result(5)
    while step_of(trainer) < 100:
        time.sleep(0.01)
    assert trainer.is_running
    trainer.pause().result(5)
    at = step_of(trainer)
    time.sleep(0.05)
    assert step_of(trainer) == at
    trainer.step(1).result(5)
    assert step_of(trainer) == at + 1
    trainer.step(2, "epoch").result(5)
    spe = trainer.ask(lambda experiment: experiment.steps_per_epoch).result(5)
    assert step_of(trainer) == ((at + 1) // spe + 2) * spe


def test_a_wait_for_steps_ends_when_something_else_comes(trainer):
    waiting = trainer.step(10**9)
    trainer.pause().result(5)
    waiting.result(5)
    assert not trainer.is_running


def test_errors_go_to_whoever_asked(trainer):
    with pytest.raises(ZeroDivisionError):
        trainer.ask(lambda experiment: 1 / 0).result(5)
    assert step_of(trainer) == 0


def test_views_are_of_one_moment(trainer):
    """A view's parameters are those after its step, whatever has happened since."""
    trainer.run()
    time.sleep(0.1)
    view = trainer.ask(lambda experiment: experiment.view()).result(5)
    trainer.pause().result(5)
    alone = Experiment(load_bundled("digits"))
    alone.advance(view.step)
    np.testing.assert_array_equal(view.network.parameters, alone.view().network.parameters)


def test_rests_where_it_diverges(trainer):
    trainer.ask(lambda experiment: experiment.apply("set", learning_rate=1e9)).result(5)
    trainer.step(1000, "epoch").result(20)
    assert not trainer.is_running
    assert trainer.ask(lambda experiment: experiment.diverged).result(5)


def test_another_experiment(trainer):
    trainer.run()
    trainer.replace(Experiment(load_bundled("iris"))).result(5)
    assert not trainer.is_running
    assert trainer.ask(lambda experiment: experiment.table.name).result(5) == "iris"


def test_the_thread_outlives_what_goes_wrong(trainer, monkeypatch):
    def fail(self, n_steps, seconds):
        raise MemoryError("no room for 3 numbers")

    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "advance", fail)
        trainer.step(1).result(5)
    assert (trainer.is_running, trainer.message) == (False, "no room for 3 numbers")
    trainer.step(1).result(5)
    assert (step_of(trainer), trainer.message) == (1, "")


def test_numbers_that_grow_beyond_all_are_no_warning(trainer):
    """Whoever warns in the thread would end up in `message`, since warnings are errors here."""
    trainer.replace(Experiment(load_bundled("diabetes"), {"learning_rate": 1e3, "activation": "identity"})).result(5)
    trainer.step(50, "epoch").result(20)
    assert trainer.message == ""
    assert trainer.ask(lambda experiment: experiment.diverged).result(5)

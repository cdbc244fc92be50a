"""The descent in hand: against `descend`, and against itself, done again from its journal."""

import json

import numpy as np
import pytest

import fallline as fl
from fallline.errors import ParameterError
from fallline.live.experiment import DEFAULTS, Experiment, replay
from fallline.live.journal import Journal
from fallline.table import load_bundled

SETTINGS = {"optimizer": "adam", "learning_rate": 0.01, "dropout": 0.2, "l2": 1e-4}


def parameters(experiment):
    return experiment.view().network.parameters


@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["sgd", "adam"])
@pytest.mark.parametrize("name", ["digits", "iris", "diabetes"])
def test_goes_where_a_descent_goes(name, settings):
    experiment = Experiment(load_bundled(name), settings)
    epochs = 4
    while (left := epochs * experiment.steps_per_epoch - experiment.step) > 0:
        experiment.advance(min(7, left))
    job = experiment.job
    told = job.passed_on | {"epochs": epochs, "keep": "last", "measure_every": 1}
    run = fl.descend(job.networks[0], *job.data, **told)
    np.testing.assert_array_equal(parameters(experiment), run.network.parameters)
    np.testing.assert_allclose(experiment.view().history["loss"], run.history["loss"][:, 0], rtol=1e-12)
    np.testing.assert_allclose(
        experiment.view().history["validation_loss"], run.history["validation_loss"][:, 0], rtol=1e-6
    )
    assert experiment.epoch == experiment.step / experiment.steps_per_epoch


def test_journal_gives_the_same_bits():
    table = load_bundled("digits")
    experiment = Experiment(table, SETTINGS)
    rng = np.random.default_rng(1)
    actions = [("set", {"learning_rate": 0.03}), ("set", {"batch_size": 50}), ("back", {}), ("set", {"l2": 0.01})]
    for do, arguments in actions:
        for _ in range(5):
            experiment.advance(int(rng.integers(1, 40)), float(rng.choice([1e-3, 1.0])))
        experiment.apply(do, **arguments)
    experiment.advance(33)
    written = json.loads(json.dumps(experiment.journal.to_dict(experiment.step)))
    again = replay(Experiment(table, written["settings"]), *Journal.from_dict(written))
    np.testing.assert_array_equal(parameters(again), parameters(experiment))
    assert again.journal.to_dict(again.step) == {**experiment.journal.to_dict(experiment.step)} | {
        "settings": again.journal.settings
    }


def test_back_after_it_diverged():
    experiment = Experiment(load_bundled("diabetes"), {"activation": "relu"})
    experiment.advance(40)
    good = experiment.good.step
    experiment.apply("set", learning_rate=1e6)
    experiment.advance(1000)
    assert experiment.diverged
    assert experiment.advance(10) == 0
    experiment.apply("back")
    assert (experiment.step, experiment.diverged) == (good, False)
    assert experiment.plan.starts[0].learning_rate == 5e5
    assert experiment.view().steps.max() <= good
    assert np.isfinite(parameters(experiment)).all()
    again = replay(Experiment(experiment.table, experiment.journal.settings), experiment.journal, experiment.step)
    np.testing.assert_array_equal(parameters(again), parameters(experiment))


def test_restart_is_a_new_random_start():
    experiment = Experiment(load_bundled("iris"))
    first = parameters(experiment)
    experiment.advance(30)
    experiment.apply("restart", seed=1, hidden=(5,))
    assert experiment.step == 0
    assert experiment.view().network.layer_sizes == (4, 5, 3)
    experiment.apply("restart", seed=0, hidden=DEFAULTS["hidden"])
    np.testing.assert_array_equal(parameters(experiment), first)
    assert experiment.journal.actions == []


@pytest.mark.parametrize(
    ("do", "arguments", "message"),
    [
        ("set", {"hidden": (3,)}, "hidden cannot be set while the descent goes"),
        ("set", {"learning_rate": -1.0}, "learning_rate"),
        ("set", {"learning_rate": "auto"}, "it must be a number"),
        ("restart", {"hidden": (0,)}, "hidden"),
        ("restart", {"starts": 3}, "one start"),
        ("restart", {"sned": 3}, "sned"),
        ("leap", {}, "there is no action 'leap'"),
    ],
)
def test_what_cannot_be_done_changes_nothing(do, arguments, message):
    experiment = Experiment(load_bundled("iris"))
    experiment.advance(10)
    before = parameters(experiment)
    with pytest.raises(ParameterError, match=message):
        experiment.apply(do, **arguments)
    np.testing.assert_array_equal(parameters(experiment), before)
    assert experiment.journal.actions == []
    assert experiment.advance(5) == 5


def test_history_stays_short():
    experiment = Experiment(load_bundled("iris"), {"hidden": (3,)})
    experiment.advance(1300 * experiment.steps_per_epoch)
    history = experiment.view().history
    assert 250 <= len(history["step"]) <= 500
    assert np.unique(np.diff(history["step"])).size == 1
    assert len(experiment.view().steps) <= 201

"""Layer by layer, against NumPy and the reference engine; findings on descents that are known to be ill."""

import numpy as np
import pytest

from fallline.engines import Plan, as_engine
from fallline.live.experiment import Experiment
from fallline.live.topics.layers import layers
from fallline.network import views
from fallline.table import load_bundled
from fallline.units import dead_units


def found(view):
    return {finding["name"]: finding for finding in layers(view, {})[0]["findings"]}


def test_histograms_and_norms():
    experiment = Experiment(load_bundled("iris"), {"hidden": (8, 5)})
    experiment.advance(100)
    view = experiment.view()
    data, arrays = layers(view, {})
    X, reference = view.data.X, as_engine("reference")
    assert data["rows"] == len(X) == 120
    plain = Plan(view.plan.shape, view.plan.loss, view.plan.optimizer)
    dW, _ = views(view.plan.shape, reference.gradient(plain, view.network.parameters, view.data)[1])
    A = view.network.forward(X).A
    assert [layer["n"] for layer in data["layers"]] == [8, 5, 3]
    for l, layer in enumerate(data["layers"]):
        assert layer["gradient_norm"] == pytest.approx(np.linalg.norm(dW[l]), rel=1e-3)
        assert layer["weight_norm"] == pytest.approx(np.linalg.norm(view.network.W[l]), rel=1e-5)
        for name, numbers in (("weights", view.network.W[l]), ("values", A[l])):
            edges, counts = arrays[f"{name}{l}_edges"], arrays[f"{name}{l}_counts"]
            assert (len(edges), len(counts)) == (41, 40)
            np.testing.assert_array_equal(counts, np.histogram(numbers[numbers != 0], edges)[0])
            assert layer[name]["zeros"] == pytest.approx((numbers == 0).mean())
        assert arrays[f"gradients{l}_counts"].sum() == np.count_nonzero(dW[l])
    assert [layer["dead"] for layer in data["layers"][:2]] == [int(dead.sum()) for dead in dead_units(view.network, X)]


def test_dead_neurons_are_counted_and_found():
    experiment = Experiment(load_bundled("iris"), {"hidden": (6,), "activation": "relu"})
    experiment.advance(40)
    view = experiment.view()
    view.network.b[0][:5] = -1e3
    data, _ = layers(view, {})
    assert data["layers"][0]["dead"] >= 5
    assert found(view)["dead_units"]["mends"] == "back"  # where they live
    view.good[...] = view.network.parameters
    assert found(view)["dead_units"]["mends"] is None


def test_neurons_that_died_of_large_steps_come_back():
    experiment = Experiment(load_bundled("digits"))
    experiment.advance(2 * experiment.steps_per_epoch)
    experiment.apply("set", learning_rate=3.0)
    experiment.advance(6 * experiment.steps_per_epoch)
    assert found(experiment.view())["dead_units"]["mends"] == "back"
    experiment.apply("back")
    assert "dead_units" not in found(experiment.view())


def test_a_descent_that_diverged_can_be_mended_by_going_back():
    experiment = Experiment(load_bundled("diabetes"), {"activation": "relu"})
    experiment.advance(20 * experiment.steps_per_epoch)
    experiment.apply("set", learning_rate=1e9)
    experiment.advance(1000)
    assert experiment.diverged
    finding = found(experiment.view())["diverged"]
    assert finding["mends"] == "back"
    assert finding["evidence"] == "learning rate 1e+09, in epoch 21"
    experiment.apply("back")
    assert "diverged" not in found(experiment.view())


def test_steps_too_large_are_found_and_forgotten_once_they_are_smaller():
    settings = {"hidden": (16,), "activation": "tanh", "learning_rate": 5.0, "batch_size": 8}
    experiment = Experiment(load_bundled("iris"), settings)
    experiment.advance(12 * experiment.steps_per_epoch)
    finding = found(experiment.view())["step_too_large"]
    assert finding["mends"] == "back"
    assert finding["advice"] == "try a learning rate of 0.5"
    experiment.apply("set", learning_rate=0.01)
    experiment.advance(12 * experiment.steps_per_epoch)
    assert "step_too_large" not in found(experiment.view())


def test_steps_too_small_are_found_by_epochs_also_where_the_history_was_thinned():
    experiment = Experiment(load_bundled("iris"), {"hidden": (4,), "learning_rate": 1e-7})
    experiment.advance(700 * experiment.steps_per_epoch)
    assert len(experiment.view().rows) == 350
    assert "in 699 epochs" in found(experiment.view())["step_too_small"]["evidence"]


def test_nothing_is_found_at_the_start():
    assert found(Experiment(load_bundled("digits")).view()) == {}

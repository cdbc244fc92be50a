"""The way down, against NumPy, the reference engine and `loss_surface`."""

import numpy as np
import pytest

import fallline as fl
from fallline.errors import ParameterError
from fallline.live.experiment import Experiment
from fallline.live.topics.descent import FACTORS, descent
from fallline.surfaces import Plane, losses_along
from fallline.table import load_bundled


def after(steps, name="iris", **settings):
    experiment = Experiment(load_bundled(name), {"hidden": (6,), "l2": 0.01, "dropout": 0.1} | settings)
    experiment.advance(steps)
    return experiment


def test_path_and_surface():
    view = after(237).view()
    data, arrays = descent(view, {"n": 7})
    X, y = view.job.data
    assert (data["rows"], data["all_rows"], data["n"]) == (120, 120, 7)
    assert arrays["path_steps"][-1] == 237
    points = np.concatenate([view.points, view.network.parameters[None]])[: len(arrays["path"])]
    np.testing.assert_allclose(
        arrays["path_losses"], losses_along(view.plan, points, view.data, fl.engines.as_engine("reference")), rtol=1e-5
    )
    plane = Plane.through_path(points)
    surface = fl.loss_surface(view.network, plane, arrays["a"], arrays["b"], X, y, engine="reference")
    np.testing.assert_allclose(arrays["losses"], surface, rtol=1e-4)
    np.testing.assert_allclose(arrays["off_plane"], plane.distance(points), atol=1e-6)
    np.testing.assert_allclose(arrays["path"], plane.coordinates(points), atol=1e-6)
    # The two ends lie in the plane, so there the height that is drawn is the true loss.
    np.testing.assert_allclose(arrays["path_drawn"][[0, -1]], arrays["path_losses"][[0, -1]], rtol=1e-4)
    assert 0.5 < data["explained"] <= 1
    assert 0 < data["length"] <= data["walked"]


def test_a_larger_step():
    """By hand: parameters minus factor times rate times gradient, and the loss there."""
    view = after(100, learning_rate=0.2).view()
    data, arrays = descent(view, {})
    reference = fl.engines.as_engine("reference")
    plain = fl.engines.Plan(view.plan.shape, view.plan.loss, view.plan.optimizer)
    loss, gradient = reference.gradient(plain, view.network.parameters, view.data)
    here = data["larger"]["present"]
    assert arrays["factors"][here] == 1
    assert data["larger"]["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
    for i in (0, here, len(FACTORS) - 1):
        theta = view.network.parameters - np.float32(FACTORS[i] * 0.2) * gradient
        assert arrays["line"][i] == pytest.approx(reference.loss(plain, theta, view.data), rel=1e-4)
    assert arrays["line"][0] == pytest.approx(loss, rel=1e-5)
    assert data["larger"]["best"] == np.argmin(arrays["line"])


def test_nothing_to_draw_yet():
    data, arrays = descent(after(0).view(), {})
    assert "take a step" in data["message"]
    assert arrays == {}


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_descent_that_diverged_is_drawn_as_far_as_it_went():
    experiment = after(40, "diabetes", activation="relu")
    experiment.apply("set", learning_rate=1e9)
    experiment.advance(1000)
    assert experiment.diverged
    _, arrays = descent(experiment.view(), {"n": 9})
    assert np.isfinite(arrays["path_losses"]).all()
    assert arrays["path_losses"].max() <= 1e6 * arrays["path_losses"][0]
    assert arrays["losses"].shape == (9, 9)


def test_a_large_network_gets_fewer_rows_and_lines():
    view = after(1, "digits", hidden=(1000, 1000)).view()
    data, arrays = descent(view, {"n": 81})
    assert 32 <= data["rows"] < 60
    assert arrays["losses"].shape == (data["n"],) * 2
    assert 5 <= data["n"] < 20


@pytest.mark.parametrize("n", [4, 82, 7.5, "41", None, True, [41], float("nan")])
def test_bad_n(n):
    with pytest.raises(ParameterError, match="n is"):
        descent(after(1).view(), {"n": n})

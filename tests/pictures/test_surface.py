"""The valley around a network."""

import numpy as np
import pytest

import fallline as fl
from fallline.pictures import LossSurfaceDisplay


def test_the_surface_around_a_linear_unit_is_known():
    X, y = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([1.0, 2.0, 0.0])
    net = fl.Network([2, 1], dtype="float64", parameters=[3.0, -4.0, 0.5])
    before = net.parameters.tobytes()
    display = LossSurfaceDisplay.from_network(net, X, y, n=5, reach=0.5, seed=3)
    # 1 is as far as the neuron's weights are long, and its bias stays.
    for direction in (display.plane.u, display.plane.v):
        assert np.linalg.norm(direction[:2]) == pytest.approx(5.0)
        assert direction[2] == 0
    assert display.a.tolist() == [-0.5, -0.25, 0, 0.25, 0.5]
    for i, a in enumerate(display.a):
        for j, b in enumerate(display.b):
            w = [3.0, -4.0] + a * display.plane.u[:2] + b * display.plane.v[:2]
            assert display.surface[i, j] == pytest.approx(np.mean((X @ w + 0.5 - y) ** 2))
    assert display.loss == pytest.approx(display.surface[2, 2])
    assert net.parameters.tobytes() == before


def test_a_run_s_surface_is_measured_on_its_own_rows(digits_run):
    display = LossSurfaceDisplay.from_run(digits_run, start=1, n=5, rows=300)
    assert "300 of the 1,200 training rows" in display.caption
    assert display.plane.origin.tolist() == digits_run.networks[1].parameters.astype(float).tolist()
    assert display.point_.get_array().tolist() == [display.loss]
    assert not display.ax_.lines  # a path would be invisible in it
    assert display.ax_.get_aspect() == 1.0

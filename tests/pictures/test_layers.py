"""Layers: histograms, and neurons that have stopped learning."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fallline as fl
from fallline.pictures import LayersDisplay
from fallline.units import saturated_units

RNG = np.random.default_rng(6)
X, y = RNG.standard_normal((300, 4)), RNG.integers(0, 3, 300)


def test_the_histograms_are_of_weights_values_and_gradients() -> None:
    net = fl.Network([4, 6, 3], "tanh", "softmax", seed=1, dtype="float64")
    display = LayersDisplay.from_network(net, X, y)
    A, g = net.forward(X).A, fl.gradient(net, X, y, engine="reference")
    for l in range(2):
        for spread, numbers in ((display.weights[l], net.W[l]), (display.values[l], A[l])):
            np.testing.assert_array_equal(spread.counts, np.histogram(numbers, spread.edges)[0])
            assert spread.counts.sum() == numbers.size
        spread = display.gradients[l]
        np.testing.assert_array_equal(spread.counts, np.histogram(np.abs(g.dW[l]), spread.edges)[0])
        assert spread.counts.sum() == g.dW[l].size
        for stairs, shown in zip(
            display.stairs_[l], (display.weights[l], display.values[l], display.gradients[l]), strict=True
        ):
            counts, edges, _ = stairs.get_data()
            np.testing.assert_array_equal(counts, shown.counts)
            np.testing.assert_array_equal(edges, shown.edges)
    assert display.titles == ["layer 0: 6 tanh", "layer 1: 3 softmax"]
    assert len(display.axes_) == 6
    assert display.ax_ is display.axes_[0]


def test_gradients_have_one_axis_so_that_vanishing_is_seen() -> None:
    net = fl.Network([4, *[8] * 6, 3], "sigmoid", "softmax", seed=1)
    display = LayersDisplay.from_network(net, X, y)
    assert len({panel.get_xlim() for panel in display.axes_[2::3]}) == 1

    def middle(l: int) -> float:
        spread = display.gradients[l]
        return float((np.log10(spread.edges[:-1]) * spread.counts).sum() / spread.counts.sum())

    assert middle(0) < middle(6) - 2, "orders of magnitude on the way back through six layers of sigmoid"


def test_what_is_below_the_axis_is_counted_at_its_end_and_zeros_are_said() -> None:
    net = fl.Network([4, 6, 3], "relu", "softmax", seed=1, dtype="float64")
    net.b[0][:2] = -100  # dead: no value, no gradient
    net.W[0][0] *= 1e-300
    rows = X.copy()
    rows[:, 0] = 1e-30
    display = LayersDisplay.from_network(net, rows, y)
    g = np.abs(fl.gradient(net, rows, y).dW[0])
    assert display.gradients[0].zeros == pytest.approx((g == 0).mean())
    assert display.gradients[0].counts.sum() == (g > 0).sum()
    assert display.gradients[0].counts[0] == 4, "those of the first column"
    assert display.values[0].zeros == pytest.approx((net.forward(rows).A[0] == 0).mean())


def test_dead_and_saturated_neurons_are_counted_and_said() -> None:
    net = fl.Network([4, 10, 8, 3], ["relu", "tanh"], "softmax", seed=1)
    net.b[0][:3] = -100
    net.b[1][:2] = 30
    display = LayersDisplay.from_network(net, X, y)
    assert display.dead == [0.3, 0.0]
    assert display.saturated == [0.0, pytest.approx(saturated_units(net, X)[1].mean())]
    assert display.saturated[1] >= 0.25
    notes = [[text.get_text() for text in panel.texts] for panel in display.axes_]
    assert "3 of 10 dead" in notes[1]
    assert f"{round(8 * display.saturated[1])} of 8 saturated" in notes[4]
    assert not any("dead" in note for panel in (0, 2, 3, 4, 5) for note in notes[panel])


def test_of_a_run_its_best_network_on_its_own_rows(digits_run) -> None:
    display = LayersDisplay.from_run(digits_run)
    assert display.n_rows == 1000
    net = digits_run.network
    np.testing.assert_array_equal(display.weights[0].counts, np.histogram(net.W[0], display.weights[0].edges)[0])
    again = LayersDisplay.from_run(digits_run)
    np.testing.assert_array_equal(display.values[0].counts, again.values[0].counts)
    other = LayersDisplay.from_run(digits_run, start=(digits_run.best_start + 1) % 3)
    assert other.weights[0].edges.tolist() != display.weights[0].edges.tolist()


def test_rows_of_weight_zero_are_left_out() -> None:
    weight = (np.arange(300) < 120).astype(float)
    rows = X.copy()
    rows[120:] = 1e6
    run = fl.descend(fl.Network([4, 3], output="softmax"), rows, y, sample_weight=weight, epochs=1)
    display = LayersDisplay.from_run(run)
    assert display.n_rows == 120
    assert display.values[0].counts.sum() == 360


def test_a_loss_of_one_s_own_is_measured_by_the_engine_that_can() -> None:
    def fourth_power(A, Y):
        return ((A - Y) ** 4).sum(axis=1), 4 * (A - Y) ** 3

    loss = fl.losses.OwnLoss(fourth_power)
    run = fl.descend(fl.Network([4, 3], seed=1), X, X[:, :3], loss=loss, epochs=1, engine="reference")
    assert LayersDisplay.from_run(run).n_rows == 300


def test_axes_that_are_given_are_replaced_by_its_own() -> None:
    figure, (_, right) = plt.subplots(1, 2)
    display = LayersDisplay.from_network(fl.Network([4, 3], output="softmax"), X, y, ax=right)
    assert display.figure_ is figure
    assert len(figure.axes) == 5


def test_complaints(digits_run) -> None:
    with pytest.raises(fl.ParameterError, match="start is 3; the run has starts 0 to 2"):
        LayersDisplay.from_run(digits_run, start=3)
    with pytest.raises(fl.DataError, match="the network takes"):
        LayersDisplay.from_network(fl.Network([5, 3]), X, y)

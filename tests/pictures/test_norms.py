"""Norms of gradients and steps along a descent, against those of a descent done by hand."""

from __future__ import annotations

import numpy as np
import pytest

import fallline as fl
from fallline.pictures import LayerNormsDisplay

RNG = np.random.default_rng(7)
X = RNG.standard_normal((60, 3))
Y = np.tanh(X @ RNG.standard_normal((3, 2)))


def test_of_plain_descent_on_all_rows_the_change_is_the_rate_times_the_gradient() -> None:
    net = fl.Network([3, 5, 2], "tanh", seed=1, dtype="float64")
    run = fl.descend(net, X, Y, optimizer=fl.SGD(0.05), batch_size=60, epochs=12, callbacks=fl.Recorder())
    display = LayerNormsDisplay.from_run(run)
    assert display.steps.tolist() == list(range(13))
    assert display.labels == ["layer 0", "layer 1"]
    here = net.copy()
    for t in range(13):
        g = fl.gradient(here, X, Y, engine="reference")
        norms = [np.linalg.norm(np.vstack([dW, db])) for dW, db in zip(g.dW, g.db, strict=True)]
        np.testing.assert_allclose(display.gradient_norms[t], norms, rtol=1e-9)
        if t < 12:
            sizes = [np.linalg.norm(np.vstack([W, b])) for W, b in zip(here.W, here.b, strict=True)]
            np.testing.assert_allclose(display.changes[t], 0.05 * np.array(norms) / sizes, rtol=1e-7)
        here = here.copy(here.parameters - 0.05 * g.block)
    for i in range(2):
        np.testing.assert_array_equal(display.gradient_lines_[i].get_ydata(), display.gradient_norms[:, i])
        np.testing.assert_array_equal(display.change_lines_[i].get_ydata(), display.changes[:, i])
    assert display.ax_.get_yscale() == "log"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == display.labels


def test_points_that_are_apart_give_the_change_of_one_step() -> None:
    """Of a loss without curvature every step is the same."""
    x = np.ones((8, 1))
    net = fl.Network([1, 1], dtype="float64", parameters=[1.0, 0.0])
    run = fl.descend(
        net,
        x,
        np.full(8, 1e6),
        loss="absolute_error",
        optimizer=fl.SGD(0.01),
        batch_size=8,
        epochs=50,
        callbacks=fl.Recorder(most_points=10),
    )
    display = LayerNormsDisplay.from_run(run)
    apart = np.diff(display.steps)
    assert apart[0] > 1
    w = 1 + 0.01 * display.steps
    size = np.hypot(w, w - 1)[:-1]
    usual = apart == apart[0]
    np.testing.assert_allclose(display.changes[usual, 0], (0.01 * np.sqrt(2) / size)[usual])
    assert not usual[-1]
    assert np.isnan(display.changes[-1, 0]), "the last stretch is shorter, and would look faster"


def test_what_is_learned_before_the_first_layer_has_a_curve_of_its_own() -> None:
    inputs = fl.Inputs(embedded=3)
    net = fl.Network([3, 4, 2], inputs=inputs, seed=1, dtype="float64")
    run = fl.descend(net, X, Y, epochs=2, callbacks=fl.Recorder())
    display = LayerNormsDisplay.from_run(run)
    assert display.labels == ["inputs", "layer 0", "layer 1"]
    g = fl.gradient(net, X, Y)
    assert display.gradient_norms[0, 0] == pytest.approx(np.linalg.norm(g.block[: inputs.n_parameters]))
    assert (display.gradient_norms[0] ** 2).sum() == pytest.approx((g.block**2).sum())


def test_each_start_has_its_own(digits_run) -> None:
    best = LayerNormsDisplay.from_run(digits_run)
    k = digits_run.best_start
    np.testing.assert_array_equal(LayerNormsDisplay.from_run(digits_run, start=k).changes, best.changes)
    assert (LayerNormsDisplay.from_run(digits_run, start=(k + 1) % 3).changes != best.changes).any()
    assert best.n_rows == 1000


def test_a_descent_that_diverged_is_drawn_as_far_as_it_went() -> None:
    net = fl.Network([3, 5, 2], seed=1)
    with pytest.warns(fl.DivergenceWarning):
        run = fl.descend(net, X, 100 * Y, optimizer=fl.SGD(1e3), epochs=20, callbacks=fl.Recorder())
    display = LayerNormsDisplay.from_run(run)
    assert np.isfinite(display.gradient_norms[0]).all()
    display.figure_.draw_without_rendering()


def test_an_unrecorded_run_says_what_to_do() -> None:
    run = fl.descend(fl.Network([3, 2]), X, Y, epochs=1)
    with pytest.raises(fl.ParameterError, match=r"not recorded; pass callbacks=fl.Recorder\(\) to descend"):
        LayerNormsDisplay.from_run(run)

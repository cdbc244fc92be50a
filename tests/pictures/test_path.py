"""The way down: what is drawn is what is so, and where it is not the picture says it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fallline as fl
from fallline.errors import DivergenceWarning, ParameterError
from fallline.pictures import DescentPathDisplay


def bowl_loss(theta):
    """The loss of `bowl_run` by hand."""
    X = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    return np.mean((X @ theta[:2] + theta[2] - X @ [1.0, -1.0]) ** 2)


def test_the_surface_of_a_bowl_is_known(bowl_run):
    before = [network.parameters.tobytes() for network in bowl_run.networks]
    display = DescentPathDisplay.from_run(bowl_run, n=9)
    expected = [[bowl_loss(display.plane.at(a, b)) for b in display.b] for a in display.a]
    np.testing.assert_allclose(display.surface, expected, rtol=1e-10)
    path = bowl_run.recorder.points[:, 0]
    np.testing.assert_allclose(display.losses, [bowl_loss(theta) for theta in path], rtol=1e-10)
    at = [bowl_loss(display.plane.at(*point)) for point in display.coordinates]
    np.testing.assert_allclose(display.in_plane, at, rtol=1e-8)
    assert [network.parameters.tobytes() for network in bowl_run.networks] == before


def test_the_ends_are_in_the_plane_and_the_rest_need_not_be(digits_run):
    display = DescentPathDisplay.from_run(digits_run, n=11)
    path = digits_run.recorder.points[:, digits_run.best_start].astype(float)
    np.testing.assert_allclose(display.coordinates[[0, -1], 1], 0, atol=1e-9)
    assert display.coordinates[0, 0] == 0
    np.testing.assert_allclose(display.coordinates[-1, 0], np.linalg.norm(path[-1] - path[0]))
    np.testing.assert_allclose(display.losses[[0, -1]], display.in_plane[[0, -1]], rtol=1e-5)
    np.testing.assert_allclose(display.off_plane[[0, -1]], 0, atol=1e-6)
    # Between them the surface is at another height, and the picture must not hide it.
    middle = len(path) // 2
    there = display.plane.at(*display.coordinates[middle])
    assert display.off_plane[middle] == pytest.approx(np.linalg.norm(path[middle] - there))
    assert np.abs(display.losses - display.in_plane).max() > 0.01
    widest = np.abs(display.losses - display.in_plane).max()
    assert f"differs from its own by up to {widest:.3g}" in display.caption
    assert f"leaves it by up to {display.off_plane.max():.3g}" in display.caption


def test_points_have_the_colour_of_their_true_loss_on_the_scale_of_the_surface(digits_run):
    display = DescentPathDisplay.from_run(digits_run, n=21)
    shown = display.points_.get_array().data
    assert set(shown.tolist()) <= set(display.losses.tolist())
    assert shown[0] == display.losses[0]
    assert len(shown) > 10
    assert display.points_.norm.vmin == display.surface_.norm.vmin
    for loss in (0.05, 0.5, 2.0):
        np.testing.assert_allclose(display.points_.to_rgba(loss), display.surface_.to_rgba(loss))
    assert display.surface_.norm.vmin <= min(display.surface.min(), display.losses.min())
    assert display.surface_.norm.vmax >= display.losses.max()
    assert display.ax_.get_aspect() == 1.0
    assert "distance" in display.ax_.get_xlabel()
    assert "across" in display.ax_.get_ylabel()


def test_strips_show_the_difference_and_the_distance(digits_run):
    display = DescentPathDisplay.from_run(digits_run, n=11)
    np.testing.assert_array_equal(display.true_.get_ydata(), display.losses)
    np.testing.assert_array_equal(display.drawn_.get_ydata(), display.in_plane)
    np.testing.assert_array_equal(display.true_.get_xdata(), display.steps)
    tops = display.off_plane_.get_paths()[0].vertices[:, 1]
    assert tops.max() == pytest.approx(display.off_plane.max())


@pytest.mark.parametrize(
    ("rows", "words"),
    [(100, "100 of the 1,200 training rows, drawn with seed 0"), (5000, "all 1,200 training rows")],
)
def test_it_says_on_which_rows_the_loss_was_measured(digits_run, rows, words):
    display = DescentPathDisplay.from_run(digits_run, n=5, rows=rows)
    assert words in display.caption
    assert words in display.ax_.get_title(loc="left").replace("\n", " ")


def test_what_the_loss_leaves_out_is_said():
    x = np.linspace(-1, 1, 32)[:, None]
    net = fl.Network([1, 4, 1], "tanh")
    run = fl.descend(net, x, x[:, 0], l2=0.1, dropout=0.2, epochs=3, callbacks=fl.Recorder())
    assert "without penalty and dropout" in DescentPathDisplay.from_run(run, n=5).caption


def test_the_start_s_own_rows_count():
    """Rows that a start does not learn from are no part of its loss."""
    x = np.linspace(-1, 1, 10)[:, None]
    weight = np.ones((2, 10))
    weight[1, 5:] = 0
    net = fl.Network([1, 3, 1], "tanh", dtype="float64")
    run = fl.descend(net, x, x[:, 0], sample_weight=weight, starts=2, epochs=5, callbacks=fl.Recorder())
    display = DescentPathDisplay.from_run(run, start=1, n=5)
    first = fl.Network([1, 3, 1], "tanh", dtype="float64").restart(1)
    assert display.losses[0] == pytest.approx(np.mean((first(x[:5])[:, 0] - x[:5, 0]) ** 2))
    assert "all 5 training rows" in display.caption


def test_the_kept_point_is_named():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 5)), rng.normal(size=60)
    net = fl.Network([5, 16, 1], "tanh", seed=1)
    held_back = (X[40:], y[40:])
    run = fl.descend(
        net, X[:40], y[:40], epochs=40, validation=held_back, optimizer=fl.Adam(0.02), callbacks=fl.Recorder()
    )
    display = DescentPathDisplay.from_run(run, n=5)
    assert 0 < run.kept_steps[0] < run.recorder.steps[-1]
    assert display.steps[display.kept] == run.kept_steps[0]
    texts = [text.get_text() for text in display.ax_.texts]
    assert [name for name in ("start", "kept", "end") if any(text.startswith(name) for text in texts)] == [
        "start",
        "kept",
        "end",
    ]


def test_a_descent_that_diverges_is_drawn_up_to_there():
    class Explosion(fl.schedules.Schedule):
        """That no halving of the step size mends."""

        def factor(self, t):
            return np.where(t < 0.5, 1.0, 1e9)

    x = np.linspace(-1, 1, 64)[:, None]
    net, recorder = fl.Network([1, 8, 1], seed=1), fl.Recorder()
    with pytest.warns(DivergenceWarning):
        run = fl.descend(
            net, x, x[:, 0] ** 2, optimizer=fl.SGD(0.1), schedule=Explosion(), epochs=50, callbacks=recorder
        )
    display = DescentPathDisplay.from_run(run, n=11)
    assert np.isfinite(display.losses).all()
    assert display.losses.max() <= 1e6 * display.losses[0]
    assert len(display.steps) < len(run.recorder.steps)
    assert f"diverged after step {display.steps[-1]}" in display.caption


def test_three_axes_take_the_place_of_one(bowl_run):
    figure, axes = plt.subplots(1, 2, layout="constrained")
    display = DescentPathDisplay.from_run(bowl_run, n=5, ax=axes[0])
    assert display.figure_ is figure
    assert len(figure.axes) >= 5
    with pytest.raises(ParameterError, match="ax must come from a grid"):
        display.plot(figure.add_axes((0, 0, 1, 1)))


def test_what_cannot_be_drawn(digits_run):
    x = np.linspace(-1, 1, 8)[:, None]
    run = fl.descend(fl.Network([1, 2, 1]), x, x[:, 0], epochs=2)
    with pytest.raises(ParameterError, match="kept no path"):
        DescentPathDisplay.from_run(run)
    with pytest.raises(ParameterError, match="start is 3; the run has starts 0 to 2"):
        DescentPathDisplay.from_run(digits_run, start=3)

"""The loss over a plane of parameters: against losses measured one by one, and on surfaces that are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fallline as fl
from fallline.engines import Data, Plan, as_engine
from fallline.surfaces import Plane, barrier, height_of, loss_surface, losses_along

RNG = np.random.default_rng(5)
OUTPUTS = {
    "identity": ("squared_error", RNG.standard_normal((300, 3))),
    "sigmoid": ("binary_cross_entropy", RNG.integers(0, 2, (300, 3))),
    "softmax": ("categorical_cross_entropy", RNG.integers(0, 3, 300)),
}
X = RNG.standard_normal((300, 20))


@pytest.mark.parametrize(
    ("hidden", "activation", "output"),
    [
        *itertools.product([(), (5,), (40, 17)], ["tanh"], OUTPUTS),
        *(((9,), name, "softmax") for name in sorted(fl.activations.HIDDEN)),
    ],
)
def test_every_point_has_the_loss_of_its_own_network(hidden: tuple[int, ...], activation: str, output: str) -> None:
    """The kernel computes the first layer once for all points; the reference engine computes each point by itself."""
    net = fl.Network([20, *hidden, 3], activation, output, dtype="float64", seed=3)
    loss, y = OUTPUTS[output]
    weight = RNG.random(300)
    plane = Plane.random(net, seed=2)
    a, b = np.linspace(-1, 1, 5), np.linspace(-0.5, 1.5, 4)
    before = net.parameters.copy()
    found = loss_surface(net, plane, a, b, X, y, loss, weight)
    assert found.shape == (5, 4)
    assert (net.parameters == before).all(), "bit for bit as they were"
    np.testing.assert_allclose(found, loss_surface(net, plane, a, b, X, y, loss, weight, "reference"), rtol=1e-10)
    one = net.copy(plane.at(a[3], b[1]))
    expected = as_engine("reference").loss(
        Plan(net.shape, fl.losses.LOSSES[loss](), fl.SGD()),
        one.parameters,
        Data.of(net, fl.losses.LOSSES[loss](), X, y, weight),
    )
    assert found[3, 1] == pytest.approx(expected, rel=1e-10)


def test_float32_is_as_near_as_its_rounding() -> None:
    net = fl.Network([20, 30, 3], "relu", "softmax", seed=3)
    plane, a = Plane.random(net), np.linspace(-1, 1, 7)
    y = OUTPUTS["softmax"][1]
    exact = loss_surface(net, plane, a, a, X, y, engine="reference")
    np.testing.assert_allclose(loss_surface(net, plane, a, a, X, y), exact, rtol=2e-5)


def test_inputs_that_are_learned_go_all_the_way_at_every_point() -> None:
    inputs = fl.Inputs(embedded=2, plain=3, frequencies=4, size=3, tables=((5, 2),))
    net = fl.Network([6, 8, 1], "silu", inputs=inputs, dtype="float64", seed=1)
    rows = np.column_stack([RNG.standard_normal((90, 5)), RNG.integers(0, 5, 90)])
    direction = RNG.standard_normal((2, len(net.parameters)))
    plane = Plane(net.parameters.copy(), *direction)
    a, y = np.linspace(-0.2, 0.2, 4), RNG.standard_normal(90)
    found = loss_surface(net, plane, a, a, rows, y)
    np.testing.assert_allclose(found, loss_surface(net, plane, a, a, rows, y, engine="reference"), rtol=1e-9)


@pytest.mark.parametrize("n", [1, 127, 128, 129, 300])
def test_the_same_bits_for_any_number_of_threads(n: int) -> None:
    net = fl.Network([20, 30, 3], "relu", "softmax", seed=3)
    plane, a, y = Plane.random(net), np.linspace(-1, 1, 13), OUTPUTS["softmax"][1]
    one, *others = (loss_surface(net, plane, a, a, X[:n], y[:n], threads=threads) for threads in (1, 2, 3, 7))
    for other in others:
        assert (one == other).all()


def test_a_quadratic_is_drawn_as_it_is() -> None:
    """Of a linear network with squared error the loss is a quadratic with a known minimum and curvature."""
    x = RNG.standard_normal((200, 2))
    truth = np.array([1.5, -0.5, 0.25])
    y = x @ truth[:2] + truth[2]
    net = fl.Network([2, 1], dtype="float64")
    plane = Plane(truth, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    a = np.linspace(-2, 2, 21)
    S = x.T @ x / len(x)
    expected = S[0, 0] * a[:, None] ** 2 + 2 * S[0, 1] * a[:, None] * a + S[1, 1] * a**2
    np.testing.assert_allclose(loss_surface(net, plane, a, a, x, y), expected, atol=1e-12)
    assert np.unravel_index(np.argmin(expected), expected.shape) == (10, 10)


def test_a_path_s_ends_lie_in_its_plane_exactly() -> None:
    path = np.cumsum(RNG.standard_normal((60, 500)), axis=0)
    plane = Plane.through_path(path)
    np.testing.assert_allclose(
        plane.coordinates(path[[0, -1]]), [[np.linalg.norm(path[0] - path[-1]), 0], [0, 0]], atol=1e-9
    )
    np.testing.assert_allclose(plane.distance(path[[0, -1]]), 0, atol=1e-9)
    np.testing.assert_allclose([plane.u @ plane.u, plane.u @ plane.v, plane.v @ plane.v], [1, 0, 1], atol=1e-12)
    # scikit-learn-free oracle: the first right singular vector of what is left
    rest = path - path[-1]
    rest -= np.outer(rest @ plane.u, plane.u)
    assert abs(np.linalg.svd(rest)[2][0] @ plane.v) == pytest.approx(1, abs=1e-9)
    away = np.linalg.norm(rest - np.outer(rest @ plane.v, plane.v), axis=1)
    np.testing.assert_allclose(plane.distance(path), away, atol=1e-9)


def test_a_straight_path_has_a_plane_too() -> None:
    path = np.outer(np.linspace(0, 1, 9), RNG.standard_normal(40))
    plane = Plane.through_path(path)
    np.testing.assert_allclose(plane.distance(path), 0, atol=1e-12)
    assert abs(plane.u @ plane.v) < 1e-12


def test_the_surface_under_a_path_s_ends_is_their_true_loss() -> None:
    """Between its ends a path is off the plane, so the drawn height is not its loss; at the ends it is."""
    net, y = fl.Network([20, 12, 3], "tanh", "softmax", seed=3, dtype="float64"), OUTPUTS["softmax"][1]
    recorder = fl.Recorder()
    run = fl.descend(net, X, y, epochs=5, callbacks=recorder)
    path = recorder.points[:, 0]
    plane = Plane.through_path(path)
    true = losses_along(run.plan, path, run.data, as_engine("native"))
    drawn = [loss_surface(net, plane, [a], [b], X, y)[0, 0] for a, b in plane.coordinates(path)]
    np.testing.assert_allclose([drawn[0], drawn[-1]], [true[0], true[-1]], rtol=1e-9)
    assert np.abs(np.array(drawn) - true).max() > 1e-4
    a, b = plane.around(path, 11)
    assert a[0] < 0 < plane.coordinates(path)[0, 0] < a[-1]
    assert b[0] < plane.coordinates(path)[:, 1].min() < plane.coordinates(path)[:, 1].max() < b[-1]


def test_random_directions_are_as_long_in_each_neuron_as_its_weights() -> None:
    net = fl.Network([20, 12, 3], "tanh", "softmax", seed=3)
    plane = Plane.random(net, seed=4)
    for direction in (plane.u, plane.v):
        like = net.copy(direction)
        for D, W, db in zip(like.W, net.W, like.b, strict=True):
            np.testing.assert_allclose(np.linalg.norm(D, axis=0), np.linalg.norm(W, axis=0), rtol=1e-5)
            assert (db == 0).all()
    assert abs(plane.u @ plane.v) < 0.5 * np.linalg.norm(plane.u) * np.linalg.norm(plane.v)
    assert (plane.u == Plane.random(net, seed=4).u).all()
    assert (plane.u != Plane.random(net, seed=5).u).any()


def test_three_points_lie_in_the_plane_through_them() -> None:
    first, second, third = RNG.standard_normal((3, 50))
    plane = Plane.through(first, second, third)
    points = np.stack([first, second, third])
    np.testing.assert_allclose(plane.distance(points), 0, atol=1e-12)
    coordinates = plane.coordinates(points)
    np.testing.assert_allclose(coordinates[0], 0, atol=1e-12)
    np.testing.assert_allclose(coordinates[1], [np.linalg.norm(second - first), 0], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(coordinates[2] - coordinates[1]), np.linalg.norm(third - second))


def test_coordinates_are_least_squares_where_directions_are_not_at_right_angles() -> None:
    origin, u, v, point = RNG.standard_normal((4, 30))
    found = Plane(origin, u, v).coordinates(point[None])[0]
    np.testing.assert_allclose(found, np.linalg.lstsq(np.stack([u, v]).T, point - origin, rcond=None)[0])


def test_a_barrier_is_what_lies_above_both_ends() -> None:
    first, second = fl.Network([20, 6, 3], output="softmax", seed=1), fl.Network([20, 6, 3], output="softmax", seed=2)
    y = OUTPUTS["softmax"][1]
    found = barrier(first, second, X, y, n_points=11)
    assert found.losses.shape == found.t.shape == (11,)
    for t, loss in zip(found.t, found.losses, strict=True):
        net = first.copy((1 - t) * first.parameters + t * second.parameters)
        p = net(X)[np.arange(300), y].astype(np.float64)
        assert loss == pytest.approx(-np.log(p).mean(), rel=1e-5)
    inside, ends = found.losses[1:-1].max(), found.losses[[0, -1]].max()
    assert found.height == pytest.approx(max(0, inside - ends))


def barrier_between(first: float, second: float) -> float:
    """How high it is between two networks of one weight, whose loss is (w - 1)^2."""
    one, other = (fl.Network([1, 1], parameters=[w, 0.0]) for w in (first, second))
    return barrier(one, other, [[1.0]], [1.0], n_points=5).height


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (0.0, 2.0),  # a valley
        (0.0, 9.0),  # the higher end is the top
        (1.0, 3e30),  # an end beyond all numbers has nothing above it
    ],
)
def test_a_way_that_never_rises_above_its_ends_has_no_barrier(first: float, second: float) -> None:
    assert barrier_between(first, second) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("broken", [np.inf, np.nan])
def test_a_barrier_beyond_all_numbers_is_infinite(broken: float) -> None:
    assert height_of(np.array([1.0, broken, 2.0])) == np.inf


def test_grid_lines_have_the_margin_that_was_asked_for() -> None:
    plane = Plane(np.zeros(2), np.array([1.0, 0]), np.array([0, 1.0]))
    box = np.array([[0.0, 0], [4, 1]])
    assert [axis.tolist() for axis in plane.around(box, 3, margin=0.25)] == [[-1, 2, 5], [-1, 0.5, 2]]
    assert [axis.tolist() for axis in plane.around(box, 3, margin=0)] == [[0, 2, 4], [0, 0.5, 1]]
    assert [axis.tolist() for axis in plane.around(box[:1], 3)] == [[-1, 0, 1], [-1, 0, 1]]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Plane.through_path(np.ones((5, 3))), "the path ends where it began"),
        (lambda: Plane.through_path(np.ones((1, 3))), "a path is two or more points"),
        (lambda: Plane.through_path(np.full((4, 3), np.nan)), "of finite numbers"),
        (lambda: Plane.through([0.0, 0], [1.0, 1], [2.0, 2]), "lie on one line"),
        (lambda: Plane.through([0.0, 0], [0.0, 0], [2.0, 2]), "lie on one line"),
        (lambda: Plane.through([0.0, 0], [np.nan, 0], [2.0, 2]), "must be of finite numbers"),
        (lambda: barrier(*[fl.Network([1, 1])] * 2, [[1.0]], [0], n_points=1), "n_points is 1; it must be 2 or more"),
        (
            lambda: loss_surface(fl.Network([2, 1]), Plane.random(fl.Network([3, 1])), [0], [0], [[0.0, 1]], [0]),
            "points of 4 numbers; the network has 3",
        ),
        (lambda: barrier(fl.Network([2, 1]), fl.Network([2, 2, 1]), [[0.0, 1]], [0]), "differ in their layers"),
    ],
)
def test_what_cannot_be_is_said(act: object, message: str) -> None:
    with pytest.raises(fl.ParameterError, match=message):
        act()  # type: ignore[operator]

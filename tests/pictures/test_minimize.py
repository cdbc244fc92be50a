"""Paths of `minimize` on a map."""

import numpy as np
import pytest

import fallline as fl
from fallline.errors import ParameterError
from fallline.pictures import MinimizeDisplay


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def with_gradient(x):
    return x @ x, 2 * x


RESULTS = [fl.minimize(rosenbrock, [-1.0, 1.5], optimizer=rule, steps=30) for rule in (fl.SGD(1e-3), "adam")]


def test_the_map_and_the_paths():
    display = MinimizeDisplay.from_results(rosenbrock, RESULTS, names=["plain", "Adam"], n=15)
    expected = [[rosenbrock((x, y)) for y in display.y] for x in display.x]
    np.testing.assert_allclose(display.surface, expected)
    for line, result in zip(display.paths_, RESULTS, strict=True):
        np.testing.assert_array_equal(np.stack(line.get_data(), axis=1), result.path)
    assert len({line.get_color() for line in display.paths_}) == 2
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["plain", "Adam"]
    assert "after 30 steps" in labels[0]
    assert display.ax_.get_aspect() == 1.0


def test_a_function_that_returns_its_gradient_too():
    result = fl.minimize(with_gradient, [3.0, 4.0], jac=True)
    display = MinimizeDisplay.from_results(with_gradient, result, n=7)
    assert display.surface[0, 0] == pytest.approx(display.x[0] ** 2 + display.y[0] ** 2)


@pytest.mark.parametrize(
    ("results", "names", "message"),
    [
        ([], None, "results must be one or more"),
        (fl.minimize(lambda x: x @ x, [1.0, 2.0, 3.0], steps=2), None, "of a function of two variables"),
        (RESULTS, ["one"], "names has 1 names; there are 2 results"),
    ],
)
def test_what_cannot_be_drawn(results, names, message):
    with pytest.raises(ParameterError, match=message):
        MinimizeDisplay.from_results(rosenbrock, results, names=names)

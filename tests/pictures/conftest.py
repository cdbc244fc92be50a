"""What there is to draw."""

import numpy as np
import pytest

import fallline as fl
from fallline.fit import fit
from fallline.table import load_bundled


@pytest.fixture(scope="session")
def digits_run():
    """Three starts on some of the digits, with validation rows and their paths."""
    digits = load_bundled("digits")
    rows, held_back = slice(0, 1200), slice(1200, None)
    net = fl.Network([64, 16, 10], "tanh", output="softmax", seed=1)
    return fl.descend(
        net,
        digits.X[rows],
        digits.y[rows],
        starts=3,
        epochs=12,
        validation=(digits.X[held_back], digits.y[held_back]),
        callbacks=fl.Recorder(),
    )


def fitted(name, **settings):
    table = load_bundled(name)
    return fit(table, {"epochs": 30, "starts": 1, "hidden": (32,), **settings}).model, table


@pytest.fixture(scope="session")
def iris():
    """A model of three classes, and its table."""
    return fitted("iris")


@pytest.fixture(scope="session")
def tumours():
    """A model of two classes, and its table."""
    return fitted("breast_cancer")


@pytest.fixture(scope="session")
def diabetes():
    """A model of numbers, and its table."""
    return fitted("diabetes")


@pytest.fixture(scope="session")
def bowl_run():
    """Full-batch descent of a linear unit with two weights: a loss that is known at every point."""
    X = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    net = fl.Network([2, 1], dtype="float64", parameters=[3.0, -2.0, 0.5])
    return fl.descend(
        net, X, X @ [1.0, -1.0], optimizer=fl.SGD(0.1), batch_size=None, epochs=40, callbacks=fl.Recorder()
    )

"""Real handwritten digits: what the textbook reaches, we reach."""

from __future__ import annotations

import mnist
import numpy as np
import pytest

import fallline as fl


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, ...]:
    return (*mnist.load("train"), *mnist.load("t10k"))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nielsens_network(digits: tuple[np.ndarray, ...], seed: int) -> None:
    """784-30-10, sigmoid, quadratic loss, batches of 10, rate 3: Nielsen 2015, chapter 1, reports 95.42 %."""
    X, y, X_test, y_test = digits
    net = fl.Network([784, 30, 10], activation="sigmoid", output="sigmoid", start="normal", seed=seed)
    run = fl.descend(
        net, X, y, loss="quadratic", optimizer=fl.SGD(learning_rate=3.0), batch_size=10, epochs=30, seed=seed,
        validation=(X_test, y_test), metrics=["accuracy"],
    )  # fmt: skip
    assert run.history["accuracy"].max() >= 0.95


def test_cross_entropy_network(digits: tuple[np.ndarray, ...]) -> None:
    """784-100-10 with cross-entropy: Nielsen 2015, chapter 3, reports 97.8 % to 98.0 %."""
    X, y, X_test, y_test = digits
    net = fl.Network([784, 100, 10], activation="sigmoid", output="softmax", seed=1)
    run = fl.descend(
        net, X, y, optimizer=fl.SGD(learning_rate=0.2), batch_size=10, epochs=15, seed=1, l2=2e-5,
        validation=(X_test, y_test), metrics=["accuracy"],
    )  # fmt: skip
    assert run.history["accuracy"].max() >= 0.978

"""Backpropagation against central differences: every activation, output, loss and regularisation, in both engines."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from fallline import Network
from fallline.activations import HIDDEN, OUTPUTS
from fallline.engines import ALWAYS, Data, Plan, Start, as_engine
from fallline.losses import LOSSES, Quantile
from fallline.network import Shape
from fallline.optimizers import SGD

# what a plan adds to the loss
REGULARISATIONS = {
    "none": {},
    "l1": {"starts": (Start(l1=0.03),)},
    "l2": {"starts": (Start(l2=0.05),)},
    "l1 and l2": {"starts": (Start(l1=0.02, l2=0.03),)},
    "dropout": {"dropout": (0.4, 0.3)},
    "all": {"starts": (Start(l1=0.02, l2=0.03),), "dropout": (0.4, 0.3)},
}
CASES = list(itertools.product(HIDDEN, OUTPUTS, LOSSES, REGULARISATIONS))
N_ROWS, STEP = 5, 3


def problem(activation: str, output: str, loss: str, regularisation: str) -> tuple[Network, Plan, Data]:
    """A 4-5-4-3 network in float64, weighted rows, and a point where nothing has a kink nearby."""
    rng = np.random.default_rng([len(activation), len(output), len(loss)])
    record = Quantile((0.1, 0.5, 0.8)) if loss == "quantile" else LOSSES[loss]()
    net = Network([4, 5, 4, 3], activation, output, start="xavier", seed=7, dtype="float64")
    net.parameters += rng.uniform(-0.3, 0.3, net.parameters.shape)
    X = rng.normal(size=(N_ROWS, 4))
    y = rng.uniform(0.05, 0.95, (N_ROWS, 1 if loss == "quantile" else 3))
    data = Data.of(net, record, X, y, rng.uniform(0.2, 2.0, N_ROWS))
    plan = Plan(net.shape, record, SGD(), batch_size=N_ROWS, seed=11, **REGULARISATIONS[regularisation])
    return net, plan, data


def central_differences(engine: str, plan: Plan, theta: np.ndarray, data: Data) -> np.ndarray:
    """Numerical gradient of the engine's own loss; `gradient` gives the loss with penalties and masks."""
    loss = as_engine(engine).gradient
    slopes = np.empty_like(theta)
    for i in range(len(theta)):
        h = 3e-6 * max(1.0, abs(theta[i]))
        up, down = theta.copy(), theta.copy()
        up[i] += h
        down[i] -= h
        slopes[i] = (loss(plan, up, data, STEP)[0] - loss(plan, down, data, STEP)[0]) / (up[i] - down[i])
    return slopes


def relative_error(value: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(value - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("engine", ALWAYS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradient_agrees_with_central_differences(engine: str, activation: str) -> None:
    for output, loss, regularisation in itertools.product(OUTPUTS, LOSSES, REGULARISATIONS):
        net, plan, data = problem(activation, output, loss, regularisation)
        numerical = central_differences("native", plan, net.parameters, data)
        exact = as_engine(engine).gradient(plan, net.parameters, data, STEP)[1]
        error = relative_error(exact, numerical)
        assert error < 1e-6, f"{output}, {loss}, {regularisation}: relative error {error:.1e}"


@pytest.mark.parametrize(("activation", "output", "loss", "regularisation"), CASES[:: len(REGULARISATIONS) + 1])
def test_the_two_engines_agree_on_loss_and_gradient(
    activation: str, output: str, loss: str, regularisation: str
) -> None:
    net, plan, data = problem(activation, output, loss, regularisation)
    (loss_a, a), (loss_b, b) = (as_engine(name).gradient(plan, net.parameters, data, STEP) for name in ALWAYS)
    assert loss_a == pytest.approx(loss_b, rel=1e-12)
    assert relative_error(a, b) < 1e-12


def test_central_differences_reject_a_wrong_derivative() -> None:
    """The tolerance is one that a derivative wrong by a thousandth fails, for every activation."""
    for name, record in HIDDEN.items():
        net, plan, data = problem(name, "identity", "squared_error", "none")
        wrong = dataclasses.replace(record, derivative=lambda Z, A, r=record: 1.001 * r.derivative(Z, A))
        layers = net.layers
        layers = tuple(dataclasses.replace(layer, activation=wrong) for layer in layers[:-1]) + layers[-1:]
        numerical = central_differences("native", plan, net.parameters, data)
        exact = as_engine("reference").gradient(dataclasses.replace(plan, shape=Shape(layers)), net.parameters, data)[1]
        assert relative_error(exact, numerical) > 1e-5, name


def test_gradient_of_the_public_function_by_hand() -> None:
    """One linear neuron: loss (w x + b - y)^2 / 2 at w = 2, b = 0, x = 3, y = 5."""
    import fallline as fl

    for engine in ALWAYS:
        g = fl.gradient(Network([1, 1], parameters=[2.0, 0.0]), [[3.0]], [5.0], "quadratic", l2=0.5, engine=engine)
        assert g.loss == pytest.approx(0.5 + 0.25 * 4)
        assert g.dW[0].item() == pytest.approx(3.0 + 0.5 * 2)
        assert g.db[0].item() == pytest.approx(1.0)
        assert np.shares_memory(g.block, g.dW[0])


@pytest.mark.parametrize("n", [1_000_000, 3_000_000])
def test_the_gradient_of_millions_of_rows_in_float32(n: int) -> None:
    """Every row says the same, so the mean is what one row says, however many there are."""
    import fallline as fl

    X, y = np.full((n, 1), 0.1, dtype=np.float32), np.ones(n, dtype=np.float32)
    for engine, rtol in (("native", 3e-5), ("reference", 2e-3)):  # the reference leaves the sum to NumPy's BLAS
        g = fl.gradient(Network([1, 1], parameters=[0.0, 0.0]), X, y, engine=engine)
        np.testing.assert_allclose(g.block, [-0.2, -2.0], rtol=rtol)

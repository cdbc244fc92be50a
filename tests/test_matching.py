"""Neurons in another network's order: the same function, and the order found again."""

from __future__ import annotations

import numpy as np
import pytest

import fallline as fl
from fallline.matching import match_neurons
from fallline.surfaces import barrier

RNG = np.random.default_rng(8)
X = RNG.standard_normal((40, 6))


def shuffled(net: fl.Network, flip: bool) -> fl.Network:
    """Its neurons in another order; with `flip` half of them with the other sign."""
    other = net.copy()
    for l, layer in enumerate(net.layers[:-1]):
        order = RNG.permutation(layer.n_out)
        sign = RNG.choice([-1, 1], layer.n_out) if flip else np.ones(layer.n_out)
        other.W[l], other.b[l] = other.W[l][:, order] * sign, other.b[l][order] * sign
        other.W[l + 1] = other.W[l + 1][order] * sign[:, None]
    return other


@pytest.mark.parametrize("activation", sorted(fl.activations.HIDDEN))
@pytest.mark.parametrize("hidden", [(), (1,), (7,), (9, 5), (6, 6, 6)])
def test_a_network_s_own_order_is_found_again(activation: str, hidden: tuple[int, ...]) -> None:
    net = fl.Network([6, *hidden, 2], activation, seed=2, dtype="float64")
    net.parameters = RNG.standard_normal(len(net.parameters))
    other = shuffled(net, flip=activation in ("tanh", "identity"))
    np.testing.assert_allclose(other(X), net(X), atol=1e-12)
    np.testing.assert_allclose(match_neurons(other, net).parameters, net.parameters)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_the_function_stays_and_the_distance_shrinks(activation: str) -> None:
    one, other = (fl.Network([6, 20, 10, 2], activation, seed=seed, dtype="float64") for seed in (1, 2))
    before = other.parameters.copy()
    matched = match_neurons(other, one)
    np.testing.assert_allclose(matched(X), other(X), atol=1e-12)
    assert (other.parameters == before).all()
    assert np.linalg.norm(matched.parameters - one.parameters) < np.linalg.norm(other.parameters - one.parameters)


def test_matching_takes_a_barrier_away() -> None:
    y = np.sin(X[:, 0]) + X[:, 1] ** 2
    runs = [fl.descend(fl.Network([6, 32, 1], "tanh", seed=seed), X, y, epochs=200) for seed in (1, 2)]
    one, other = (run.network for run in runs)
    assert barrier(one, match_neurons(other, one), X, y).height < 0.5 * barrier(one, other, X, y).height


@pytest.mark.parametrize("broken", [0, 1])
def test_networks_that_are_not_finite_are_refused(broken: int) -> None:
    nets = [fl.Network([2, 3, 1]), fl.Network([2, 3, 1])]
    nets[broken].b[0] = np.nan
    with pytest.raises(fl.ParameterError, match="parameters that are not finite"):
        match_neurons(*nets)


def test_networks_of_other_layers_are_refused() -> None:
    with pytest.raises(fl.ParameterError, match="differ in their layers"):
        match_neurons(fl.Network([2, 3, 1]), fl.Network([2, 4, 1]))

"""Dead and saturated neurons: made on purpose, and told from healthy ones."""

from __future__ import annotations

import numpy as np
import pytest

import fallline as fl
from fallline import units
from fallline.units import dead_units, saturated_units

RNG = np.random.default_rng(3)
X = RNG.standard_normal((50, 4))


def network(activation: str, bias: float, neuron: int = 2) -> fl.Network:
    """Two hidden layers; the first has one neuron with a bias of its own."""
    net = fl.Network([4, 6, 5, 1], activation, seed=1, dtype="float64")
    net.b[0][neuron] = bias
    return net


@pytest.mark.parametrize("activation", sorted(fl.activations.HIDDEN))
def test_healthy_neurons_are_neither(activation: str) -> None:
    net = network(activation, 0.0)
    for found in (dead_units(net, X), saturated_units(net, X)):
        assert [layer.shape for layer in found] == [(6,), (5,)]
        assert not np.concatenate(found).any()


def test_a_relu_neuron_far_below_zero_is_dead() -> None:
    net = network("relu", -100.0)
    assert np.flatnonzero(dead_units(net, X)[0]).tolist() == [2]
    gradient = fl.gradient(net, X, np.zeros(50))
    assert (gradient.dW[0][:, 2] == 0).all(), "that is what is meant by it"
    assert (np.delete(gradient.dW[0], 2, axis=1) != 0).any(axis=0).all()


def test_one_row_that_a_neuron_answers_brings_it_to_life() -> None:
    net = network("relu", -100.0)
    row = 1000 * net.W[0][:, 2]
    assert not dead_units(net, np.vstack([X, row]))[0][2]


@pytest.mark.parametrize("activation", ["leaky_relu", "elu", "softplus"])
def test_below_zero_others_live_on(activation: str) -> None:
    assert not dead_units(network(activation, -20.0), X)[0].any()


def test_neurons_that_give_zero_but_pass_the_gradient_on_are_not_dead() -> None:
    net = fl.Network([4, 3, 1], "tanh")
    net.W[0] = 0
    assert (net.forward(X).A[0] == 0).all()
    assert not dead_units(net, X)[0].any()


@pytest.mark.parametrize("bias", [-30.0, 30.0])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_neurons_at_either_end_are_saturated(activation: str, bias: float) -> None:
    assert np.flatnonzero(saturated_units(network(activation, bias), X)[0]).tolist() == [2]


def test_no_end_no_saturation() -> None:
    assert not saturated_units(network("relu", 100.0), X)[0].any()


def test_saturated_means_on_more_than_half_of_the_rows() -> None:
    net = fl.Network([1, 1, 1], "sigmoid", parameters=[1.0, 0.0, 1.0, 0.0])
    edge = np.log(0.995 / 0.005)  # where sigmoid(z) is 0.995
    inside, beyond = [edge - 0.01], [edge + 0.01]
    assert not saturated_units(net, [inside, inside, beyond, beyond])[0][0]
    assert saturated_units(net, [inside, [-beyond[0]], beyond])[0][0]


def test_many_rows_are_seen_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network("relu", -1.5)
    expected = [(A == 0).all(axis=0).tolist() for A in net.forward(X).A[:-1]]
    flat = fl.Network([4, 40, 1], "tanh", seed=2)
    flat.W[0] *= 6
    near = (np.abs(flat.forward(X).A[0]) > 0.99).mean(axis=0) > 0.5
    assert 0 < near.sum() < 40
    for rows in (1, 7, 50):
        monkeypatch.setattr(units, "ROWS_AT_A_TIME", rows)
        assert [layer.tolist() for layer in dead_units(net, X)] == expected
        assert saturated_units(flat, X)[0].tolist() == near.tolist()


def test_without_hidden_layers_there_is_nothing_to_tell() -> None:
    assert dead_units(fl.Network([4, 1]), X) == saturated_units(fl.Network([4, 1]), X) == []


def test_rows_are_needed() -> None:
    for tell in (dead_units, saturated_units):
        with pytest.raises(fl.DataError, match="no rows"):
            tell(network("relu", 0.0), np.empty((0, 4)))
        with pytest.raises(fl.DataError, match="the network takes"):
            tell(network("relu", 0.0), np.empty((3, 5)))

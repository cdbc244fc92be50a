"""Neurons that have stopped learning: dead ones, which never answer, and saturated ones, which are stuck at an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.activations import Activation
from fallline.errors import DataError
from fallline.network import Network

Array = npt.NDArray[Any]

NEAR_THE_END = 0.99  # of the way from the middle of an activation's range to its end
MOST_ROWS = 0.5  # a unit is saturated where it is near an end on more than this share of the rows
CENTER_AND_REACH = {"sigmoid": (0.5, 0.5), "tanh": (0.0, 1.0)}  # activations with two ends
ROWS_AT_A_TIME = 4096


def dead_units(network: Network, X: npt.ArrayLike) -> list[Array]:
    """Which hidden neurons give 0, and pass no gradient on, for every one of some rows.

    No step of a descent on these rows changes the weights of such a neuron, so it stays as it is. It happens to `relu`,
    whose derivative is 0 below 0; of the others only where their tails round to 0.

    Parameters
    ----------
    network : Network
    X : array of shape (n, n_in)

    Returns
    -------
    list of array of bool, shape (n_out_l,)
        One for each hidden layer.

    Raises
    ------
    DataError
        There are no rows, or they do not fit the network.

    References
    ----------
    Lu et al. 2020, Dying ReLU and initialization: theory and numerical examples.

    Examples
    --------
    >>> net = Network([1, 2, 1], parameters=[1.0, 1.0, 0.0, -9.0, 1.0, 1.0, 0.0])
    >>> [dead.tolist() for dead in dead_units(net, [[-1.0], [1.0]])]
    [[False, True]]
    """
    dead = [np.ones(layer.n_out, dtype=bool) for layer in network.layers[:-1]]
    for l, activation, Z, A in _hidden_values(network, X):
        dead[l] &= ((A == 0) & (activation.derivative(Z, A) == 0)).all(axis=0)
    return dead


def saturated_units(network: Network, X: npt.ArrayLike) -> list[Array]:
    """Which hidden neurons are near an end of their range, where they hardly learn, for most of some rows.

    An end is one that both sides have: below 0.005 or above 0.995 for `sigmoid`, beyond 0.99 for `tanh`. Other
    activations do not saturate in this sense, and all their neurons are False.

    Parameters
    ----------
    network, X
        As in `dead_units`.

    Returns
    -------
    list of array of bool, shape (n_out_l,)
        One for each hidden layer.

    Raises
    ------
    DataError
        As from `dead_units`.

    References
    ----------
    Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.

    Examples
    --------
    >>> net = Network([1, 2, 1], "tanh", parameters=[1.0, 9.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    >>> [saturated.tolist() for saturated in saturated_units(net, [[-1.0], [1.0]])]
    [[False, True]]
    """
    n_rows = 0
    times = [np.zeros(layer.n_out, dtype=np.int64) for layer in network.layers[:-1]]
    for l, activation, _, A in _hidden_values(network, X):
        n_rows += len(A) if l == 0 else 0
        if activation.name in CENTER_AND_REACH:
            center, reach = CENTER_AND_REACH[activation.name]
            times[l] += (np.abs(A - center) > NEAR_THE_END * reach).sum(axis=0)
    return [near > MOST_ROWS * n_rows for near in times]


def _hidden_values(network: Network, X: npt.ArrayLike) -> Iterator[tuple[int, Activation, Array, Array]]:
    """Number, activation, Z and A of each hidden layer, for some rows at a time, so that memory stays bounded."""
    rows = network.checked_rows(X)
    if not len(rows):
        raise DataError("there are no rows; give at least one")
    for first in range(0, len(rows), ROWS_AT_A_TIME):
        values = network.forward(rows[first : first + ROWS_AT_A_TIME])
        for l, layer in enumerate(network.layers[:-1]):
            yield l, layer.activation, values.Z[l], values.A[l]

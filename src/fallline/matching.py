"""Neurons that play the same part: the hidden ones of a network, put in the order of another's.

Hidden neurons may change places, with all their weights, and the network says the same as before. So two descents that
found the same valley seldom end at the same point. Matching brings them together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.network import Network

Array = npt.NDArray[Any]

ODD = ("tanh", "identity")  # f(-z) = -f(z), so a neuron may change its sign as well
MOST_ROUNDS = 20


def match_neurons(network: Network, to: Network) -> Network:
    """The same network, its hidden neurons in the order of those of another that they are most like.

    How alike two neurons are is the scalar product of their weights: those of the neurons before, the bias, and those
    to the neurons after. Each layer's order is the best there is (a linear assignment) while those of the other layers
    stand, round after round until nothing changes, or 20 times.

    Parameters
    ----------
    network, to : Network
        Of the same layers.

    Returns
    -------
    Network
        A copy. It gives the same outputs as `network`, up to rounding.

    Raises
    ------
    ParameterError
        The networks differ in their layers, or hold numbers that are not finite.

    References
    ----------
    Ainsworth, Hayase & Srinivasa 2023, Git Re-Basin: merging models modulo permutation symmetries, section 3.2.

    Examples
    --------
    >>> net = Network([2, 3, 1], seed=1)
    >>> swapped = net.copy()
    >>> swapped.W[0], swapped.W[1] = net.W[0][:, [2, 0, 1]], net.W[1][[2, 0, 1]]
    >>> bool((match_neurons(swapped, net).parameters == net.parameters).all())
    True
    """
    if network.shape != to.shape:
        raise ParameterError(f"the networks differ in their layers: {network!r} and {to!r}")
    for each in (network, to):
        if not np.isfinite(each.parameters).all():
            raise ParameterError(f"{each!r} has parameters that are not finite; only sound networks can be matched")
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    matched = network.copy()
    W, b = matched.W, matched.b
    for round_number in range(MOST_ROUNDS):
        changed = False
        for l in range(len(W) - 1):
            alike = to.W[l].T @ W[l] + np.outer(to.b[l], b[l])  # (to's neurons, its own)
            if round_number or l + 2 == len(W):  # at first a layer after this one has no order yet
                alike += to.W[l + 1] @ W[l + 1].T
            odd = network.layers[l].activation.name in ODD
            order = linear_sum_assignment(np.abs(alike) if odd else alike, maximize=True)[1]
            sign = np.where(odd & (alike[np.arange(len(order)), order] < 0), -1, 1).astype(network.dtype)
            if (order == np.arange(len(order))).all() and (sign > 0).all():
                continue
            W[l], b[l], W[l + 1] = W[l][:, order] * sign, b[l][order] * sign, W[l + 1][order] * sign[:, None]
            changed = True
        if not changed:
            break
    return matched

"""The gradient of a loss for every weight and bias of a network, from either engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from fallline.engines import Data, Engine, Plan, Start, as_engine
from fallline.losses import Loss, as_loss
from fallline.network import Network, views
from fallline.optimizers import SGD
from fallline.params import PARAMS

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Gradient:
    """The gradient of a loss at a network's parameters.

    Attributes
    ----------
    loss : float
        Penalties included.
    block : array of shape (P,)
        Laid out like `Network.parameters`.
    dW, db : list of arrays
        Views of `block`, shaped like `Network.W` and `Network.b`.
    """

    loss: float
    block: Array
    dW: list[Array]
    db: list[Array]


def gradient(
    net: Network,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Loss | str = "auto",
    sample_weight: npt.ArrayLike | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    engine: Engine | str = "native",
    threads: int | str | None = None,
) -> Gradient:
    """Backpropagation: the gradient of the loss over some rows.

    Parameters
    ----------
    net : Network
    X : array of shape (n, n_in)
    y : array of shape (n,) or (n, n_targets)
        Targets; classes as whole numbers where the network has several outputs.
    loss : Loss or str, default "auto"
        See `fallline.losses`; "auto" follows the output: squared error for identity, cross-entropy otherwise.
    sample_weight : array of shape (n,), optional
    l1, l2 : float, default 0
        Penalties `l1 * sum |W| + l2 / 2 * sum W^2` over all weights (not the biases).
    engine : {"native", "reference"} or Engine, default "native"
    threads : int, "auto" or None, default None
        How many the compiled core uses; None and "auto" mean as many as the process may use. The result is the same.

    Returns
    -------
    Gradient

    Raises
    ------
    DataError, ParameterError
        The data do not fit the network or the loss; a setting is out of range.

    References
    ----------
    Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors.

    Examples
    --------
    >>> net = Network([1, 1], parameters=[2.0, 0.0])
    >>> g = gradient(net, [[3.0]], [5.0], loss="quadratic")
    >>> g.loss, g.dW[0].tolist(), g.db[0].tolist()
    (0.5, [[3.0]], [1.0])
    """
    record = as_loss(loss, net.output)
    data = Data.of(net, record, X, y, sample_weight)
    start = Start(l1=PARAMS["l1"].check(l1), l2=PARAMS["l2"].check(l2))
    plan = Plan(net.shape, record, SGD(), batch_size=len(data.X), starts=(start,))
    value, block = as_engine(engine, threads).gradient(plan, net.parameters, data)
    return Gradient(value, block, *views(net.shape, block))

"""Which inputs moved an answer: integrated gradients, by backpropagation to what the first layers take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.explanation.answer import Answer, output_names
from fallline.network import Layer, LayerValues, Network, views

Array = npt.NDArray[Any]

FIRST_POINTS, MOST_POINTS = 16, 1 << 14
BLOCK = 256  # points that are computed at once
TOLERANCE = 1e-4  # of what the answer has moved


@dataclass(frozen=True)
class Contributions:
    """How far each column moved the answer away from that for the typical row.

    Attributes
    ----------
    of : str
        What moved: the model's answer, or log-odds.
    method : {"exact", "integrated gradients"}
    points : int
        On the straight line from the typical row, ends included; 0 where none are needed.
    answer, baseline : float
        For the row, and for the typical row.
    columns : dict of str to float
        By name of the column.
    total : float
        Their sum, which ought to be `answer - baseline`.
    complete : bool
        Whether it is, within a ten-thousandth.
    """

    of: str
    method: str
    points: int
    answer: float
    baseline: float
    columns: dict[str, float]
    total: float
    complete: bool


class Exactly:
    """A network in float64, from what the first layer takes to its output, and back."""

    def __init__(self, network: Network) -> None:
        self.layers: tuple[Layer, ...] = network.layers
        self.W, self.b = views(network.shape, network.parameters.astype(np.float64))

    def forward(self, F: Array) -> LayerValues:
        """Every layer's Z and A, of F of shape (n, n_in)."""
        values, A = LayerValues([], []), F
        for layer, W, b in zip(self.layers, self.W, self.b, strict=True):
            Z = A @ W + b
            A = layer.activation.value(Z)
            values.Z.append(Z)
            values.A.append(A)
        return values

    def backward(self, values: LayerValues, dA: Array) -> Array:
        """The gradient for F, given that for the output."""
        for layer, W, Z, A in zip(self.layers[::-1], self.W[::-1], values.Z[::-1], values.A[::-1], strict=True):
            dA = layer.activation.backward(dA, Z, A) @ W.T
        return dA


def mean_output(shares: Sequence[float], values: Sequence[LayerValues]) -> Array:
    """What networks say together, shape (n, n_out)."""
    return np.asarray(sum(share * each.A[-1] for share, each in zip(shares, values, strict=True)))


def contributions(
    networks: Sequence[Exactly],
    shares: Sequence[float],
    answer: Answer,
    F: Sequence[Array],
    typical: Sequence[Array],
    columns: Sequence[Sequence[str]],
) -> Contributions:
    """How far each column moved the answer.

    Without hidden layers this is exact: a number is a sum of products already, and so are the log-odds of one network.
    Otherwise the gradient is averaged along the straight line from the typical row to the row, in the space of all that
    the first layers take (Sundararajan, Taly & Yan 2017), by the trapezoidal rule with ever more points.

    Parameters
    ----------
    networks : sequence of Exactly
    shares : sequence of float
    answer : Answer
    F, typical : sequence of arrays of shape (1, n_in)
        What the first layer of each network takes, of the row and of the typical row.
    columns : sequence of sequences of str
        The column that each of these numbers comes from.

    Returns
    -------
    Contributions
    """
    ends = [mean_output(shares, [net.forward(x) for net, x in zip(networks, at, strict=True)]) for at in (F, typical)]
    linear, target = all(len(net.layers) == 1 for net in networks), answer.target
    if linear and len(networks) == 1 and target.task == "classification":
        return _of_log_odds(networks[0], answer, ends[0], F[0], typical[0], columns[0])
    at_row, at_typical = (float(answer.value(A)[0]) for A in ends)

    def gradients(points: Array) -> list[Array]:
        """The sum over points of the gradient for what each first layer takes."""
        sums = [np.zeros(x.shape[1]) for x in F]
        for start in range(0, len(points), BLOCK):
            t = points[start : start + BLOCK, None]
            values = [net.forward(o + t * (x - o)) for net, x, o in zip(networks, F, typical, strict=True)]
            dA = answer.gradient(mean_output(shares, values))
            for total, net, share, each in zip(sums, networks, shares, values, strict=True):
                total += net.backward(each, share * dA).sum(axis=0)
        return sums

    def times_distance(mean: Sequence[Array]) -> list[Array]:
        return [(x - o)[0] * g for x, o, g in zip(F, typical, mean, strict=True)]

    moved, close = at_row - at_typical, 1e-9 * max(abs(at_row), abs(at_typical))
    exact = linear and target.task == "regression" and not target.log and not target.quantiles
    n = 1
    mean = [total / 2 for total in gradients(np.array([0.0, 1.0]))]
    each = times_distance(mean)
    while not exact and n < MOST_POINTS:
        if n >= FIRST_POINTS and abs(sum(x.sum() for x in each) - moved) <= TOLERANCE * abs(moved) + close:
            break
        between = gradients((np.arange(n) + 0.5) / n)
        mean, n = [(g + m / n) / 2 for g, m in zip(mean, between, strict=True)], 2 * n
        each = times_distance(mean)
    by_column = _by_column(each, columns)
    total = sum(by_column.values())
    complete = abs(total - moved) <= TOLERANCE * abs(moved) + close
    method, points = ("exact", 0) if exact else ("integrated gradients", n + 1)
    return Contributions(answer.name, method, points, at_row, at_typical, by_column, total, complete)


def _of_log_odds(
    network: Exactly, answer: Answer, A: Array, F: Array, typical: Array, columns: Sequence[str]
) -> Contributions:
    """Of one network without hidden layers: the sum of products behind the odds of an output against its rival."""
    names, j = output_names(answer.target), answer.output
    W, b = network.W[0][:, j], network.b[0][j]
    rival = f"not {names[j]}"
    if not answer.each:
        r = int(np.where(np.arange(A.shape[1]) == j, -1, A[0]).argmax())
        W, b, rival = W - network.W[0][:, r], b - network.b[0][r], names[r]
    row, base = (float(answer.sharpness * ((x @ W)[0] + b)) for x in (F, typical))
    by_column = _by_column([answer.sharpness * (F - typical)[0] * W], [columns])
    total = sum(by_column.values())
    complete = bool(np.isclose(total, row - base, rtol=TOLERANCE, atol=1e-9))
    return Contributions(f"log-odds of {names[j]} against {rival}", "exact", 0, row, base, by_column, total, complete)


def _by_column(each: Sequence[Array], columns: Sequence[Sequence[str]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for values, names in zip(each, columns, strict=True):
        for name, value in zip(names, values.tolist(), strict=True):
            sums[name] = sums.get(name, 0.0) + value
    return sums

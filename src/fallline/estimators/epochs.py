"""scikit-learn's multi-layer perceptron in the engine's terms: its objective, its moments, and an epoch at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse  # type: ignore[import-untyped]
import scipy.special  # type: ignore[import-untyped]
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer  # type: ignore[import-untyped]

from fallline import activations
from fallline.engines import Data, Plan, Start, State
from fallline.engines.native import NativeEngine
from fallline.losses import BinaryCrossEntropy, CategoricalCrossEntropy, Loss, Poisson, Quadratic
from fallline.network import Layer, Shape, views
from fallline.optimizers import SGD, Adam, StepRule

Array = npt.NDArray[Any]

SLICE = 0.1  # seconds between looks for Ctrl-C
BUFFER = 64 << 20  # bytes of rows that are made dense at a time, where a batch takes no more
ALMOST_1 = math.nextafter(1, 0)

# Our names of its output activations; an exponential the loss applies itself.
_OUTPUTS = {"softmax": "softmax", "logistic": "sigmoid", "identity": "identity", "exp": "identity"}


@functools.lru_cache(maxsize=64)
def shape_of(sizes: tuple[int, ...], activation: str, out_activation: str) -> Shape:
    """The network that has so many neurons in its layers, inputs first, with activations by scikit-learn's names."""
    hidden = activations.hidden("sigmoid" if activation == "logistic" else activation)
    records = [hidden] * (len(sizes) - 2) + [activations.output(_OUTPUTS[out_activation])]
    return Shape(tuple(Layer(*pair, record) for pair, record in zip(pairwise(sizes), records, strict=True)))


def block_of(coefs: Sequence[Array], intercepts: Sequence[Array], dtype: npt.DTypeLike) -> Array:
    """Weights and biases as one block, shape (P,)."""
    parts = [part.ravel() for pair in zip(coefs, intercepts, strict=True) for part in pair]
    return np.concatenate(parts, dtype=dtype)


def dense_blocks(X: Any, dtype: npt.DTypeLike) -> Iterator[tuple[slice, Array]]:
    """Rows as the engine takes them, some at a time where X is sparse, and which they are."""
    if not scipy.sparse.issparse(X):
        yield slice(0, len(X)), np.ascontiguousarray(X, dtype=dtype)
        return
    X, size = X.tocsr(), rows_in(BUFFER, X.shape[1], dtype)
    for first in range(0, X.shape[0], size):
        which = slice(first, min(first + size, X.shape[0]))
        yield which, X[which].astype(dtype, copy=False).toarray(order="C")


def rows_in(n_bytes: int, n_columns: int, dtype: npt.DTypeLike) -> int:
    """How many rows so many bytes hold, at least one."""
    return max(1, n_bytes // (n_columns * np.dtype(dtype).itemsize))


def total_weight(weight: Array) -> float:
    """Sum of the weights of rows whose losses are averaged; the error that scikit-learn gives where it is 0."""
    total = float(weight.sum(dtype=np.float64))
    if total == 0:
        raise ZeroDivisionError("Weights sum to zero, can't be normalized")
    return total


@dataclass(frozen=True)
class Objective:
    """What scikit-learn minimises: the mean over the rows of their losses, plus `alpha / 2 * sum W^2 / weight`.

    It sums over the outputs where our losses are means, and of squared errors, whose gradient it sums, it reports the
    mean. A constant factor of the objective is left out in training: see `Epochs`.

    Attributes
    ----------
    loss : Loss
    slope : float
        What its gradient is multiplied by to be scikit-learn's.
    value : float
        And its value.
    is_poisson : bool
        Whether the value lacks the term that depends on the target alone.
    """

    loss: Loss
    slope: float
    value: float
    is_poisson: bool = False

    @classmethod
    def of(cls, out_activation: str, n_out: int, dtype: npt.DTypeLike) -> Objective:
        """That of a network by its last activation; scikit-learn clips probabilities as the dtype allows."""
        ceiling = -math.log(np.finfo(dtype).eps)
        if out_activation == "softmax":
            return cls(CategoricalCrossEntropy(ceiling=ceiling), 1, 1)
        if out_activation == "logistic":
            return cls(BinaryCrossEntropy(ceiling), n_out, n_out)
        if out_activation == "exp":
            return cls(Poisson(), n_out, n_out, is_poisson=True)
        return cls(Quadratic(), 1, 1 / n_out)

    def constants(self, Y: Array) -> Array | None:
        """What the loss of each row lacks, shape (n,), or None where it is nothing."""
        return (scipy.special.xlogy(Y, Y) - Y).sum(axis=1, dtype=np.float64) if self.is_poisson else None


class Epochs:
    """A network that goes down an epoch at a time.

    With `slope` the gradient is divided by a constant: then momentum goes the same way with a learning rate that is
    multiplied by it, and Adam with an epsilon that is divided. scikit-learn's velocity is in the parameters' units,
    ours in the gradient's: `velocity = -rate * m`, so where the rate changes m is changed against it.

    Parameters
    ----------
    shape : Shape
    objective : Objective
    alpha : float
    optimizer : SGDOptimizer or AdamOptimizer
        scikit-learn's: its settings, and its state.
    block : array of shape (P,)
    X : array or sparse matrix of shape (n, n_in)
    Y : array of shape (n, n_out)
    weight : array of shape (n,) or None
    batch_size : int
    """

    def __init__(
        self,
        shape: Shape,
        objective: Objective,
        alpha: float,
        optimizer: Any,
        block: Array,
        X: Any,
        Y: Array,
        weight: Array | None,
        batch_size: int,
    ) -> None:
        dtype = block.dtype
        self._shape, self._objective, self._optimizer = shape, objective, optimizer
        self._n, self._batch_size, self._diverged = int(X.shape[0]), batch_size, False
        self._is_adam, self._last_rate = isinstance(optimizer, AdamOptimizer), 0.0
        plan = Plan(
            shape,
            objective.loss,
            _rule(optimizer, objective.slope),
            batch_size=batch_size,
            shuffle=False,
            starts=(Start(l2=alpha / objective.slope),),
            penalties_per_row=True,
        )
        with np.errstate(over="ignore"):  # an infinite target shows in the loss
            self._Y = np.ascontiguousarray(Y, dtype=dtype)
        self._weight = None if weight is None else np.asarray(weight, dtype=dtype)
        self._constants = objective.constants(Y)
        self._X: Any = X.tocsr() if scipy.sparse.issparse(X) else np.ascontiguousarray(X, dtype=dtype)
        self._buffer: Data | None = None  # of rows that are made dense
        if scipy.sparse.issparse(X):
            batches = max(1, rows_in(BUFFER, X.shape[1], dtype) // batch_size)
            n = min(batches * batch_size, self._n)
            # the session looks once whether all weights are ones
            weight = np.ones(n, dtype) if self._weight is None else np.zeros(n, dtype)
            self._buffer = Data(np.zeros((n, X.shape[1]), dtype), np.zeros((n, self._Y.shape[1]), dtype), weight)
        weight = np.ones(self._n, dtype) if self._weight is None else self._weight
        self._session = NativeEngine().session(plan, block[None], self._buffer or Data(self._X, self._Y, weight))
        self._resume(plan.optimizer.n_moments, len(block), dtype)

    def epoch(self, order: Array | None) -> float:
        """Go through all rows in this order, or as they come; gives the loss as scikit-learn reports it."""
        rate = self._rate()
        if not self._is_adam and rate != self._last_rate:
            state = self._session.state()
            self._session.resume(State(state.step, state.moments * (self._last_rate / rate)))
        self._last_rate = rate
        total = 0.0
        for rows in self._portions(order):
            for group in self._groups(rows):
                if self._weight is not None:
                    total_weight(self._weight[group])
                total += self._go(group, rate)
        return total / self._n

    def block(self) -> Array:
        """The parameters, shape (P,); NaN where they diverged, as scikit-learn's become."""
        block: Array = self._session.parameters()[0]
        if self._diverged:
            block[...] = np.nan
        return block

    def save(self) -> None:
        """Hand the moments over to scikit-learn's optimizer."""
        state, slope, optimizer = self._session.state(), self._objective.slope, self._optimizer
        moments = state.moments[:, 0]
        if self._is_adam:
            optimizer.t = state.step
            optimizer.ms, optimizer.vs = self._parts(moments[0] * slope), self._parts(moments[1] * slope**2)
            if state.step:
                root = math.sqrt(1 - optimizer.beta_2**state.step)
                optimizer.learning_rate = optimizer.learning_rate_init * root / (1 - optimizer.beta_1**state.step)
        elif len(moments):
            optimizer.velocities = self._parts(moments[0] * -self._last_rate)

    def _rate(self) -> float:
        """Learning rate in the engine's terms, which is that of the epoch that begins."""
        if self._is_adam:
            return float(self._optimizer.learning_rate_init)
        return float(self._optimizer.learning_rate * self._objective.slope)

    def _resume(self, n_moments: int, n_parameters: int, dtype: npt.DTypeLike) -> None:
        """Take the moments over from scikit-learn's optimizer."""
        optimizer, slope = self._optimizer, self._objective.slope
        self._last_rate = self._rate()
        moments = np.empty((n_moments, 1, n_parameters), dtype)
        if self._is_adam:
            self._fill(moments[0, 0], optimizer.ms, 1 / slope)
            self._fill(moments[1, 0], optimizer.vs, 1 / slope**2)
        elif n_moments:
            self._fill(moments[0, 0], optimizer.velocities, -1 / self._last_rate)
        self._session.resume(State(optimizer.t if self._is_adam else 0, moments))

    def _parts(self, block: Array) -> list[Array]:
        """A block as scikit-learn keeps it: weights of all layers, then biases."""
        W, b = views(self._shape, block)
        return W + b

    def _fill(self, block: Array, parts: Sequence[Array], factor: float) -> None:
        for mine, part in zip(self._parts(block), parts, strict=True):
            np.multiply(part, factor, out=mine, casting="same_kind")

    def _portions(self, order: Array | None) -> Iterator[Array]:
        """Numbers of rows that the session can visit one after the other: all, or as many as the buffer holds."""
        rows = np.arange(self._n) if order is None else order
        buffer = self._buffer
        if buffer is None:
            self._session.visit(rows)
            yield rows
            return
        for first in range(0, self._n, len(buffer.X)):
            portion = rows[first : first + len(buffer.X)]
            n = len(portion)
            self._X[portion].astype(buffer.X.dtype, copy=False).toarray(out=buffer.X[:n])
            buffer.Y[:n] = self._Y[portion]
            if self._weight is not None:
                buffer.weight[:n] = self._weight[portion]
            self._session.visit(np.arange(n))
            yield portion

    def _groups(self, rows: Array) -> Iterator[Array]:
        """Rows whose batches weigh alike in the loss of an epoch: all of them, or each batch where rows have weights.

        For there each batch counts by its rows, not by their weights.
        """
        size = len(rows) if self._weight is None else self._batch_size
        for first in range(0, len(rows), size):
            yield rows[first : first + size]

    def _go(self, rows: Array, rate: float) -> float:
        """Steps over a group; gives its loss, penalty included, times its rows."""
        if self._diverged:
            return math.nan
        factors = np.full(-(-len(rows) // self._batch_size), rate)
        done, loss, penalties, weight = 0, 0.0, 0.0, 0.0
        while done < len(factors):
            part = self._session.run(factors[done:], SLICE)
            if part.diverged_step[0] >= 0:
                self._diverged = True
                return math.nan
            done += part.n_steps
            loss += float(part.loss_sum[0])
            penalties += float(part.penalty_sum[0])
            weight += float(part.weight_sum[0])
        total = self._objective.value * loss + self._objective.slope * penalties
        if self._constants is not None:
            constants = self._constants[rows]
            total += float(constants.sum() if self._weight is None else self._weight[rows] @ constants)
        return total * len(rows) / weight


def _rule(optimizer: Any, slope: float) -> StepRule:
    """Our step rule for scikit-learn's optimizer. A momentum of 1, which it allows, is the number next to it."""
    if isinstance(optimizer, AdamOptimizer):
        return Adam(
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon / slope,
            epsilon_hat=True,
        )
    momentum = min(float(optimizer.momentum), ALMOST_1)
    return SGD(momentum=momentum, nesterov=bool(optimizer.nesterov) and momentum > 0)

"""Losses (cost functions): how wrong the last layer is. One record each: value and gradient together, source.

Every loss is computed from Z, the values *before* the last activation, so nothing is clipped and nothing overflows. The
loss of one row is the mean over its outputs, as in PyTorch and scikit-learn, but for two that the books define as sums:
`Quadratic` (Nielsen's half of the summed squares) and `CategoricalCrossEntropy`. The loss of a batch is the weighted
mean over its rows.

Likelihood losses apply their own link where the network's output is `identity`: binary cross-entropy then takes Z for
log-odds, categorical cross-entropy for unnormalised log-probabilities, Poisson for the logarithm of the rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from fallline.activations import Activation, log_softmax, sigmoid, softmax, softplus
from fallline.errors import DataError, ParameterError, did_you_mean

Array = npt.NDArray[Any]


# What the likelihood losses apply themselves where the output is identity.
_LINKS: dict[str, Callable[[Array], Array]] = {
    "poisson": lambda Z: np.asarray(np.exp(Z)),
    "binary_cross_entropy": sigmoid,
    "categorical_cross_entropy": softmax,
}


class Loss(ABC):
    """What all losses share; each subclass is final.

    Attributes
    ----------
    name : str
        The name that users type.
    source : str
        Paper or book.
    """

    name: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        """Loss of each row and its gradient for that row's Z.

        Parameters
        ----------
        Z, A : array of shape (n, n_out)
            The last layer before and after its activation.
        Y : array of shape (n, n_targets)
            Targets, as `targets` returns them.
        output : Activation
            The last layer's activation: identity, sigmoid or softmax.

        Returns
        -------
        value : array of shape (n,)
        dZ : array of shape (n, n_out)
        """

    def predictions(self, A: Array, output: Activation) -> Array:
        """What the output means in units of the target: A, but where the loss applies a link of its own.

        Parameters
        ----------
        A : array of shape (n, n_out)
        output : Activation

        Returns
        -------
        array of shape (n, n_out)
        """
        return _LINKS[self.name](A) if output.name == "identity" and self.name in _LINKS else A

    def targets(self, y: npt.ArrayLike, n_out: int, dtype: npt.DTypeLike) -> Array:
        """Targets as a matrix, checked against the network.

        Parameters
        ----------
        y : array of shape (n,) or (n, n_targets)
            Numbers; or whole numbers `0 .. n_out - 1`, shape (n,), which mean classes where the network has several
            outputs.
        n_out : int
            Outputs of the network.
        dtype : numpy dtype
            Of the result.

        Returns
        -------
        Y : array of shape (n, n_targets)

        Raises
        ------
        DataError
            The shape or the values of `y` do not fit the loss and the network.
        """
        try:
            y = np.asarray(y)
        except ValueError:
            raise DataError("y must be a table of numbers, with rows of one length") from None
        if y.dtype.kind not in "fiub":
            raise DataError(f"y holds {y.dtype} values; the losses take numbers, or classes as whole numbers from 0")
        n_targets = self._n_targets(n_out)
        if y.ndim == 1 and n_targets > 1 and y.dtype.kind in "iu":
            Y = _one_hot(y, n_targets, dtype)
        else:
            with np.errstate(over="ignore"):  # beyond the dtype is infinite, and found below
                Y = (y[:, None] if y.ndim == 1 else y).astype(dtype)
        if Y.ndim != 2 or Y.shape[1] != n_targets:
            raise DataError(
                f"y has shape {y.shape}, but {self.name} with {n_out} outputs takes (n, {n_targets})"
                + (" or classes as whole numbers of shape (n,)" if n_targets > 1 else " or (n,)")
            )
        if not np.isfinite(Y).all():
            row = int(np.argwhere(~np.isfinite(Y))[0][0])
            raise DataError(f"y has {y[row]} in row {row}; targets must be finite numbers")
        return np.ascontiguousarray(self._checked(Y))

    def _n_targets(self, n_out: int) -> int:
        """Columns of Y for a network with `n_out` outputs."""
        return n_out

    def _checked(self, Y: Array) -> Array:
        """Y after the loss's own checks and changes."""
        return Y


@final
@dataclass(frozen=True)
class SquaredError(Loss):
    """Mean over the outputs of `(A - Y)^2`."""

    name = "squared_error"
    source = "Legendre 1805; Gauss 1809"

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        error = A - Y
        return (error * error).mean(axis=1), output.backward(2 * error / A.shape[1], Z, A)


@final
@dataclass(frozen=True)
class Quadratic(Loss):
    """Half the sum over the outputs of `(A - Y)^2`."""

    name = "quadratic"
    source = "Nielsen 2015, Neural Networks and Deep Learning, equation 26"

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        error = A - Y
        return 0.5 * (error * error).sum(axis=1), output.backward(error, Z, A)


@final
@dataclass(frozen=True)
class AbsoluteError(Loss):
    """Mean over the outputs of `|A - Y|`; the gradient at 0 is 0."""

    name = "absolute_error"
    source = "Laplace 1774"

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        error = A - Y
        return np.abs(error).mean(axis=1), output.backward(np.sign(error) / A.shape[1], Z, A)


@final
@dataclass(frozen=True)
class Huber(Loss):
    """Mean over the outputs of `error^2 / 2` up to `delta`, `delta (|error| - delta / 2)` beyond.

    Parameters
    ----------
    delta : float
        Where the parabola turns into a line, in the units of the target; positive.
    """

    delta: float = 1.0
    name = "huber"
    source = "Huber 1964"

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise ParameterError(f"huber's delta is {self.delta}; it must be positive")

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        error = A - Y
        inside = np.clip(error, -self.delta, self.delta)
        value = inside * (error - 0.5 * inside)
        return value.mean(axis=1), output.backward(inside / A.shape[1], Z, A)


@final
@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss, several quantiles at once.

    The outputs of one target stand together: output `t * len(quantiles) + q` is quantile q of target t. The loss is the
    mean over the outputs of `max(p (Y - A), (p - 1) (Y - A))`; the gradient where A equals Y is 0.

    Parameters
    ----------
    quantiles : tuple of float
        Each between 0 and 1; a single number is taken for a tuple of one.
    """

    quantiles: tuple[float, ...] = (0.5,)
    name = "quantile"
    source = "Koenker & Bassett 1978"

    def __post_init__(self) -> None:
        quantiles = (self.quantiles,) if isinstance(self.quantiles, float) else self.quantiles
        object.__setattr__(self, "quantiles", tuple(float(p) for p in quantiles))
        if not self.quantiles or not all(0 < p < 1 for p in self.quantiles):
            raise ParameterError(f"quantiles are {self.quantiles}; each must lie between 0 and 1")

    def _n_targets(self, n_out: int) -> int:
        if n_out % len(self.quantiles):
            raise ParameterError(f"{len(self.quantiles)} quantiles need a multiple of that many outputs, not {n_out}")
        return n_out // len(self.quantiles)

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        error = np.repeat(Y, len(self.quantiles), axis=1) - A
        p = np.tile(np.asarray(self.quantiles, dtype=A.dtype), Y.shape[1])
        value = np.maximum(p * error, (p - 1) * error)
        dA = np.where(error > 0, -p, np.where(error < 0, 1 - p, 0)).astype(A.dtype)
        return value.mean(axis=1), output.backward(dA / A.shape[1], Z, A)


@final
@dataclass(frozen=True)
class Poisson(Loss):
    """Mean over the outputs of `A - Y log(A)`, without the term that depends on Y alone; Y is a count or a rate."""

    name = "poisson"
    source = "McCullagh & Nelder 1989, Generalized Linear Models"

    def _checked(self, Y: Array) -> Array:
        if (Y < 0).any():
            raise DataError(f"y has {Y[Y < 0][0]:g}; the poisson loss takes counts or rates, 0 or more")
        return Y

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        n_out = A.shape[1]
        if output.name == "identity":
            rate, log_rate = np.exp(Z), Z
            dZ = rate - Y
        elif output.name == "sigmoid":
            rate, log_rate = A, -softplus(-Z)
            dZ = (A - Y) * sigmoid(-Z)
        else:
            rate, log_rate = A, log_softmax(Z)
            dZ = (A - Y) - A * (A - Y).sum(axis=1, keepdims=True)
        return (rate - Y * log_rate).mean(axis=1), dZ / n_out


@final
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Mean over the outputs of `-Y log(p) - (1 - Y) log(1 - p)`; Y lies between 0 and 1, one column a question.

    Parameters
    ----------
    ceiling : float, optional
        Greatest loss of an output that is reported, as where probabilities are clipped; the gradient does not know of
        it.
    """

    ceiling: float | None = None
    name = "binary_cross_entropy"
    source = "Bishop 2006, Pattern Recognition and Machine Learning, equation 5.21"

    def _checked(self, Y: Array) -> Array:
        return _between_0_and_1(Y, self.name)

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        n_out = A.shape[1]
        if output.name != "softmax":
            value = _reported(Y * softplus(-Z) + (1 - Y) * softplus(Z), self.ceiling)
            return value.mean(axis=1), ((1 - Y) * sigmoid(Z) - Y * sigmoid(-Z)) / n_out
        log_p = log_softmax(Z)
        log_q = _log_all_but(Z, log_p)  # log(1 - p), shape (n, n_out)
        value = _reported(-(Y * log_p + (1 - Y) * log_q), self.ceiling)
        # dp_j / dZ_i = p_i (1[i=j] - p_j); p_i / (1 - p_j) <= 1 for i != j, so each ratio is formed as one exponential
        k = Z.shape[1]
        ratio = np.exp(np.where(np.eye(k, dtype=bool), -np.inf, log_p[:, :, None] - log_q[:, None, :]))
        p = np.exp(log_p)
        dZ = -Y * np.exp(log_q) + (1 - Y) * p
        dZ += p * (Y.sum(axis=1, keepdims=True) - Y) - np.einsum("nij,nj->ni", ratio, (1 - Y) * p)
        return value.mean(axis=1), dZ / n_out


@final
@dataclass(frozen=True)
class CategoricalCrossEntropy(Loss):
    """`-sum over the classes of Y log(p)`; each row of Y holds the probabilities of the classes.

    With output sigmoid p is A divided by its sum.

    Parameters
    ----------
    label_smoothing : float
        Share of each row of Y that is spread evenly over the classes; from 0 up to, not including, 1.
    ceiling : float, optional
        Greatest loss of a row that is reported, as where probabilities are clipped; the gradient does not know of it.
    """

    label_smoothing: float = 0.0
    ceiling: float | None = None
    name = "categorical_cross_entropy"
    source = "Bishop 2006, equation 5.24; label smoothing: Szegedy et al. 2016"

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ParameterError(f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 1")

    def _checked(self, Y: Array) -> Array:
        Y = _between_0_and_1(Y, self.name)
        return np.asarray(Y * (1 - self.label_smoothing) + self.label_smoothing / Y.shape[1])

    def _n_targets(self, n_out: int) -> int:
        if n_out == 1:
            raise ParameterError(f"{self.name} needs two outputs or more; one output takes 'binary_cross_entropy'")
        return n_out

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        total = Y.sum(axis=1, keepdims=True)
        if output.name == "sigmoid":  # p = A / sum A is the softmax of log A
            log_A = -softplus(-Z)
            value = _reported(-(Y * log_softmax(log_A)).sum(axis=1), self.ceiling)
            return value, (total * softmax(log_A) - Y) * sigmoid(-Z)
        return _reported(-(Y * log_softmax(Z)).sum(axis=1), self.ceiling), total * softmax(Z) - Y


@final
@dataclass(frozen=True)
class OwnLoss(Loss):
    """A loss of your own; the reference engine computes it.

    Parameters
    ----------
    function : callable
        `(A, Y) -> (value, dA)` of outputs and targets, both of shape `(n, n_out)`: the loss of each row, shape `(n,)`,
        and its gradient for A, shape `(n, n_out)`. A descent compares the two by finite differences before it begins.

    Examples
    --------
    >>> def fourth_power(A, Y):
    ...     return ((A - Y) ** 4).sum(axis=1), 4 * (A - Y) ** 3
    >>> loss = OwnLoss(fourth_power)
    >>> loss.check_gradient(np.array([[0.0], [2.0]]), np.array([[1.0], [0.5]]))
    """

    function: Callable[[Array, Array], tuple[Array, Array]]
    name = "own"
    source = "the user"

    def value_and_gradient(self, Z: Array, A: Array, Y: Array, output: Activation) -> tuple[Array, Array]:
        value, dA = self._called(A, Y)
        return value, output.backward(dA, Z, A)

    def check_gradient(self, A: Array, Y: Array) -> None:
        """Compare the gradient with central differences, in float64, near some outputs.

        Parameters
        ----------
        A, Y : array of shape (n, n_out)
            Of a few rows.

        Raises
        ------
        ParameterError
            They differ, or the function gives other shapes.
        """
        A, Y = (values.astype(np.float64) for values in (A, Y))
        A = A + 0.01 * np.cos(np.arange(A.size)).reshape(A.shape)  # off the corners where outputs are all alike
        _, dA = self._called(A, Y)
        for j in range(A.shape[1]):
            step = np.zeros(A.shape[1])
            step[j] = 1e-5
            slope = (self._called(A + step, Y)[0] - self._called(A - step, Y)[0]) / 2e-5
            wrong = ~(np.abs(slope - dA[:, j]) <= 1e-3 * (1 + np.abs(slope)))
            if wrong.any():
                row = int(wrong.argmax())
                raise ParameterError(
                    f"the gradient of the loss is {dA[row, j]:.6g} for output {j} where A is {A[row].tolist()} and Y "
                    f"is {Y[row].tolist()}, but by finite differences it is {slope[row]:.6g}"
                )

    def _called(self, A: Array, Y: Array) -> tuple[Array, Array]:
        value, dA = (np.asarray(part) for part in self.function(A, Y))
        if value.shape != A.shape[:1] or dA.shape != A.shape:
            raise ParameterError(
                f"the loss gave shapes {value.shape} and {dA.shape}; of outputs of shape {A.shape} it must give "
                f"{A.shape[:1]} and {A.shape}"
            )
        return value, dA


LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (
        SquaredError,
        Quadratic,
        AbsoluteError,
        Huber,
        Poisson,
        Quantile,
        BinaryCrossEntropy,
        CategoricalCrossEntropy,
    )
}

_AUTO: dict[str, type[Loss]] = {
    "identity": SquaredError,
    "sigmoid": BinaryCrossEntropy,
    "softmax": CategoricalCrossEntropy,
}


def as_loss(loss: Loss | str, output: str) -> Loss:
    """The loss meant by a name, a `Loss`, or "auto", which follows the output activation.

    Examples
    --------
    >>> as_loss("auto", output="softmax")
    CategoricalCrossEntropy(label_smoothing=0.0, ceiling=None)
    """
    if isinstance(loss, Loss):
        return loss
    if loss == "auto":
        return _AUTO[output]()
    if loss not in LOSSES:
        raise ParameterError(f"loss {loss!r} is unknown{did_you_mean(loss, LOSSES)}")
    return LOSSES[loss]()


def settings(loss: Loss) -> dict[str, Any]:
    """The loss's name and parameters, for headers and messages; of one of your own its name."""
    if isinstance(loss, OwnLoss):
        return {"name": loss.name, "function": getattr(loss.function, "__name__", type(loss.function).__name__)}
    if LOSSES.get(loss.name) is not type(loss):
        return {"own": type(loss).__name__}
    return {"name": loss.name} | {field.name: getattr(loss, field.name) for field in fields(loss)}  # type: ignore[arg-type]


def _one_hot(classes: Array, n_classes: int, dtype: npt.DTypeLike) -> Array:
    outside = (classes < 0) | (classes >= n_classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise DataError(
            f"y has class {classes[row]} in row {row}; {n_classes} outputs mean classes 0 to {n_classes - 1}"
        )
    Y = np.zeros((len(classes), n_classes), dtype=dtype)
    Y[np.arange(len(classes)), classes] = 1
    return Y


def _between_0_and_1(Y: Array, name: str) -> Array:
    outside = (Y < 0) | (Y > 1)
    if outside.any():
        raise DataError(f"y has {Y[outside][0]:g}; {name} takes targets between 0 and 1")
    return Y


def _reported(value: Array, ceiling: float | None) -> Array:
    return value if ceiling is None else np.minimum(value, value.dtype.type(ceiling))


def _log_all_but(Z: Array, log_p: Array) -> Array:
    """`log(1 - p)` for the softmax p of Z: the log-sum-exp of all the other outputs, so that nothing cancels."""
    k = Z.shape[1]
    others = np.where(np.eye(k, dtype=bool), -np.inf, Z[:, None, :])  # (n, k, k): row j leaves out output j
    top = others.max(axis=2, keepdims=True)
    log_others = (top + np.log(np.exp(others - top).sum(axis=2, keepdims=True)))[:, :, 0]
    return np.asarray(log_others - Z + log_p)

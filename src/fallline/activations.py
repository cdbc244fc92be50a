"""Activations: what a neuron does to its weighted sum. One record each: value, derivative, start gain, source.

Hidden layers use any of `HIDDEN`; the last layer uses one of `OUTPUTS`. Here a function and its derivative stand side
by side so that they cannot drift apart; `native/kernels/activations.inl.hpp` says the same in C++.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError, did_you_mean

Array = npt.NDArray[Any]

LEAKY_SLOPE = 0.01
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@dataclass(frozen=True)
class Activation:
    """One activation, `A = value(Z)`.

    Attributes
    ----------
    name : str
        The name that users type.
    value : callable
        `(Z) -> A`, both of shape `(n, n_out)`.
    derivative : callable
        `(Z, A) -> dA/dZ`: shape `(n, n_out)` where each neuron depends on its own sum alone, else the Jacobian
        `(n, n_out, n_out)` with `[row, i, j] = dA_i / dZ_j`.
    start : str
        The random start that suits the layer (a name in `network.STARTS`).
    start_gain : float
        `1 / sqrt(E[value(z)^2])` for standard normal z where the He start is used, so that the second moment stays one
        from layer to layer; 1 elsewhere.
    source : str
        Paper or book.
    elementwise : bool
        False for softmax alone.
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]
    start: str
    start_gain: float
    source: str
    elementwise: bool = True

    def backward(self, dA: Array, Z: Array, A: Array) -> Array:
        """Chain rule through the activation: the loss's gradient for Z, given that for A; all `(n, n_out)`."""
        if self.elementwise:
            return np.asarray(dA * self.derivative(Z, A))
        return np.asarray(np.einsum("ni,nij->nj", dA, self.derivative(Z, A)))

    def __reduce__(self) -> tuple[Callable[[str], Activation], tuple[str]]:
        """Pickles and copies name it, as its functions cannot be pickled."""
        return _named, (self.name,)


def softplus(Z: Array) -> Array:
    """`log(1 + exp(Z))` without overflow, any shape."""
    return np.asarray(np.logaddexp(Z.dtype.type(0), Z))


def sigmoid(Z: Array) -> Array:
    """`1 / (1 + exp(-Z))` without overflow, any shape."""
    return np.asarray(np.exp(-softplus(-Z)))


def log_softmax(Z: Array) -> Array:
    """Logarithm of the softmax of each row of Z, shape `(n, n_out)`."""
    shifted = Z - Z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def softmax(Z: Array) -> Array:
    """Softmax of each row of Z, shape `(n, n_out)`; rows sum to one."""
    return np.asarray(np.exp(log_softmax(Z)))


def _softmax_jacobian(Z: Array, A: Array) -> Array:
    return np.asarray(A[:, :, None] * (np.eye(A.shape[1], dtype=A.dtype) - A[:, None, :]))


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _normal_cdf(Z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + _erf(Z / math.sqrt(2.0)))).astype(Z.dtype)


def _normal_pdf(Z: Array) -> Array:
    return np.asarray(np.exp(-0.5 * Z * Z) / math.sqrt(2.0 * math.pi))


def _exp_below(Z: Array) -> Array:
    """`exp(Z) - 1` where Z is negative, 0 elsewhere; nothing overflows."""
    return np.asarray(np.expm1(np.minimum(Z, 0)))


def _mish_derivative(Z: Array, A: Array) -> Array:
    t = np.tanh(softplus(Z))
    return np.asarray(t + Z * (1 - t * t) * sigmoid(Z))


def _silu_derivative(Z: Array, A: Array) -> Array:
    s = sigmoid(Z)
    return np.asarray(s * (1 + Z * (1 - s)))


_ACTIVATIONS = (
    Activation("identity", lambda Z: Z.copy(), lambda Z, A: np.ones_like(Z), "xavier", 1.0, "a linear neuron"),
    Activation("sigmoid", sigmoid, lambda Z, A: A * (1 - A), "xavier", 1.0, "Rumelhart, Hinton & Williams 1986"),
    Activation("tanh", np.tanh, lambda Z, A: 1 - A * A, "xavier", 1.0, "LeCun et al. 1998, Efficient BackProp"),
    Activation(
        "relu",
        lambda Z: np.maximum(Z, 0),
        lambda Z, A: (Z > 0).astype(Z.dtype),
        "he",
        math.sqrt(2.0),
        "Nair & Hinton 2010",
    ),
    Activation(
        "leaky_relu",
        lambda Z: np.where(Z > 0, Z, LEAKY_SLOPE * Z),
        lambda Z, A: np.where(Z > 0, 1, LEAKY_SLOPE).astype(Z.dtype),
        "he",
        math.sqrt(2.0 / (1.0 + LEAKY_SLOPE**2)),
        "Maas, Hannun & Ng 2013; slope 0.01",
    ),
    Activation(
        "elu",
        lambda Z: np.where(Z > 0, Z, _exp_below(Z)),
        lambda Z, A: np.where(Z > 0, 1, A + 1).astype(Z.dtype),
        "he",
        1.2451983,
        "Clevert, Unterthiner & Hochreiter 2016; alpha 1",
    ),
    Activation(
        "selu",
        lambda Z: SELU_SCALE * np.where(Z > 0, Z, SELU_ALPHA * _exp_below(Z)),
        lambda Z, A: np.where(Z > 0, SELU_SCALE, A + SELU_SCALE * SELU_ALPHA).astype(Z.dtype),
        "lecun",
        1.0,
        "Klambauer et al. 2017, Self-normalizing neural networks",
    ),
    Activation(
        "gelu",
        lambda Z: Z * _normal_cdf(Z),
        lambda Z, A: _normal_cdf(Z) + Z * _normal_pdf(Z),
        "he",
        1.5335304,
        "Hendrycks & Gimpel 2016; the exact form, with erf",
    ),
    Activation(
        "silu", lambda Z: Z * sigmoid(Z), _silu_derivative, "he", 1.6765325, "Elfwing, Uchibe & Doya 2018; also swish"
    ),
    Activation("mish", lambda Z: Z * np.tanh(softplus(Z)), _mish_derivative, "he", 1.4868476, "Misra 2020"),
    Activation("softplus", softplus, lambda Z, A: sigmoid(Z), "he", 1.0418669, "Dugas et al. 2001"),
)

HIDDEN: dict[str, Activation] = {activation.name: activation for activation in _ACTIVATIONS}

OUTPUTS: dict[str, Activation] = {
    "identity": HIDDEN["identity"],
    "sigmoid": HIDDEN["sigmoid"],
    "softmax": Activation("softmax", softmax, _softmax_jacobian, "xavier", 1.0, "Bridle 1990", elementwise=False),
}


def _named(name: str) -> Activation:
    return (HIDDEN | OUTPUTS)[name]


def hidden(name: str) -> Activation:
    """The record of a hidden layer's activation.

    Parameters
    ----------
    name : str
        One of `HIDDEN`.

    Returns
    -------
    Activation

    Raises
    ------
    ParameterError
        The name is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> hidden("relu").value(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    if name not in HIDDEN:
        raise ParameterError(f"activation {name!r} is unknown{did_you_mean(name, HIDDEN)}")
    return HIDDEN[name]


def output(name: str) -> Activation:
    """The record of the last layer's activation; `name` is one of `OUTPUTS`, else ParameterError.

    Examples
    --------
    >>> import numpy as np
    >>> output("softmax").value(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    if name not in OUTPUTS:
        raise ParameterError(f"output {name!r} is unknown{did_you_mean(name, OUTPUTS)}")
    return OUTPUTS[name]

"""Activations and losses for JAX, which finds the derivatives: those of `fallline.activations` and `fallline.losses`.

At a corner, where there is no derivative, JAX takes that of the branch that a `where` chooses; the branches are written
so that it is the one which the records have: 0 for relu at 0, for |x| at 0, for a quantile that is met.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from fallline.activations import LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE
from fallline.errors import ParameterError
from fallline.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Huber,
    Loss,
    Poisson,
    Quadratic,
    Quantile,
    SquaredError,
)


def _softplus(Z: jax.Array) -> jax.Array:
    return jnp.logaddexp(0.0, Z)


def _exp_below(Z: jax.Array) -> jax.Array:
    return jnp.expm1(jnp.where(Z > 0, 0.0, Z))


ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "identity": lambda Z: Z,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": lambda Z: jnp.where(Z > 0, Z, 0.0),
    "leaky_relu": lambda Z: jnp.where(Z > 0, Z, LEAKY_SLOPE * Z),
    "elu": lambda Z: jnp.where(Z > 0, Z, _exp_below(Z)),
    "selu": lambda Z: SELU_SCALE * jnp.where(Z > 0, Z, SELU_ALPHA * _exp_below(Z)),
    "gelu": lambda Z: jax.nn.gelu(Z, approximate=False),
    "silu": lambda Z: Z * jax.nn.sigmoid(Z),
    "mish": lambda Z: Z * jnp.tanh(_softplus(Z)),
    "softplus": _softplus,
    "softmax": lambda Z: jax.nn.softmax(Z, axis=1),
}


def losses(loss: Loss, Z: jax.Array, Y: jax.Array, output: str) -> jax.Array:
    """Loss of each row, from the last layer's Z.

    Parameters
    ----------
    loss : Loss
    Z : array of shape (n, n_out)
    Y : array of shape (n, n_targets)
    output : {"identity", "sigmoid", "softmax"}

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    ParameterError
        The loss is a user's own.
    """
    A = ACTIVATIONS[output](Z)
    if isinstance(loss, SquaredError):
        return ((A - Y) ** 2).mean(axis=1)
    if isinstance(loss, Quadratic):
        return 0.5 * ((A - Y) ** 2).sum(axis=1)
    if isinstance(loss, AbsoluteError):
        return jnp.abs(A - Y).mean(axis=1)
    if isinstance(loss, Huber):
        inside = jnp.clip(A - Y, -loss.delta, loss.delta)
        return (inside * (A - Y - 0.5 * inside)).mean(axis=1)
    if isinstance(loss, Quantile):
        error = jnp.repeat(Y, len(loss.quantiles), axis=1) - A
        p = jnp.tile(jnp.asarray(loss.quantiles, A.dtype), Y.shape[1])
        return jnp.where(error > 0, p * error, jnp.where(error < 0, (p - 1) * error, 0.0)).mean(axis=1)
    if isinstance(loss, Poisson):
        return (_rate(Z, A, output) - Y * _log_rate(Z, output)).mean(axis=1)
    if isinstance(loss, BinaryCrossEntropy):
        return _reported(_binary(Z, Y, output), loss.ceiling).mean(axis=1)
    if isinstance(loss, CategoricalCrossEntropy):
        log_p = jax.nn.log_softmax(-_softplus(-Z) if output == "sigmoid" else Z, axis=1)
        return _reported(-(Y * log_p).sum(axis=1), loss.ceiling)
    raise ParameterError(f"the xla engine has no loss {type(loss).__name__}; use engine='reference'")


def _rate(Z: jax.Array, A: jax.Array, output: str) -> jax.Array:
    return jnp.exp(Z) if output == "identity" else A


def _log_rate(Z: jax.Array, output: str) -> jax.Array:
    if output == "softmax":
        return jax.nn.log_softmax(Z, axis=1)
    return Z if output == "identity" else -_softplus(-Z)


def _binary(Z: jax.Array, Y: jax.Array, output: str) -> jax.Array:
    if output != "softmax":
        return Y * _softplus(-Z) + (1 - Y) * _softplus(Z)
    others = ~jnp.eye(Z.shape[1], dtype=bool)  # row j leaves out output j: log(1 - p) without cancelling
    log_others = jax.nn.logsumexp(jnp.broadcast_to(Z[:, None, :], (len(Z), *others.shape)), axis=2, where=others)
    log_all = jax.nn.logsumexp(Z, axis=1, keepdims=True)
    return -(Y * (Z - log_all) + (1 - Y) * (log_others - log_all))


def _reported(value: jax.Array, ceiling: float | None) -> jax.Array:
    """What is said to be the loss; the gradient does not know of the ceiling."""
    return value if ceiling is None else value + jax.lax.stop_gradient(jnp.minimum(value, ceiling) - value)

"""A network for JAX: its parameters as parts of the block, forward, and the loss of a batch."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from fallline.engines.plan import Plan
from fallline.engines.xla.formulas import ACTIVATIONS, losses
from fallline.inputs import Inputs
from fallline.network import Shape, views

Parts = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]  # of the inputs, W[l], b[l]


def parted(shape: Shape, theta: jax.Array) -> Parts:
    """Cut a block (P,) into what the inputs learn, W[l] and b[l]: a gradient for the parts costs no sums of blocks."""
    W, b = views(shape, theta)  # type: ignore[arg-type]
    inputs = [] if shape.inputs is None else list(shape.inputs.views(theta).values())  # type: ignore[arg-type]
    return inputs, W, b  # type: ignore[return-value]


def joined(parts: Parts) -> jax.Array:
    """The block (P,) that `parted` cut."""
    inputs, W, b = parts
    layers = [part.ravel() for pair in zip(W, b, strict=True) for part in pair]
    return jnp.concatenate([*(part.ravel() for part in inputs), *layers])


def last_sums(
    shape: Shape, parts: Parts, X: jax.Array, plan: Plan | None = None, masks: list[jax.Array] | None = None
) -> jax.Array:
    """Z of the last layer, shape (n, n_out).

    Parameters
    ----------
    shape : Shape
    parts
        See `parted`.
    X : array of shape (n, n_in)
    plan : Plan, optional
        Says which products are of operands rounded to bf16.
    masks : list of arrays of shape (n, n_out_l), optional
        Dropout: what each hidden layer's A is multiplied by.
    """
    inputs, W, b = parts
    values = X if shape.inputs is None else _taken(shape.inputs, inputs, X)
    last = len(shape.layers) - 1
    for l, layer in enumerate(shape.layers):
        rounds = plan is not None and plan.rounds(layer)
        Z = (_times_in_bf16(values, W[l]) if rounds else _times(values, W[l])) + b[l]
        if l == last:
            return Z
        values = ACTIVATIONS[layer.activation.name](Z)
        if masks is not None:
            values = values * masks[l].astype(values.dtype)
    raise AssertionError("a network has layers")


def mean_loss(
    plan: Plan,
    parts: Parts,
    X: jax.Array,
    Y: jax.Array,
    weight: jax.Array,
    masks: list[jax.Array] | None = None,
    total: jax.Array | None = None,
) -> jax.Array:
    """Weighted mean loss of a batch, penalties left out; 0 where the batch weighs nothing.

    Of rows that are a part of a batch, whose weight is `total`, what they add to it.
    """
    Z = last_sums(plan.shape, parts, X, plan, masks)
    if total is None:
        total = weight.sum()
    share = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1), 0)
    return share @ losses(plan.loss, Z, Y, plan.shape.layers[-1].activation.name)


def _taken(inputs: Inputs, parts: list[jax.Array], X: jax.Array) -> jax.Array:
    """What the first layer takes; see `Inputs.forward`."""
    part = dict(zip(inputs.shapes, parts, strict=True))
    E, first = inputs.embedded, inputs.embedded + inputs.plain
    x = X[:, :E, None]  # (n, E, 1)
    u = x * part["w"] + part["p"]
    turns = 2 * math.pi * (u - jax.lax.stop_gradient(jnp.rint(u)))  # (n, E, frequencies)
    waves = jnp.einsum("neh,eho->neo", jnp.cos(turns), part["M"], precision="highest") + part["c"]
    embedded = jnp.concatenate([x, waves], axis=2).reshape(len(X), -1)
    rows = [part[f"table.{j}"][X[:, first + j].astype(jnp.int32)] for j in range(len(inputs.tables))]
    taken: jax.Array = jnp.concatenate([embedded, X[:, E:first], *rows], axis=1) * part["scale"]
    return taken


def _times(A: jax.Array, B: jax.Array) -> jax.Array:
    return jnp.matmul(A, B, precision="highest")  # no shortcuts such as TF32: the other engines take none


@jax.custom_vjp
def _times_in_bf16(A: jax.Array, B: jax.Array) -> jax.Array:
    """A product of operands rounded to bf16, summed up in float32; so are those of its gradients."""
    if jax.default_backend() == "cpu":  # which has no such product: round, and multiply in float32
        return _times(*(jax.lax.reduce_precision(operand, exponent_bits=8, mantissa_bits=7) for operand in (A, B)))
    half = (operand.astype(jnp.bfloat16) for operand in (A, B))
    return jnp.matmul(*half, preferred_element_type=jnp.float32)


def _forward(A: jax.Array, B: jax.Array) -> tuple[jax.Array, Any]:
    return _times_in_bf16(A, B), (A, B)


def _backward(known: Any, dZ: jax.Array) -> tuple[jax.Array, jax.Array]:
    A, B = known
    return _times_in_bf16(dZ, B.T), _times_in_bf16(A.T, dZ)


_times_in_bf16.defvjp(_forward, _backward)

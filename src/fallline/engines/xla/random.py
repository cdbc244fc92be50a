"""Dropout masks on the device, drawn from the counters of `fallline.philox`: the same words in 32-bit arithmetic."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from fallline.philox import PURPOSE_DROPOUT

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def dropout_mask(
    position: jax.Array, n_out: int, rate: float, key: jax.Array, step: jax.Array, layer: int, start: jax.Array
) -> jax.Array:
    """Which neurons stay in a step for some rows of a batch, scaled so that the expected value stays.

    Parameters
    ----------
    position : array of int32, shape (n,)
        Of the rows in the batch; a row has the words from `position * n_out` on, see `fallline.philox.dropout_mask`.
    n_out : int
    rate : float
    key : array of uint32, shape (2,)
        The seed, its low half first.
    step, start : uint32 of shape ()
    layer : int

    Returns
    -------
    array of float32, shape (n, n_out)
    """
    first = position.astype(jnp.uint32)[:, None] * jnp.uint32(n_out)
    n_blocks = n_out // 4 if n_out % 4 == 0 else n_out // 4 + 2  # a row may begin and end within a block
    blocks = first // 4 + jnp.arange(n_blocks, dtype=jnp.uint32)
    same = jnp.zeros_like(blocks)
    counter = (blocks, same + step, same + (jnp.uint32(layer) + jnp.uint32(65536) * start), same + PURPOSE_DROPOUT)
    draws = jnp.stack(_philox(counter, key), axis=-1).reshape(len(position), 4 * n_blocks)
    if n_out % 4:
        draws = jnp.take_along_axis(draws, first % 4 + jnp.arange(n_out, dtype=jnp.uint32), axis=1)
    stays = draws >= jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    return jnp.where(stays, jnp.float32(1 / (1 - rate)), jnp.float32(0))


def _philox(counter: tuple[jax.Array, ...], key: jax.Array) -> tuple[jax.Array, ...]:
    c0, c1, c2, c3 = counter
    k0, k1 = key[0], key[1]
    for _ in range(10):
        (high0, low0), (high1, low1) = _product(c0, _MULTIPLIERS[0]), _product(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + jnp.uint32(_WEYL[0]), k1 + jnp.uint32(_WEYL[1])
    return c0, c1, c2, c3


def _product(a: jax.Array, b: int) -> tuple[jax.Array, jax.Array]:
    """High and low word of a product of two words, from products of their halves."""
    a0, a1 = a & 0xFFFF, a >> 16
    b0, b1 = jnp.uint32(b & 0xFFFF), jnp.uint32(b >> 16)
    low, middle, other = a0 * b0, a0 * b1, a1 * b0
    carry = (low >> 16) + (middle & 0xFFFF) + (other & 0xFFFF)
    return a1 * b1 + (middle >> 16) + (other >> 16) + (carry >> 16), a * jnp.uint32(b)

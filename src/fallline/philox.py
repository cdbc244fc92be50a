"""Counter-based random numbers, shared by all engines: the same seed gives every engine the same rows and masks.

Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a counter of four
32-bit words and a key of two into four random words; there is no state to carry, so any number of any epoch can be
drawn at once. `native/core/philox.hpp` is the same in C++.

The counter is `(block, a, b, purpose)`: rows of an epoch use `a` = epoch; dropout uses `a` = step and
`b` = layer + 65536 * start. Bits of `a` above the 32nd stand above the 8th bit of the word for the purpose. Word `i` of
a sequence is word `i % 4` of block `i // 4`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PURPOSE_ROWS, PURPOSE_DROPOUT, PURPOSE_SAMPLE, PURPOSE_BLOCKS, PURPOSE_HELD_BACK = 0, 1, 2, 3, 4
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def philox(counter: Array, key: tuple[int, int]) -> Array:
    """Ten rounds of Philox4x32.

    Parameters
    ----------
    counter : array of shape (4, n)
        Words below 2^32.
    key : (int, int)
        Words below 2^32.

    Returns
    -------
    array of uint32, shape (4, n)

    Examples
    --------
    >>> [hex(int(word)) for word in philox(np.zeros((4, 1)), (0, 0))[:, 0]]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c0, c1, c2, c3 = np.asarray(counter).astype(np.uint64)
    k0, k1 = key
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> _32) ^ c1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> _32) ^ c3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3]).astype(np.uint32)


def words(n: int, seed: int, a: int, b: int, purpose: int, first: int = 0) -> Array:
    """`n` words of the sequence `(a, b, purpose)` of a seed, from number `first` on, as uint32 of shape (n,)."""
    blocks = np.arange(first // 4, (first + n + 3) // 4, dtype=np.uint64)
    counter = np.empty((4, len(blocks)), dtype=np.uint64)
    counter[0], counter[1], counter[2], counter[3] = blocks, a & 0xFFFFFFFF, b & 0xFFFFFFFF, purpose | a >> 32 << 8
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    return np.ravel(philox(counter, key).T)[first % 4 :][:n]


def row_order(n: int, seed: int, epoch: int) -> Array:
    """The order in which an epoch visits `n` rows: int64 of shape (n,), a Fisher-Yates shuffle (Knuth 3.4.2 P).

    Examples
    --------
    >>> sorted(row_order(5, seed=1, epoch=0).tolist())
    [0, 1, 2, 3, 4]
    """
    order = list(range(n))
    draws = words(max(n - 1, 0), seed, epoch, 0, PURPOSE_ROWS).astype(np.uint64)
    # place i = n-1 .. 1 swaps with a place j <= i; (draw * (i + 1)) >> 32 is uniform to within n / 2^32
    partners = (draws * np.arange(n, 1, -1, dtype=np.uint64)) >> _32
    for i, j in zip(range(n - 1, 0, -1), partners.tolist(), strict=True):
        order[i], order[j] = order[j], order[i]
    return np.asarray(order, dtype=np.int64)


def shuffled(n: int, seed: int, a: int, b: int, purpose: int) -> Array:
    """The numbers from 0 to n - 1 in an order of their own for `(a, b, purpose)`: int64 of shape (n,).

    Examples
    --------
    >>> sorted(shuffled(5, 1, 0, 0, PURPOSE_BLOCKS).tolist())
    [0, 1, 2, 3, 4]
    """
    keys = words(n, seed, a, b, purpose).astype(np.uint64) << _32 | np.arange(n, dtype=np.uint64)  # no two are equal
    keys.sort()
    return np.asarray(keys & _LOW, dtype=np.int64)


def dropout_mask(shape: tuple[int, int], rate: float, seed: int, step: int, layer: int, start: int) -> Array:
    """Which neurons stay in a step, scaled so that the expected value stays.

    Parameters
    ----------
    shape : (n, n_out)
        Rows of the batch, neurons of the layer.
    rate : float
        Share of neurons that are dropped.
    seed, step, layer, start : int
        What the draw belongs to.

    Returns
    -------
    array of float64, shape (n, n_out)
        0 for a dropped neuron, `1 / (1 - rate)` for one that stays.
    """
    draws = words(shape[0] * shape[1], seed, step, layer + 65536 * start, PURPOSE_DROPOUT)
    return np.where(draws >= round(rate * 2**32), 1 / (1 - rate), 0.0).reshape(shape)

"""Which rows of which batch are where, when the rows lie on several devices."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Batches(NamedTuple):
    """An epoch's batches as some devices have them, filled up to one width.

    Attributes
    ----------
    which : array of int32, shape (n_devices, n_batches, width)
        Rows, counted from the device's first.
    position : array of int32, shape (n_devices, n_batches, width)
        Where in the batch they stand; -1 where there is none, and `which` is 0.
    """

    which: Array
    position: Array


def batches(order: Array, size: int, per_device: int, devices: range) -> Batches:
    """Part the batches of an epoch among the devices that own their rows.

    Parameters
    ----------
    order : array of int64, shape (n_visited,)
        The rows in the order in which the epoch visits them.
    size : int
        Rows in a batch.
    per_device : int
        Device d owns the rows from `d * per_device` on.
    devices : range
        Those asked about. The width is the same for all there are.

    Returns
    -------
    Batches

    Examples
    --------
    >>> found = batches(np.array([5, 0, 3, 1, 4, 2]), size=3, per_device=3, devices=range(2))
    >>> found.which.tolist()
    [[[0, 0, 0], [1, 2, 0]], [[2, 0, 0], [1, 0, 0]]]
    >>> found.position.tolist()
    [[[1, -1, -1], [0, 2, -1]], [[0, 2, -1], [1, -1, -1]]]
    """
    n_batches = -(-len(order) // size)
    owner = order // per_device
    n_devices = int(owner.max()) + 1
    in_each = np.bincount(np.arange(len(order)) // size * n_devices + owner)
    width = min(size, max(_usual(size / n_devices, n_devices), _rounded(int(in_each.max()))))
    which = np.zeros((len(devices), n_batches, width), np.int32)
    position = np.full_like(which, -1)
    for i, device in enumerate(devices):
        visited = np.flatnonzero(owner == device)
        batch = visited // size
        column = np.arange(len(visited)) - np.searchsorted(visited, np.arange(n_batches) * size)[batch]
        which[i, batch, column] = order[visited] - device * per_device
        position[i, batch, column] = visited % size
    return Batches(which, position)


def _usual(mean: float, n_devices: int) -> int:
    """The width that a shuffle seldom goes beyond, so that one is compiled: the mean and 4.5 standard deviations."""
    return math.ceil(mean + 4.5 * math.sqrt(mean * (1 - 1 / n_devices)))


def _rounded(width: int) -> int:
    """Up to one of four widths between a power of two and the next, so that few are compiled."""
    step = max(1, (1 << (width - 1).bit_length()) // 8)
    return -(-width // step) * step

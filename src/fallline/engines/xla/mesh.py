"""All devices of all processes, in one row: what each owns of the rows, and what all say."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Array = npt.NDArray[Any]

AXIS = "rows"
# JAX gives these no types.
Spec: Any = PartitionSpec
psum: Any = jax.lax.psum
_from_local: Any = jax.make_array_from_process_local_data


@cache
def mesh() -> Mesh:
    """The devices, those of process 0 first."""
    return Mesh(np.array(sorted(jax.devices(), key=lambda device: (device.process_index, device.id))), (AXIS,))


def rows_per_device(n: int) -> int:
    """How many of n rows a device owns; the last ones have fewer."""
    return -(-n // jax.device_count())


def share(n: int) -> slice:
    """Which of n rows this process owns."""
    size = rows_per_device(n) * jax.local_device_count()
    first = min(n, size * jax.process_index())
    return slice(first, min(n, first + size))


def everywhere(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> jax.Array:
    """The same array on every device, a copy."""
    array = np.array(values, dtype)
    return jax.make_array_from_callback(array.shape, NamedSharding(mesh(), Spec()), lambda index: array[index])


def parted(array: Array, axis: int = 0) -> jax.Array:
    """What this process has for its devices, in equal parts along an axis; the array of all processes."""
    sharding = NamedSharding(mesh(), Spec(*[None] * axis, AXIS))
    whole = list(array.shape)
    whole[axis] *= jax.process_count()
    found: jax.Array = _from_local(sharding, array, tuple(whole))
    return found


def gather(values: Array) -> Array:
    """Numbers of every process, shape (n_processes, *shape); all processes must ask, with the same shape."""
    values = np.asarray(values, np.float64)
    if jax.process_count() == 1:
        return values[None]
    from jax.experimental.multihost_utils import process_allgather

    halves = np.ascontiguousarray(values).reshape(-1).view(np.uint32)  # for JAX has no float64 by itself
    found = np.ascontiguousarray(process_allgather(halves)).view(np.float64)
    return found.reshape(-1, *values.shape)


def exchange(data: bytes) -> list[bytes]:
    """What each process has; all must ask."""
    if jax.process_count() == 1:
        return [data]
    from jax.experimental.multihost_utils import process_allgather

    sizes = gather(np.array(float(len(data)))).astype(int).tolist()
    padded = np.zeros(max(1, *sizes), np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    each = np.asarray(process_allgather(padded))
    return [row[:size].tobytes() for row, size in zip(each, sizes, strict=True)]

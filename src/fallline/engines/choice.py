"""`engine="auto"`: the engine in which a descent is likely over soonest. docs/scale.md has the model."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec

import numpy as np

from fallline.network import Shape
from fallline.threads import as_threads

LOG = logging.getLogger("fallline")

# Of the compiled core, seldom less; of an accelerator, seldom more: so xla is chosen where it is worth it by far.
CORE_RATE = 60e9  # floating-point operations a second and thread
DEVICE_RATE = 10e12
DEVICE_STEP = 150e-6  # seconds of a step that has nothing to compute
DEVICE_BEGIN = 20.0  # seconds until the first step: importing, compiling, copying


def suited(
    shape: Shape, dtype: np.dtype[np.generic], rows_of_step: int, n_steps: int, threads: int | str | None = None
) -> str:
    """Choose between "native" and "xla", and log a line where that is "xla", or would be if JAX began.

    Parameters
    ----------
    shape : Shape
    dtype : numpy.dtype
        Of the network; accelerators are for float32.
    rows_of_step : int
        Rows of a batch, times starts.
    n_steps : int
        Of the whole descent.
    threads : int, "auto" or None, default None
        That the native engine would use.

    Returns
    -------
    str
        "xla" where JAX has a GPU or a TPU, and the descent would take the processor much longer than that.

    Examples
    --------
    >>> from fallline.network import Network
    >>> suited(Network([4, 8, 3], seed=1).shape, np.dtype("float32"), rows_of_step=32, n_steps=1000)
    'native'
    """
    work = 6.0 * sum(layer.n_in * layer.n_out for layer in shape.layers) * rows_of_step  # of a step: three products
    here = n_steps * work / (CORE_RATE * as_threads(threads))
    there = DEVICE_BEGIN + n_steps * (DEVICE_STEP + work / DEVICE_RATE)
    if there > here or dtype != np.float32:
        return "native"
    device = accelerator()
    if device is None:
        return "native"
    LOG.info("engine xla, on %s: the processor would take about %.0f minutes", device, max(1, here / 60))
    return "xla"


@cache
def accelerator() -> str | None:
    """What JAX calls the GPU or TPU that it would use; None where there is none, or no JAX."""
    if find_spec("jax") is None:
        return None
    try:
        import jax

        device = jax.devices()[0]
    except (ImportError, RuntimeError) as error:  # installed in part, or for a device that is not there
        LOG.info("engine native: JAX does not begin (%s)", str(error).partition("\n")[0])
        return None
    return None if device.platform == "cpu" else str(device.device_kind)

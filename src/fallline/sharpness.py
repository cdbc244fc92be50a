"""Probabilities made sharper or softer by a power, and the chain rule through it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def sharpened(A: Array, sharpness: float, each: bool = False) -> Array:
    """Probabilities raised to a power, the sum of a row brought back to 1; or each and its complement's.

    Examples
    --------
    >>> sharpened(np.array([[0.2, 0.8]]), 2.0).round(3).tolist()
    [[0.059, 0.941]]
    >>> sharpened(np.array([[0.2, 0.5]]), 2.0, each=True).round(3).tolist()
    [[0.059, 0.5]]
    """
    if sharpness == 1:
        return A
    if each:
        against = np.maximum(1 - A, 0)  # an average of ones may round to a little more
        return sharpened(np.stack([A, against], axis=-1).reshape(-1, 2), sharpness)[:, 0].reshape(A.shape)
    with np.errstate(divide="ignore"):
        logits = sharpness * np.log(A)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sharpened_backward(dS: Array, A: Array, S: Array, sharpness: float, each: bool = False) -> Array:
    """From the gradient for sharpened probabilities `S` follows that for `A`; all of shape (n, n_out).

    Examples
    --------
    >>> A = np.array([[0.2, 0.8]])
    >>> sharpened_backward(np.array([[1.0, 0.0]]), A, sharpened(A, 2.0), 2.0).round(3).tolist()
    [[0.554, -0.138]]
    """
    if sharpness == 1:
        return dS
    if each:
        slope, inside = S * (1 - S), A * (1 - A)
    else:
        slope, dS, inside = S, dS - (dS * S).sum(axis=1, keepdims=True), A
    return np.asarray(sharpness * dS * slope / np.where(inside > 0, inside, 1))

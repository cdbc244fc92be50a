"""What every exported NumPy module has in it: how columns are read, and the functions that NumPy lacks.

The text of this file from the first function on is copied into the modules, so it imports what they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _column(columns: Any, name: str) -> Any:
    """Whatever stands for a column, as an array of one axis."""
    try:
        values = columns[name]
    except KeyError:
        raise ValueError(f"column {name!r} is missing") from None
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(f"column {name!r} has shape {values.shape}; a row has one value")
    return values


def _is_missing(value: Any) -> bool:
    return value is None or str(value) in ("nan", "NaT", "<NA>")


def _number_column(columns: Any, name: str) -> Any:
    """A column of numbers, shape (n, 1), as exact as the model takes them: float32. NaN is missing."""
    values = _column(columns, name)
    if values.dtype.kind not in "biuf":
        values = np.array([math.nan if _is_missing(value) else float(value) for value in values.tolist()])
    with np.errstate(over="ignore"):
        x = values.astype(np.float32)
    if np.isinf(x).any():
        raise ValueError(f"column {name!r}, row {int(np.isinf(x).argmax())}: infinite, or too large for float32")
    return x[:, None]


def _date_column(columns: Any, name: str) -> Any:
    """A column of moments as seconds since 1970, shape (n, 1); NaN is missing."""
    values = _column(columns, name)
    if values.dtype.kind not in "biufM":
        found = [None if _is_missing(value) else value for value in values.tolist()]
        if any(isinstance(value, (int, float)) for value in found):
            values = np.array([math.nan if value is None else float(value) for value in found])
        else:
            values = np.array(["NaT" if value is None else value for value in found], "datetime64[ms]")
    if values.dtype.kind == "M":
        whole = values.astype("datetime64[ms]")
        values = np.where(np.isnat(whole), math.nan, whole.astype(np.int64) / 1000)
    if np.isinf(values.astype(float)).any():
        raise ValueError(f"column {name!r}: a date is infinite")
    return values.astype(float)[:, None]


def _text_column(columns: Any, name: str) -> list[str]:
    """A column of categories as a list of text; a whole number looks alike whether it is kept as an integer or not."""
    return [_text(value) for value in _column(columns, name).tolist()]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if _is_missing(value):
        return ""
    if isinstance(value, (bool, int)) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value)


def _pixel_columns(columns: Any, name: str, width: int) -> Any:
    """All pixels, shape (n, width): an array of them, or columns that hold them by that name."""
    values = np.asarray(columns if isinstance(columns, np.ndarray) else columns[name])
    fits = values.ndim > 1 and math.prod(values.shape[1:]) == width
    x = values.reshape(len(values), width).astype(np.float32) if fits else np.array([np.nan])
    if not np.isfinite(x).all():
        raise ValueError(f"pixels must be finite numbers of shape (n, {width}), not {values.shape}")
    return x


def _in_blocks(compute: Callable[..., Any], inputs: list[Any]) -> dict[str, Any]:
    """Compute some thousand rows at a time, so that memory stays bounded; every answer must be finite."""
    n = {len(values) for values in inputs}
    if len(n) > 1:
        raise ValueError(f"columns must have as many rows each, not {sorted(n)}")
    step = 4096
    found = []
    for first in range(0, max(n.pop(), 1), step):
        answers = compute(*(values[first : first + step] for values in inputs))
        finite = np.isfinite(answers["outputs"]).all(axis=1)
        if not finite.all():
            raise ValueError(f"row {first + int(finite.argmin())}: its numbers are far beyond those trained on")
        found.append(answers)
    return {name: np.concatenate([answers[name] for answers in found]) for name in found[0]}


def _codes(texts: list[str], words: dict[str, int], other: int) -> Any:
    return np.array([words.get(text, other) for text in texts], np.int64)


def _softplus(z: Any) -> Any:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def _sigmoid(z: Any) -> Any:
    with np.errstate(over="ignore"):  # one over infinity is 0, as it should be
        return 1 / (1 + np.exp(-z))


def _softmax(z: Any) -> Any:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _erf(z: Any) -> Any:
    return np.array([math.erf(value) for value in z.ravel().tolist()], z.dtype).reshape(z.shape)


def _grouped(x: Any, M: Any) -> Any:
    groups, n_in, n_out = M.shape
    z = x.reshape(len(x), groups, n_in).swapaxes(0, 1) @ M
    return z.swapaxes(0, 1).reshape(len(x), groups * n_out)


def _sort(x: Any, groups: int) -> Any:
    return np.sort(x.reshape(len(x), groups, x.shape[1] // groups), axis=2).reshape(x.shape)

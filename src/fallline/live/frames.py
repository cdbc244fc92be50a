"""Numbers and arrays as one binary message: see docs/design/studio.md."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNED = 8  # bytes, so that a page can look at the arrays where they lie


def frame(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    r"""Put a message into bytes: length of the header, the header, the arrays.

    Parameters
    ----------
    header : mapping
        JSON-able; NumPy's numbers too, and numbers that are not finite become null.
    arrays : mapping from names to arrays
        Of float32, float64, int32 or uint8; other floats become float32, other whole numbers int32.

    Returns
    -------
    bytes

    Examples
    --------
    >>> message = frame({"topic": "tick"}, {"a": np.arange(3, dtype=np.uint8)})
    >>> message[-8:]
    b'\x00\x01\x02\x00\x00\x00\x00\x00'
    """
    described, parts, offset = {}, [], 0
    for name, array in arrays.items():
        given = np.asarray(array)
        kind = given.dtype.kind
        known = given.dtype.name in ("float32", "float64", "int32", "uint8")
        dtype = given.dtype if known else np.dtype(np.float32 if kind == "f" else np.uint8 if kind == "b" else np.int32)
        data = np.ascontiguousarray(given, dtype=dtype.newbyteorder("<")).tobytes()
        described[name] = {"dtype": dtype.name, "shape": list(given.shape), "offset": offset}
        parts.append(data + bytes(-len(data) % ALIGNED))
        offset += len(parts[-1])
    text = to_json({**header, "arrays": described}).encode()
    text += b" " * (-(len(text) + 4) % ALIGNED)
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def to_json(value: Any) -> str:
    """JSON that every browser reads: null for what is not finite."""
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

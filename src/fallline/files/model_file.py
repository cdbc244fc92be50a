"""The model file: safetensors, with one metadata entry `fallline` that holds a JSON header.

Tensors: `W.0`, `b.0`, ... of the network, float32 or float64; `encoder.center`, `encoder.scale`, float32 `(n_in,)`.

Header, format 1: `format` (1), `encoder` (what `Encoder.to_header` gives), `network` (`layer_sizes`, `activation` of
each hidden layer, `output`, `start`, `seed`, `dtype`), `training` (how the model came about; nothing depends on it).
Numbers that JSON has no word for (NaN, infinity) stand as null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import FalllineError, ModelFileError
from fallline.network import Network
from fallline.table import Encoder

Array = npt.NDArray[Any]

FORMAT = 1
KEY = "fallline"
MOST_HISTORY_ROWS = 20_000  # safetensors caps its header at 100 MB; a row takes about 250 bytes
CLASS_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "int64": (int,), "float64": (int, float)}


def write(path: str | PathLike[str], encoder: Encoder, network: Network, training: Mapping[str, Any]) -> None:
    """Write a model, atomically: a reader sees the old file or the new one, never a part.

    Parameters
    ----------
    path : str or path
    encoder : Encoder
    network : Network
    training : mapping
        JSON-serialisable; of a long `history` every so many rows are kept, and the last.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    from safetensors.numpy import save

    header = {
        "format": FORMAT,
        "encoder": encoder.to_header(),
        "network": {
            "layer_sizes": list(network.layer_sizes),
            "activation": list(network.activation),
            "output": network.output,
            "start": network.start,
            "seed": network.seed,
            "dtype": network.dtype.name,
        },
        "training": {**training, "history": _thinned(training.get("history", []))},
    }
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.tensors().items()}
    for layer, (W, b) in enumerate(zip(network.W, network.b, strict=True)):
        tensors |= {f"W.{layer}": W, f"b.{layer}": b}
    data = save(tensors, {KEY: to_json(header)})
    with whole_file(path, binary=True) as file:
        file.write(data)


def read(path: str | PathLike[str]) -> tuple[Encoder, Network, dict[str, Any]]:
    """Read what `write` wrote, and check it.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    encoder : Encoder
    network : Network
    training : dict

    Raises
    ------
    ModelFileError
        The file is missing, truncated, damaged, of a newer format, or no model file at all.
    """
    header, tensors = _contents(path)
    try:
        encoder = _encoder(header["encoder"], tensors)
        network = _network(header["network"], tensors, encoder)
        training = header["training"]
        _require(isinstance(training, dict), "training is not an object")
    except KeyError as error:
        raise ModelFileError(f"{path}: damaged model file ({error} is missing)") from None
    except (FalllineError, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ModelFileError(f"{path}: damaged model file ({error})") from None
    return encoder, network, training


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON text of plain values and NumPy numbers; NaN and infinity become null, what is no Unicode an escape.

    Examples
    --------
    >>> to_json({"loss": float("nan"), "epoch": 1})
    '{"loss": null, "epoch": 1}'
    """
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):  # a file name that is not UTF-8 holds lone surrogates
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `MOST_HISTORY_ROWS` rows: whole epochs at even distances, and the last one."""
    epochs = sorted({row["epoch"] for row in rows})
    every = math.ceil(len(rows) / MOST_HISTORY_ROWS) or 1
    kept = {*epochs[::every], *epochs[-1:]}
    return [row for row in rows if row["epoch"] in kept]


def _contents(path: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and tensors, of a format that is known."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        what = "a directory, not a model file" if Path(path).is_dir() else "there is no such file"
        raise ModelFileError(f"{path}: {what}")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFileError(f"{path}: not a fallline model, or cut short ({error})") from None
    if text is None:
        raise ModelFileError(f"{path}: a safetensors file, but not of a fallline model")
    try:
        header = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: damaged model file (its header is not JSON: {error})") from None
    number = header.get("format") if isinstance(header, dict) else None
    if type(number) is not int or number < 1:
        raise ModelFileError(f"{path}: damaged model file (its header has no format number)")
    if number > FORMAT:
        raise ModelFileError(
            f"{path}: of format {number}, but this fallline reads up to format {FORMAT}; update fallline"
        )
    return header, tensors


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _encoder(header: dict[str, Any], tensors: Mapping[str, Array]) -> Encoder:
    columns, classes, shape = header["columns"], header["classes"], header["image_shape"]
    _require(_is_list(columns, str) and len(set(columns)) == len(columns) > 0, "columns are not different names")
    _require(isinstance(header["target"], str), "target is not a name")
    n_in = len(columns)
    for name in ("center", "scale"):
        _check_tensor(tensors, f"encoder.{name}", (n_in,), ("float32",))
    _require((tensors["encoder.scale"] > 0).all(), "a scale is not positive")
    if header["task"] == "classification":
        _require(classes["type"] in CLASS_TYPES, f"classes of type {classes['type']!r}")
        _require(_is_list(classes["values"], *CLASS_TYPES[classes["type"]]), "classes are not of their type")
        _require(len(set(classes["values"])) == len(classes["values"]) >= 2, "classes are not different")
    else:
        _require(header["task"] == "regression" and classes is None, "the task is unknown")
    for name in ("target_center", "target_scale"):
        _require(_is_number(header[name]), f"{name} is not a number")
    _require(header["target_scale"] > 0, "target_scale is not positive")
    if shape is not None:
        _require(_is_list(shape, int) and len(shape) == 2 and math.prod(shape) == n_in, "image_shape does not fit")
    return Encoder.from_parts(header, {name: tensors[f"encoder.{name}"] for name in ("center", "scale")})


def _network(header: dict[str, Any], tensors: Mapping[str, Array], encoder: Encoder) -> Network:
    sizes, dtype = header["layer_sizes"], header["dtype"]
    _require(_is_list(sizes, int) and len(sizes) >= 2, "layer_sizes is not a list of whole numbers")
    _require(sizes[0] == encoder.n_in and sizes[-1] == encoder.n_out, "the network does not fit the columns")
    _require(_is_list(header["activation"], str), "activation is not a list of names")
    _require(
        header["output"] == ("identity" if encoder.classes is None else "softmax"), "the output does not fit the task"
    )
    names = ["encoder.center", "encoder.scale"]
    for layer, shape in enumerate(pairwise(sizes)):
        _check_tensor(tensors, f"W.{layer}", shape, (dtype,))
        _check_tensor(tensors, f"b.{layer}", shape[1:], (dtype,))
        names += [f"W.{layer}", f"b.{layer}"]
    _require(sorted(names) == sorted(tensors), "there are tensors that do not belong to it")
    block = np.concatenate([tensors[name].ravel() for name in names[2:]])
    return Network(sizes, header["activation"], header["output"], header["start"], header["seed"], dtype, block)


def _check_tensor(tensors: Mapping[str, Array], name: str, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> None:
    _require(name in tensors, f"tensor {name} is missing")
    tensor = tensors[name]
    _require(
        tensor.shape == shape and tensor.dtype.name in dtypes,
        f"tensor {name} is {tensor.dtype.name} of shape {tensor.shape}, not {dtypes[0]} of shape {shape}",
    )
    _require(np.isfinite(tensor).all(), f"tensor {name} has values that are not finite")


def _is_list(value: Any, *kinds: type) -> bool:
    """Tell whether it is a list of those types; True and False are no numbers."""
    return isinstance(value, list) and all(
        isinstance(item, kinds) and (bool in kinds or not isinstance(item, bool)) for item in value
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _require(condition: Any, what: str) -> None:
    if not condition:
        raise ValueError(what)

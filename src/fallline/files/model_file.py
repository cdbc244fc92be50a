"""The model file: safetensors, with one metadata entry `fallline` that holds a JSON header; see docs/model-file.md.

Networks that are alike but for their parameters stand together. Tensors of group g of K networks, float32 or float64:
`g.W.0` (K, n_in, n_out), `g.b.0` (K, n_out), `g.W.1`, ..., and of their inputs, where they have some, `g.inputs.scale`,
`g.inputs.w`, `g.inputs.p`, `g.inputs.M`, `g.inputs.c`, `g.inputs.table.0`, ..., each with the same leading axis.

Header, format 4: `format` (4), `sha256` (of the whole file with these 64 digits as zeros), `encoder` (what
`Encoder.to_header` gives), `networks` (of each group `layer_sizes`, `activation` of each hidden layer, `output`,
`start`, `seed`, `dtype`, `inputs` or null, and each network's share of the answer, `shares`), `sharpness` (of the
probabilities; 1 leaves them as they are), `errors` (of answers on rows that the networks had not seen, quantiles of
each target; or null), `training` (how the model came about; nothing depends on it). Numbers that JSON has no word for
(NaN, infinity) stand as null.

A file may lie in every byte. So what is read never takes many times the file's size in memory: what would is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import FalllineError, ModelFileError
from fallline.inputs import Inputs
from fallline.network import Network
from fallline.table import Encoder, Task
from fallline.table.columns import ColumnEncoding, Role
from fallline.table.names import beside, suggestion

Array = npt.NDArray[Any]

FORMAT = 4
KEY = "fallline"
NO_SUM = "0" * 64
SUM_FOLLOWS = rb"\"sha256\": \""  # as it stands in the file: a JSON text within JSON
PIECE = 1 << 20  # bytes that are read at once
DTYPES = {"F32": "float32", "F64": "float64"}
MOST_TIMES, SLACK = 6, 8 << 20  # bytes of memory that a file's header may take: so many times the file's size and these
VALUE, OBJECT, NETWORK = 64, 240, 4096  # bytes of a JSON value, an object and a network without its parameters
MOST_HISTORY_ROWS = 20_000  # safetensors caps its header at 100 MB; a row takes about 250 bytes
CLASS_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "bool": (bool,), "int64": (int,), "float64": (int, float)}


def write(
    path: str | PathLike[str],
    encoder: Encoder,
    networks: Sequence[Network],
    shares: Sequence[float],
    sharpness: float,
    errors: Array | None,
    training: Mapping[str, Any],
) -> None:
    """Write a model, atomically: a reader sees the old file or the new one, never a part.

    Parameters
    ----------
    path : str or path
    encoder : Encoder
    networks : sequence of Network
    shares : sequence of float
        What each network has in the answer.
    sharpness : float
    errors : array of shape (n_targets, n_levels) or None
        As in `fallline.model.Model`.
    training : mapping
        JSON-serialisable; of a long `history` every so many rows are kept, and the last.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    groups: list[list[int]] = []
    for k, network in enumerate(networks):
        if groups and _alike(network, networks[groups[-1][0]]):
            groups[-1].append(k)
        else:
            groups.append([k])
    header = {
        "format": FORMAT,
        "sha256": NO_SUM,
        "encoder": encoder.to_header(),
        "networks": [networks[group[0]].settings() | {"shares": [shares[k] for k in group]} for group in groups],
        "sharpness": sharpness,
        "errors": None if errors is None else errors.tolist(),
        "training": {**training, "history": _thinned(training.get("history", []))},
    }
    tensors = {
        f"{g}.{name}": np.stack([_parts(networks[k])[name] for k in group])
        for g, group in enumerate(groups)
        for name in _parts(networks[group[0]])
    }
    with whole_file(path, binary=True) as file:
        file.writelines(sealed(header, tensors))


def read(path: str | PathLike[str]) -> dict[str, Any]:
    """Read what `write` wrote, and check it.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict
        What `write` took, by the same names.

    Raises
    ------
    ModelFileError
        The file is missing, truncated, damaged, of a newer format, or no model file at all.
    """
    size = _size(path)
    with _opened(path) as (header, file), _damaged(path):
        encoder = _encoder(header["encoder"], size)
        networks, shares = _networks(header["networks"], file, encoder, size)
        training, sharpness, errors = header["training"], header["sharpness"], header["errors"]
        _require(isinstance(training, dict), "training is not an object")
        _require(_is_number(sharpness) and sharpness > 0, "sharpness is not positive")
        if errors is not None:
            errors = np.array(errors, dtype=np.float64)
            fits = errors.ndim == 2 and len(errors) == encoder.target.n_targets and errors.shape[1] > 1
            _require(fits and np.isfinite(errors).all(), "errors are not numbers of each target")
    return {
        "encoder": encoder,
        "networks": networks,
        "shares": shares,
        "sharpness": float(sharpness),
        "errors": errors,
        "training": training,
    }


def read_header(path: str | PathLike[str]) -> dict[str, Any]:
    """Read the header alone, of a file whose checksum is right.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict
        Its `format`, `sha256` and the rest, unchecked.

    Raises
    ------
    ModelFileError
        As in `read`.
    """
    with _opened(path) as (header, _):
        return header


def sealed(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> list[bytes | memoryview]:
    """A file's bytes, in pieces, with the checksum in its place in the header.

    Parameters
    ----------
    header : mapping
        Its first two keys are `format` and `sha256`, whose value is `NO_SUM`.
    tensors : mapping from str to array

    Returns
    -------
    list of bytes
    """
    from safetensors.numpy import save

    data = memoryview(save(dict(tensors), {KEY: to_json(header, ascii=True)}))
    at = bytes(data[: 8 + int.from_bytes(data[:8], "little")]).index(SUM_FOLLOWS) + len(SUM_FOLLOWS)
    return [data[:at], hashlib.sha256(data).hexdigest().encode(), data[at + len(NO_SUM) :]]


def to_json(value: Any, ascii: bool = False) -> str:
    """JSON text of plain values and NumPy numbers; NaN and infinity become null, what is no Unicode an escape.

    With `ascii` all other letters are escapes too.

    Examples
    --------
    >>> to_json({"loss": float("nan"), "epoch": 1})
    '{"loss": null, "epoch": 1}'
    """
    return json.dumps(_plain(value), ensure_ascii=ascii, allow_nan=False)


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


def _size(path: str | PathLike[str]) -> int:
    """Bytes of a file that is there."""
    if not Path(path).is_file():
        if Path(path).is_dir():
            raise ModelFileError(f"{path}: a directory, not a model file")
        raise ModelFileError(f"no file {str(path)!r}{suggestion(str(path), beside(path))}")
    return Path(path).stat().st_size


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Header of a known format and a right checksum, and the tensors, which are mapped and read when asked for."""
    from safetensors import SafetensorError, safe_open

    size = _size(path)
    try:
        file = safe_open(path, framework="numpy")
        told = file.metadata() or {}  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError):
        raise ModelFileError(f"{path}: not a fallline model, or cut short") from None
    with file:
        if KEY not in told:
            raise ModelFileError(f"{path}: a safetensors file, but not of a fallline model")
        header = _header(path, told.pop(KEY), size)
        if not _sum_is_right(path, header.get("sha256")):
            raise ModelFileError(f"{path}: damaged model file (its checksum is wrong: it was changed or cut)")
        yield header, file


def _header(path: str | PathLike[str], text: str, size: int) -> dict[str, Any]:
    """The header, of a format that is known."""
    with _damaged(path):
        _require(text.isascii(), "its header has letters that are not ASCII")  # of which each may take four bytes
        values = text.count(",") + text.count("[")
        _check_memory(len(text) + VALUE * values + OBJECT * text.count("{"), size, "its header")
    try:
        header = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: damaged model file (its header is not JSON: {_brief(error)})") from None
    number = header.get("format") if isinstance(header, dict) else None
    if type(number) is not int or number < 1:
        raise ModelFileError(f"{path}: damaged model file (its header has no format number)")
    if number > FORMAT:
        raise ModelFileError(
            f"{path}: of format {number}, but this fallline reads up to format {FORMAT}; update fallline"
        )
    if number < FORMAT:
        raise ModelFileError(f"{path}: of format {number}, from before the first release; train the model again")
    return dict(header)


def _sum_is_right(path: str | PathLike[str], told: Any) -> bool:
    """Compare a header's checksum with the file's."""
    with Path(path).open("rb") as file:
        head = file.read(PIECE)
        at = head.find(SUM_FOLLOWS) + len(SUM_FOLLOWS)
        digits = head[at : at + len(NO_SUM)]
        found = hashlib.sha256(memoryview(head)[:at])
        found.update(NO_SUM.encode())
        found.update(memoryview(head)[at + len(NO_SUM) :])
        while piece := file.read(PIECE):
            found.update(piece)
    return bool(told == found.hexdigest() and digits == told.encode())


def _check_memory(needed: int, size: int, what: str) -> None:
    _require(needed <= MOST_TIMES * size + SLACK, f"{what} would take many times the file's size in memory")


@contextmanager
def _damaged(path: str | PathLike[str]) -> Iterator[None]:
    """Whatever a header that lies runs into is one complaint about the file."""
    try:
        yield
    except ModelFileError:
        raise
    except KeyError as error:
        raise ModelFileError(f"{path}: damaged model file ({_brief(error)} is missing)") from None
    except (FalllineError, ValueError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise ModelFileError(f"{path}: damaged model file ({_brief(error)})") from None


def _brief(error: BaseException) -> str:
    """One line, however much of the file an error quotes."""
    words = " ".join(str(error).split())
    return words if len(words) <= 300 else f"{words[:300]}..."


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _alike(one: Network, other: Network) -> bool:
    return one.settings() == other.settings()


def _parts(network: Network) -> dict[str, Array]:
    """Views of a network's parameters by the names of their tensors."""
    parts: dict[str, Array] = {}
    if network.shape.inputs is not None:
        views = network.shape.inputs.views(network.parameters)
        parts |= {f"inputs.{name}": part for name, part in views.items()}
    for layer, (W, b) in enumerate(zip(network.W, network.b, strict=True)):
        parts |= {f"W.{layer}": W, f"b.{layer}": b}
    return parts


def _encoder(header: dict[str, Any], size: int) -> Encoder:
    shape = header["image_shape"]
    _check_target(header["target"], size)
    _require(_is_list(header["columns"], dict), "columns are not a list")
    if shape is not None:
        fits = _is_list(shape, int) and len(shape) == 2 and math.prod(shape) == len(header["columns"])
        _require(fits, "image_shape does not fit")
    encoder = Encoder.from_header(header)
    _require(len(set(encoder.columns)) == len(encoder.columns) > 0, "columns are not different names")
    for column in encoder.encodings:
        _check_column(column)
    return encoder


def _check_target(header: dict[str, Any], size: int) -> None:
    """Refuse what `Target.fit` would not give."""
    classes, n_targets = header["classes"], len(header["centers"])
    _require(isinstance(header["name"], str), "target is not a name")
    _require(header["task"] in get_args(Task), "the task is unknown")
    if classes is not None:
        _require(header["task"] == "classification" and n_targets == 1, "numbers have classes")
        _require(classes["type"] in CLASS_TYPES, f"classes of type {classes['type']!r}")
        _require(_is_list(classes["values"], *CLASS_TYPES[classes["type"]]), "classes are not of their type")
        _require(len(set(classes["values"])) == len(classes["values"]) >= 2, "classes are not different")
        if classes["type"] == "str":  # as an array, where each takes as much as the longest
            _check_memory(4 * len(classes["values"]) * max(map(len, classes["values"])), size, "its classes")
    else:
        _require(header["task"] == "regression" or n_targets > 1, "classes are missing")
    for name in ("centers", "scales", "quantiles"):
        _require(isinstance(header[name], list), f"{name} is not a list")
        _require(all(map(_is_number, header[name])), f"{name} has what is not a number")
    _require(len(header["scales"]) == n_targets > 0, "the targets are not as many as their scales")
    _require(min(header["scales"]) > 0, "scales has what is not positive")
    _require(isinstance(header["log"], bool), "log is neither true nor false")


def _check_column(column: ColumnEncoding) -> None:
    """Refuse what `fit_column` would not give."""
    _require(isinstance(column.name, str) and isinstance(column.reason, str), "a column has no name")
    _require(column.role in get_args(Role), f"column {column.name!r} has the role {column.role!r}")
    _require(_is_number(column.center) and _is_number(column.scale) and column.scale >= 0, "a scale is not positive")
    _require(isinstance(column.missing, bool) and isinstance(column.timed, bool), "a column is damaged")
    labels = list(column.labels)
    _require(_is_list(labels, str) and len(set(labels)) == len(labels), f"the labels of {column.name!r} are damaged")
    _require(column.role != "category" or len(labels) > 1, f"the labels of {column.name!r} are missing")


def _networks(
    groups: list[dict[str, Any]], file: Any, encoder: Encoder, size: int
) -> tuple[list[Network], list[float]]:
    """Networks and their shares, group after group."""
    _require(_is_list(groups, dict) and groups, "there are no networks")
    networks: list[Network] = []
    shares: list[float] = []
    known: list[str] = []
    there = set(file.keys())
    for g, header in enumerate(groups):
        sizes, dtype, before = header["layer_sizes"], header["dtype"], header["inputs"]
        _require(_is_list(sizes, int) and len(sizes) >= 2, "layer_sizes is not a list of whole numbers")
        _require(len(sizes) <= len(there), "it has more layers than tensors")
        inputs = None if before is None else Inputs(**before)
        _require(inputs in (encoder.inputs, encoder.plain_inputs), "the inputs do not fit the columns")
        _require(sizes[0] == encoder.n_in and sizes[-1] == encoder.n_out, "the network does not fit the columns")
        _require(_is_list(header["activation"], str), "activation is not a list of names")
        _require(header["output"] == encoder.target.output, "the output does not fit the task")
        _require(all(map(_is_number, header["shares"])), "shares has what is not a number")
        K = len(header["shares"])
        _require(K > 0, "a group has no networks")
        _check_memory(NETWORK * (len(networks) + K), size, "its networks")
        taken = sizes if inputs is None else [inputs.n_out, *sizes[1:]]
        shapes = {} if inputs is None else {f"inputs.{name}": shape for name, shape in inputs.shapes.items()}
        for layer, (n_in, n_out) in enumerate(pairwise(taken)):
            shapes |= {f"W.{layer}": (n_in, n_out), f"b.{layer}": (n_out,)}
        names = [f"{g}.{name}" for name in shapes]
        mapped = [
            _mapped(file, there, name, (K, *shape), dtype) for name, shape in zip(names, shapes.values(), strict=True)
        ]
        known += names
        settings = (sizes, header["activation"], header["output"], header["start"], header["seed"], dtype)
        for k in range(K):  # a network's numbers are copied out of the file when its turn comes
            parts = [tensor[k : k + 1].ravel() for tensor in mapped]
            for name, part in zip(names, parts, strict=True):
                _require(np.isfinite(part).all(), f"tensor {name} has values that are not finite")
            networks.append(Network(*settings, np.concatenate(parts), inputs))
        shares += map(float, header["shares"])
    _require(min(shares) >= 0 and math.isclose(sum(shares), 1, rel_tol=1e-6), "the shares are not parts of a whole")
    _require(sorted(known) == sorted(there), "there are tensors that do not belong to it")
    return networks, shares


def _mapped(file: Any, there: set[str], name: str, shape: tuple[int, ...], dtype: str) -> Any:
    """A tensor of the file, of which parts can be read."""
    _require(name in there, f"tensor {name} is missing")
    tensor = file.get_slice(name)
    found, kind = tuple(tensor.get_shape()), DTYPES.get(tensor.get_dtype(), tensor.get_dtype())
    _require(
        found == shape and kind == dtype, f"tensor {name} is {kind} of shape {found}, not {dtype} of shape {shape}"
    )
    return tensor


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

"""The state dict of a PyTorch `Sequential`: weights `(n_out, n_in)` and biases, named by the places of their layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.activations import HIDDEN
from fallline.errors import ModelFileError, ParameterError, did_you_mean
from fallline.files.imports.chain import Chain

Array = npt.NDArray[Any]


def tensors(path: str | PathLike[str]) -> dict[str, Array]:
    """Read all tensors of a safetensors file.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict of str to array

    Raises
    ------
    ModelFileError
        The file is missing or no safetensors, or holds numbers that NumPy does not have, such as bfloat16.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not Path(path).is_file():
        raise ModelFileError(f"{path}: there is no such file")
    try:
        return dict(load_file(path))
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelFileError(f"{path}: no safetensors of numbers that NumPy has ({error})") from None


def chain(state: Mapping[str, Any], name: str, activation: str | Sequence[str], output: str) -> Chain:
    """Put the layers of a state dict in order.

    Parameters
    ----------
    state : mapping of str to array
    name : str
        What to call it in messages.
    activation : str or sequence of str
    output : str

    Returns
    -------
    Chain

    Raises
    ------
    ModelFileError
        It holds other tensors than the weights and biases of linear layers.
    ParameterError
        An activation is unknown, or there are too many or too few.
    """
    parts: dict[str, dict[str, Array]] = {}
    for key, tensor in state.items():
        place, _, kind = str(key).rpartition(".")
        array = np.asarray(tensor)
        if kind not in ("weight", "bias") or array.ndim != (2 if kind == "weight" else 1):
            raise ModelFileError(
                f"{name}: {str(key)!r} of shape {array.shape} is neither the weight nor the bias of a Linear layer; "
                "only those and activations can be imported"
            )
        parts.setdefault(place, {})[kind] = array
    layers = []
    for place in sorted(parts, key=_in_order):
        W = parts[place].get("weight")
        if W is None:
            raise ModelFileError(f"{name}: {place + '.bias'!r} has no weight beside it")
        layers.append((W.T, parts[place].get("bias", np.zeros(len(W), W.dtype))))
    n_hidden = max(len(layers) - 1, 0)
    names = [activation] * n_hidden if isinstance(activation, str) else list(activation)
    if len(names) != n_hidden:
        raise ParameterError(f"activation names {len(names)} layers, but {name} has {n_hidden} hidden ones")
    return Chain(name, layers, [_ours(each) for each in names], _ours(output, last=True))


def _in_order(place: str) -> list[tuple[int, str]]:
    """Layer 10 comes after layer 2."""
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in place.split(".")]


def _ours(name: str, last: bool = False) -> str:
    """Our name for an activation: PyTorch writes LeakyReLU where we write leaky_relu."""
    known = {each.replace("_", ""): each for each in (*HIDDEN, *(["softmax"] if last else []))}
    plain = str(name).lower().replace("_", "")
    if plain not in known:
        raise ParameterError(f"activation {name!r} is unknown{did_you_mean(name, known.values())}")
    return known[plain]

"""What to call the numbers that go into a network and come out of it, in the words of the table it learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.explanation.first_layer import input_names
from fallline.inputs import Inputs
from fallline.model import Model
from fallline.network import Network
from fallline.table import Encoder, Table

Array = npt.NDArray[Any]


def encoded_names(encoder: Encoder) -> list[str]:
    """The columns of a network's X: those that `Encoder.encode_inputs` makes of a table's, in its order."""
    return [name for _, name in input_names(encoder)]


def taken_names(inputs: Inputs | None, names: Sequence[str]) -> list[str]:
    """What the first layer takes: of an embedded number itself and its waves, of a code the numbers of its label."""
    return list(names) if inputs is None else [name + more for name, more in inputs.taken(names)]


def checked_names(names: Sequence[str] | None, n: int, what: str) -> list[str] | None:
    """Names as given; ParameterError for another number of them."""
    if names is not None and len(names) != n:
        raise ParameterError(f"{what} has {len(names)} names; {n} are needed")
    return None if names is None else [str(name) for name in names]


def network_of(model: Model, start: int) -> Network:
    """One of a model's networks; ParameterError where there is none of that number."""
    if not 0 <= start < len(model.networks):
        raise ParameterError(f"start is {start}; the model has networks 0 to {len(model.networks) - 1}")
    return model.networks[start]


def encoded_row(model: Model, X: Table | npt.ArrayLike, row: int) -> Array:
    """One row of a table, frame or array as the model's networks take it, shape (1, n_in)."""
    rows = model.encoded(X)
    if not 0 <= row < len(rows):
        raise DataError(f"there is no row {row}; the rows are 0 to {len(rows) - 1}")
    return rows[[row]]

"""What to call the numbers that go into a network and come out of it, in the words of the table it learned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.inputs import Inputs
from fallline.model import Model
from fallline.network import Network
from fallline.table import Encoder, Table
from fallline.table.table import pixel_names

Array = npt.NDArray[Any]


def encoded_names(encoder: Encoder) -> list[str]:
    """The columns of a network's X: those that `Encoder.encode_inputs` makes of a table's, in its order."""
    if encoder.image_shape is not None:
        return list(pixel_names(encoder.image_shape))
    embedded, plain = ([name for column in encoder.encodings for name in column.names[i]] for i in (0, 1))
    return [*embedded, *plain, *(column.name for column in encoder.encodings if column.is_table)]


def taken_names(inputs: Inputs | None, names: Sequence[str]) -> list[str]:
    """What the first layer takes: of an embedded number itself and its waves, of a code the numbers of its label."""
    if inputs is None:
        return list(names)
    numbers, coded = names[: inputs.embedded + inputs.plain], names[inputs.embedded + inputs.plain :]
    taken = []
    for j, name in enumerate(numbers):
        waves = range(1, inputs.size) if j < inputs.embedded else ()
        taken += [name, *(f"{name}, wave {i}" for i in waves)]
    for name, (_, size) in zip(coded, inputs.tables, strict=True):
        taken += [f"{name}, number {i}" for i in range(1, size + 1)]
    return taken


def output_names(model: Model) -> list[str]:
    """The columns of a network's output: classes, or what is learned."""
    classes = model.classes
    return model.encoder.target.answer_names if classes is None else [str(label) for label in classes]


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

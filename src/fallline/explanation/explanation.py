"""All the arithmetic behind the answer for one row, as numbers; `text` puts it into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.explanation.answer import Answer, leading_output, output_names
from fallline.explanation.contributions import Contributions, Exactly, contributions, mean_output
from fallline.explanation.first_layer import (
    ColumnStep,
    column_steps,
    first_layer,
    first_layer_names,
    typical_first_layer,
)
from fallline.network import LayerValues, Network
from fallline.sharpness import sharpened
from fallline.table import Encoder, Table

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class InputStep:
    """One number that the first layer takes.

    Attributes
    ----------
    column, name : str
        The column that it comes from, and what it is called.
    x : float
    """

    column: str
    name: str
    x: float


@dataclass(frozen=True)
class LayerStep:
    """One layer of one network, a value for each neuron: times the weights, add the bias, activate.

    Attributes
    ----------
    activation : str
    sums : array of shape (n_out,)
        Of the products.
    b, z, a : array of shape (n_out,)
        The bias, `z = sum + b`, and `a = activation(z)`.
    """

    activation: str
    sums: Array
    b: Array
    z: Array
    a: Array


@dataclass(frozen=True)
class NeuronStep:
    """One neuron in full.

    Attributes
    ----------
    layer, neuron : int
        From 0.
    name : str
        Of an output: what it stands for.
    input_names : list of str
    x, w : array of shape (n_in,)
        What goes in, and the weights; each product is `x * w`.
    b, z, a : float
    """

    layer: int
    neuron: int
    name: str
    input_names: list[str]
    x: Array
    w: Array
    b: float
    z: float
    a: float


@dataclass(frozen=True)
class AnswerStep:
    """From the outputs of all networks to the answer.

    Attributes
    ----------
    names : list of str
        Of the outputs.
    shares : list of float
        Of each network.
    linear : list of bool
        Whether it has no hidden layer.
    outputs : array of shape (n_networks, n_out)
    average : array of shape (n_out,)
        `shares @ outputs`.
    sharpness : float
    probabilities : array of shape (n_out,) or None
        The average, made sharper; for classes and labels.
    centers, scales : tuple of float
        Of each number that is predicted, or of its logarithm: `number = average * scale + center`.
    log : bool
        Whether that is the logarithm of the number.
    numbers : list of float or None
        In the user's units; quantiles in their order.
    answer : list
        What `Model.predict` gives: the label, 0 or 1 for each label, or each number.
    """

    names: list[str]
    shares: list[float]
    linear: list[bool]
    outputs: Array
    average: Array
    sharpness: float
    probabilities: Array | None
    centers: tuple[float, ...]
    scales: tuple[float, ...]
    log: bool
    numbers: list[float] | None
    answer: list[Any]


@dataclass(frozen=True)
class Explanation:
    """The arithmetic behind a model's answer for one row; `str` gives it as text.

    Attributes
    ----------
    data : str
        What the table is called.
    row : int
        Of the whole table, counted from 1.
    task, target : str
        As in `Encoder`.
    image_shape : tuple of int or None
        Height and width, where the columns are pixels.
    columns : list of ColumnStep
        What becomes of each column, in the model's order.
    network : int
        Which of the networks the next three are about, from 0.
    inputs : list of InputStep
        What its first layer takes, in the order of the rows of its `W[0]`.
    layers : list of LayerStep
    neuron : NeuronStep
        The one that was asked for.
    answer : AnswerStep
    contributions : Contributions
        Which columns moved the answer away from that for a typical row.
    """

    data: str
    row: int
    task: str
    target: str
    image_shape: tuple[int, int] | None
    columns: list[ColumnStep]
    network: int
    inputs: list[InputStep]
    layers: list[LayerStep]
    neuron: NeuronStep
    answer: AnswerStep
    contributions: Contributions

    def to_dict(self) -> dict[str, Any]:
        """Give it as what JSON can hold, every number in full.

        Returns
        -------
        dict
            Keys as the attributes.
        """
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def __str__(self) -> str:
        """Put it into words, for people."""
        from fallline.explanation.text import text

        return text(self)


def explain(
    encoder: Encoder,
    networks: Sequence[Network],
    shares: Sequence[float],
    sharpness: float,
    rows: Array,
    table: Table | None,
    network: int = 0,
    neuron: tuple[int, int] | None = None,
    number: int = 1,
) -> Explanation:
    """Follow one row through a model.

    Parameters
    ----------
    encoder, networks, shares, sharpness
        The model's.
    rows : array of shape (1, n_columns)
        As `Encoder.rows_of` gives them.
    table : Table or None
        The row as it was written, if it comes from a table.
    network : int, default 0
        Which network to show.
    neuron : (int, int), optional
        Layer and neuron to show in full, both from 0; the predicted class's output if nothing is said. An output
        is also the one whose answer the contributions are of.
    number : int, default 1
        Of the row, from 1.

    Returns
    -------
    Explanation

    Raises
    ------
    ParameterError
        There is no such network or neuron.
    """
    if not 0 <= network < len(networks):
        raise ParameterError(f"network is {network}; the model's networks are numbered from 0 to {len(networks) - 1}")
    shown, target = networks[network], encoder.target
    _check_neuron(shown, network, neuron)
    encoded = encoder.encode_inputs(rows)
    taken = [first_layer(each, encoded) for each in networks]
    exact = [Exactly(each) for each in networks]
    values = [each.forward(F) for each, F in zip(exact, taken, strict=True)]
    average = mean_output(shares, values)
    last = len(shown.layers) - 1
    output = neuron[1] if neuron is not None and neuron[0] == last else leading_output(target, average)
    answer = Answer(target, sharpness, output)
    names = [first_layer_names(encoder, each.shape.inputs) for each in networks]
    columns = [[encoder.columns[j] for j, _ in each] for each in names]
    inputs = [
        InputStep(column, name, x)
        for column, (_, name), x in zip(columns[network], names[network], taken[network][0].tolist(), strict=True)
    ]
    layer, j = neuron if neuron is not None else (last, output)
    into = [each.name for each in inputs] if layer == 0 else None
    return Explanation(
        table.name if table is not None else "the table",
        number,
        target.task,
        target.name,
        encoder.image_shape,
        column_steps(encoder, rows, encoded, table),
        network,
        inputs,
        [_layer(exact[network], values[network], l) for l in range(last + 1)],
        _neuron(exact[network], taken[network], values[network], layer, j, into, output_names(target)),
        _answer(answer, shares, values),
        contributions(exact, shares, answer, taken, [typical_first_layer(encoder, each) for each in networks], columns),
    )


def _check_neuron(network: Network, k: int, neuron: tuple[int, int] | None) -> None:
    if neuron is None:
        return
    if len(neuron) != 2:
        raise ParameterError(f"neuron is {neuron!r}; it must be a layer and a neuron in it, such as (1, 0)")
    l, j = neuron
    if not 0 <= l < len(network.layers):
        raise ParameterError(f"there is no layer {l}; the layers of network {k} are 0 to {len(network.layers) - 1}")
    n_out = network.layers[l].n_out
    if not 0 <= j < n_out:
        raise ParameterError(f"there is no neuron {j}; those in layer {l} of network {k} are 0 to {n_out - 1}")


def _layer(network: Exactly, values: LayerValues, l: int) -> LayerStep:
    Z, b = values.Z[l][0], network.b[l]
    return LayerStep(network.layers[l].activation.name, Z - b, b, Z, values.A[l][0])


def _neuron(
    network: Exactly, F: Array, values: LayerValues, l: int, j: int, names: list[str] | None, outputs: list[str]
) -> NeuronStep:
    x = F[0] if l == 0 else values.A[l - 1][0]
    if names is None:
        names = [f"neuron {i}" for i in range(len(x))]
    name = outputs[j] if l == len(network.layers) - 1 else ""
    z, a = float(values.Z[l][0, j]), float(values.A[l][0, j])
    return NeuronStep(l, j, name, names, x, network.W[l][:, j], float(network.b[l][j]), z, a)


def _answer(answer: Answer, shares: Sequence[float], values: Sequence[LayerValues]) -> AnswerStep:
    target, average = answer.target, mean_output(shares, values)
    probabilities, numbers = None, None
    if target.task == "classification":
        A = sharpened(average, answer.sharpness, answer.each)
        probabilities = A[0]
    else:
        A = average
        numbers = target.numbers(A)[0].ravel().tolist()
    return AnswerStep(
        output_names(target),
        list(shares),
        [len(each.A) == 1 for each in values],
        np.stack([each.A[-1][0] for each in values]),
        average[0],
        answer.sharpness,
        probabilities,
        target.centers,
        target.scales,
        target.log,
        numbers,
        np.ravel(target.decode(A)).tolist(),
    )


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value

"""`fallline explain`: the whole arithmetic behind a model's answer for one row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fallline.explanation import Explanation
    from fallline.model import Model


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="Rows, as train takes them; the target may be missing. - is CSV on standard input."
        ),
    ],
    row: Annotated[int, typer.Option(metavar="N", help="Which row of DATA; the first is 1, names not counted.")] = 1,
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="L,J",
            help="Neuron J of layer L to show in full, both counted from 0; otherwise the output that answers.",
        ),
    ] = None,
    network: Annotated[
        int, typer.Option(metavar="K", help="Which of the model's networks to show; the first is 0.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, every number in full.")] = False,
) -> None:
    """Show how a model comes to its answer for one row.

    All of it in numbers: what becomes of each column; the way through one network, layer by layer, with one neuron in
    full: times the weights, add the bias, activate; how the networks' outputs become the answer; and which columns
    moved it away from that for a typical row.
    """
    from fallline.errors import ParameterError
    from fallline.files.model_file import to_json
    from fallline.model import load

    if row < 1:
        raise ParameterError(f"--row is {row}; rows are counted from 1")
    place = None if neuron is None else _place(neuron)
    explanation = _explain(load(model), data, row, network, place)
    print(to_json(explanation.to_dict()) if as_json else explanation)


def _place(neuron: str) -> tuple[int, int]:
    from fallline.errors import ParameterError

    try:
        layer, j = map(int, neuron.split(","))
    except ValueError:
        raise ParameterError(f"--neuron is {neuron!r}; it must be a layer and a neuron in it, such as 1,0") from None
    return layer, j


def _explain(trained: Model, data: str, row: int, network: int, neuron: tuple[int, int] | None) -> Explanation:
    """Read no more blocks than it takes to come to the row."""
    from fallline.errors import DataError
    from fallline.table import read_blocks

    name, n_rows = data, 0
    for block in read_blocks(data, trained.encoder.kinds):
        table = block.table
        name, n_rows = table.name, table.first_row + table.n_rows
        if row <= n_rows:
            return trained.explain(table, row - 1 - table.first_row, network, neuron)
    raise DataError(f"{name}: there is no row {row}; it has {n_rows:,} row{'s' * (n_rows != 1)}, counted from 1")

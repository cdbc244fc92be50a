"""How a command is told which columns of its DATA are what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fallline.errors import ParameterError

if TYPE_CHECKING:
    from fallline.table import Kind

KINDS = ("number", "category", "date")
Target = Annotated[
    str | None, typer.Option(metavar="NAME", help="Column to learn; NPZ, IDX and bundled sets know theirs.")
]
Drop = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Column to leave out; may be given several times.")
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=KIND", help="What a column holds: number, category or date; may be given several times."
    ),
]


def kinds_of(columns: Sequence[str]) -> dict[str, Kind]:
    """What `--column` says.

    Parameters
    ----------
    columns : sequence of str
        ``NAME=KIND`` each; a name may have a ``=`` itself.

    Returns
    -------
    dict of str to {"number", "category", "date"}

    Raises
    ------
    ParameterError
        One is not of that form.

    Examples
    --------
    >>> kinds_of(["zip=category", "a=b=date"])
    {'zip': 'category', 'a=b': 'date'}
    """
    kinds: dict[str, Kind] = {}
    for text in columns:
        name, _, kind = text.rpartition("=")
        if not name or kind not in KINDS:
            raise ParameterError(f"--column is {text!r}; it must be NAME=KIND, where KIND is one of {', '.join(KINDS)}")
        kinds[name] = kind  # type: ignore[assignment]
    return kinds

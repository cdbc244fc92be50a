"""Options of the command line out of the table of hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from fallline.errors import ParameterError
from fallline.params import PARAMS, Param


def setting(name: str) -> Any:
    """Make the option for a hyper-parameter: its name, help and default are the table's.

    The option's value is the text as typed: `parse` checks it in the table's own words.
    """
    param = PARAMS[name]
    return typer.Option(
        param.flag,
        help=help_text(param),
        metavar=_metavar(param),
        rich_help_panel=param.group,
    )


def parse(typed: Mapping[str, str]) -> dict[str, Any]:
    """Give settings as values; ParameterError for what is out of range, which calls the option as it was typed."""
    return {name: _parsed(PARAMS[name], text) for name, text in typed.items()}


def _parsed(param: Param, text: str) -> Any:
    try:
        return param.parse(text)
    except ParameterError as error:
        raise ParameterError(param.flag + str(error).removeprefix(param.name)) from None


def help_text(param: Param) -> str:
    """Give what the table says, and the names to choose from."""
    return f"{param.doc} One of {', '.join(param.allowed)}." if isinstance(param.allowed, tuple) else param.doc


def _metavar(param: Param) -> str:
    if param.from_text is not None:
        return "TIME"
    return {int: "N", float: "X", str: "NAME", tuple: "N,N" if param.item is int else "X,X"}[param.type]

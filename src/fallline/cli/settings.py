"""Options of the command line out of the table of hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from fallline.params import PARAMS, TASKS, Param


def setting(name: str) -> Any:
    """Make the option for a hyper-parameter: its name, help and default are the table's.

    The option's value is the text as typed, or None where it is not given: `parse` checks it in the table's own words.
    """
    param = PARAMS[name]
    return typer.Option(
        f"--{name.replace('_', '-')}",
        help=param.doc,
        show_default=default_text(param),
        metavar=_metavar(param),
        rich_help_panel=param.group,
    )


def parse(typed: Mapping[str, str | None]) -> dict[str, Any]:
    """Give settings as values, without those that were not given; ParameterError for what is out of range."""
    return {name: PARAMS[name].parse(text) for name, text in typed.items() if text is not None}


def default_text(param: Param) -> str:
    """Give the default as one would type it."""
    if isinstance(param.default, tuple):
        return ",".join(map(str, param.default))
    return "none" if param.default is None else str(param.default)


def _metavar(param: Param) -> str:
    if isinstance(param.allowed, tuple):
        return "|".join([*param.allowed]) if param.allowed == TASKS else "NAME"
    return {int: "N", float: "X", tuple: "N,N"}[param.type]

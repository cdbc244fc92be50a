"""The table of what a page may ask to be done: nothing else is, and each argument is checked here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fallline.errors import ParameterError, did_you_mean
from fallline.live.race import EPOCHS, STARTS
from fallline.live.topics import TOPICS

MOST_STEPS = 1000  # in one command
MOST_WATCHED = 8
MOST_TEXT = 200  # letters of a name
MOST_LAYERS = 8
WIDEST = 4096

Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Verb:
    """Something that may be asked for.

    Attributes
    ----------
    arguments : dict from names to callables
        Each gives the checked value, or raises ValueError with what it must be.
    needed : tuple of str
        Arguments that must be there.
    owner : bool
        Whether it changes the descent, which only a page that owns it may.
    """

    arguments: Mapping[str, Check] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    owner: bool = False


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError("a finite number")
    return float(value)


def _yes_or_no(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("true or false")
    return value


def _text(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MOST_TEXT:
        raise ValueError(f"a text of 1 to {MOST_TEXT} letters")
    return value


def _one_of(*names: str) -> Check:
    def check(value: Any) -> str:
        if value not in names or type(value) is not str:
            raise ValueError(f"one of {', '.join(names)}")
        return value

    return check


def _widths(value: Any) -> tuple[int, ...]:
    width = _whole(1, WIDEST)
    if type(value) is not list or len(value) > MOST_LAYERS:
        raise ValueError(f"a list of {MOST_LAYERS} widths at most")
    return tuple(width(n) for n in value)


def _texts(value: Any) -> tuple[str, ...]:
    if type(value) is not list or len(value) > 10_000:
        raise ValueError("a list of names")
    return tuple(_text(name) for name in value)


def _kinds(value: Any) -> dict[str, str]:
    if type(value) is not dict or len(value) > 10_000:
        raise ValueError("kinds by names of columns")
    return {_text(name): _one_of("number", "category", "date")(kind) for name, kind in value.items()}


def _topics(value: Any) -> dict[str, dict[str, Any]]:
    if type(value) is not dict or len(value) > MOST_WATCHED or not all(type(asked) is dict for asked in value.values()):
        raise ValueError(f"up to {MOST_WATCHED} topics with what is asked of each")
    for name in value:
        if name != "tick" and name not in TOPICS:
            raise ValueError(f"a topic of {', '.join(('tick', *TOPICS))}")
    return value


_DESCENT = {"learning_rate": _number, "batch_size": _whole(1, 1 << 30), "l2": _number}
_START = {
    **_DESCENT,
    "hidden": _widths,
    "activation": _text,
    "optimizer": _text,
    "dropout": _number,
    "task": _one_of("classification", "regression"),
    "seed": _whole(0, (1 << 32) - 1),
}

VERBS = {
    "watch": Verb({"topics": _topics}, ("topics",)),
    "visible": Verb({"visible": _yes_or_no}, ("visible",)),
    "run": Verb(),
    "pause": Verb(),
    "step": Verb({"unit": _one_of("batch", "epoch"), "n": _whole(1, MOST_STEPS)}),
    "set": Verb(_DESCENT, owner=True),
    "restart": Verb(_START, owner=True),
    "back": Verb(owner=True),
    "race": Verb({"starts": _whole(*STARTS), "epochs": _whole(*EPOCHS)}, ("starts", "epochs"), owner=True),
    "stop_race": Verb(owner=True),
    "open": Verb({"name": _text, "upload": _text, "target": _text, "drop": _texts, "kinds": _kinds}, owner=True),
}


def checked(message: Any) -> tuple[str, dict[str, Any]]:
    """A verb and its arguments, out of what a page sent.

    Parameters
    ----------
    message : object
        As JSON was read.

    Returns
    -------
    str
    dict

    Raises
    ------
    ParameterError
        It is no command of the table.

    Examples
    --------
    >>> checked({"id": 1, "do": "step", "unit": "epoch"})
    ('step', {'unit': 'epoch'})
    """
    if type(message) is not dict or type(message.get("do")) is not str:
        raise ParameterError("a command is an object with the name of what to do under 'do'")
    name = message["do"]
    if name not in VERBS:
        raise ParameterError(f"there is no command {name!r:.40}{did_you_mean(name[:40], VERBS)}")
    verb = VERBS[name]
    given = {key: value for key, value in message.items() if key not in ("id", "do")}
    for missing in set(verb.needed) - set(given):
        raise ParameterError(f"{name} needs {missing}")
    arguments = {}
    for key, value in given.items():
        if key not in verb.arguments:
            takes = ", ".join(verb.arguments) or "nothing"
            raise ParameterError(f"{name} takes {takes}, not {key!r:.40}")
        try:
            arguments[key] = verb.arguments[key](value)
        except ValueError as error:
            raise ParameterError(f"{key} is {value!r:.40}; it must be {error}") from None
    return name, arguments

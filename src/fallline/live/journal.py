"""What was done to a descent and when, as data: with the table it is enough to do it all again, to the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fallline.errors import DataError


@dataclass(frozen=True)
class Action:
    """Something that was done.

    Attributes
    ----------
    step : int
        After so many steps.
    do : str
    arguments : dict
    """

    step: int
    do: str
    arguments: dict[str, Any]


@dataclass
class Journal:
    """Everything that a descent depends on, but the rows themselves.

    Attributes
    ----------
    data : str
        What the table is called.
    settings : dict
        Of its random start.
    reading : dict
        What else was said when the table was read: target, drop, kinds.
    model : str
        File of the model whose network it began with; "" for a random start.
    actions : list of Action
        In their order.
    """

    data: str
    settings: dict[str, Any]
    reading: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    actions: list[Action] = field(default_factory=list)

    def to_dict(self, step: int) -> dict[str, Any]:
        """The journal up to a step, JSON-serialisable."""
        return asdict(self) | {"step": step}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> tuple[Journal, int]:
        """A journal and the step that it goes to.

        Raises
        ------
        DataError
            It is none.
        """
        try:
            actions = [Action(int(one["step"]), str(one["do"]), dict(one["arguments"])) for one in written["actions"]]
            reading, model = dict(written["reading"]), str(written["model"])
            return cls(str(written["data"]), dict(written["settings"]), reading, model, actions), int(written["step"])
        except (KeyError, TypeError, ValueError):
            raise DataError("it is no journal of a studio") from None

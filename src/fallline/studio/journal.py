"""What was done to a descent and when, as data: with the table it is enough to do it all again, to the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


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
    """Everything that a descent depends on, but the table.

    Attributes
    ----------
    data : str
        What the table is called.
    settings : dict
        Of its random start.
    actions : list of Action
        In their order.
    """

    data: str
    settings: dict[str, Any]
    actions: list[Action] = field(default_factory=list)

    def to_dict(self, step: int) -> dict[str, Any]:
        """The journal up to a step, JSON-serialisable."""
        return asdict(self) | {"step": step}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> tuple[Journal, int]:
        """A journal and the step that it goes to."""
        actions = [Action(**action) for action in written["actions"]]
        return cls(written["data"], dict(written["settings"]), actions), int(written["step"])

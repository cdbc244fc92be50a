"""What a page asks of a topic, checked: it comes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fallline.errors import ParameterError


def whole(asked: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """A whole number within bounds, both of which it may be.

    Raises
    ------
    ParameterError
        It is no whole number, or out of bounds.
    """
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ParameterError(f"{name} is {value!r:.40}; it must be a whole number from {low} to {high}")
    return value

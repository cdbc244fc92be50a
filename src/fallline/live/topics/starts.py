"""The race of many starts, as far as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from fallline.live.view import View

Array = npt.NDArray[Any]


def starts(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `Race.snapshot` gives; the phase is "none" where no race was begun."""
    return ({"phase": "none"}, {}) if view.race is None else view.race.snapshot()

"""A picture that the visitor drew, classified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.live.ruler import outputs
from fallline.live.topics.images import answer_to, shape_of
from fallline.live.view import View

Array = npt.NDArray[Any]


def drawn(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What the network says of `pixels`, a list of numbers from 0 to 1, line by line."""
    height, width = shape_of(view)
    pixels = asked.get("pixels")
    if (
        not isinstance(pixels, list)
        or len(pixels) != height * width
        or not all(type(pixel) in (int, float) and 0 <= pixel <= 1 for pixel in pixels)
    ):
        raise ParameterError(f"pixels must be a list of {height * width} numbers from 0 to 1, line by line")
    A = outputs(view, np.array([pixels], view.data.X.dtype))
    return {"shape": (height, width), **answer_to(view, A)}, {"chances": A[0]}

"""The loss, epoch after epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.live.view import View
from fallline.wording import SCORE_NAMES

Array = npt.NDArray[Any]


def curve(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Losses and measures of the epochs so far."""
    history = view.history
    metrics = [name for name in history if name not in ("step", "epoch", "loss", "validation_loss", "learning_rate")]
    lowest = history.get("validation_loss", history["loss"])
    known = len(lowest) > 0 and bool(np.isfinite(lowest).any())
    best = float(history["epoch"][np.nanargmin(lowest)]) if known else None
    names = {name: SCORE_NAMES.get(name, name) for name in metrics}
    return {"best_epoch": best, "metrics": names, "held_back": view.validation is not None}, dict(history)

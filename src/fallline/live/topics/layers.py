"""Layer by layer: how weights, values and gradients are spread; and what is wrong with the descent, if anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.diagnosis import Finding
from fallline.errors import DataError
from fallline.live.result import run_of
from fallline.live.ruler import ruler
from fallline.live.view import View
from fallline.pictures.layers import LayersDisplay

Array = npt.NDArray[Any]

NUMBERS = 20_000_000  # weights times rows of a gradient, at most
MOST_ROWS, FEWEST_ROWS = 500, 16
STEPS = ("diverged", "step_too_large")  # findings that half the step size mends
UNITS = ("dead_units", "saturated_units")  # findings that the last good point may not have


def layers(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Histograms of each layer on some training rows, and the findings of a diagnosis."""
    findings = [one for one in run_of(view, _since(view)).diagnose() if one.name != "too_few_epochs"]  # it goes on
    n_parameters = len(view.network.parameters)
    yardstick = ruler(view, max(FEWEST_ROWS, min(MOST_ROWS, NUMBERS // n_parameters)))
    told = [asdict(one) | {"mends": "back" if _is_mended(view, one) else None} for one in findings]
    data: dict[str, Any] = {"findings": told, "rows": yardstick.n_rows, "layers": []}
    try:
        with np.errstate(all="ignore"):  # of a descent that is about to diverge
            spread = LayersDisplay.measured(view.network, yardstick)
            norms = [float(np.linalg.norm(W)) for W in view.network.W]
    except DataError:
        return data | {"message": "the network has diverged: go back to the last good point"}, {}
    n_hidden = len(spread.dead)
    arrays: dict[str, Array] = {}
    for l, layer in enumerate(view.network.layers):
        parts = {"weights": spread.weights[l], "values": spread.values[l], "gradients": spread.gradients[l]}
        n = layer.n_out
        data["layers"].append(
            {
                "n": n,
                "activation": layer.activation.name,
                "dead": round(spread.dead[l] * n) if l < n_hidden else 0,
                "saturated": round(spread.saturated[l] * n) if l < n_hidden else 0,
                "weight_norm": norms[l],
                "gradient_norm": float(np.hypot(parts["gradients"].mean, parts["gradients"].deviation))
                * view.network.W[l].size ** 0.5,
                **{name: {"zeros": part.zeros, "mean": part.mean, "deviation": part.deviation, "low": part.low,
                          "high": part.high} for name, part in parts.items()},
            }
        )  # fmt: skip
        for name, part in parts.items():
            arrays |= {f"{name}{l}_counts": part.counts, f"{name}{l}_edges": part.edges}
    return data, arrays


def _is_mended(view: View, finding: Finding) -> bool:
    """Whether half the step size from the last good point on would mend it."""
    if finding.name not in UNITS:
        return finding.name in STEPS
    back = replace(view, network=view.network.copy(view.good))
    return all(one.name != finding.name for one in run_of(back).diagnose())


def _since(view: View) -> int:
    """The step after which the learning rate is what it is now: what was before does not speak against it."""
    if view.by_program:  # its schedule changes the rate all the time
        return 0
    rate = view.plan.starts[0].learning_rate
    return max((int(row["step"]) for row in view.rows if row["learning_rate"] != rate), default=0)

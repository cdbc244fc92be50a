"""The way down: the path over the loss surface in its own plane, and what a larger step would do from here."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.live.ruler import ruler, some
from fallline.live.topics.asked import whole
from fallline.live.view import View
from fallline.pictures.yardstick import Yardstick
from fallline.surfaces import Plane

Array = npt.NDArray[Any]

OPERATIONS = 8e9  # of a surface: about a second of one core
FEWEST_ROWS = 32
MOST_NUMBERS = 2_000_000  # of the path; of large networks fewer points are shown
FEWEST_POINTS = 16
CUT = 1e6  # points where the loss is so many times that of the start have left the map
FACTORS = np.concatenate([[0.0], 2.0 ** np.linspace(-4, 6, 41)])  # of the learning rate
PRESENT = int(np.argmin(np.abs(FACTORS - 1)))


def descent(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Surface, path and the line against the gradient, all of them on the same rows without penalties and dropout.

    The rows are as many as can be worked out in a second; of a large network the grid has fewer lines than `n`.
    """
    n = whole(asked, "n", 41, 5, 81)
    n_parameters = len(view.network.parameters)
    n = max(5, min(n, isqrt(int(OPERATIONS / (2 * n_parameters * FEWEST_ROWS)))))
    yardstick = ruler(view, max(FEWEST_ROWS, int(OPERATIONS / (2 * n_parameters * n * n))))
    data = {"rows": yardstick.n_rows, "all_rows": len(view.data.X), "loss_name": yardstick.loss_name, "n": n}
    shown = some(len(view.steps), max(FEWEST_POINTS, MOST_NUMBERS // n_parameters))
    points, steps = view.points[shown], view.steps[shown]
    if steps[-1] != view.step:
        points, steps = np.concatenate([points, view.network.parameters[None]]), np.append(steps, view.step)
    losses = yardstick.losses(points)
    on_map = np.isfinite(losses) & (losses <= CUT * losses[0])
    points, steps, losses = points[on_map].astype(np.float64), steps[on_map], losses[on_map]
    try:
        plane = Plane.through_path(points)
    except ParameterError:
        return data | {"message": "no way to draw yet: take a step first"}, {}
    a, b = plane.around(points, n)
    path = plane.coordinates(points)
    there = plane.origin + path @ np.stack([plane.u, plane.v])
    off_plane = np.linalg.norm(points - there, axis=1)
    away = np.square(points - plane.origin).sum()
    larger, line = _larger_step(view, yardstick)
    return (
        data
        | {
            "explained": 1 - float(np.square(off_plane).sum() / away),
            "length": float(np.linalg.norm(points[0] - points[-1])),
            "walked": float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum()),
            "larger": larger,
        },
        {
            "a": a,
            "b": b,
            "losses": yardstick.surface(plane, a, b),
            "path": path,
            "path_losses": losses,
            "path_drawn": yardstick.losses(there),
            "path_steps": steps,
            "off_plane": off_plane,
            "factors": FACTORS,
            "line": line,
        },
    )


def _larger_step(view: View, yardstick: Yardstick) -> tuple[dict[str, Any] | None, Array]:
    """The loss after a step against the gradient of the same rows, by factors of the learning rate."""
    theta, rate = view.network.parameters, view.plan.starts[0].learning_rate
    if not np.isfinite(theta).all():
        return None, np.empty(0)
    gradient = yardstick.gradient(theta).astype(np.float64)
    if not np.isfinite(gradient).all():
        return None, np.empty(0)
    line = Plane(theta.astype(np.float64), -rate * gradient, np.zeros(len(theta)))
    losses = yardstick.surface(line, FACTORS, [0.0])[:, 0]
    best = int(np.nanargmin(losses))
    return {
        "learning_rate": rate,
        "present": PRESENT,
        "best": best,
        "gradient_norm": float(np.linalg.norm(gradient)),
        "optimizer": view.job.settled["optimizer"],
    }, losses

"""What a report says of the training: the network, the way down, where each start ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fallline.errors import ParameterError
from fallline.listeners import History
from fallline.model import Model
from fallline.pictures.layers import LayersDisplay
from fallline.pictures.loss_curve import LossCurveDisplay
from fallline.pictures.minima import MinimaDisplay
from fallline.pictures.network import NetworkDisplay
from fallline.pictures.norms import LayerNormsDisplay
from fallline.pictures.path import DescentPathDisplay
from fallline.pictures.starts import StartsDisplay
from fallline.pictures.surface import LossSurfaceDisplay
from fallline.pictures.weights import WeightImagesDisplay
from fallline.report.figures import displayed
from fallline.report.page import Block, Grid, Section, Text
from fallline.run import Run
from fallline.table import Table
from fallline.wording import SCORE_NAMES, score

GRID, ROWS = 41, 500  # points a side and rows of a surface: a few seconds for a network of a table


def network_section(model: Model, table: Table | None) -> Section:
    """The network of a model, drawn; with the values of a row where there is one."""
    network, n = model.network, len(model.networks)
    several = f"{n} networks, whose answers are averaged. The first of them: " if n > 1 else ""
    before, sizes = network.shape.inputs, "-".join(map(str, network.layer_sizes))
    inputs = "" if before is None else f", of whose inputs {before.n_out} numbers are made for the first layer"
    words = f"{several}{sizes} neurons{inputs}, {len(network.parameters):,} numbers to learn."
    row = None if table is None else table.rows(np.arange(1))
    blocks: list[Block] = [
        Text(words),
        displayed(lambda ax: NetworkDisplay.from_model(model, row, ax=ax), size=(10, 6.2), wide=True),
    ]
    if model.encoder.image_shape is not None:
        blocks.append(
            displayed(lambda ax: WeightImagesDisplay.from_model(model, ax=ax), size=(10, 5), wide=True, pixels=True)
        )
    return Section("network", "The network", blocks)


def descent_section(history: History, run: Run | None, curve: Callable[[Any], Any]) -> Section:
    """The way down: losses by epoch; of a run that was recorded the path over the surface, and layer by layer.

    Parameters
    ----------
    history : History
    run : Run or None
    curve : callable
        Draws the loss curve on axes.

    Returns
    -------
    Section
    """
    if not len(history):
        return Section("descent", "The way down", [Text("There was no epoch.")])
    blocks: list[Block] = [displayed(curve, size=(10, 4.4), wide=True), *_repairs(history)]
    if run is not None and not np.isfinite(run.losses).any():
        run = None
    if run is not None:
        known = run
        if known.recorder is not None and len(known.recorder.steps) > 1:
            with contextlib.suppress(ParameterError):  # it ended where it began
                path = displayed(
                    lambda ax: DescentPathDisplay.from_run(known, n=GRID, rows=ROWS, ax=ax),
                    size=(10, 7.5), wide=True, pixels=True,
                )  # fmt: skip
                blocks.append(path)
            blocks.append(displayed(lambda ax: LayerNormsDisplay.from_run(known, ax=ax), size=(6.4, 5.2)))
        blocks.append(
            displayed(
                lambda ax: LossSurfaceDisplay.from_run(known, n=GRID, rows=ROWS, ax=ax), size=(6.4, 5.2), pixels=True
            )
        )
        blocks.append(displayed(lambda ax: LayersDisplay.from_run(known, ax=ax), size=(10, 5.6), wide=True))
    return Section("descent", "The way down", blocks)


def _repairs(history: History) -> list[Block]:
    """Which starts were set back, if any."""
    if not history.repairs:
        return []
    header = ["start", "no longer finite in epoch", "went back to step", "learning rate since"]
    rows = [
        [str(one["start"]), str(one["epoch"]), f"{one['back_to']:,}", f"{one['learning_rate']:.4g}"]
        for one in history.repairs
    ]
    return [Grid("Starts whose loss was no longer finite went back, and on with half the step size", header, rows)]


def starts_section(
    run: Run | None, each: Sequence[dict[str, float]], starts: Sequence[int], kept_epochs: Sequence[int]
) -> Section:
    """Where the random starts ended, and the plane through three of them; `each` has the scores of some starts."""
    blocks: list[Block] = []
    if each and len(each) > 1:
        names = list(each[0])
        rows = [
            [str(k), str(epoch), *(score(name, of_start[name]) for name in names)]
            for k, epoch, of_start in zip(starts, kept_epochs, each, strict=False)
        ]
        header = ["start", "kept at epoch", *(SCORE_NAMES.get(name, name) for name in names)]
        blocks.append(Grid("Each start alone, on the rows that it held back", header, rows))
    if run is None or len(run.networks) < 2 or not np.isfinite(run.losses).any() or not len(run.history):
        return Section("starts", "Many starts", blocks)
    known = run
    blocks.insert(0, displayed(lambda ax: StartsDisplay.from_run(known, ax=ax), size=(10, 4.6), wide=True))
    if np.isfinite(run.losses).sum() >= 3:
        with contextlib.suppress(ParameterError):  # some ended at the same point
            plane = displayed(
                lambda ax: MinimaDisplay.from_run(known, n=25, rows=ROWS, ax=ax), size=(10, 4.8), wide=True, pixels=True
            )
            blocks.append(plane)
    return Section("starts", "Many starts", blocks)


def loss_curve_of(subject: Model | Run) -> Callable[[Any], Any]:
    """What draws the loss curve of a run or of the model that came of one."""
    if isinstance(subject, Run):
        return lambda ax: LossCurveDisplay.from_run(subject, ax=ax)
    return lambda ax: LossCurveDisplay.from_model(subject, ax=ax)

"""The numbers of a picture as a table, for whoever does not see it: a twin of each Display that a report shows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.pictures.dependence import PartialDependenceDisplay
from fallline.pictures.importance import ImportanceDisplay
from fallline.pictures.layers import LayersDisplay
from fallline.pictures.loss_curve import LossCurveDisplay
from fallline.pictures.minima import EDGES, MinimaDisplay
from fallline.pictures.network import NetworkDisplay
from fallline.pictures.norms import LayerNormsDisplay
from fallline.pictures.path import DescentPathDisplay
from fallline.pictures.starts import StartsDisplay
from fallline.pictures.surface import LossSurfaceDisplay
from fallline.pictures.weights import WeightImagesDisplay
from fallline.report.page import Grid
from fallline.table.table import pixel_names
from fallline.wording import SCORE_NAMES, number

Array = npt.NDArray[Any]

MOST_EPOCHS = 50  # of those in which all was measured
MOST_STEPS = 11  # of a path
ROUNDING = 1e-9  # of a path's extent: what is smaller is 0
MOST_VALUES = 11  # of a column
SIDE = 5  # of a surface's grid
MOST_PIXELS = 3  # that a neuron weighs most


@singledispatch
def twin(display: Any) -> Grid:
    """Give a Display's numbers as a table.

    Parameters
    ----------
    display
        One of those that a report shows.

    Returns
    -------
    Grid

    Raises
    ------
    TypeError
        No table is known for such a Display.
    """
    raise TypeError(f"no table is known for the numbers of {type(display).__name__}")


def cell(value: float, digits: int = 4) -> str:
    """A number, or a dash where it is not finite."""
    return number(float(value), digits) if np.isfinite(value) else "-"


def spaced(n: int, most: int, among: Iterable[int] = ()) -> list[int]:
    """Some of the numbers from 0 to n - 1, evenly spaced, with both ends, and with those that must be among them."""
    return sorted({*np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist(), *among})


@twin.register
def _(display: NetworkDisplay) -> Grid:
    header = ["layer", "neurons", "activation", "weights", "their mean size", "their largest size"]
    rows = [["inputs", f"{len(display.W[0]):,}", "", "", "", ""]]
    for l, (W, activation) in enumerate(zip(display.W, display.activations, strict=True)):
        size = np.abs(W)
        rows.append([str(l), f"{W.shape[1]:,}", activation, f"{W.size:,}", cell(size.mean()), cell(size.max())])
    if display.values is not None:
        header.append("values for the row")
        rows = [[*row, f"{cell(of.min())} to {cell(of.max())}"] for row, of in zip(rows, display.values, strict=True)]
    return Grid("The network, layer by layer", header, rows)


@twin.register
def _(display: WeightImagesDisplay) -> Grid:
    names = pixel_names(display.images.shape[1:])
    rows = []
    for neuron, image in zip(display.neurons, display.images, strict=True):
        w = image.ravel()
        strongest = np.argsort(-np.abs(w), kind="stable")[:MOST_PIXELS]
        rows.append([str(neuron), cell(float(np.linalg.norm(w))), *(f"{names[i]}: {cell(w[i], 3)}" for i in strongest)])
    header = ["neuron", "norm of its weights", "strongest pixel (row, column)", "second", "third"]
    return Grid("Weights of the first layer", header[: 2 + min(MOST_PIXELS, len(names))], rows)


@twin.register
def _(display: LossCurveDisplay) -> Grid:
    several = ", median of the starts" if display.loss.shape[1] > 1 else ""
    curves = {"loss": display.loss, "validation loss": display.validation_loss}
    known = {name: losses for name, losses in curves.items() if losses is not None}
    n = len(display.loss)
    measured = np.all([np.isfinite(losses).any(axis=1) for losses in known.values()], axis=0)
    epochs = sorted({0, *np.flatnonzero(measured).tolist(), n - 1})
    rows = []
    for i in (epochs[k] for k in spaced(len(epochs), MOST_EPOCHS)):
        finite = [losses[i][np.isfinite(losses[i])] for losses in known.values()]
        rows.append([str(i + 1), *(cell(np.median(of)) if len(of) else "-" for of in finite)])
    return Grid("Losses by epoch", ["epoch", *(name + several for name in known)], rows)


@twin.register
def _(display: DescentPathDisplay) -> Grid:
    named = {0: "start", len(display.steps) - 1: "end"}
    named[display.kept] = f"{named[display.kept]}, kept" if display.kept in named else "kept"
    places = np.column_stack([display.coordinates, display.off_plane])
    places[np.abs(places) < ROUNDING * np.abs(places).max()] = 0.0
    measured = np.column_stack([places[:, :2], display.losses, display.in_plane, places[:, 2]])
    rows = [
        [f"{display.steps[i]:,}", named.get(i, ""), *map(cell, measured[i])]
        for i in spaced(len(display.steps), MOST_STEPS, named)
    ]
    header = [
        "step",
        "which",
        "distance towards the end",
        "distance across",
        "loss",
        "loss where it is drawn",
        "off the plane",
    ]
    return Grid("Some points of the path", header, rows)


@twin.register
def _(display: LayerNormsDisplay) -> Grid:
    changes = np.vstack([display.changes, np.full(len(display.labels), np.nan)])  # none after the last point
    rows = [
        [f"{display.steps[i]:,}", *map(cell, display.gradient_norms[i]), *map(cell, changes[i])]
        for i in spaced(len(display.steps), MOST_STEPS)
    ]
    what = [f"{what}, {label}" for what in ("gradient", "change a step") for label in display.labels]
    return Grid("Norms of the gradient, and changes relative to the weights", ["step", *what], rows)


@twin.register
def _(display: LossSurfaceDisplay) -> Grid:
    i, j = spaced(len(display.a), SIDE), spaced(len(display.b), SIDE)
    rows = [[cell(display.a[k]), *map(cell, display.surface[k, j])] for k in i]
    header = ["along the first (down), the second (across)", *map(cell, display.b[j])]
    return Grid(f"The {display.loss_name} along the two directions; {cell(display.loss)} at the network", header, rows)


@twin.register
def _(display: LayersDisplay) -> Grid:
    header = ["layer", "what", "mean", "deviation", "lowest", "highest", "exactly 0", "dead", "saturated"]
    rows = []
    for l, name in enumerate(display.titles):
        spreads = {
            "weights": display.weights[l],
            "what neurons give": display.values[l],
            "size of the gradient": display.gradients[l],
        }
        for what, of in spreads.items():
            hidden = what == "what neurons give" and l < len(display.dead)
            stuck = [f"{shares[l]:.1%}" if hidden else "" for shares in (display.dead, display.saturated)]
            numbers = map(cell, (of.mean, of.deviation, of.low, of.high))
            rows.append([name, what, *numbers, f"{of.zeros:.1%}", *stuck])
    return Grid("Layer by layer", header, rows)


@twin.register
def _(display: StartsDisplay) -> Grid:
    rows = [[str(k), cell(loss), "no" if loss <= display.threshold else "yes"] for k, loss in enumerate(display.losses)]
    return Grid(f"Final {display.measured} of each start", ["start", "loss", f"above {cell(display.threshold)}"], rows)


@twin.register
def _(display: MinimaDisplay) -> Grid:
    rows = [
        [
            f"{display.starts[i]} and {display.starts[j]}", cell(display.losses[i]), cell(display.losses[j]),
            *map(cell, ridges),
        ]
        for (i, j), ridges in zip(EDGES, display.barriers.T, strict=True)
    ]  # fmt: skip
    header = ["starts", "loss of the first", "of the second", "ridge above the higher", "with neurons matched"]
    return Grid(f"The {display.loss_name} of three starts, and the ridges between them", header, rows)


@twin.register
def _(display: ImportanceDisplay) -> Grid:
    means, times = display.importances.mean(axis=1), display.importances.shape[1]
    rows = [[display.columns[i], cell(means[i])] for i in np.argsort(-means, kind="stable")]
    score = SCORE_NAMES.get(display.score, display.score)
    return Grid(
        f"How much {score} is added when a column is shuffled, mean of {times} times", ["column", "added"], rows
    )


@twin.register
def _(display: PartialDependenceDisplay) -> Grid:
    n = len(display.values)
    some = range(n) if display.kind == "category" else spaced(n, MOST_VALUES)
    one = len(display.names) == 1
    band = ["80 % of the rows are between", "and"] if one else []
    rows = [
        [display.value_text(i), *map(cell, display.mean[i]), *(map(cell, display.band[i]) if one else ())] for i in some
    ]
    caption = f"What the model says of {display.target} on average, by {display.column}"
    return Grid(caption, [display.column, *display.names, *band], rows)

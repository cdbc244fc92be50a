"""Layer by layer, how weights, values and gradients are spread, and how many neurons have stopped learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.losses import Loss
from fallline.network import Network, views
from fallline.pictures import style
from fallline.pictures.numbers import number
from fallline.pictures.yardstick import Yardstick, chosen_start
from fallline.run import Run
from fallline.units import dead_units, saturated_units
from fallline.wording import listed_briefly

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import StepPatch

Array = npt.NDArray[Any]

BINS = 40
DECADES = 9  # of gradients that are shown, from the largest down
COLOURS = (style.CYCLE[0], style.CYCLE[8], style.CYCLE[4])


@final
@dataclass(frozen=True)
class Spread:
    """A histogram.

    Attributes
    ----------
    counts : array of shape (BINS,)
    edges : array of shape (BINS + 1,)
    zeros : float
        Share of the numbers that are exactly 0, which are not counted.
    mean, deviation, low, high : float
        Of all numbers; the deviation is the standard deviation.
    """

    counts: Array
    edges: Array
    zeros: float
    mean: float
    deviation: float
    low: float
    high: float

    @property
    def median(self) -> float:
        """Of the numbers that are counted, to the middle of its bin; 0 if there are none."""
        if not self.counts.any():
            return 0.0
        bin_ = int(np.searchsorted(self.counts.cumsum(), self.counts.sum() / 2))
        return float(self.edges[bin_ : bin_ + 2].mean())

    @classmethod
    def of(cls, values: Array, edges: Array) -> Spread:
        """Of numbers of any shape; what is beyond the edges counts in the last bin on its side."""
        others = np.clip(values[values != 0], edges[0], edges[-1])
        all_of_them = values.astype(np.float64)
        return cls(
            counts=np.histogram(others, edges)[0],
            edges=edges,
            zeros=1 - others.size / values.size,
            mean=float(all_of_them.mean()),
            deviation=float(all_of_them.std()),
            low=float(values.min()),
            high=float(values.max()),
        )


@final
class LayersDisplay:
    """A row of three histograms for each layer: its weights, what its neurons give, and the gradient for its weights.

    Of gradients the size is shown, in powers of ten, on one axis for all layers: where a layer stands far to the left
    of those after it, gradients vanish on the way back. Numbers that are exactly 0 are not in the bars; their share
    is written down, as are dead and saturated neurons (see `fallline.units`).

    Parameters
    ----------
    titles : list of str
        Of each layer.
    weights, values, gradients : list of Spread
        Of each layer; those of gradients are of their size.
    dead, saturated : list of float
        Shares of the neurons of each hidden layer.
    sizes : list of int
        Neurons of each layer.
    n_rows : int
        Rows that values and gradients are of.

    Attributes
    ----------
    stairs_ : list of list of StepPatch
        Of each layer its three histograms.
    ax_, axes_, figure_
        Where it is drawn: the first axes; all of them, row by row.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.standard_normal((100, 4)), rng.standard_normal(100)
    >>> display = LayersDisplay.from_network(Network([4, 8, 1], seed=1), X, y)
    >>> display.titles, display.dead
    (['layer 0: 8 relu', 'layer 1: 1 identity'], [0.0])
    """

    def __init__(
        self,
        *,
        titles: list[str],
        weights: list[Spread],
        values: list[Spread],
        gradients: list[Spread],
        dead: list[float],
        saturated: list[float],
        sizes: list[int],
        n_rows: int,
    ) -> None:
        self.titles, self.weights, self.values, self.gradients = titles, weights, values, gradients
        self.dead, self.saturated, self.sizes, self.n_rows = dead, saturated, sizes, n_rows

    @classmethod
    def from_network(
        cls,
        network: Network,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        loss: Loss | str = "auto",
        rows: int = 1000,
        ax: Axes | None = None,
    ) -> LayersDisplay:
        """Draw a network's layers on some rows.

        Parameters
        ----------
        network : Network
        X : array of shape (n, n_in)
        y : array of shape (n,) or (n, n_targets)
        loss : Loss or str, default "auto"
            See `fallline.losses`; "auto" follows the output.
        rows : int, default 1000
            Rows to measure on, at most; drawn with seed 0.
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        LayersDisplay

        Raises
        ------
        DataError, ParameterError
            The rows do not fit the network or the loss.
        """
        return cls.measured(network, Yardstick.of_rows(network, X, y, loss, rows)).plot(ax)

    @classmethod
    def from_run(cls, run: Run, *, start: int | None = None, rows: int = 1000, ax: Axes | None = None) -> LayersDisplay:
        """Draw the layers of a run's network, on the rows that it was trained on.

        Parameters
        ----------
        run : Run
        start : int, optional
            Which of its networks; the best by default.
        rows : int, default 1000
            Training rows to measure on, at most; drawn with seed 0.
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        LayersDisplay

        Raises
        ------
        ParameterError
            There is no such network.
        """
        k = chosen_start(run, start)
        return cls.measured(run.networks[k], Yardstick.of_run(run, k, rows)).plot(ax)

    @classmethod
    def measured(cls, network: Network, yardstick: Yardstick) -> LayersDisplay:
        """The same without drawing it, on a yardstick's rows; DataError where the network has diverged."""
        found, X = yardstick.gradient(network.parameters), yardstick.data.X
        if not np.isfinite(found).all():
            raise DataError("the gradient is not finite: the network has diverged")
        dW = [np.abs(part) for part in views(network.shape, found)[0]]
        largest = max(float(part.max()) for part in dW) or 1.0
        top = np.ceil(np.log10(largest))
        decades = np.logspace(top - DECADES, top, BINS + 1)
        A = network.forward(X).A
        hidden = zip(dead_units(network, X), saturated_units(network, X), strict=True)
        shares = [(float(dead.mean()), float(saturated.mean())) for dead, saturated in hidden]
        return cls(
            titles=[f"layer {l}: {layer.n_out:,} {layer.activation.name}" for l, layer in enumerate(network.layers)],
            weights=[Spread.of(W, _even(W)) for W in network.W],
            values=[Spread.of(values, _even(values)) for values in A],
            gradients=[Spread.of(part, decades) for part in dW],
            dead=[dead for dead, _ in shares],
            saturated=[saturated for _, saturated in shares],
            sizes=[layer.n_out for layer in network.layers],
            n_rows=yardstick.n_rows,
        )

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        n_hidden = sum(self.sizes[:-1])
        dead, saturated = (
            sum(round(share * size) for share, size in zip(shares, self.sizes[:-1], strict=True))
            for shares in (self.dead, self.saturated)
        )
        hidden = f" Of {n_hidden:,} hidden neurons {dead:,} are dead and {saturated:,} saturated." if n_hidden else ""
        sizes = [f"{number(part.median, 1)} in layer {l}" for l, part in enumerate(self.gradients)]
        return (
            f"Histograms of each layer: its weights, and on {_rows(self.n_rows)} what its neurons give and the "
            f"gradient. The middle size of the gradient is about {listed_briefly(sizes)}.{hidden}"
        )

    def plot(self, ax: Axes | None = None) -> LayersDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        LayersDisplay
        """
        n_layers = len(self.titles)
        panels = style.panels(ax, n_layers, 3, (8.0, 1.25 * n_layers + 1.0))
        self.axes_, self.ax_, self.figure_ = panels, panels[0], panels[0].figure
        self.stairs_: list[list[StepPatch]] = []
        looks = zip(("weights", "what neurons give", "size of the gradient"), COLOURS, strict=True)
        for column, (head, color) in enumerate(looks):
            spreads = (self.weights, self.values, self.gradients)[column]
            for l, spread in enumerate(spreads):
                panel = panels[3 * l + column]
                if column == 0:
                    self.stairs_.append([])
                    panel.set_ylabel(
                        self.titles[l].replace(": ", "\n"), fontsize=9, rotation=0, ha="right", va="center"
                    )
                self.stairs_[l].append(panel.stairs(spread.counts, spread.edges, fill=True, color=color, alpha=0.85))
                style.quiet(panel)
                panel.set_yticks([])
                panel.spines["left"].set_visible(False)
                panel.tick_params(axis="x", labelsize=8)
                panel.set_ylim(0, 1.12 * max(1, int(spread.counts.max())))
                if column == 2:
                    panel.set_xscale("log")
                    panel.set_xlim(spread.edges[0], spread.edges[-1])
                    if l < n_layers - 1:
                        panel.tick_params(axis="x", labelbottom=False)
                if l == n_layers - 1:
                    panel.set_xlabel(head, fontsize=9)
                self._note(panel, l, column)
        below = f"weights, and on {_rows(self.n_rows)} what neurons give and the gradient"
        style.title(panels[0], "Layer by layer", below)
        return self

    def _note(self, panel: Axes, l: int, column: int) -> None:
        """Zeros, dead and saturated neurons, in that corner of their histogram where there is more room."""
        spread = (self.weights, self.values, self.gradients)[column][l]
        at, side = (0, "left") if column == 2 else (1, "right")
        lines = [f"{spread.zeros:.0%} are 0"] if spread.zeros >= 0.005 else []
        bad = []
        if column == 1 and l < len(self.dead):
            bad = [
                f"{round(share * self.sizes[l]):,} of {self.sizes[l]:,} {what}"
                for share, what in ((self.dead[l], "dead"), (self.saturated[l], "saturated"))
                if share
            ]
        for i, line in enumerate([*bad, *lines]):
            panel.annotate(
                line, (at, 1), (2 - 5 * at, -2 - 11 * i), xycoords="axes fraction", textcoords="offset points",
                fontsize=8, ha=side, va="top", color=style.NEGATIVE if line in bad else "#666666",
                weight="bold" if line in bad else "normal", path_effects=style.halo(),
            )  # fmt: skip


def _rows(n: int) -> str:
    return f"{n:,} row{'s' * (n > 1)}"


def _even(values: Array) -> Array:
    """Edges of bins of one width around all the values."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)

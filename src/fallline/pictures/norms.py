"""How large gradients and steps are in each layer, along a descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.network import Shape, views
from fallline.pictures import style
from fallline.pictures.numbers import number
from fallline.pictures.yardstick import Yardstick, chosen_start
from fallline.run import Run
from fallline.wording import listed_briefly

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]


@final
class LayerNormsDisplay:
    """Two curves for each layer, over the steps of a descent: its gradient's norm, and how fast its weights change.

    Weights and biases of a layer count as one vector. The change is its distance from one recorded point to the next,
    divided by the steps between them and by its own norm. Where points are several steps apart, steps to and fro are
    not seen in it, so a last stretch that is shorter than the others would look faster, and is left out.

    Parameters
    ----------
    steps : array of int, shape (T,)
        Steps taken before each recorded point.
    labels : list of str
        Of each layer, and of the inputs where they are learned.
    gradient_norms : array of shape (T, n_labels)
        Of the mean loss without penalties.
    changes : array of shape (T - 1, n_labels)
        From each point to the next, a step, relative to the norm at the former; NaN where that is 0, and of a last
        stretch that is shorter than the others.
    n_rows : int
        Rows that the gradients are of.

    Attributes
    ----------
    gradient_lines_, change_lines_ : list of Line2D
    ax_, axes_, figure_
        Where it is drawn: the gradients' axes; both.

    Examples
    --------
    >>> from fallline import Network, Recorder, descend
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = descend(Network([1, 4, 1]), x, x[:, 0] ** 2, epochs=5, callbacks=Recorder())
    >>> display = LayerNormsDisplay.from_run(run)
    >>> display.labels, display.gradient_norms.shape
    (['layer 0', 'layer 1'], (11, 2))
    """

    def __init__(self, *, steps: Array, labels: list[str], gradient_norms: Array, changes: Array, n_rows: int) -> None:
        self.steps, self.labels, self.n_rows = steps, labels, n_rows
        self.gradient_norms, self.changes = gradient_norms, changes

    @classmethod
    def from_run(
        cls, run: Run, *, start: int | None = None, rows: int = 1000, ax: Axes | None = None
    ) -> LayerNormsDisplay:
        """Measure along a recorded descent.

        Parameters
        ----------
        run : Run
            With a recorder among its callbacks.
        start : int, optional
            Which start; the best by default.
        rows : int, default 1000
            Training rows to measure gradients on, at most; drawn with seed 0.
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        LayerNormsDisplay

        Raises
        ------
        ParameterError
            The run was not recorded; there is no such start.
        """
        if run.recorder is None:
            raise ParameterError("the run was not recorded; pass callbacks=fl.Recorder() to descend")
        k, shape = chosen_start(run, start), run.plan.shape
        yardstick = Yardstick.of_run(run, k, rows)
        steps, points = run.recorder.steps, run.recorder.points[:, k]
        with np.errstate(all="ignore"):  # of a descent that diverged
            gradient_norms = np.array([_norms(shape, yardstick.gradient(point)) for point in points])
            weight_norms = np.array([_norms(shape, block) for block in points[:-1]])
            changed = [_norms(shape, block) for block in np.diff(points.astype(np.float64), axis=0)]
            apart = np.diff(steps)[:, None]
            changes = np.reshape(changed, weight_norms.shape) / (apart * weight_norms)
            changes[(weight_norms == 0) | (apart < apart.max())] = np.nan
        labels = [] if shape.inputs is None else ["inputs"]
        labels += [f"layer {l}" for l in range(len(shape.layers))]
        n_rows = yardstick.n_rows
        return cls(steps=steps, labels=labels, gradient_norms=gradient_norms, changes=changes, n_rows=n_rows).plot(ax)

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        ways = []
        for label, norms in zip(self.labels, self.gradient_norms.T, strict=True):
            known = norms[np.isfinite(norms)]
            ways += [f"from {number(known[0])} to {number(known[-1])} in {label}"] if len(known) else []
        return (
            f"Norms of the gradient on {self.n_rows:,} rows, and below them how fast the weights change, over "
            f"{self.steps[-1]:,} steps. From the first to the last they go {listed_briefly(ways)}."
        )

    def plot(self, ax: Axes | None = None) -> LayerNormsDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        LayerNormsDisplay
        """
        panels = style.panels(ax, 2, 1, (8.0, 5.6))
        self.axes_, self.ax_, self.figure_ = panels, panels[0], panels[0].figure
        above, below = panels
        self.gradient_lines_, self.change_lines_ = [], []
        between = (self.steps[:-1] + self.steps[1:]) / 2
        for i, label in enumerate(self.labels):
            look: Any = {"color": style.CYCLE[i % len(style.CYCLE)], "label": label, "linewidth": 1.6}
            self.gradient_lines_ += above.plot(self.steps, _positive(self.gradient_norms[:, i]), **look)
            self.change_lines_ += below.plot(between, _positive(self.changes[:, i]), **look)
        for panel, what in ((above, "norm of the gradient"), (below, "change a step,\nrelative to the weights")):
            panel.set_yscale("log")
            panel.set_ylabel(what, fontsize=9)
            panel.tick_params(which="both", labelsize=8)
            style.quiet(panel)
        above.sharex(below)
        above.tick_params(labelbottom=False)
        below.set_xlabel("step", fontsize=9)
        above.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
        apart = int(np.diff(self.steps).max(initial=1))
        seen = "after every step" if apart == 1 else f"every {apart:,} steps"
        style.title(above, "Gradients and steps, layer by layer", f"measured {seen}, gradients on {self.n_rows:,} rows")
        return self


def _norms(shape: Shape, block: Array) -> list[float]:
    """Of a block's parts: the inputs, where they are learned, and each layer."""
    before = 0 if shape.inputs is None else shape.inputs.n_parameters
    inputs = [] if shape.inputs is None else [float(np.linalg.norm(block[:before]))]
    layers = zip(*views(shape, block), strict=True)
    return inputs + [float(np.hypot(np.linalg.norm(W), np.linalg.norm(b))) for W, b in layers]


def _positive(values: Array) -> Array:
    """What a logarithmic axis can show."""
    return np.where(values > 0, values, np.nan)

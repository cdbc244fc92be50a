"""Many random starts: where each of them ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.pictures.numbers import number
from fallline.pictures.style import INK, NEGATIVE, POSITIVE, WIDE, halo, log_scale, panels, quiet, title
from fallline.run import Run
from fallline.wording import SCORE_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

SHARE = 0.1  # of what the best start gained: who falls short by more is in a bad valley


@final
class StartsDisplay:
    """Where the random starts of a run ended: their losses by epoch, and the final ones in order.

    Parameters
    ----------
    curves : array of shape (n_epochs, n_starts)
        Validation loss by epoch, or training loss where there are no validation rows.
    losses : array of shape (n_starts,)
        Of the parameters kept; NaN of starts that have none.
    threshold : float
        Who ends above it is in a bad valley.
    measured : str
        "validation loss" or "training loss".

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the curves.
    axes_ : list of two Axes
        Curves, and final losses.
    figure_ : matplotlib Figure
    curves_ : list of matplotlib Line2D
    ends_, threshold_ : matplotlib artists

    Examples
    --------
    >>> import fallline as fl
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    >>> net = fl.Network([2, 2, 1], "tanh", output="sigmoid")
    >>> run = fl.descend(net, X, y, starts=20, epochs=200, optimizer=fl.Adam(0.1))
    >>> display = StartsDisplay.from_run(run, threshold=0.3)
    >>> 0 < display.n_bad < 20
    True
    """

    def __init__(self, *, curves: Array, losses: Array, threshold: float, measured: str = "loss") -> None:
        self.curves, self.losses, self.threshold, self.measured = curves, losses, threshold, measured

    @classmethod
    def from_run(cls, run: Run, *, threshold: float | None = None, ax: Axes | None = None) -> StartsDisplay:
        """Draw the starts of a run.

        Parameters
        ----------
        run : Run
        threshold : float, optional
            Who ends above it is in a bad valley. If nothing is said: the best loss and a tenth of what its start gained
            over the median of the first epoch measured.
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        StartsDisplay

        Raises
        ------
        ParameterError
            No start came to a finite loss, or to the end of an epoch.
        """
        if not np.isfinite(run.losses).any():
            raise ParameterError(f"no start came to a finite loss: {run.message}")
        if not len(run.history):
            raise ParameterError(f"there was no whole epoch to draw: {run.message}")
        name = run.monitor.removeprefix("-")
        curves = run.history[name].astype(np.float64) * (1 if name == run.monitor else -1)
        if threshold is None:
            first = next((epoch for epoch in curves if np.isfinite(epoch).any()), run.losses)
            best = np.nanmin(run.losses)
            threshold = float(best + SHARE * max(0.0, np.nanmedian(first) - best))
        words = {"loss": "training loss"}.get(name, SCORE_NAMES.get(name, name.replace("_", " ")))
        measured = words if name == run.monitor else f"minus {words}"
        losses = run.losses.astype(np.float64)
        return cls(curves=curves, losses=losses, threshold=threshold, measured=measured).plot(ax)

    @property
    def n_bad(self) -> int:
        """How many starts ended above the threshold, or nowhere."""
        return int((~(self.losses <= self.threshold)).sum())

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        best, middle, worst = (number(of(self.losses)) for of in (np.nanmin, np.nanmedian, np.nanmax))
        return (
            f"{self.n_bad} of {len(self.losses)} random starts end above a {self.measured} of "
            f"{number(self.threshold)}; the best at {best}, the middle one at {middle}, the worst at {worst}."
        )

    def plot(self, ax: Axes | None = None) -> StartsDisplay:
        """Draw curves on the left, and final losses on the right, on the same scale.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        StartsDisplay
        """
        self.axes_ = left, right = panels(ax, 1, 2, (9, 4.8), width_ratios=[1.7, 1], wspace=0.02)
        self.ax_, self.figure_ = left, left.figure
        right.sharey(left)  # before the scale is set, which only axes that share it then hear of
        right.tick_params(labelleft=False)
        good = self.losses <= self.threshold
        epochs = np.arange(1, len(self.curves) + 1)
        self.curves_ = []
        for of_start, is_good in zip(self.curves.T, good, strict=True):
            known = np.isfinite(of_start)
            style = (
                {"color": POSITIVE, "linestyle": "-"} if is_good else {"color": NEGATIVE, "linestyle": (0, (5, 1.5))}
            )
            self.curves_ += left.plot(epochs[known], of_start[known], linewidth=0.9, alpha=0.6, **style)
        known = np.isfinite(self.losses)
        order = np.argsort(self.losses[known])
        ends, is_good = self.losses[known][order], good[known][order]
        rank = np.arange(1, len(ends) + 1)
        right.scatter(rank[is_good], ends[is_good], c=POSITIVE, s=34, edgecolors="white", linewidths=0.7, zorder=3)
        right.scatter(
            rank[~is_good], ends[~is_good], c=NEGATIVE, s=38, marker="D", edgecolors="white", linewidths=0.7, zorder=3
        )
        self.ends_ = right.collections
        everything = np.concatenate([self.curves[np.isfinite(self.curves)], ends])
        if everything.min() > 0 and everything.max() > WIDE * everything.min():
            log_scale(left, everything.min(), everything.max())
        self.threshold_ = [axis.axhline(self.threshold, color=INK, linewidth=1, linestyle=":") for axis in self.axes_]
        right.annotate(
            f"bad above {number(self.threshold, 2)}", (0.02, self.threshold), (0, 4),
            xycoords=("axes fraction", "data"), textcoords="offset points", color=INK, fontsize=9, path_effects=halo(3),
        )  # fmt: skip
        left.set(xlabel="epoch", ylabel=self.measured)
        right.set(xlabel="starts, in order of their final loss")
        for axis in self.axes_:
            quiet(axis)
        n_bad = self.n_bad
        what = "No start ends" if n_bad == 0 else f"{n_bad} of {len(self.losses)} starts end{'s' * (n_bad == 1)}"
        title(left, f"{what} in a bad valley", f"{len(self.losses)} random starts")
        title(right, "", "where each one ended")
        return self

"""The valley around a network: the loss along two random directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.losses import Loss
from fallline.network import Network
from fallline.pictures.heights import Heights
from fallline.pictures.numbers import number
from fallline.pictures.style import INK, axes_for, halo, title
from fallline.pictures.yardstick import Yardstick, chosen_start
from fallline.run import Run
from fallline.surfaces import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

UNIT = "1: each neuron's weights change by their own size"


@final
class LossSurfaceDisplay:
    """The loss around a network, along two random directions as long in each neuron as its own weights.

    So pictures of different networks may be compared (Li et al. 2018). There is no path in it: a path is all but
    invisible in a random plane; see `DescentPathDisplay`.

    Parameters
    ----------
    plane : Plane
        Its origin is the network.
    a, b : array of shape (n,)
        Coordinates of the grid.
    surface : array of shape (n, n)
        The loss at each grid point.
    loss : float
        That of the network itself.
    measured : str
        What loss was measured, and on which rows.
    loss_name : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    surface_, point_ : matplotlib artists

    Examples
    --------
    >>> import fallline as fl
    >>> net = fl.Network([2, 4, 1], "tanh", seed=1)
    >>> display = LossSurfaceDisplay.from_network(net, [[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0], n=11)
    >>> display.surface.shape, bool(abs(display.surface[5, 5] - display.loss) < 1e-6)
    ((11, 11), True)
    """

    def __init__(
        self, *, plane: Plane, a: Array, b: Array, surface: Array, loss: float, measured: str, loss_name: str = "loss"
    ) -> None:
        self.plane, self.a, self.b, self.surface, self.loss = plane, a, b, surface, loss
        self.measured, self.loss_name = measured, loss_name

    @classmethod
    def from_network(
        cls,
        network: Network,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        loss: Loss | str = "auto",
        reach: float = 1.0,
        n: int = 51,
        seed: int = 0,
        rows: int = 1000,
        ax: Axes | None = None,
    ) -> LossSurfaceDisplay:
        """Draw the surface around a network.

        Parameters
        ----------
        network : Network
        X : array of shape (n_rows, n_in)
        y : array of shape (n_rows,) or (n_rows, n_targets)
        loss : Loss or str, default "auto"
            As in `fallline.descend`.
        reach : float, default 1
            How far the grid goes to each side; 1 is as far as to change each neuron's weights by their own size.
        n : int, default 51
            Grid points each way.
        seed : int, default 0
            Of the directions.
        rows : int, default 1000
            Rows to measure on, at most; drawn with seed 0.
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        LossSurfaceDisplay

        Raises
        ------
        DataError, ParameterError
            The rows do not fit the network or the loss.
        """
        return cls._of(network, Yardstick.of_rows(network, X, y, loss, rows), reach, n, seed).plot(ax)

    @classmethod
    def from_run(
        cls,
        run: Run,
        *,
        start: int | None = None,
        reach: float = 1.0,
        n: int = 51,
        seed: int = 0,
        rows: int = 1000,
        ax: Axes | None = None,
    ) -> LossSurfaceDisplay:
        """Draw the surface around the network of one start of a run, on rows that it was trained on.

        Parameters
        ----------
        run : Run
        start : int, optional
            Which start; the best if nothing is said.
        reach, n, seed, rows, ax
            As in `from_network`.

        Returns
        -------
        LossSurfaceDisplay
        """
        k = chosen_start(run, start)
        yardstick = Yardstick.of_run(run, k, rows)
        return cls._of(run.networks[k], yardstick, reach, n, seed).plot(ax)

    @classmethod
    def _of(cls, network: Network, yardstick: Yardstick, reach: float, n: int, seed: int) -> LossSurfaceDisplay:
        plane, axis = Plane.random(network, seed), np.linspace(-reach, reach, n)
        return cls(
            plane=plane,
            a=axis,
            b=axis,
            surface=yardstick.surface(plane, axis, axis),
            loss=float(yardstick.losses(network.parameters[None])[0]),
            measured=yardstick.words,
            loss_name=yardstick.loss_name,
        )

    @property
    def caption(self) -> str:
        """What the picture shows, and what it does not, in a few sentences."""
        return (
            f"The loss ({self.measured}) around a network, where it is {number(self.loss)}, along two random "
            f"directions in a space of {len(self.plane.origin):,} dimensions. 1 on an axis changes the incoming "
            "weights of each neuron by as much as they are; biases stay. Other directions look different; how steep "
            "the valley is in this picture says little about how well the network predicts."
        )

    def plot(self, ax: Axes | None = None) -> LossSurfaceDisplay:
        """Draw the surface.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        LossSurfaceDisplay
        """
        self.ax_ = ax = axes_for(ax, 7.0, 6.2)
        self.figure_ = ax.figure
        heights = Heights.of(self.surface)
        self.surface_ = heights.draw(ax, self.a, self.b, self.surface)
        heights.bar(ax, self.loss_name)
        self.point_ = heights.mark(ax, 0, 0, self.loss)
        ax.annotate(
            f"the network {number(self.loss)}", (0, 0), (0, 16), textcoords="offset points", ha="center",
            color=INK, weight="bold", path_effects=halo(3), zorder=7,
        )  # fmt: skip
        ax.set(aspect="equal", xlabel=f"along a random direction ({UNIT})", ylabel="along another")
        title(ax, "The valley around the network", f"{self.measured[0].upper()}{self.measured[1:]}", 80)
        return self

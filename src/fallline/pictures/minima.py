"""Three networks that a run came to, and what lies between them, before and after their neurons are matched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.matching import match_neurons
from fallline.network import Network
from fallline.pictures.heights import Heights
from fallline.pictures.numbers import number
from fallline.pictures.style import INK, halo, panels, title
from fallline.pictures.yardstick import Yardstick
from fallline.run import Run
from fallline.surfaces import Plane, height_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

EDGES = tuple(combinations(range(3), 2))
N_EDGE = 21  # points at which the loss along an edge is measured
ROOM = 0.25  # around the triangles, of their longer side


@final
class MinimaDisplay:
    """The loss over the plane through three networks of a run, as trained, and with their neurons matched.

    Hidden neurons may change places without changing what a network says, so three descents that found the same valley
    end far apart, with ridges between them. Where most of the ridge goes once neurons are matched to those of the first
    network, it was only a matter of their order.

    Parameters
    ----------
    starts : sequence of three int
        Which of the run's networks.
    axes : sequence of two pairs of array of shape (n,)
        Coordinates of the grids, as trained and matched: distances from the first network.
    surfaces : array of shape (2, n, n)
        Losses of the grids.
    corners : array of shape (2, 3, 2)
        Where the networks stand.
    losses : array of shape (3,)
        Of the networks.
    barriers : array of shape (2, 3)
        How much higher than its higher end is the highest point of each edge: first to second network, first to third,
        second to third.
    measured : str
        What loss was measured, and on which rows.
    loss_name : str

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the networks as trained.
    axes_ : list of two Axes
    figure_ : matplotlib Figure
    surfaces_, texts_ : lists of matplotlib artists

    Examples
    --------
    >>> import numpy as np
    >>> import fallline as fl
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = fl.descend(fl.Network([1, 8, 1], "tanh"), x, x[:, 0] ** 2, starts=3, epochs=30)
    >>> display = MinimaDisplay.from_run(run, n=11)
    >>> display.surfaces.shape, display.barriers.shape
    ((2, 11, 11), (2, 3))
    """

    def __init__(
        self,
        *,
        starts: Sequence[int],
        axes: Sequence[tuple[Array, Array]],
        surfaces: Array,
        corners: Array,
        losses: Array,
        barriers: Array,
        measured: str,
        loss_name: str = "loss",
    ) -> None:
        self.starts, self.axes, self.surfaces, self.corners = starts, axes, surfaces, corners
        self.losses, self.barriers, self.measured, self.loss_name = losses, barriers, measured, loss_name

    @classmethod
    def from_run(
        cls,
        run: Run,
        *,
        starts: Sequence[int] | None = None,
        n: int = 41,
        rows: int = 1000,
        ax: Axes | None = None,
    ) -> MinimaDisplay:
        """Draw both planes of three networks of a run.

        Parameters
        ----------
        run : Run
            With three starts or more.
        starts : sequence of three int, optional
            Which; those with the lowest losses if nothing is said.
        n : int, default 41
            Grid points each way.
        rows : int, default 1000
            Training rows to measure on, at most; drawn with seed 0.
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        MinimaDisplay

        Raises
        ------
        ParameterError
            There are not three starts, or their networks lie on one line.
        """
        if starts is None:
            starts = np.argsort(np.where(np.isnan(run.losses), np.inf, run.losses), kind="stable")[:3].tolist()
        assert starts is not None
        if len(set(starts)) != 3 or not set(starts) <= set(range(len(run.networks))):
            raise ParameterError(f"starts is {list(starts)}; it takes three of the run's {len(run.networks)} starts")
        yardstick = Yardstick.of_run(run, starts[0], rows)
        trained = [run.networks[k] for k in starts]
        matched = [trained[0], *(match_neurons(network, trained[0]) for network in trained[1:])]
        planes = [Plane.through(*_points(networks)) for networks in (trained, matched)]
        corners = np.stack(
            [plane.coordinates(_points(nets)) for plane, nets in zip(planes, (trained, matched), strict=True)]
        )
        axes = _grids(corners, n)
        grids = zip(planes, axes, strict=True)
        return cls(
            starts=starts,
            axes=axes,
            surfaces=np.stack([yardstick.surface(plane, a, b) for plane, (a, b) in grids]),
            corners=corners,
            losses=yardstick.losses(_points(trained)),
            barriers=np.stack([_barriers(yardstick, networks) for networks in (trained, matched)]),
            measured=yardstick.words,
            loss_name=yardstick.loss_name,
        ).plot(ax)

    @property
    def caption(self) -> str:
        """What the picture shows, in a few sentences."""
        before, after = self.barriers
        return (
            f"The loss ({self.measured}) over the plane through the networks of starts {self.starts[0]}, "
            f"{self.starts[1]} and {self.starts[2]}. On the straight ways between them it rises by {_listed(before)} "
            f"over the higher end. With hidden neurons in the order of those of start {self.starts[0]}, which changes "
            f"nothing in what the networks say, it rises by {_listed(after)}."
        )

    def plot(self, ax: Axes | None = None) -> MinimaDisplay:
        """Draw both planes side by side, in one scale of colours and of distances.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        MinimaDisplay
        """
        self.axes_ = panels(ax, 1, 2, (8.6, 4.6))
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        edge = [
            self.losses[[i, j]].max() + height for of in self.barriers for (i, j), height in zip(EDGES, of, strict=True)
        ]
        known = np.concatenate([self.losses, edge])
        heights = Heights.of(self.surfaces, known[np.isfinite(known)])
        self.surfaces_: list[Any] = []
        self.texts_: list[Any] = []
        for panel, words in enumerate(("As trained", "Neurons matched")):
            self._draw(self.axes_[panel], panel, heights)
            title(self.axes_[panel], words, "on the edges: how high the ridge is")
        heights.bar(self.axes_[1], self.loss_name)
        self.axes_[0].set_ylabel("distance across")
        return self

    def _draw(self, ax: Axes, panel: int, heights: Heights) -> None:
        (a, b), corners = self.axes[panel], self.corners[panel]
        self.surfaces_.append(heights.draw(ax, a, b, self.surfaces[panel]))
        for (i, j), height in zip(EDGES, self.barriers[panel], strict=True):
            ax.plot(*corners[[i, j]].T, color="white", linewidth=1.6, path_effects=halo(2.6, "#33333366"), zorder=3)
            text = ax.annotate(
                number(height, 2), corners[[i, j]].mean(axis=0), ha="center", va="center", color=INK, weight="bold",
                path_effects=halo(4), zorder=7,
            )  # fmt: skip
            self.texts_.append(text)
        middle = corners.mean(axis=0)
        for k, (corner, loss) in enumerate(zip(corners, self.losses, strict=True)):
            heights.mark(ax, corner[0], corner[1], loss)
            away = 1 if corner[1] > middle[1] else -1
            ax.annotate(
                f"start {self.starts[k]}: {number(loss)}", corner, (0, 13 * away), textcoords="offset points",
                ha="center", va="bottom" if away > 0 else "top", color=INK, fontsize=9, path_effects=halo(3), zorder=7,
            )  # fmt: skip
        ax.set(aspect="equal", xlim=a[[0, -1]], ylim=b[[0, -1]], xlabel=f"distance from start {self.starts[0]}")


def _points(networks: Sequence[Network]) -> Array:
    return np.stack([network.parameters.astype(np.float64) for network in networks])


def _barriers(yardstick: Yardstick, networks: Sequence[Network]) -> Array:
    """How far the loss rises on the straight line between each two networks, shape (3,); see `surfaces.barrier`."""
    points, t = _points(networks), np.linspace(0, 1, N_EDGE)[:, None]
    along = [yardstick.losses((1 - t) * points[i] + t * points[j]) for i, j in EDGES]
    return np.array([height_of(losses) for losses in along])


def _grids(corners: Array, n: int) -> list[tuple[Array, Array]]:
    """Grid lines around the corners of each plane, both of the same size, so that distances may be compared."""
    low, high = corners.min(axis=1), corners.max(axis=1)
    half = (high - low).max(axis=0) / 2 + ROOM * float((high - low).max())
    middles = (low + high) / 2
    return [(np.linspace(x - half[0], x + half[0], n), np.linspace(y - half[1], y + half[1], n)) for x, y in middles]


def _listed(numbers: Array) -> str:
    first, second, third = (number(value, 2) for value in numbers)
    return f"{first}, {second} and {third}"

"""The descent's path over the loss surface: the picture of gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.pictures.heights import Heights, box_around
from fallline.pictures.numbers import number
from fallline.pictures.style import INK, NEGATIVE, POSITIVE, WIDE, halo, log_scale, panels, quiet, title
from fallline.pictures.yardstick import Yardstick, chosen_start
from fallline.run import Run
from fallline.surfaces import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

CUT = 1e6  # how many times as high as at its start the loss may be on the map; beyond, a descent has diverged


@final
class DescentPathDisplay:
    """A descent's path over the loss surface, in the plane of the path.

    The start and the end of the path lie in the plane; the points between them need not, so each is coloured by its
    true loss, on the surface's own scale, and two strips below show how far it is off the plane and what difference
    that makes. A surface is drawn in two of many dimensions: it is one slice, and not what the descent saw.

    Parameters
    ----------
    plane : Plane
        Its origin is the start; `u` leads to the end.
    a, b : array of shape (n,)
        Coordinates of the grid: distances along `u` and `v`.
    surface : array of shape (n, n)
        The loss at each grid point.
    coordinates : array of shape (T, 2)
        Of the path's points, dropped onto the plane.
    steps : array of int, shape (T,)
        Steps that were taken before each point.
    losses : array of shape (T,)
        The true loss of each point.
    in_plane : array of shape (T,)
        The loss at the place in the plane where the point is drawn.
    off_plane : array of shape (T,)
        How far the point is from that place.
    kept : int
        Which of the points is nearest to the parameters that the run kept.
    measured : str
        What loss was measured, and on which rows.
    loss_name : str
    diverged_after : int, optional
        The last step that is drawn of a descent that diverged.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the map.
    strips_ : list of two Axes
        Loss, and distance off the plane, by step.
    figure_ : matplotlib Figure
    surface_, path_, points_, true_, drawn_, off_plane_ : matplotlib artists

    Examples
    --------
    >>> import numpy as np
    >>> import fallline as fl
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = fl.Network([1, 8, 1], "tanh", seed=1)
    >>> run = fl.descend(net, x, x[:, 0] ** 2, epochs=50, callbacks=fl.Recorder())
    >>> display = DescentPathDisplay.from_run(run, n=21)
    >>> display.surface.shape, display.coordinates[0].tolist(), bool(display.off_plane[0] < 1e-6)
    ((21, 21), [0.0, 0.0], True)
    """

    def __init__(
        self,
        *,
        plane: Plane,
        a: Array,
        b: Array,
        surface: Array,
        coordinates: Array,
        steps: Array,
        losses: Array,
        in_plane: Array,
        off_plane: Array,
        kept: int,
        measured: str,
        loss_name: str = "loss",
        diverged_after: int | None = None,
    ) -> None:
        self.plane, self.a, self.b, self.surface = plane, a, b, surface
        self.coordinates, self.steps, self.losses = coordinates, steps, losses
        self.in_plane, self.off_plane, self.kept = in_plane, off_plane, kept
        self.measured, self.loss_name, self.diverged_after = measured, loss_name, diverged_after

    @classmethod
    def from_run(
        cls, run: Run, *, start: int | None = None, n: int = 51, rows: int = 1000, ax: Axes | None = None
    ) -> DescentPathDisplay:
        """Draw path and surface of one start of a run.

        Parameters
        ----------
        run : Run
            With a `Recorder` among its callbacks.
        start : int, optional
            Which start; the best if nothing is said.
        n : int, default 51
            Grid points each way.
        rows : int, default 1000
            Training rows to measure on, at most; drawn with seed 0.
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        DescentPathDisplay

        Raises
        ------
        ParameterError
            The run has no recorder or no such start, or its path has no length.
        """
        if run.recorder is None or not len(run.recorder.steps):
            raise ParameterError("the run kept no path; descend with callbacks=[fallline.Recorder()]")
        k = chosen_start(run, start)
        yardstick = Yardstick.of_run(run, k, rows)
        points, steps = run.recorder.points[:, k].astype(np.float64), run.recorder.steps
        losses = yardstick.losses(points)
        if not np.isfinite(losses[0]):
            raise ParameterError(f"start {k} began where the loss is no finite number, so there is no way down to draw")
        sane = losses <= (CUT * losses[0] if losses[0] > 0 else losses[0] + CUT * max(1.0, -losses[0]))
        n_drawn = len(points) if sane[-1] else 1 + int(np.flatnonzero(sane)[-1])
        diverged_after = None if sane[-1] else int(steps[n_drawn - 1])
        points, steps, losses = points[:n_drawn], steps[:n_drawn], losses[:n_drawn]
        plane = _from_start_to_end(points)
        coordinates = plane.coordinates(points)
        coordinates[0] = 0.0
        a, b = box_around(coordinates, n)
        there = plane.origin + coordinates @ np.stack([plane.u, plane.v])
        return cls(
            plane=plane,
            a=a,
            b=b,
            surface=yardstick.surface(plane, a, b),
            coordinates=coordinates,
            steps=steps,
            losses=losses,
            in_plane=yardstick.losses(there),
            off_plane=np.linalg.norm(points - there, axis=1),
            kept=int(np.argmin(np.abs(steps - run.kept_steps[k]))),
            measured=yardstick.words,
            diverged_after=diverged_after,
            loss_name=yardstick.loss_name,
        ).plot(ax)

    @property
    def caption(self) -> str:
        """What the picture shows, and what it does not, in a few sentences."""
        farthest = int(np.argmax(self.off_plane))
        with np.errstate(invalid="ignore"):
            gap = np.abs(self.losses - self.in_plane)
        widest = int(np.nanargmax(gap)) if np.isfinite(gap).any() else 0
        return (
            f"The loss ({self.measured}) over the plane that holds the start and the end of the descent and the "
            f"direction in which its path bulges most; one slice of a space of {len(self.plane.origin):,} dimensions. "
            f"Each point of the path has the colour of its true loss. Start and end, {number(self._length)} apart, lie "
            f"in the plane; the path leaves it by up to {number(self.off_plane[farthest])}, at step "
            f"{self.steps[farthest]:,}. Where it is drawn the loss differs from its own by up to "
            f"{number(gap[widest])}, at step {self.steps[widest]:,}. Loops at its end may be an effect of "
            "the projection."
            + ("" if self.diverged_after is None else f" The descent diverged after step {self.diverged_after:,}.")
        )

    @property
    def _length(self) -> float:
        return float(np.linalg.norm(self.coordinates[-1] - self.coordinates[0]))

    def plot(self, ax: Axes | None = None) -> DescentPathDisplay:
        """Draw the map, and the two strips below it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.

        Returns
        -------
        DescentPathDisplay
        """
        axes = panels(ax, 3, 1, (8, 7.2), height_ratios=[4.4, 1, 0.8])
        self.ax_, self.strips_, self.figure_ = axes[0], axes[1:], axes[0].figure
        heights = Heights.of(self.surface, self.losses)
        self._draw_map(heights)
        self._draw_strips()
        return self

    def _draw_map(self, heights: Heights) -> None:
        ax: Any = self.ax_
        x, y = self.coordinates[:, 0], self.coordinates[:, 1]
        self.surface_ = heights.draw(ax, self.a, self.b, self.surface)
        heights.bar(ax, self.loss_name)
        (self.path_,) = ax.plot(x, y, color="white", linewidth=2, zorder=3, path_effects=halo(3.2, "#33333388"))
        shown = _apart(self.coordinates, 0.018 * float(self.a[-1] - self.a[0]))
        self.points_ = ax.scatter(
            x[shown], y[shown], c=self.losses[shown], s=34, linewidths=1, zorder=4, norm=heights.norm,
            cmap=heights.colors, edgecolors="white",
        )  # fmt: skip
        for point, (name, (right, up)) in self._named().items():
            heights.mark(ax, x[point], y[point], self.losses[point])
            ax.annotate(
                f"{name} {number(self.losses[point])}", (x[point], y[point]), (16 * right, 16 * up),
                textcoords="offset points", ha=("right", "center", "left")[1 + round(right)],
                va=("top", "center", "bottom")[1 + round(up)], color=INK, weight="bold", path_effects=halo(3), zorder=7,
            )  # fmt: skip
        ax.set(aspect="equal", xlim=self.a[[0, -1]], ylim=self.b[[0, -1]])
        ax.set_xlabel("distance from the start, in the direction of the end")
        ax.set_ylabel("distance across")
        title(
            ax,
            "The way down" if self.diverged_after is None else "Not the way down: it diverged",
            f"{self.measured[0].upper()}{self.measured[1:]}; points in the colour of their true loss",
        )

    def _named(self) -> dict[int, tuple[str, tuple[float, float]]]:
        """Points that have a name, and in which direction of them the path is not."""
        middle, last = self.coordinates.mean(axis=0), len(self.coordinates) - 1
        side = (0.0, -1.0 if middle[1] > 0 else 1.0)
        before, at, after = self.coordinates[[max(self.kept - 1, 0), self.kept, min(self.kept + 1, last)]]
        across = np.array([before[1] - after[1], after[0] - before[0]])
        across = across / (np.linalg.norm(across) or 1.0) * (1 if across @ (at - middle) > 0 else -1)
        end = "end" if self.diverged_after is None else "leaves at"
        return {self.kept: ("kept", (across[0], across[1])), 0: ("start", side), last: (end, side)}

    def _draw_strips(self) -> None:
        from matplotlib.ticker import MaxNLocator

        loss, off = self.strips_
        (self.true_,) = loss.plot(self.steps, self.losses, color=POSITIVE, linewidth=1.8, label="true, along the path")
        (self.drawn_,) = loss.plot(
            self.steps, self.in_plane, color=NEGATIVE, linewidth=1.6, linestyle=(0, (4, 2)), label="where it is drawn"
        )
        both = np.concatenate([self.losses, self.in_plane])
        both = both[np.isfinite(both)]
        if both.min() > 0 and both.max() > WIDE * both.min():
            log_scale(loss, both.min(), both.max(), most=4)
        loss.set_ylabel("loss")
        loss.legend(frameon=False, fontsize=9, ncols=2, borderaxespad=0)
        loss.tick_params(labelbottom=False)
        self.off_plane_ = off.fill_between(self.steps, self.off_plane, color="#94a4a2", alpha=0.6, linewidth=0)
        off.set_ylim(0, max(1.1 * float(self.off_plane.max()), 1e-3 * self._length))
        off.set_ylabel("off the\nplane")
        off.set_xlabel("step")
        off.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        for strip in self.strips_:
            quiet(strip)
            strip.set_xlim(self.steps[0], self.steps[-1])
        self.figure_.align_ylabels([self.ax_, *self.strips_])


def _from_start_to_end(points: Array) -> Plane:
    """The plane of a path, seen from its start."""
    plane = Plane.through_path(points)
    return Plane(points[0], -plane.u, plane.v)


def _apart(coordinates: Array, least: float) -> list[int]:
    """Of points along a path those that do not lie too near the one before."""
    found = [0]
    for i, point in enumerate(coordinates):
        if np.linalg.norm(point - coordinates[found[-1]]) >= least:
            found.append(i)
    return found

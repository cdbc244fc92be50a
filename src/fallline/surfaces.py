"""The loss as a surface: planes through the space of all parameters, and how high the loss is over them.

A network of P numbers stands at one point of a space of P dimensions, and the loss is a height over it. A picture has
two dimensions, so it shows the heights over a plane: `Plane` says which, `loss_surface` measures them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Engine, Plan, as_engine
from fallline.errors import ParameterError
from fallline.losses import Loss, as_loss
from fallline.network import Network, views
from fallline.optimizers import SGD

Array = npt.NDArray[Any]

OPERATIONS_AT_A_TIME = 2e10  # between looks for Ctrl-C


@final
@dataclass(frozen=True)
class Plane:
    """The parameters `origin + a u + b v`, for all numbers a and b.

    Parameters
    ----------
    origin, u, v : array of float64, shape (P,)

    Examples
    --------
    >>> plane = Plane(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]))
    >>> plane.coordinates([[2.0, 3.0, 4.0]]).tolist(), plane.distance([[2.0, 3.0, 4.0]]).tolist()
    ([[2.0, 3.0]], [4.0])
    """

    origin: Array
    u: Array
    v: Array

    @classmethod
    def through_path(cls, path: npt.ArrayLike) -> Plane:
        """The plane of a descent's path: its first and last points lie in it exactly.

        `u` leads from the last point back to the first; `v` is the direction across it in which the path bulges most,
        the first principal axis of what `u` leaves. Both have length 1, so coordinates are distances.

        Parameters
        ----------
        path : array of shape (T, P)
            Two points or more; those of `Recorder.points[:, k]`.

        Returns
        -------
        Plane
            Its origin is the last point.

        Raises
        ------
        ParameterError
            The path ends where it began, has fewer than two points, or holds numbers that are not finite.
        """
        points = np.asarray(path, dtype=np.float64)
        if points.ndim != 2 or len(points) < 2 or not np.isfinite(points).all():
            raise ParameterError("a path is two or more points of finite numbers, shape (T, P)")
        steps = points - points[-1]
        length = float(np.linalg.norm(steps[0]))
        if length == 0:
            raise ParameterError("the path ends where it began, so there is no direction to look along")
        u = steps[0] / length
        steps -= np.outer(steps @ u, u)
        # Of T points in P dimensions the axis comes from a matrix of T by T (Turk & Pentland 1991).
        variances, axes = np.linalg.eigh(steps @ steps.T)
        v = steps.T @ axes[:, -1]
        if variances[-1] <= 1e-20 * length**2:  # a straight path
            v = np.random.default_rng(0).standard_normal(len(u))
        v -= (v @ u) * u
        v /= np.linalg.norm(v)
        return cls(points[-1], u, v if v[np.argmax(np.abs(v))] > 0 else -v)

    @classmethod
    def through(cls, first: npt.ArrayLike, second: npt.ArrayLike, third: npt.ArrayLike) -> Plane:
        """The plane through three points, for example three minima (Garipov et al. 2018).

        Parameters
        ----------
        first, second, third : array of shape (P,)
            The first is the origin, the second lies along `u`, the third anywhere. `u` and `v` have length 1.

        Returns
        -------
        Plane

        Raises
        ------
        ParameterError
            The points lie on one line, or hold numbers that are not finite.
        """
        origin, along, other = (np.asarray(point, dtype=np.float64) for point in (first, second, third))
        u, v = along - origin, other - origin
        length, reach = float(np.linalg.norm(u)), float(np.linalg.norm(v))
        if not np.isfinite(length + reach):
            raise ParameterError("the three points must be of finite numbers")
        u = u / (length or 1.0)
        v = v - (v @ u) * u
        across = float(np.linalg.norm(v))
        if length == 0 or across <= 1e-9 * reach or across == 0:
            raise ParameterError("the three points lie on one line, so no plane goes through them alone")
        return cls(origin, u, v / across)

    @classmethod
    def random(cls, network: Network, seed: int = 0) -> Plane:
        """A plane through a network along two random directions, as long in each neuron as its own weights.

        So 1 means: each neuron's incoming weights changed by as much as they are. Biases, and inputs that are learned,
        stay (Li et al. 2018, Visualizing the loss landscape of neural nets).

        Parameters
        ----------
        network : Network
        seed : int, default 0

        Returns
        -------
        Plane
            Its origin is the network.
        """
        directions = []
        for key in range(2):
            rng = np.random.default_rng([seed, key])
            direction = np.zeros(len(network.parameters))
            for D, W in zip(views(network.shape, direction)[0], network.W, strict=True):
                D[...] = rng.standard_normal(D.shape)
                D *= np.linalg.norm(W, axis=0) / np.linalg.norm(D, axis=0)
            directions.append(direction)
        return cls(network.parameters.astype(np.float64), *directions)

    def at(self, a: float, b: float) -> Array:
        """The parameters at some coordinates, shape (P,)."""
        return self.origin + a * self.u + b * self.v

    def coordinates(self, points: npt.ArrayLike) -> Array:
        """The coordinates (a, b) of the plane's points that are nearest to others.

        Parameters
        ----------
        points : array of shape (T, P)

        Returns
        -------
        array of shape (T, 2)
        """
        axes = np.stack([self.u, self.v])
        away = np.asarray(points, dtype=np.float64) - self.origin
        return np.asarray(np.linalg.solve(axes @ axes.T, axes @ away.T).T)

    def distance(self, points: npt.ArrayLike) -> Array:
        """How far points are from the plane, shape (T,)."""
        points = np.asarray(points, dtype=np.float64)
        coordinates = self.coordinates(points)
        in_plane = self.origin + coordinates @ np.stack([self.u, self.v])
        return np.asarray(np.linalg.norm(points - in_plane, axis=1))

    def around(self, points: npt.ArrayLike, n: int = 51, margin: float = 0.25) -> tuple[Array, Array]:
        """Grid lines that have points well inside.

        Parameters
        ----------
        points : array of shape (T, P)
        n : int, default 51
            Lines each way.
        margin : float, default 0.25
            What is added on every side, over the longer side of the box around the points; 1 around a single point.

        Returns
        -------
        a, b : array of shape (n,)
        """
        coordinates = self.coordinates(points)
        low, high = coordinates.min(axis=0), coordinates.max(axis=0)
        side = float((high - low).max())
        more = margin * side if side else 1.0
        a, b = (np.linspace(low[i] - more, high[i] + more, n) for i in range(2))
        return a, b


def loss_surface(
    network: Network,
    plane: Plane,
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Loss | str = "auto",
    sample_weight: npt.ArrayLike | None = None,
    engine: Engine | str = "native",
    threads: int | str | None = None,
) -> Array:
    """The mean loss of networks in a plane of parameters, all of them on the same rows, without penalties and dropout.

    Parameters
    ----------
    network : Network
        Gives the layers; it is left as it is.
    plane : Plane
    a, b : array of shape (n_a,), (n_b,)
        Coordinates.
    X : array of shape (n, n_in)
    y : array of shape (n,) or (n, n_targets)
    loss : Loss or str, default "auto"
        See `fallline.losses`; "auto" follows the output.
    sample_weight : array of shape (n,), optional
    engine : {"native", "reference"} or Engine, default "native"
    threads : int, "auto" or None, default None
        How many the compiled core uses; None and "auto" mean as many as the process may use. The result is the same.

    Returns
    -------
    array of shape (n_a, n_b)
        Infinite or NaN where the numbers grow too large.

    Raises
    ------
    DataError, ParameterError
        The data do not fit the network or the loss; the plane has another number of parameters.

    Examples
    --------
    >>> net = Network([1, 1], parameters=[0.0, 0.0])  # the loss is (w x + b - y)^2
    >>> plane = Plane(np.zeros(2), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    >>> loss_surface(net, plane, [0, 1, 2], [0, 1], [[1.0]], [2.0]).tolist()
    [[4.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    record = as_loss(loss, network.output)
    data = Data.of(network, record, X, y, sample_weight)
    return surface_of(Plan(network.shape, record, SGD()), plane, a, b, data, as_engine(engine, threads))


def surface_of(plan: Plan, plane: Plane, a: npt.ArrayLike, b: npt.ArrayLike, data: Data, engine: Engine) -> Array:
    """Do as `loss_surface` does, with what a run or an engine has already."""
    n_parameters = plan.shape.n_parameters
    if any(part.shape != (n_parameters,) for part in (plane.origin, plane.u, plane.v)):
        raise ParameterError(f"the plane has points of {len(plane.origin)} numbers; the network has {n_parameters}")
    blocks = tuple(np.ascontiguousarray(part, dtype=data.X.dtype) for part in (plane.origin, plane.u, plane.v))
    lines, across = (np.ascontiguousarray(axis, dtype=np.float64).reshape(-1) for axis in (a, b))
    losses = np.empty((len(lines), len(across)))
    of_a_line = 2.0 * len(data.X) * n_parameters * max(1, len(across))
    step = max(1, int(OPERATIONS_AT_A_TIME / of_a_line))
    for first in range(0, len(lines), step):
        which = slice(first, first + step)
        losses[which] = engine.surface(plan, blocks, lines[which], across, data)  # type: ignore[arg-type]
    return losses


def losses_along(plan: Plan, points: Sequence[Array] | Array, data: Data, engine: Engine) -> Array:
    """The true loss of each of T points, shape (T, P), on the same rows: shape (T,)."""
    return np.array([engine.loss(plan, np.ascontiguousarray(theta, dtype=data.X.dtype), data) for theta in points])


@dataclass(frozen=True)
class Barrier:
    """What lies between two networks on the straight line from one to the other.

    Attributes
    ----------
    t : array of shape (n,)
        Share of the way, from 0 to 1.
    losses : array of shape (n,)
    height : float
        Of the highest point over the higher end; 0 where none is higher, infinite where a loss between finite ends is
        not finite.
    """

    t: Array
    losses: Array
    height: float


def barrier(
    first: Network,
    second: Network,
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    loss: Loss | str = "auto",
    n_points: int = 21,
    engine: Engine | str = "native",
    threads: int | str | None = None,
) -> Barrier:
    """Measure the loss along the straight line from one network to another.

    Its height counts from the higher end, so that a way which leads downhill has none; Entezari et al. count from the
    line between the losses of both ends.

    Parameters
    ----------
    first, second : Network
        Of the same layers.
    X : array of shape (n, n_in)
    y : array of shape (n,) or (n, n_targets)
    loss : Loss or str, default "auto"
    n_points : int, default 21
        2 or more; the ends are among them.
    engine : {"native", "reference"} or Engine, default "native"
    threads : int, "auto" or None, default None

    Returns
    -------
    Barrier

    Raises
    ------
    DataError, ParameterError
        As from `loss_surface`; or the networks differ in their layers, or there are fewer than 2 points.

    References
    ----------
    Entezari et al. 2022, The role of permutation invariance in linear mode connectivity of neural networks.

    Examples
    --------
    >>> low, high = Network([1, 1], parameters=[0.0, 0.0]), Network([1, 1], parameters=[2.0, 0.0])
    >>> barrier(low, high, [[1.0]], [1.0]).height
    0.0
    """
    if first.shape != second.shape:
        raise ParameterError(f"the networks differ in their layers: {first!r} and {second!r}")
    if n_points < 2:
        raise ParameterError(f"n_points is {n_points}; it must be 2 or more, for both ends")
    t = np.linspace(0, 1, n_points)
    way = second.parameters.astype(np.float64) - first.parameters
    plane = Plane(first.parameters.astype(np.float64), way, np.zeros_like(way))
    losses = loss_surface(first, plane, t, [0.0], X, y, loss, engine=engine, threads=threads)[:, 0]
    return Barrier(t, losses, height_of(losses))


def height_of(losses: Array) -> float:
    """How far losses along a way rise over the higher of its ends, as in `Barrier`."""
    heights = np.where(np.isnan(losses), np.inf, losses)
    top, end = float(heights.max()), float(max(heights[0], heights[-1]))
    return top - end if top > end else 0.0

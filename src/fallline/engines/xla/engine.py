"""The engine and its session: what goes to the device, and what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from fallline import _core
from fallline.engines.plan import Data, Engine, Plan, Session, Share, Slice, Start, State
from fallline.engines.reference import dropout_masks, penalty, rate_factors
from fallline.engines.xla import mesh, steps
from fallline.engines.xla.batches import batches
from fallline.engines.xla.formulas import ACTIVATIONS
from fallline.engines.xla.network import joined, last_sums, mean_loss, parted
from fallline.network import Shape

Array = npt.NDArray[Any]

BLOCK = 1 << 14  # rows of a forward pass at once
FIRST_STEPS = 1  # before it is known how long one takes


class XlaSession(Session):
    """K networks going down together; nothing comes back from the devices but when it is asked for.

    Every device has the parameters, and some of the rows: of each batch it takes those that it owns.
    """

    def __init__(self, plan: Plan, parameters: Array, data: Data) -> None:
        self.plan, self.n = plan, data.n
        self.step = self.first_step = 0
        self.told: Array | None = None
        self.ordered = -1  # epoch whose order of the rows is on the devices
        self.seconds = 0.0  # of a step, as far as is known
        self.dtype = parameters.dtype
        K, P = parameters.shape
        self.loop = steps.looped(replace(plan, starts=(), seed=0), steps.has(plan.starts))
        self.learning_rates = np.array([start.learning_rate for start in plan.starts])
        with precision(self.dtype):
            nothing = np.zeros(K)
            self.place = steps.Place(
                theta=self._everywhere(parameters),
                moments=self._everywhere(np.zeros((plan.optimizer.n_moments, K, P))),
                loss_sum=self._everywhere(nothing),
                weight_sum=self._everywhere(nothing),
                penalty_sum=self._everywhere(nothing),
                gradient_norm=self._everywhere(nothing + np.nan),
                diverged=mesh.everywhere(nothing - 1, np.int32),
            )
            self.settings = steps.shared_settings(plan, rate_factors(plan, self.dtype), self.dtype)
            self.X, self.Y, self.weight = self._own(data)

    def run(self, factors: Array, seconds: float, after: Slice | None = None) -> Slice:
        """Steps against the gradient; see `Session.run`."""
        deadline, done = time.perf_counter() + seconds, 0
        sums = np.zeros((3, len(self.learning_rates)))
        if after is not None:
            sums[:] = after.loss_sum, after.weight_sum, after.penalty_sum
        with precision(self.dtype):
            goes_on = len(factors) > 0  # of all processes alike
            while goes_on:
                batch = self._turn_to_epoch()
                wanted = mesh.gather(np.array([len(factors) - done, self._fit(deadline - time.perf_counter())]))
                fits, left = int(wanted[0, 1]), int(wanted[:, 0].min())  # by the clock of process 0
                room = min(left, self.steps_per_epoch - batch, steps.CHUNK, fits)
                goes_on = room < left and (room < fits or not self.seconds)
                sums = self._chunk(factors[done : done + room], batch, sums)
                done += room
            norm, diverged = np.asarray(self.place.gradient_norm), np.asarray(self.place.diverged)
        loss_sum, weight_sum, penalty_sum = sums
        return Slice(done, loss_sum, weight_sum, penalty_sum, norm.astype(np.float64), diverged.astype(np.int64))

    def parameters(self, out: Array | None = None) -> Array:
        """A copy of the parameters, shape (K, P); see `Session.parameters`."""
        out = np.empty(self.place.theta.shape, self.dtype) if out is None else out
        np.copyto(out, np.asarray(self.place.theta))
        return out

    def visit(self, rows: Array) -> None:
        """Go through these rows; see `Session.visit`."""
        self.told, self.first_step = np.array(rows), self.step
        with precision(self.dtype):
            self._turn_to(self.told)

    def state(self) -> State:
        """What it knows; see `Session.state`."""
        norm, diverged = np.array(self.place.gradient_norm, np.float64), np.array(self.place.diverged, np.int64)
        return State(self.step, np.array(self.place.moments), diverged, norm)

    def resume(self, state: State) -> None:
        """Go on from there; see `Session.resume`."""
        with precision(self.dtype):
            self.place = self.place._replace(moments=self._everywhere(state.moments))
            if state.diverged_step is not None:
                self.place = self.place._replace(diverged=mesh.everywhere(state.diverged_step, np.int32))
            if state.gradient_norm is not None:
                self.place = self.place._replace(gradient_norm=self._everywhere(state.gradient_norm))
        self.step = state.step
        self.first_step = 0 if self.told is None else state.step

    @property
    def steps_per_epoch(self) -> int:
        """Batches that visit all rows once."""
        return -(-(self.n if self.told is None else len(self.told)) // self.plan.batch_size)

    def _everywhere(self, values: Array) -> jax.Array:
        """Numbers on every device, as the parameters' are."""
        return mesh.everywhere(values, self.dtype)

    def _own(self, data: Data) -> list[jax.Array]:
        """X, Y and weights of this process's rows on its devices, filled up with a row of weight 0."""
        own = data if isinstance(data, Share) else data.rows(mesh.share(self.n))
        last = own.rows(slice(-1, None)) if len(own.X) else data.rows(slice(-1, None))
        fill = mesh.rows_per_device(self.n) * jax.local_device_count() - len(own.X)
        filled = [np.concatenate([a, np.repeat(b, fill, axis=0)]) for a, b in ((own.X, last.X), (own.Y, last.Y))]
        weight = np.atleast_2d(own.weight)
        weight = np.concatenate([weight, np.zeros((len(weight), fill), weight.dtype)], axis=1)
        return [mesh.parted(filled[0]), mesh.parted(filled[1]), mesh.parted(weight, axis=1)]

    def _turn_to(self, order: Array) -> None:
        """Have the batches of rows in this order on the devices."""
        n_here = jax.local_device_count()
        here = range(n_here * jax.process_index(), n_here * (jax.process_index() + 1))
        found = batches(order, self.plan.batch_size, mesh.rows_per_device(self.n), here)
        which, position = map(mesh.parted, found)
        total = steps.totals()(self.weight, which, position)
        self.rows = steps.Rows(self.X, self.Y, self.weight, which, position, total)

    def _turn_to_epoch(self) -> int:
        """Have the batches of the epoch on the devices; gives the number of the batch in it."""
        epoch, batch = divmod(self.step - self.first_step, self.steps_per_epoch)
        drawn = epoch if self.plan.shuffle else 0
        if self.told is None and self.ordered != drawn:
            order = np.arange(self.n)
            if self.plan.shuffle:
                _core.row_order(self.plan.seed, epoch, order)
            self._turn_to(order)
            self.ordered = drawn
        return batch

    def _fit(self, seconds: float) -> int:
        """How many steps take so long."""
        return FIRST_STEPS if not self.seconds else max(1, int(min(seconds / self.seconds, 1e9)))

    def _chunk(self, factors: Array, batch: int, sums: Array) -> Array:
        """Take a step for each factor; sums of losses, weights and penalties, shape (3, K), go on from those given."""
        n, began = len(factors), time.perf_counter()
        rates, corrected = np.zeros((steps.CHUNK, len(self.learning_rates))), np.ones((steps.CHUNK, 3))
        rates[:n] = factors[:, None] * self.learning_rates
        corrected[:n] = steps.corrections(self.plan.optimizer, self.step, n)
        told = steps.Told(self._everywhere(rates), self._everywhere(corrected))
        losses, weights, penalties = map(self._everywhere, sums)
        place = self.place._replace(loss_sum=losses, weight_sum=weights, penalty_sum=penalties)
        self.place = self.loop(place, self.rows, self.settings, told, np.int32(self.step), np.int32(batch), np.int32(n))
        sums = np.array([self.place.loss_sum, self.place.weight_sum, self.place.penalty_sum], dtype=np.float64)
        if self.step > self.first_step or n > FIRST_STEPS:  # not the call that was compiled
            self.seconds = (time.perf_counter() - began) / n
        self.step += n
        return sums


class XlaEngine(Engine):
    """JAX, on all devices of the kind that it would choose itself: float32, or float64 where the network is.

    Each shape of network, batch and table is compiled when it first comes. In a group of processes
    (`jax.distributed`) each trains on its share of the rows, and is given all of them or that `Share`.
    """

    name = "xla"

    @property
    def group(self) -> tuple[int, int]:
        """As JAX counts; see `Engine.group`."""
        return jax.process_index(), jax.process_count()

    def share(self, n: int) -> slice:
        """Of this process's devices; see `Engine.share`."""
        return mesh.share(n)

    def gather(self, values: Array) -> Array:
        """Through the devices; see `Engine.gather`."""
        return mesh.gather(values)

    def exchange(self, data: bytes) -> list[bytes]:
        """Through the devices; see `Engine.exchange`."""
        return mesh.exchange(data)

    def session(self, plan: Plan, parameters: Array, data: Data) -> Session:
        """Begin a descent; see `Engine.session`."""
        return XlaSession(plan, parameters, data)

    def predict(self, shape: Shape, parameters: Array, X: Array) -> Array:
        """Forward, in blocks of rows; see `Engine.predict`."""
        with precision(parameters.dtype):
            theta, forward = jnp.asarray(parameters), _forward(shape)
            parts = [np.asarray(forward(theta, block))[:n] for block, n in _blocks(X)]
        return np.concatenate(parts) if parts else np.empty((0, shape.layers[-1].n_out), parameters.dtype)

    def loss(self, plan: Plan, parameters: Array, data: Data) -> float:
        """Forward to the loss; see `Engine.loss`."""
        with precision(parameters.dtype):
            return float(_losses(_plain(plan))(jnp.asarray(parameters)[None], data.X, data.Y, data.weight)[0])

    def surface(self, plan: Plan, plane: tuple[Array, Array, Array], a: Array, b: Array, data: Data) -> Array:
        """A line of points at a time; see `Engine.surface`."""
        origin, u, v = plane
        with precision(data.X.dtype):
            of_points = _losses(_plain(plan))
            rows = jnp.asarray(data.X), jnp.asarray(data.Y), jnp.asarray(data.weight)
            lines = [(origin + i * u + b[:, None] * v).astype(origin.dtype) for i in a]
            found = [np.asarray(of_points(jnp.asarray(line), *rows), np.float64) for line in lines]
        return np.array(found).reshape(len(a), len(b))

    def gradient(self, plan: Plan, parameters: Array, data: Data, step: int = 0) -> tuple[float, Array]:
        """Backpropagation over all rows; see `Engine.gradient`."""
        masks = dropout_masks(plan, data.X, step, plan.starts[0])
        with precision(parameters.dtype):
            loss, block = _gradient(replace(plan, starts=(), seed=0))(parameters, data.X, data.Y, data.weight, masks)
            gradient = np.array(block)
        weight_sum = float(data.weight.sum(dtype=np.float64))
        return float(loss) + penalty(plan, plan.starts[0], parameters, gradient, weight_sum), gradient


def precision(dtype: np.dtype[Any]) -> AbstractContextManager[Any]:
    """Within it JAX has float64, where that is what the numbers are; otherwise nothing changes."""
    if dtype != np.float64:
        return nullcontext()
    from jax import experimental  # which had it before jax itself, up to 0.7

    switch: Any = vars(jax if hasattr(jax, "enable_x64") else experimental)["enable_x64"]
    context: AbstractContextManager[Any] = switch(True)
    return context


def _blocks(X: Array) -> Iterator[tuple[Array, int]]:
    """Blocks of rows, each filled up to a power of two so that few sizes are compiled; and how many are real."""
    for first in range(0, len(X), BLOCK):
        rows = X[first : first + BLOCK]
        full = 1 << (len(rows) - 1).bit_length()
        yield np.concatenate([rows, np.repeat(rows[-1:], full - len(rows), axis=0)]), len(rows)


def _plain(plan: Plan) -> Plan:
    """All that a loss without penalties and dropout depends on."""
    return Plan(plan.shape, plan.loss, plan.optimizer, starts=(Start(),))


@cache
def _forward(shape: Shape) -> Callable[..., jax.Array]:
    last = ACTIVATIONS[shape.layers[-1].activation.name]
    return jax.jit(lambda theta, X: last(last_sums(shape, parted(shape, theta), X)))


@cache
def _losses(plan: Plan) -> Callable[..., jax.Array]:
    """Of several points (m, P)."""

    def of_point(theta: jax.Array, X: jax.Array, Y: jax.Array, weight: jax.Array) -> jax.Array:
        return mean_loss(plan, parted(plan.shape, theta), X, Y, weight)

    return jax.jit(jax.vmap(of_point, (0, None, None, None)))


@cache
def _gradient(plan: Plan) -> Callable[..., tuple[jax.Array, jax.Array]]:
    @jax.jit
    def found(
        theta: jax.Array, X: jax.Array, Y: jax.Array, weight: jax.Array, masks: list[jax.Array] | None
    ) -> tuple[jax.Array, jax.Array]:
        loss, parts = jax.value_and_grad(lambda parts: mean_loss(plan, parts, X, Y, weight, masks))(
            parted(plan.shape, theta)
        )
        return loss, joined(parts)

    return found

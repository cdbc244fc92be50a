"""Step rules for JAX, and the loop that takes many steps in one call of the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from fallline.engines.plan import Plan, Start
from fallline.engines.xla.mesh import AXIS, Spec, everywhere, mesh, psum
from fallline.engines.xla.network import joined, mean_loss, parted
from fallline.engines.xla.random import dropout_mask
from fallline.errors import ParameterError
from fallline.network import Shape, views
from fallline.optimizers import SGD, Adam, RMSprop, StepRule

CHUNK = 1024  # steps in one call at most


class Rows(NamedTuple):
    """The data on the devices, each of which has the rows that it owns, and which of them are in which batch."""

    X: jax.Array  # (n, n_in)
    Y: jax.Array  # (n, n_targets)
    weight: jax.Array  # (1, n) or (K, n)
    which: jax.Array  # (n_devices, n_batches, width), see `Batches`
    position: jax.Array
    total: jax.Array  # (1 or K, n_batches), weights of whole batches


# Along which axis they lie on several devices; all else is everywhere.
EVERYWHERE, OF_DEVICES = Spec(), Spec(AXIS)
PARTED = Rows(OF_DEVICES, OF_DEVICES, Spec(None, AXIS), OF_DEVICES, OF_DEVICES, EVERYWHERE)


class Place(NamedTuple):
    """Where K descents stand: all that a step changes."""

    theta: jax.Array  # (K, P)
    moments: jax.Array  # (n_moments, K, P)
    loss_sum: jax.Array  # (K,) and so the others
    weight_sum: jax.Array
    penalty_sum: jax.Array
    gradient_norm: jax.Array
    diverged: jax.Array  # step, or -1


class Settings(NamedTuple):
    """What each start has of its own, and what all share of the plan's numbers."""

    number: jax.Array  # (K,) uint32
    l1: jax.Array  # (K,)
    l2: jax.Array
    weight_decay: jax.Array
    key: jax.Array  # (2,) uint32
    rates: jax.Array  # (P,) or (1,), of the parts
    is_weight: jax.Array  # (P,) 1 for weights, 0 for all else


class Told(NamedTuple):
    """What each step of a chunk is told, computed in float64 outside."""

    learning_rate: jax.Array  # (CHUNK, K)
    corrections: jax.Array  # (CHUNK, 3)


def corrections(rule: StepRule, step: int, n: int) -> np.ndarray[Any, Any]:
    """Of n steps after `step`: what Adam divides its means by, and its epsilon; shape (n, 3)."""
    found = np.ones((n, 3))
    if isinstance(rule, Adam):
        t = np.arange(step + 1, step + n + 1)
        found[:, 0], found[:, 1] = 1 - rule.beta1**t, 1 - rule.beta2**t
        found[:, 2] = rule.epsilon / np.sqrt(found[:, 1]) if rule.epsilon_hat else rule.epsilon
    return found


@cache
def looped(plan: Plan, any_of: tuple[bool, bool]) -> Callable[..., Place]:
    """The compiled loop of a plan whose starts and seed are left out.

    Parameters
    ----------
    plan : Plan
        With `starts=()` and `seed=0`: what differs in these alone is compiled once.
    any_of : (bool, bool)
        Whether any start has penalties, and weight decay.

    Returns
    -------
    callable
        `(place, rows, settings, told, step, batch, n) -> place`: takes n steps from the batch of that number on.
    """
    penalised, decays = any_of
    rule, drops = plan.optimizer, any(plan.dropout)

    def take_step(theta, moments, weight, total, number, l1, l2, decay, rate, X, Y, position, told, shared, step):  # type: ignore[no-untyped-def]
        """One start's step: new parameters and moments, the loss before it, penalties, and the gradient's norm."""
        masks = None
        if drops:
            widths = [layer.n_out for layer in plan.shape.layers[:-1]]
            draw = partial(dropout_mask, position, key=shared.key, step=step, start=number)
            masks = [draw(n, plan.dropout[l], layer=l) for l, n in enumerate(widths)]
        loss, parts = jax.value_and_grad(lambda parts: mean_loss(plan, parts, X, Y, weight, masks, total))(
            parted(plan.shape, theta)
        )
        whole = psum(jnp.append(joined(parts), loss), AXIS)  # all that the devices say to each other in a step
        gradient, loss = whole[:-1], whole[-1]
        penalties = jnp.zeros_like(loss)
        if penalised:
            W = theta * shared.is_weight
            share = jnp.where(total > 0, 1 / jnp.where(total > 0, total, 1), 1.0) if plan.penalties_per_row else 1.0
            penalties = share * (l1 * jnp.abs(W).sum() + 0.5 * l2 * (W * W).sum())
            gradient = gradient + share * (l1 * jnp.sign(W) + l2 * W)
        norm = jnp.sqrt((gradient * gradient).sum())
        if plan.clip_norm:
            gradient = gradient * jnp.where(norm > plan.clip_norm, plan.clip_norm / norm, 1.0)
        moved = theta * (1 - rate * decay * shared.is_weight) if decays else theta
        moved, moments = stepped(rule, moved, gradient, moments, rate * shared.rates, told)
        return moved, moments, loss, penalties, norm

    over_starts: Callable[..., Any] = jax.vmap(take_step, (0, 1, 0, 0, 0, 0, 0, 0, 0, *[None] * 6), (0, 1, 0, 0, 0))

    def loop(place: Place, rows: Rows, shared: Settings, told: Told, step: Any, batch: Any, n: Any) -> Place:
        n_starts, n_batches = len(place.theta), rows.which.shape[1]

        def body(i: jax.Array, at: Place) -> Place:
            which, position = rows.which[0, batch + i], rows.position[0, batch + i]
            weight = jnp.broadcast_to(rows.weight[:, which] * (position >= 0), (n_starts, len(which)))
            total = jnp.broadcast_to(rows.total[:, batch + i], n_starts)
            theta, moments, loss, penalties, norm = over_starts(
                at.theta, at.moments, weight, total, shared.number, shared.l1, shared.l2, shared.weight_decay,
                told.learning_rate[i], rows.X[which], rows.Y[which], position, told.corrections[i], shared,
                (step + i).astype(jnp.uint32),
            )  # fmt: skip
            alive = at.diverged < 0
            goes = alive & jnp.isfinite(loss)
            of_batch = jnp.where(goes, total, 0)
            ends_epoch = batch + i + 1 == n_batches
            return Place(
                theta=jnp.where(goes[:, None], theta, at.theta),
                moments=jnp.where(goes[None, :, None], moments, at.moments),
                loss_sum=at.loss_sum + jnp.where(goes, of_batch * loss, 0),
                weight_sum=at.weight_sum + of_batch,
                penalty_sum=at.penalty_sum + jnp.where(goes, of_batch * penalties, 0),
                gradient_norm=jnp.where(goes & ends_epoch, norm, at.gradient_norm),
                diverged=jnp.where(alive & ~goes, step + i, at.diverged),
            )

        end: Place = jax.lax.fori_loop(0, n, body, place)
        return end

    specs = (EVERYWHERE, PARTED, *[EVERYWHERE] * 5)
    on_all = jax.shard_map(loop, mesh=mesh(), in_specs=specs, out_specs=EVERYWHERE, check_vma=False)
    return jax.jit(on_all, donate_argnums=0)


@cache
def totals() -> Callable[..., jax.Array]:
    """Compiled: `(weight, which, position)`, as in `Rows`, to the weights of whole batches."""

    def of_batches(weight: jax.Array, which: jax.Array, position: jax.Array) -> jax.Array:
        found: jax.Array = psum((weight[:, which[0]] * (position[0] >= 0)).sum(axis=2), AXIS)
        return found

    specs = (PARTED.weight, PARTED.which, PARTED.position)
    return jax.jit(jax.shard_map(of_batches, mesh=mesh(), in_specs=specs, out_specs=EVERYWHERE, check_vma=False))


def stepped(
    rule: StepRule, theta: jax.Array, g: jax.Array, moments: jax.Array, rate: jax.Array, told: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One step of a rule, as `StepRule.update` says it.

    Parameters
    ----------
    rule : StepRule
    theta, g : array of shape (P,)
    moments : array of shape (n_moments, P)
    rate : array of shape (P,) or (1,)
    told : array of shape (3,)
        See `corrections`.
    """
    if isinstance(rule, SGD):
        if not rule.momentum:
            return theta - rate * g, moments
        v = rule.momentum * moments[0] + g
        return theta - rate * (g + rule.momentum * v if rule.nesterov else v), v[None]
    if isinstance(rule, RMSprop):
        v = rule.rho * moments[0] + (1 - rule.rho) * g * g
        return theta - rate * g / (jnp.sqrt(v) + rule.epsilon), v[None]
    if isinstance(rule, Adam):
        m = rule.beta1 * moments[0] + (1 - rule.beta1) * g
        v = rule.beta2 * moments[1] + (1 - rule.beta2) * g * g
        return theta - rate * (m / told[0]) / (jnp.sqrt(v / told[1]) + told[2]), jnp.stack([m, v])
    raise ParameterError(f"the xla engine has no step rule {type(rule).__name__}; use engine='reference'")


def shared_settings(plan: Plan, rates: np.ndarray[Any, Any] | None, dtype: np.dtype[Any]) -> Settings:
    """The plan's numbers for the device."""

    def of_starts(name: str, dtype: npt.DTypeLike = dtype) -> jax.Array:
        return everywhere(np.array([getattr(start, name) for start in plan.starts], dtype))

    return Settings(
        number=of_starts("number", np.uint32),
        l1=of_starts("l1"),
        l2=of_starts("l2"),
        weight_decay=of_starts("weight_decay"),
        key=everywhere(np.array([plan.seed & 0xFFFFFFFF, plan.seed >> 32 & 0xFFFFFFFF], np.uint32)),
        rates=everywhere(np.ones(1, dtype) if rates is None else rates),
        is_weight=everywhere(_is_weight(plan.shape, dtype)),
    )


def has(starts: tuple[Start, ...]) -> tuple[bool, bool]:
    """Whether any start has penalties, and weight decay."""
    return any(start.l1 or start.l2 for start in starts), any(start.weight_decay for start in starts)


def _is_weight(shape: Shape, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    found = np.zeros(shape.n_parameters, dtype)
    for W in views(shape, found)[0]:
        W[...] = 1
    return found

"""Step rules for JAX, and the loop that takes many steps in one call of the device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fallline.engines.plan import Plan, Start
from fallline.engines.xla.network import joined, mean_loss, parted
from fallline.engines.xla.random import dropout_mask
from fallline.errors import ParameterError
from fallline.network import Shape, views
from fallline.optimizers import SGD, Adam, RMSprop, StepRule

CHUNK = 1024  # steps in one call at most


class Rows(NamedTuple):
    """The data on the device: what is visited, and in which order."""

    X: jax.Array  # (n, n_in)
    Y: jax.Array  # (n, n_targets)
    weight: jax.Array  # (1, n) or (K, n)
    order: jax.Array  # (n_visited,) of this epoch


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
    size, rule, drops = plan.batch_size, plan.optimizer, any(plan.dropout)

    def batch_of(rows: Rows, batch: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """X, Y and weights (K or 1, size) of a batch; the places after the last row repeat it with weight 0."""
        n = len(rows.order)
        places = batch * size + jnp.arange(size)
        which = rows.order[jnp.minimum(places, n - 1)]
        return rows.X[which], rows.Y[which], rows.weight[:, which] * (places < n)

    def take_step(theta, moments, weight, number, l1, l2, decay, rate, X, Y, told, shared, step):  # type: ignore[no-untyped-def]
        """One start's step: new parameters and moments, the loss before it, penalties, and the gradient's norm."""
        masks = None
        if drops:
            widths = [(size, layer.n_out) for layer in plan.shape.layers[:-1]]
            masks = [dropout_mask(each, plan.dropout[l], shared.key, step, l, number) for l, each in enumerate(widths)]
        loss, parts = jax.value_and_grad(lambda parts: mean_loss(plan, parts, X, Y, weight, masks))(
            parted(plan.shape, theta)
        )
        gradient, penalties = joined(parts), jnp.zeros_like(loss)
        if penalised:
            total, W = weight.sum(), theta * shared.is_weight
            share = jnp.where(total > 0, 1 / jnp.where(total > 0, total, 1), 1.0) if plan.penalties_per_row else 1.0
            penalties = share * (l1 * jnp.abs(W).sum() + 0.5 * l2 * (W * W).sum())
            gradient = gradient + share * (l1 * jnp.sign(W) + l2 * W)
        norm = jnp.sqrt((gradient * gradient).sum())
        if plan.clip_norm:
            gradient = gradient * jnp.where(norm > plan.clip_norm, plan.clip_norm / norm, 1.0)
        moved = theta * (1 - rate * decay * shared.is_weight) if decays else theta
        moved, moments = stepped(rule, moved, gradient, moments, rate * shared.rates, told)
        return moved, moments, loss, penalties, norm

    over_starts: Callable[..., Any] = jax.vmap(
        take_step, (0, 1, 0, 0, 0, 0, 0, 0, None, None, None, None, None), (0, 1, 0, 0, 0)
    )

    def loop(place: Place, rows: Rows, shared: Settings, told: Told, step: Any, batch: Any, n: Any) -> Place:
        def body(i: jax.Array, at: Place) -> Place:
            X, Y, weight = batch_of(rows, batch + i)
            weight = jnp.broadcast_to(weight, (len(at.theta), size))
            theta, moments, loss, penalties, norm = over_starts(
                at.theta, at.moments, weight, shared.number, shared.l1, shared.l2, shared.weight_decay,
                told.learning_rate[i], X, Y, told.corrections[i], shared, (step + i).astype(jnp.uint32),
            )  # fmt: skip
            alive = at.diverged < 0
            goes = alive & jnp.isfinite(loss)
            of_batch = jnp.where(goes, weight.sum(axis=1), 0)
            ends_epoch = (batch + i + 1) * size >= len(rows.order)
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

    return jax.jit(loop, donate_argnums=0)


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

    def of_starts(name: str) -> jax.Array:
        return jnp.asarray([getattr(start, name) for start in plan.starts], dtype)

    key = [plan.seed & 0xFFFFFFFF, plan.seed >> 32 & 0xFFFFFFFF]
    return Settings(
        number=jnp.asarray([start.number for start in plan.starts], jnp.uint32),
        l1=of_starts("l1"),
        l2=of_starts("l2"),
        weight_decay=of_starts("weight_decay"),
        key=jnp.asarray(key, jnp.uint32),
        rates=jnp.asarray(np.ones(1, dtype) if rates is None else rates),
        is_weight=jnp.asarray(_is_weight(plan.shape, dtype)),
    )


def has(starts: tuple[Start, ...]) -> tuple[bool, bool]:
    """Whether any start has penalties, and weight decay."""
    return any(start.l1 or start.l2 for start in starts), any(start.weight_decay for start in starts)


def _is_weight(shape: Shape, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    found = np.zeros(shape.n_parameters, dtype)
    for W in views(shape, found)[0]:
        W[...] = 1
    return found

"""JAX on the CPU: one compiled epoch, a scan over the batches that takes their rows in the order it is given.

Parameters and moments are donated, so that they are updated in place; several starts are vmapped within the scan.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders import Array, Entry, Predictor, Trainer
from benchmarks.workloads import BETA1, BETA2, EPSILON, RATES, Workload, flatten

ACTIVATIONS = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}


def details() -> dict[str, Any]:
    """Its devices and flags."""
    return {"devices": str(jax.devices()), "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}


def forward(layers: Any, x: Any, activation: str) -> Any:
    """The last layer before its activation."""
    for W, b in layers[:-1]:
        x = ACTIVATIONS[activation](x @ W + b)
    return x @ layers[-1][0] + layers[-1][1]


def loss(layers: Any, x: Any, y: Any, activation: str) -> Any:
    """Mean over the rows."""
    z = forward(layers, x, activation)
    if z.shape[1] == 1:
        return jnp.mean((z[:, 0] - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1))


def step(workload: Workload, state: Any, x: Any, y: Any) -> Any:
    """One step of the workload's rule."""
    layers, m, v, t = state
    gradient = jax.grad(partial(loss, activation=workload.activation))
    if workload.starts > 1:
        gradient = jax.vmap(gradient, in_axes=(0, None, None))
    g, rate = gradient(layers, x, y), RATES[workload.rule]
    if workload.rule == "sgd":
        return jax.tree.map(lambda p, g: p - rate * g, layers, g), m, v, t
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
    length, mend = rate / (1 - BETA1**t), 1 / (1 - BETA2**t)
    return jax.tree.map(lambda p, m, v: p - length * m / (jnp.sqrt(v * mend) + EPSILON), layers, m, v), m, v, t


def epoch(workload: Workload, state: Any, X: Any, y: Any, order: Any) -> Any:
    """One step for every batch of the order."""

    def body(state: Any, rows: Any) -> tuple[Any, None]:
        return step(workload, state, jnp.take(X, rows, axis=0), jnp.take(y, rows, axis=0)), None

    return jax.lax.scan(body, state, order.reshape(-1, workload.batch))[0]


class _Trainer(Trainer):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        self.rows, self.targets = jnp.asarray(self.X), jnp.asarray(self.y)
        self.epoch = jax.jit(partial(epoch, workload), donate_argnums=0)

    def begin(self) -> None:
        layers = [(jnp.array(W), jnp.array(b)) for W, b in self.initial_layers]
        zeros = [] if self.workload.rule == "sgd" else layers
        m, v = (jax.tree.map(jnp.zeros_like, zeros) for _ in range(2))
        self.state = jax.block_until_ready((layers, m, v, jnp.float32(0)))

    def train(self) -> None:
        for order in self.orders():
            self.state = self.epoch(self.state, self.rows, self.targets, order.astype(np.int32))
        jax.block_until_ready(self.state)

    def train_in_order(self, n: int) -> Array:
        self.state = self.epoch(self.state, self.rows, self.targets, np.arange(n, dtype=np.int32))
        return flatten(self.state[0], self.workload.starts)

    def details(self) -> dict[str, Any]:
        return details()


class _Predictor(Predictor):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)

        def call(layers: Any, x: Any) -> Any:
            z = forward(layers, x, workload.activation)
            return jax.nn.softmax(z) if workload.classifies else z

        self.device_layers, self.call = jax.tree.map(jnp.asarray, self.layers), jax.jit(call)

    def predict(self, X: Array) -> Array:
        return np.asarray(self.call(self.device_layers, X))

    def details(self) -> dict[str, Any]:
        return details()


def build(workload: Workload, entry: Entry, initial: Array) -> Trainer | Predictor:
    """The contender."""
    return (_Trainer if workload.trains else _Predictor)(workload, entry, initial)

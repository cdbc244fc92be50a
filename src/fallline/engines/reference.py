"""The reference engine: forward, backpropagation and descent in NumPy, written to be read.

A network is a chain of layers. Going forward each layer multiplies what comes in by its weights, adds its bias and
activates. The loss at the end says how wrong the output is. Backpropagation walks the chain the other way: knowing how
the loss changes with what a layer gave, the chain rule tells how it changes with the layer's weights, its bias, and
with what came in, which is what the layer before gave. So one walk forward and one walk back give the whole gradient,
and a step against it makes the loss smaller. `native/core/network.cpp` does the same, faster; tests hold the two
together.

Letters are those of docs/notation.md: n rows in a batch, W[l] of shape (n_in, n_out), Z before and A after activation,
dZ the gradient of the batch's loss for Z.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline import philox
from fallline.engines.plan import Data, Engine, Plan, Session, Slice, Start, State
from fallline.network import Shape, views
from fallline.rates import EQUAL_RATES

Array = npt.NDArray[Any]


def backpropagation(plan: Plan, parameters: Array, data: Data, masks: list[Array] | None = None) -> tuple[float, Array]:
    """Loss of one batch, penalties left out, and its gradient for every weight and bias.

    Parameters
    ----------
    plan : Plan
    parameters : array of shape (P,)
    data : Data
        The batch: X of shape (n, n_in), Y of shape (n, n_targets), weight of shape (n,).
    masks : list of arrays of shape (n, n_out_l), optional
        Dropout: what each hidden layer's A is multiplied by.

    Returns
    -------
    loss : float
    gradient : array of shape (P,)
    """
    shape, layers, last = plan.shape, plan.shape.layers, len(plan.shape.layers) - 1
    times = [_times_in_bf16 if plan.rounds(layer) else np.matmul for layer in layers]
    W, b = views(shape, parameters)
    gradient = np.empty_like(parameters)
    dW, db = views(shape, gradient)

    # Forward: times the weights, add the bias, activate. Remember what each layer took in and what it gave.
    taken, Z, A = [], [], []
    values = data.X if shape.inputs is None else shape.inputs.forward(parameters, data.X)  # (n, n_in)
    for l, layer in enumerate(layers):
        taken.append(values)
        Z.append(times[l](values, W[l]) + b[l])  # (n, n_out)
        A.append(layer.activation.value(Z[l]))  # (n, n_out)
        values = A[l] if l == last or masks is None else A[l] * masks[l]

    # Loss: the weighted mean over the rows, and how it changes with the last Z.
    share = _shares(data.weight)  # (n,), sums to 1
    losses, dZ = plan.loss.value_and_gradient(Z[last], A[last], data.Y, layers[last].activation)
    dZ = share[:, None] * dZ  # (n, n_out)

    # Backward: from Z = A_prev @ W + b follow dW, db and dA_prev; from A_prev = f(Z_prev) follows dZ_prev.
    for l in range(last, -1, -1):
        dW[l][...] = times[l](taken[l].T, dZ)  # (n_in, n) @ (n, n_out)
        db[l][...] = dZ.sum(axis=0)
        if l > 0:
            dA = times[l](dZ, W[l].T)  # (n, n_out) @ (n_out, n_in)
            if masks is not None:
                dA = dA * masks[l - 1]
            dZ = layers[l - 1].activation.backward(dA, Z[l - 1], A[l - 1])
    if shape.inputs is not None:
        shape.inputs.backward(parameters, data.X, times[0](dZ, W[0].T), gradient)
    return float(share @ losses), gradient


def nearest_bf16(x: Array) -> Array:
    """Round to bf16, the upper half of a float32: 8 binary digits, ties to even. Gives float32 of the same shape."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    to_even = bits >> np.uint32(16) & np.uint32(1)
    nearest = bits + (to_even + np.uint32(0x7FFF)) & np.uint32(0xFFFF0000)
    return np.asarray(np.where(np.isnan(x), np.float32(np.nan), nearest.view(np.float32)))


def _times_in_bf16(A: Array, B: Array) -> Array:
    return np.asarray(nearest_bf16(A) @ nearest_bf16(B))


def penalty(plan: Plan, start: Start, parameters: Array, gradient: Array, weight_sum: float) -> float:
    """L1 and L2 penalty of all weights, `l1 * sum |W| + l2 / 2 * sum W^2`; its gradient is added to `gradient`.

    Where the plan has penalties per row, both are divided by the batch's weight.
    """
    share = 1 / weight_sum if plan.penalties_per_row and weight_sum else 1.0
    l1, l2, value = start.l1 * share, start.l2 * share, 0.0
    for W, dW in zip(views(plan.shape, parameters)[0], views(plan.shape, gradient)[0], strict=True):
        value += l1 * float(np.abs(W).sum()) + 0.5 * l2 * float((W * W).sum())
        dW += l1 * np.sign(W) + l2 * W
    return value


def rate_factors(plan: Plan, dtype: np.dtype[Any]) -> Array | None:
    """What the learning rate is multiplied by for each parameter, shape (P,); None where it is 1 for all."""
    shape, rates = plan.shape, plan.rates
    if rates == EQUAL_RATES:
        return None
    factors = np.empty(shape.n_parameters, dtype)
    if shape.inputs is not None:
        for name, part in shape.inputs.views(factors).items():
            part[...] = rates.scale if name == "scale" else rates.embedding
    for layer, W, b in zip(shape.layers, *views(shape, factors), strict=True):
        W[...], b[...] = rates.weights(layer.n_in), rates.bias
    return factors


def dropout_masks(plan: Plan, X: Array, step: int, start: Start) -> list[Array] | None:
    """Masks of a step for each hidden layer, shape (n, n_out_l) each, or None where the plan drops nothing."""
    if not any(plan.dropout):
        return None
    return [
        philox.dropout_mask((len(X), layer.n_out), rate, plan.seed, step, l, start.number).astype(X.dtype)
        for l, (layer, rate) in enumerate(zip(plan.shape.layers[:-1], plan.dropout, strict=True))
    ]


def _shares(weight: Array) -> Array:
    """Each row's share of the batch's weight, shape (n,); zeros where the whole batch weighs nothing."""
    total = float(weight.sum(dtype=np.float64))
    return weight / total if total else np.zeros_like(weight)


def _last_sums(shape: Shape, parameters: Array, X: Array) -> Array:
    """Z of the last layer, shape (n, n_out)."""
    W, b = views(shape, parameters)
    with _silent():
        A = X if shape.inputs is None else shape.inputs.forward(parameters, X)
        for l, layer in enumerate(shape.layers[:-1]):
            A = layer.activation.value(A @ W[l] + b[l])
        return np.asarray(A @ W[-1] + b[-1])


def _silent() -> np.errstate:
    """Overflow gives infinity and is found in the loss, so NumPy need not warn of it."""
    return np.errstate(over="ignore", invalid="ignore")


class ReferenceSession(Session):
    """K networks going down together, one step at a time."""

    def __init__(self, plan: Plan, parameters: Array, data: Data) -> None:
        self.plan, self.data = plan, data
        self.theta: Array = parameters.copy()  # (K, P)
        self.state_of = [plan.optimizer.init_state(theta) for theta in self.theta]
        self.factors = rate_factors(plan, parameters.dtype)
        self.step = self.first_step = 0  # of all, and of the epochs
        self.told: Array | None = None  # rows to visit
        self.ordered = -1  # epoch whose order of the rows is at hand
        self.diverged = np.full(len(self.theta), -1)
        self.gradient_norm = np.full(len(self.theta), np.nan)

    def run(self, factors: Array, seconds: float, after: Slice | None = None) -> Slice:
        """Steps against the gradient; see `Session.run`."""
        sums = np.zeros((3, len(self.theta)))
        if after is not None:
            sums[:] = after.loss_sum, after.weight_sum, after.penalty_sum
        loss_sum, weight_sum, penalty_sum = sums
        n_steps = 0
        deadline = time.perf_counter() + seconds
        for factor in factors:
            batch, ends_epoch = self._batch()
            for k in np.flatnonzero(self.diverged < 0).tolist():
                weight = float(batch.of_start(k).weight.sum(dtype=np.float64))
                loss, penalties = self._take_step(k, batch.of_start(k), weight, float(factor), ends_epoch)
                if self.diverged[k] < 0:
                    loss_sum[k] += weight * loss
                    weight_sum[k] += weight
                    if self.plan.penalties_per_row:
                        penalty_sum[k] += weight * penalties
            self.step += 1
            n_steps += 1
            if time.perf_counter() > deadline:
                break
        return Slice(n_steps, loss_sum, weight_sum, penalty_sum, self.gradient_norm.copy(), self.diverged.copy())

    def parameters(self, out: Array | None = None) -> Array:
        """A copy of the parameters, shape (K, P); see `Session.parameters`."""
        out = np.empty_like(self.theta) if out is None else out
        np.copyto(out, self.theta)
        return out

    def visit(self, rows: Array) -> None:
        """Go through these rows; see `Session.visit`."""
        self.told, self.first_step = np.array(rows), self.step

    def state(self) -> State:
        """What it knows; see `Session.state`."""
        by_start = np.empty((len(self.theta), self.plan.optimizer.n_moments, self.theta.shape[1]), self.theta.dtype)
        for moments, state in zip(by_start, self.state_of, strict=True):
            for moment, values in zip(moments, state, strict=True):
                moment[...] = values
        moments = np.ascontiguousarray(by_start.swapaxes(0, 1))
        return State(self.step, moments, self.diverged.copy(), self.gradient_norm.copy())

    def resume(self, state: State) -> None:
        """Go on from there; see `Session.resume`."""
        self.state_of = [[moment[k].copy() for moment in state.moments] for k in range(len(self.theta))]
        if state.diverged_step is not None:
            self.diverged = state.diverged_step.copy()
        if state.gradient_norm is not None:
            self.gradient_norm = state.gradient_norm.copy()
        self.step = state.step
        self.first_step = 0 if self.told is None else state.step

    def _batch(self) -> tuple[Data, bool]:
        """The rows of this step, and whether they end the epoch."""
        n = len(self.data.X) if self.told is None else len(self.told)
        size = self.plan.batch_size
        epoch, place = divmod(self.step - self.first_step, -(-n // size))
        if self.told is not None:
            self.order = self.told
        elif not self.plan.shuffle:
            self.order = np.arange(n)
        elif self.ordered != epoch:
            self.order, self.ordered = philox.row_order(n, self.plan.seed, epoch), epoch
        rows = self.order[place * size : (place + 1) * size]
        return self.data.rows(rows), (place + 1) * size >= n

    def _take_step(
        self, k: int, batch: Data, weight_sum: float, factor: float, ends_epoch: bool
    ) -> tuple[float, float]:
        """One step of start k; gives the batch's loss and penalties before it.

        Nothing moves where the loss is not finite.
        """
        plan, start, theta = self.plan, self.plan.starts[k], self.theta[k]
        learning_rate = start.learning_rate * factor
        masks = dropout_masks(plan, batch.X, self.step, start)
        with _silent():
            loss, gradient = backpropagation(plan, theta, batch, masks)
        if not math.isfinite(loss):
            self.diverged[k] = self.step
            return 0.0, 0.0
        penalties = 0.0
        with _silent():
            if start.l1 or start.l2:
                penalties = penalty(plan, start, theta, gradient, weight_sum)
            if ends_epoch or plan.clip_norm:
                norm = float(np.sqrt((gradient.astype(np.float64) ** 2).sum()))
                if ends_epoch:
                    self.gradient_norm[k] = norm
                if plan.clip_norm and norm > plan.clip_norm:
                    gradient *= plan.clip_norm / norm
            if start.weight_decay:
                for W in views(plan.shape, theta)[0]:
                    W *= 1 - learning_rate * start.weight_decay
            rates: Any = learning_rate if self.factors is None else learning_rate * self.factors
            plan.optimizer.update(theta, gradient, self.state_of[k], rates, self.step + 1)
        return loss, penalties


class ReferenceEngine(Engine):
    """NumPy, float32 or float64: slow, plain, and what every other engine is tested against."""

    name = "reference"

    def session(self, plan: Plan, parameters: Array, data: Data) -> Session:
        """Begin a descent; see `Engine.session`."""
        return ReferenceSession(plan, parameters, data)

    def predict(self, shape: Shape, parameters: Array, X: Array) -> Array:
        """Forward, remembering nothing; see `Engine.predict`."""
        Z = _last_sums(shape, parameters, X)
        with _silent():
            return shape.layers[-1].activation.value(Z)

    def loss(self, plan: Plan, parameters: Array, data: Data) -> float:
        """Forward to the loss; see `Engine.loss`."""
        Z, output = _last_sums(plan.shape, parameters, data.X), plan.shape.layers[-1].activation
        with _silent():
            losses, _ = plan.loss.value_and_gradient(Z, output.value(Z), data.Y, output)
        return float(_shares(data.weight) @ losses)

    def surface(self, plan: Plan, plane: tuple[Array, Array, Array], a: Array, b: Array, data: Data) -> Array:
        """One point after the other; see `Engine.surface`."""
        origin, u, v = plane
        rows = [[self.loss(plan, (origin + i * u + j * v).astype(origin.dtype), data) for j in b] for i in a]
        return np.array(rows).reshape(len(a), len(b))

    def gradient(self, plan: Plan, parameters: Array, data: Data, step: int = 0) -> tuple[float, Array]:
        """Backpropagation over all rows; see `Engine.gradient`."""
        masks = dropout_masks(plan, data.X, step, plan.starts[0])
        loss, gradient = backpropagation(plan, parameters, data, masks)
        weight_sum = float(data.weight.sum(dtype=np.float64))
        return loss + penalty(plan, plan.starts[0], parameters, gradient, weight_sum), gradient

"""fallline: whole calls of `fl.descend`, what comes before their first step timed apart, and `net(X)`."""

from __future__ import annotations

import inspect
import time
from typing import Any

import numpy as np

import fallline as fl
from benchmarks.contenders import Array, Entry, Predictor, Trainer
from benchmarks.workloads import BETA1, BETA2, EPSILON, RATES, Workload
from fallline import _core

TAKES_THREADS = "threads" in inspect.signature(fl.descend).parameters


def network(workload: Workload, dtype: str = "float32", parameters: Array | None = None) -> fl.Network:
    """The workload's network: the first of its random starts, or at `parameters`."""
    output = "softmax" if workload.classifies else "identity"
    return fl.Network(list(workload.sizes), workload.activation, output, seed=1, dtype=dtype, parameters=parameters)


def descend(workload: Workload, net: fl.Network, X: Array, y: Array, **settings: Any) -> fl.Run:
    """The workload's descent from `net`."""
    rate = RATES[workload.rule]
    rule = fl.SGD(rate) if workload.rule == "sgd" else fl.Adam(rate, BETA1, BETA2, EPSILON)
    return fl.descend(net, X, y, optimizer=rule, batch_size=workload.batch, starts=workload.starts, **settings)


def peak(threads: int, seconds: float) -> float | None:
    """Multiply-adds in registers, in FLOP/s; None where the core cannot measure them."""
    measure = getattr(_core, "fma_peak", None)
    return None if measure is None else float(measure(threads, seconds))


class _FirstStep(fl.Listener):
    """Remembers when a descent was ready to take it."""

    at = 0.0

    def on_begin(self, progress: Any) -> None:
        self.at = time.perf_counter()


class _Trainer(Trainer):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        self.net = network(workload, parameters=initial[0])
        self.where: dict[str, Any] = {"threads": entry.threads} if TAKES_THREADS else {}
        if entry.way == "xla":
            self.where = {"engine": "xla"}

    def begin(self) -> None:
        """Nothing to do: a descent leaves its network as it is."""

    def train(self) -> None:
        first_step, began = _FirstStep(), time.perf_counter()
        settings = self.where | {"callbacks": first_step}
        descend(self.workload, self.net, self.X, self.y, epochs=self.workload.epochs, **settings)
        self.set_up = first_step.at - began

    def train_in_order(self, n: int) -> Array:
        run = descend(self.workload, self.net, self.X[:n], self.y[:n], epochs=1, shuffle=False, **self.where)
        return parameters_of(run)

    def details(self) -> dict[str, Any]:
        return {"instruction set": _core.instruction_set()}


class _Predictor(Predictor):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        self.net = network(workload, parameters=initial[0])

    def predict(self, X: Array) -> Array:
        return self.net(X)

    def details(self) -> dict[str, Any]:
        return {"instruction set": _core.instruction_set()}


def parameters_of(run: fl.Run) -> Array:
    """Parameters of every start, shape (K, P)."""
    return np.stack([net.parameters for net in run.networks])


def build(workload: Workload, entry: Entry, initial: Array) -> Trainer | Predictor:
    """The contender."""
    return (_Trainer if workload.trains else _Predictor)(workload, entry, initial)

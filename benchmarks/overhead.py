"""What Python costs around the core: the prediction of one row, and epochs in which next to nothing is computed."""

from __future__ import annotations

import time
import timeit
from typing import Any

import numpy as np

import fallline as fl
from fallline.engines import Data, Engine, Plan, Session, Slice, State

Array = np.ndarray


class _Idle(Engine, Session):
    """An engine, and its session, that take no steps but say they did."""

    name = "idle"

    def session(self, plan: Plan, parameters: Array, data: Data) -> Session:
        self._parameters = parameters.copy()
        self._nothing = np.zeros(len(parameters)), np.full(len(parameters), -1)
        return self

    def run(self, factors: Array, seconds: float) -> Slice:
        zeros, none = self._nothing
        return Slice(len(factors), zeros.copy(), 1.0, zeros.copy(), zeros.copy(), none.copy())

    def parameters(self, out: Array | None = None) -> Array:
        return self._parameters.copy() if out is None else out

    def visit(self, rows: Array) -> None:
        raise NotImplementedError

    def state(self) -> State:
        raise NotImplementedError

    def resume(self, state: State) -> None:
        raise NotImplementedError

    def predict(self, *_: Any) -> Array:
        raise NotImplementedError

    def loss(self, *_: Any) -> float:
        return 0.0

    def gradient(self, *_: Any) -> tuple[float, Array]:
        raise NotImplementedError


def run(rounds: int = 11) -> dict[str, object]:
    """Print and give microseconds: the least of some rounds, since what disturbs only adds."""
    figures = {"one row, around the core": _around_one_row(rounds), "one row, 784-128-10": _one_row(rounds)}
    for starts, empty, validated in ((1, 2000, 1000), (256, 1000, 50)):
        figures[f"an empty epoch, {starts} starts"] = _epoch(starts, empty, rounds, engine=_Idle())
        rows = np.zeros((4, 1), dtype=np.float32)
        figures[f"a validated one, {starts} starts"] = _epoch(starts, validated, rounds, validation=(rows, rows))
    print("Python's share, in microseconds")
    for name, microseconds in figures.items():
        print(f"  {name:<28}{microseconds:8.1f}")
    return {"workload": "what Python costs", "microseconds": figures}


def _one_row(rounds: int) -> float:
    net, row = fl.Network([784, 128, 10], output="softmax"), np.zeros((1, 784), dtype=np.float32)
    return min(timeit.repeat(lambda: net(row), number=1000, repeat=rounds)) / 1000 * 1e6


def _around_one_row(rounds: int) -> float:
    """The call from Python, and one of the core that it refuses for its columns: no work, no look at the numbers."""
    net, row = fl.Network([784, 128, 10], output="softmax"), np.zeros((1, 784), dtype=np.float32)
    net(row)
    core, short, out = net._predict, np.zeros((1, 783), dtype=np.float32), np.empty((1, 10), dtype=np.float32)
    assert core is not None
    assert not core(net.parameters, short, out, 1)
    refused = min(timeit.repeat(lambda: core(net.parameters, short, out, 1), number=10_000, repeat=rounds))
    net._predict = lambda *_: True
    python = min(timeit.repeat(lambda: net(row), number=10_000, repeat=rounds))
    return (refused + python) / 10_000 * 1e6


def _epoch(starts: int, epochs: int, rounds: int, **settings: Any) -> float:
    """Of four rows in one batch, what comes before the first epoch left out."""
    X, net = np.zeros((4, 1), dtype=np.float32), fl.Network([1, 1])

    def seconds(epochs: int) -> float:
        began = time.perf_counter()
        fl.descend(net, X, X, batch_size=None, epochs=epochs, starts=starts, **settings)
        return time.perf_counter() - began

    few, many = (min(seconds(n) for _ in range(rounds)) for n in (2, epochs))
    return (many - few) / (epochs - 2) * 1e6

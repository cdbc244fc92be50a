"""PyTorch: eager with the fused optimizers, one compiled function for a whole step, or a step as a graph of the GPU.

What helps it is done for it: rows are gathered once an epoch, products are `addmm` on weights as they lie, no loss is
read back, one function holds forward, gradient and update where it compiles, and guards are skipped once it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from benchmarks.contenders import Array, Entry, Predictor, Trainer
from benchmarks.workloads import BETA1, BETA2, EPSILON, RATES, Workload, flatten

Tensor = torch.Tensor
Layers = list[tuple[Tensor, Tensor]]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "sigmoid": torch.sigmoid}


def details() -> dict[str, Any]:
    """Its instruction set and threads."""
    return {"capability": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}


def forward(layers: Layers, x: Tensor, activation: str) -> Tensor:
    """The last layer before its activation; all starts at once, batch by batch product, where there are several."""
    if layers[0][0].ndim == 3:
        x = x.expand(len(layers[0][0]), -1, -1)
    for l, (W, b) in enumerate(layers):
        x = torch.baddbmm(b[:, None], x, W) if W.ndim == 3 else torch.addmm(b, x, W)
        x = ACTIVATIONS[activation](x) if l < len(layers) - 1 else x
    return x


def loss(layers: Layers, x: Tensor, y: Tensor, activation: str) -> Tensor:
    """Mean over the rows, summed over the starts, so that each start has its own gradient."""
    z = forward(layers, x, activation)
    if z.ndim == 2:
        return F.cross_entropy(z, y) if z.shape[1] > 1 else F.mse_loss(z, y)
    if z.shape[2] > 1:
        return len(z) * F.cross_entropy(z.flatten(0, 1), y.repeat(len(z)))
    return len(z) * F.mse_loss(z, y.expand_as(z))


class _Trainer(Trainer):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        self.device = torch.device(entry.device)
        self.rows = self.put(self.X)
        self.targets = self.put(self.y if workload.classifies else self.y[:, None])
        self.layers = [(self.put(W.copy()), self.put(b.copy())) for W, b in self.initial_layers]
        self.flat = [part for layer in self.layers for part in layer]
        self.m, self.v = [torch.zeros_like(t) for t in self.flat], [torch.zeros_like(t) for t in self.flat]

    def put(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def begin(self) -> None:
        with torch.no_grad():
            for ours, given in zip(self.layers, self.initial_layers, strict=True):
                for tensor, array in zip(ours, given, strict=True):
                    tensor.copy_(torch.from_numpy(array))
        for state in self.moments():
            state.zero_()

    def moments(self) -> list[Tensor]:
        raise NotImplementedError

    def step(self, x: Tensor, y: Tensor) -> None:
        raise NotImplementedError

    def epoch(self, order: Tensor) -> None:
        xs, ys = self.rows.index_select(0, order), self.targets.index_select(0, order)
        for x, y in zip(xs.split(self.workload.batch), ys.split(self.workload.batch), strict=True):
            self.step(x, y)

    def train(self) -> None:
        for _ in range(self.workload.epochs):
            self.epoch(torch.randperm(self.workload.rows, device=self.device))
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def train_in_order(self, n: int) -> Array:
        self.epoch(torch.arange(n, device=self.device))
        found = [(W.detach().cpu().numpy(), b.detach().cpu().numpy()) for W, b in self.layers]
        return flatten(found, self.workload.starts)

    def details(self) -> dict[str, Any]:
        return details()


class _Eager(_Trainer):
    """The fused rules, by their functions: the optimizer objects take several times as long on small networks."""

    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, entry, initial)
        for tensor in self.flat:
            tensor.requires_grad_()
        self.t = [torch.zeros((), device=self.device) for _ in self.flat]

    def moments(self) -> list[Tensor]:
        return [*self.m, *self.v, *self.t]

    def step(self, x: Tensor, y: Tensor) -> None:
        rate = RATES[self.workload.rule]
        gradients = list(torch.autograd.grad(loss(self.layers, x, y, self.workload.activation), self.flat))
        with torch.no_grad():
            if self.workload.rule == "sgd":
                none: list[Tensor | None] = [None] * len(gradients)
                sgd(
                    self.flat, gradients, none, fused=True, lr=rate, weight_decay=0.0, momentum=0.0, dampening=0.0,
                    nesterov=False, maximize=False,
                )  # fmt: skip
            else:
                adam(
                    self.flat, gradients, self.m, self.v, [], self.t, fused=True, lr=rate, beta1=BETA1, beta2=BETA2,
                    eps=EPSILON, weight_decay=0.0, amsgrad=False, maximize=False,
                )  # fmt: skip


class _Graphs(_Eager):
    """The eager step, recorded once as a graph of the GPU and replayed: nothing is launched by Python but the graph."""

    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, entry, initial)
        self.x, self.y_ = self.rows[: workload.batch].clone(), self.targets[: workload.batch].clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # what is made on a first call may not be made while recording
            for _ in range(3):
                super().step(self.x, self.y_)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            super().step(self.x, self.y_)

    def step(self, x: Tensor, y: Tensor) -> None:
        self.x.copy_(x)
        self.y_.copy_(y)
        self.graph.replay()


class _Compiled(_Trainer):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, entry, initial)
        # one element: a compiled step forgets to write back a scalar
        self.t = torch.zeros(1, dtype=torch.float64, device=self.device)
        self.compiled = torch.compile(self._step, fullgraph=True, dynamic=False)
        self.ready = False

    def moments(self) -> list[Tensor]:
        return [*self.m, *self.v, self.t]

    def _step(self, layers: Layers, m: list[Tensor], v: list[Tensor], t: Tensor, x: Tensor, y: Tensor) -> None:
        rate = RATES[self.workload.rule]
        gradients = torch.func.grad(lambda layers: loss(layers, x, y, self.workload.activation))(layers)
        pairs = zip([p for layer in layers for p in layer], [g for pair in gradients for g in pair], strict=True)
        if self.workload.rule == "sgd":
            for p, g in pairs:
                p.sub_(rate * g)
            return
        t.add_(1)
        length, mend = (rate / (1 - BETA1**t)).float(), (1 / (1 - BETA2**t)).float()
        for (p, g), m_l, v_l in zip(pairs, m, v, strict=True):
            m_l.mul_(BETA1).add_(g, alpha=1 - BETA1)
            v_l.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
            p.sub_(length * m_l / ((v_l * mend).sqrt() + EPSILON))

    def step(self, x: Tensor, y: Tensor) -> None:
        self.compiled(self.layers, self.m, self.v, self.t, x, y)

    def train(self) -> None:
        with torch.compiler.set_stance(skip_guard_eval_unsafe=self.ready):
            super().train()
        self.ready = True


class _Predictor(Predictor):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        self.tensors = [(torch.from_numpy(W.copy()), torch.from_numpy(b.copy())) for W, b in self.layers]

    def call(self, x: Tensor) -> Tensor:
        z = forward(self.tensors, x, self.workload.activation)
        return torch.softmax(z, dim=1) if self.workload.classifies else z

    def predict(self, X: Array) -> Array:
        with torch.inference_mode():
            return self.call(torch.from_numpy(X)).numpy()

    def details(self) -> dict[str, Any]:
        return details()


class _CompiledPredictor(_Predictor):
    """A module, since frozen weights, which the compiler packs beforehand, have to be a module's."""

    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, entry, initial)
        import torch._inductor.config as config

        config.freezing = True
        parts: list[torch.nn.Module] = []
        for W, b in self.tensors:
            linear = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                linear.weight.copy_(W.T)
                linear.bias.copy_(b)
            parts += [linear, torch.nn.ReLU() if workload.activation == "relu" else torch.nn.Sigmoid()]
        parts[-1] = torch.nn.Softmax(dim=1) if workload.classifies else torch.nn.Identity()
        self.compiled = torch.compile(torch.nn.Sequential(*parts).eval(), fullgraph=True, dynamic=False)
        self.ready = False

    def predict(self, X: Array) -> Array:
        with torch.no_grad(), torch.compiler.set_stance(skip_guard_eval_unsafe=self.ready):
            out: Array = np.asarray(self.compiled(torch.from_numpy(X)))
        self.ready = True
        return out


def build(workload: Workload, entry: Entry, initial: Array) -> Trainer | Predictor:
    """The contender."""
    torch.set_num_threads(entry.threads)
    if workload.trains:
        return {"eager": _Eager, "compiled": _Compiled, "graphs": _Graphs}[entry.way](workload, entry, initial)
    return (_CompiledPredictor if entry.way == "compiled" else _Predictor)(workload, entry, initial)

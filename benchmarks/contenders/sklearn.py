"""scikit-learn's MLPClassifier and MLPRegressor; with its own checks of parameters and of finite rows switched off."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_info

from benchmarks.contenders import Array, Entry, Predictor, Trainer
from benchmarks.workloads import BETA1, BETA2, EPSILON, RATES, Workload, flatten, unflatten

# scikit-learn adds epsilon to the root before it is corrected for its start at 0, others after (Kingma & Ba 2015,
# section 2 and algorithm 1): so scaled, both mean the same in the first steps, which are those that are checked.
ITS_EPSILON = EPSILON * math.sqrt(1 - BETA2)


def estimator(workload: Workload, epochs: int, shuffle: bool) -> Any:
    """The workload's estimator, which starts at the parameters that it holds and does not stop early."""
    kind = MLPClassifier if workload.classifies else MLPRegressor
    return kind(
        hidden_layer_sizes=workload.sizes[1:-1], activation={"sigmoid": "logistic"}.get(workload.activation, "relu"),
        solver=workload.rule, alpha=0.0, batch_size=workload.batch, learning_rate_init=RATES[workload.rule],
        max_iter=epochs, shuffle=shuffle, random_state=0, tol=0.0, warm_start=True, momentum=0.0,
        nesterovs_momentum=False, beta_1=BETA1, beta_2=BETA2, epsilon=ITS_EPSILON, n_iter_no_change=10**9,
    )  # fmt: skip


def fit(model: Any, X: Array, y: Array) -> None:
    """Fit, and say nothing about epochs that are fewer than it would like."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)


def put(model: Any, layers: list[tuple[Array, Array]]) -> None:
    """Give it parameters."""
    model.coefs_, model.intercepts_ = [W.copy() for W, _ in layers], [b.copy() for _, b in layers]


class _Trainer(Trainer):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        self.models = [estimator(workload, workload.epochs, shuffle=True) for _ in range(workload.starts)]
        layers = unflatten(initial, workload.sizes)
        self.each = [[(W[k], b[k]) for W, b in layers] for k in range(workload.starts)]
        for model in self.models:
            model.set_params(max_iter=1)
            fit(model, self.X[: workload.checked_rows], self.y[: workload.checked_rows])  # makes what fitting makes
            model.set_params(max_iter=workload.epochs)

    def begin(self) -> None:
        for model, layers in zip(self.models, self.each, strict=True):
            put(model, layers)

    def train(self) -> None:
        for model in self.models:
            fit(model, self.X, self.y)

    def train_in_order(self, n: int) -> Array:
        for model in self.models:
            model.set_params(max_iter=1, shuffle=False)
            fit(model, self.X[:n], self.y[:n])
            model.set_params(max_iter=self.workload.epochs, shuffle=True)
        found = [flatten(list(zip(m.coefs_, m.intercepts_, strict=True)), 1) for m in self.models]
        return np.concatenate(found)

    def details(self) -> dict[str, Any]:
        return {"thread pools": threadpool_info()}


class _Predictor(Predictor):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        rng, n = np.random.default_rng(0), 10 * workload.sizes[-1]
        model = estimator(workload, 1, shuffle=False)
        model.set_params(batch_size=n)
        targets = np.arange(n) % workload.sizes[-1] if workload.classifies else rng.random(n, dtype=np.float32)
        fit(model, rng.random((n, workload.sizes[0]), dtype=np.float32), targets)
        put(model, self.layers)
        self.call = model.predict_proba if workload.classifies else model.predict

    def predict(self, X: Array) -> Array:
        return np.asarray(self.call(X))

    def details(self) -> dict[str, Any]:
        return {"thread pools": threadpool_info()}


def build(workload: Workload, entry: Entry, initial: Array) -> Trainer | Predictor:
    """The contender."""
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
    return (_Trainer if workload.trains else _Predictor)(workload, entry, initial)

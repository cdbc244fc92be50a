"""MLPClassifier and MLPRegressor against scikit-learn's own: same data, same random state, so the same path."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from drop_in import KINDS, Fit, compare, plainly, rows

from fallline.estimators import MLPClassifier, epochs


def weighted(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y, sample_weight=weight)


def in_parts(one: Any, X: Any, y: Any, weight: Any) -> Any:
    """partial_fit, with and without weights, over other numbers of rows, a pickle in between."""
    classes = {}
    if type(one).__name__ == "MLPClassifier":
        classes = {"classes": np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])}
    one.partial_fit(X[:40], y[:40], **classes)
    for _ in range(3):
        one = pickle.loads(pickle.dumps(one)).partial_fit(X[20:], y[20:], sample_weight=weight[20:])
        one.partial_fit(X[:7], y[:7])
    return one


def warmly(one: Any, X: Any, y: Any, weight: Any) -> Any:
    """warm_start: two fits more, of which one goes on from weights that were changed by hand."""
    one.fit(X, y)
    one.coefs_[0][...] *= 0.5
    one.intercepts_[-1] = one.intercepts_[-1] + 0.1
    return one.fit(X, y).fit(X, y, sample_weight=weight)


def then_in_parts(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y).partial_fit(X[:40], y[:40]).partial_fit(X[20:], y[20:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_every_solver_activation_and_kind_of_target(solver: str, activation: str, kind: str) -> None:
    compare(kind, {"solver": solver, "activation": activation, "learning_rate_init": 0.01}, plainly)


SETTINGS: dict[str, dict[str, Any]] = {
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "max_iter": 40, "n_iter_no_change": 3},
    "until it no longer improves": {"max_iter": 60, "tol": 0.02, "n_iter_no_change": 2, "learning_rate_init": 0.02},
    "in order": {"shuffle": False},
    "one batch": {"batch_size": 60},
    "batches of one": {"batch_size": 1, "max_iter": 3},
    "a batch too long": {"batch_size": 100},
    "the usual batch": {"batch_size": "auto"},
    "no penalty": {"alpha": 0.0},
    "a large penalty": {"alpha": 30.0},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "a wide layer": {"hidden_layer_sizes": 120, "max_iter": 4},
    "a generator": {"random_state": np.random.RandomState(5)},
    "adam's numbers": {"solver": "adam", "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
    "adam without memory": {"solver": "adam", "beta_1": 0.0, "beta_2": 0.0},
    "constant": {"solver": "sgd", "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "power_t": 0.3},
    "invscaling, plain momentum": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5,
                                   "nesterovs_momentum": False},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.3, "max_iter": 50, "tol": 0.05,
                 "n_iter_no_change": 1},
    "adaptive, until it is too small": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1e-5,
                                        "tol": 1.0, "n_iter_no_change": 1, "verbose": True},
    "no momentum": {"solver": "sgd", "momentum": 0.0},
    "momentum of 1": {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 0.01},
    "plain momentum": {"solver": "sgd", "nesterovs_momentum": False},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting(name: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    outs = []

    def fit(one: Any, X: Any, y: Any, weight: Any) -> Any:
        capsys.readouterr()
        try:
            return one.fit(X, y)
        finally:
            outs.append(capsys.readouterr().out)

    compare(kind, SETTINGS[name], fit)
    assert outs[0] == outs[1]
    assert bool(outs[0]) == ("verbose" in SETTINGS[name])


WAYS = {"weighted": weighted, "in parts": in_parts, "warmly": warmly, "fit, then in parts": then_in_parts}
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"learning_rate_init": 0.01},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
    "lbfgs": {"solver": "lbfgs"},
    "in order": {"shuffle": False},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_fit(way: str, solver: str, kind: str) -> None:
    if "parts" in way and solver == "lbfgs":
        assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
        return
    compare(kind, SOLVERS[solver] | {"warm_start": way == "warmly"}, WAYS[way])


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("fit", [plainly, weighted])
@pytest.mark.parametrize("kind", ["multiclass", "poisson of two"])
def test_sparse_rows(kind: str, fit: Fit, solver: str, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made dense two batches at a time."""
    monkeypatch.setattr(epochs, "BUFFER", 2 * 23 * 5 * 8)
    X = rows(kind)[0]
    X[np.abs(X) < 0.7] = 0
    compare(kind, SOLVERS[solver], fit, X=scipy.sparse.csr_array(X).asformat(format))

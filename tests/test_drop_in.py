"""MLPClassifier and MLPRegressor against scikit-learn's own: same data, same random state, so the same path."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network

from fallline.estimators import MLPClassifier, MLPRegressor, epochs

OURS = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
THEIRS = {name: getattr(sklearn.neural_network, name) for name in OURS}
KINDS = ["binary", "multiclass", "multilabel", "regression", "multi-output", "poisson", "poisson of two"]
CLASSIFIES = KINDS[:3]
# Of every number against the greatest of its array: seldom more than 50 epochs of 3 steps, or 15 iterations of lbfgs.
TOLERANCE = {"float64": 1e-7, "float32": 2e-3}
Fit = Callable[[Any, Any, Any, Any], Any]


def rows(kind: str, n: int = 60, seed: int = 0, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, y and weights."""
    rng = np.random.default_rng(seed)
    X, V = rng.normal(size=(n, 5)), np.random.default_rng(7).normal(size=(5, 3))
    Z = X @ V + 0.3 * rng.normal(size=(n, 3))
    y = {
        "binary": np.array(["no", "yes"])[(Z[:, 0] > 0).astype(int)],
        "multiclass": 2 * Z.argmax(axis=1) + 3,
        "multilabel": (Z > 0).astype(int),
        "regression": Z[:, 0],
        "multi-output": Z,
        "poisson": rng.poisson(np.exp(0.5 * Z[:, 0])).astype(float),
        "poisson of two": rng.poisson(np.exp(0.5 * Z[:, :2])).astype(float),
    }[kind]
    return X.astype(dtype), y, rng.uniform(0.2, 2, n)


def estimator(classes: dict[str, Any], kind: str, settings: dict[str, Any]) -> Any:
    defaults = {"hidden_layer_sizes": (7, 6), "max_iter": 12, "batch_size": 23, "random_state": 3, "alpha": 0.01}
    if "poisson" in kind:
        defaults["loss"] = "poisson"
    return classes["MLPClassifier" if kind in CLASSIFIES else "MLPRegressor"](**copy.deepcopy(defaults | settings))


def numbers(fitted: Any, X: Any) -> dict[str, list[Any]]:
    """All that must agree up to rounding."""
    found = {
        name: [getattr(fitted, name)]
        for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")
        if getattr(fitted, name, None) is not None
    }
    found |= {"coefs_": fitted.coefs_, "intercepts_": fitted.intercepts_}
    for name in ("predict_proba", "predict_log_proba", "predict"):
        if hasattr(fitted, name):
            found[name] = [getattr(fitted, name)(X)]
    optimizer = getattr(fitted, "_optimizer", None)
    for name in ("velocities", "ms", "vs", "learning_rate"):
        # a velocity without momentum is the last step, which nobody looks at again
        if hasattr(optimizer, name) and not (name == "velocities" and optimizer.momentum == 0):
            found[name] = getattr(optimizer, name) if name != "learning_rate" else [optimizer.learning_rate]
    return found


EXACT = [
    "n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "classes_", "n_features_in_", "feature_names_in_",
    "_no_improvement_count",
]  # fmt: skip


def compare(kind: str, settings: dict[str, Any], fit: Fit, dtype: str = "float64", X: Any = None) -> Any:
    """Do the same with both classes; their results, warnings and errors must be the same."""
    data = rows(kind, dtype=dtype)
    X = data[0] if X is None else X
    ends, fitted = [], []
    for classes in (THEIRS, OURS):
        one = estimator(classes, kind, settings)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                fitted.append(fit(one, X, *data[1:]))
                error = None
            except (ValueError, ZeroDivisionError) as raised:
                error = type(raised), str(raised)
        said = [(w.category, str(w.message)) for w in caught if not issubclass(w.category, RuntimeWarning)]
        ends.append((said, error))
    assert ends[0] == ends[1]
    if not fitted:
        return ends[0]
    theirs, ours = fitted
    for name in EXACT:
        assert hasattr(theirs, name) == hasattr(ours, name), name
        np.testing.assert_array_equal(getattr(ours, name, 0), getattr(theirs, name, 0), err_msg=name)
    new = rows(kind, 40, 1, dtype)[0]
    with np.errstate(divide="ignore"):
        found, expected = numbers(ours, new), numbers(theirs, new)
    assert found.keys() == expected.keys()
    for name in found:
        assert len(found[name]) == len(expected[name]), name
        for one, other in zip(found[name], expected[name], strict=True):
            one, other = np.asarray(one), np.asarray(other)
            assert one.shape == other.shape, name
            if one.dtype.kind != "f":
                np.testing.assert_array_equal(one, other, err_msg=name)
                continue
            if name in ("coefs_", "intercepts_", "predict", "predict_proba"):
                assert one.dtype == other.dtype, name
            scale = np.abs(other[np.isfinite(other)]).max(initial=1e-300)
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=name)
    return ours


def plainly(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y)


def weighted(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y, sample_weight=weight)


def in_parts(one: Any, X: Any, y: Any, weight: Any) -> Any:
    """partial_fit, with and without weights, a pickle in between, then by another rate and back to fit's rows."""
    classes = {"classes": np.unique(y) if y.ndim == 1 else np.arange(y.shape[1])} if hasattr(one, "classes") else {}
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

"""MLPClassifier and MLPRegressor where scikit-learn's stood: its checks, its tests, its tools, rough handling."""

from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
import sklearn.neural_network
from drop_in import CLASSIFIES, KINDS, compare, estimator, plainly, rows
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks

from fallline.estimators import MLPClassifier, MLPRegressor, perceptrons
from fallline.threads import available


@estimator_checks.parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_s_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_scikit_learn_s_own_tests(tmp_path: Path) -> None:
    """All of them, without exception."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "scikit_learn_s_tests"]
    done = subprocess.run(
        [*command, "--pyargs", "sklearn.neural_network.tests.test_mlp"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    summary = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "failed" not in summary
    assert int(summary.split()[0]) >= 50, summary


def test_they_are_scikit_learn_s() -> None:
    for ours in (MLPClassifier, MLPRegressor):
        theirs = getattr(sklearn.neural_network, ours.__name__)
        assert issubclass(ours, theirs)
        assert ours().get_params() == theirs().get_params()
        assert clone(ours(alpha=0.5)).alpha == 0.5
        assert "faster" in (ours.__doc__ or "")


BAD: dict[str, dict[str, Any]] = {
    "a layer of none": {"hidden_layer_sizes": (3, 0)},
    "a size below 0": {"hidden_layer_sizes": -1},
    "activation": {"activation": "rel"},
    "solver": {"solver": "newton"},
    "alpha": {"alpha": -0.1},
    "batch_size": {"batch_size": 0},
    "learning_rate": {"learning_rate": "falling"},
    "learning_rate_init": {"learning_rate_init": 0.0},
    "momentum": {"momentum": 1.5},
    "max_iter": {"max_iter": 0},
    "too few held out": {"early_stopping": True, "validation_fraction": 0.001},
}


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("name", BAD)
def test_the_same_errors_for_bad_settings(name: str, kind: str) -> None:
    _, error = compare(kind, BAD[name], plainly)
    assert issubclass(error[0], ValueError)


def _no_classes(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.partial_fit(X, y)


def _other_classes(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y).partial_fit(X, y + 1)


def _other_classes_warmly(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.set_params(warm_start=True).fit(X, y).fit(X, y + 1)


def _in_parts_with_early_stopping(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.set_params(early_stopping=True).partial_fit(X, y, classes=np.unique(y))


def _other_columns(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y).predict(X[:, 1:])


def _nan(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(np.where(X > 1, np.nan, X), y)


def _too_few_weights(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y, sample_weight=weight[1:])


def _a_batch_without_weight(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.set_params(batch_size=1).fit(X, y, sample_weight=np.arange(len(y)) % 2)


def _too_few_targets(one: Any, X: Any, y: Any, weight: Any) -> Any:
    return one.fit(X, y[1:])


@pytest.mark.parametrize(
    "misuse",
    [
        _no_classes, _other_classes, _other_classes_warmly, _in_parts_with_early_stopping, _other_columns, _nan,
        _too_few_weights, _a_batch_without_weight, _too_few_targets,
    ],
)  # fmt: skip
def test_the_same_errors_for_wrong_use(misuse: Any) -> None:
    _, error = compare("multiclass", {}, misuse)
    assert error is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_float32(solver: str, kind: str) -> None:
    ours = compare(kind, {"solver": solver, "activation": "tanh", "learning_rate_init": 0.01}, plainly, "float32")
    assert ours.coefs_[0].dtype == (np.float64 if solver == "lbfgs" else np.float32)


@pytest.mark.parametrize("kind", CLASSIFIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_of_very_different_size(dtype: str, kind: str) -> None:
    """Probabilities so small that scikit-learn clips them in the loss."""
    X = rows(kind, dtype=dtype)[0] * np.array([1e4, 1, 100, 1, 1e-3], dtype)
    ours = compare(kind, {"activation": "identity"}, plainly, dtype, X=X)
    assert ours.loss_curve_[0] > 3


def test_a_descent_that_diverges() -> None:
    """Held-out rows keep the best of it; without them scikit-learn refuses the result."""
    settings = {"solver": "sgd", "learning_rate_init": 5.0, "activation": "identity", "max_iter": 30, "tol": 0.0}
    said, error = compare("regression", settings, plainly)
    assert error[0] is ValueError
    assert said[-1][0] is ConvergenceWarning
    X, y, _ = rows("regression")
    fitted = []
    for module in (perceptrons, sklearn.neural_network):
        one = estimator(vars(module), "regression", settings | {"early_stopping": True, "n_iter_no_change": 50})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted.append(one.fit(X, y))
    ours, theirs = fitted
    assert np.isnan(ours.loss_)
    assert np.isnan(ours.validation_scores_[-1])
    assert ours.n_iter_ == theirs.n_iter_ == 30
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-7)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_as_they_lie_in_memory() -> None:
    """Columns one after the other, every second row, whole numbers, lists: what comes out is the same."""
    X, y, _ = rows("regression", 80)
    X = np.round(4 * X)
    one = MLPRegressor(max_iter=3, random_state=0)
    expected = clone(one).fit(X[::2].copy(), y[::2])
    for same in (np.asfortranarray(X[::2]), X[::2], X[::2].astype(int), X[::2].tolist()):
        fitted = clone(one).fit(same, y[::2])
        np.testing.assert_array_equal(fitted.coefs_[0], expected.coefs_[0])
        np.testing.assert_array_equal(fitted.predict(same), expected.predict(X[::2]))


def test_large_products_are_left_to_blas() -> None:
    """Of many wide rows in float64 all goes scikit-learn's own way, to the bit."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(perceptrons.MANY_ROWS, perceptrons.MANY_COLUMNS)), rng.integers(0, 3, 1000)
    settings = {"hidden_layer_sizes": 5, "solver": "lbfgs", "max_iter": 3, "random_state": 0}
    with pytest.warns(ConvergenceWarning):
        ours = MLPClassifier(**settings).fit(X, y)
    with pytest.warns(ConvergenceWarning):
        theirs = sklearn.neural_network.MLPClassifier(**settings).fit(X, y)
    assert (ours.predict_proba(X) == theirs.predict_proba(X)).all()
    few = X[: perceptrons.MANY_ROWS - 1]
    np.testing.assert_allclose(ours.predict_proba(few), theirs.predict_proba(few), rtol=1e-9)


def test_rows_that_are_not_finite_but_assumed_to_be() -> None:
    X, _, _ = rows("binary")
    fitted = compare("binary", {}, plainly)
    X[3, 2] = np.nan
    with sklearn.config_context(assume_finite=True), np.errstate(invalid="ignore"):
        probabilities = fitted.predict_proba(X)
    assert np.isnan(probabilities[3]).all()
    np.testing.assert_allclose(np.delete(probabilities, 3, 0), fitted.predict_proba(np.delete(X, 3, 0)), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_data_frames_keep_their_names() -> None:
    import pandas as pd

    X, y, _ = rows("multiclass")
    frame = pd.DataFrame(X, columns=list("abcde"))
    fitted = MLPClassifier(random_state=0).fit(frame, y)
    assert fitted.feature_names_in_.tolist() == list("abcde")
    np.testing.assert_array_equal(fitted.predict(frame), MLPClassifier(random_state=0).fit(X, y).predict(X))
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        fitted.predict(frame[list("bacde")])


def test_ctrl_c_keeps_what_there_is() -> None:
    X, y = np.random.default_rng(0).normal(size=(30_000, 20)), np.arange(30_000) % 3
    one = MLPClassifier(batch_size=30_000, max_iter=100_000, n_iter_no_change=100_000, random_state=0)
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    began = time.monotonic()
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        one.fit(X, y)
    assert time.monotonic() - began < 60
    assert 1 <= one.n_iter_ < 100_000
    assert one.predict(X[:5]).shape == (5,)
    assert one._optimizer.t >= one.n_iter_


def test_a_grid_search_in_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of joblib's workers takes its share of the processors, which it is told by OMP_NUM_THREADS."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    X, y, _ = rows("multiclass", 90)
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(5,), (8, 8)]}
    one = MLPClassifier(max_iter=15, tol=1.0, n_iter_no_change=3, random_state=0)
    search = GridSearchCV(one, grid, cv=3, n_jobs=2).fit(X, y)
    alone = GridSearchCV(one, grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    told = joblib.Parallel(n_jobs=2)(joblib.delayed(_pid_and_threads)() for _ in range(4))
    if {pid for pid, _ in told} == {os.getpid()}:
        pytest.skip("joblib starts no processes here")
    assert max(threads for _, threads in told) <= max(1, (os.cpu_count() or 1) // 2)


def _pid_and_threads() -> tuple[int, int]:
    return os.getpid(), available()

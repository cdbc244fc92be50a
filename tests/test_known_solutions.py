"""A network without hidden layers has one valley, and others have computed its bottom."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, PoissonRegressor, QuantileRegressor, Ridge

import fallline as fl
from fallline.engines import ALWAYS

both_engines = pytest.mark.parametrize("engine", ALWAYS)


def standardised(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(axis=0)) / X.std(axis=0)


@both_engines
@pytest.mark.parametrize("weighted", [False, True])
def test_squared_error_ends_at_least_squares(engine: str, weighted: bool) -> None:
    X, y = load_diabetes(return_X_y=True)
    X = X / X.std(axis=0)
    weight = np.random.default_rng(0).uniform(0.2, 2, len(X)) if weighted else np.ones(len(X))
    root = np.sqrt(weight)[:, None]
    A = np.hstack([X, np.ones((len(X), 1))])
    expected = np.linalg.lstsq(root * A, root[:, 0] * y, rcond=None)[0]
    net = fl.Network([10, 1], dtype="float64")
    optimizer = fl.SGD(0.1, momentum=0.99)
    run = fl.descend(net, X, y, optimizer=optimizer, batch_size=None, epochs=6000, sample_weight=weight, engine=engine)
    found = np.append(run.network.W[0][:, 0], run.network.b[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@both_engines
def test_l2_ends_at_ridge_regression(engine: str) -> None:
    """Ours: mean of squares + l2/2 |W|^2; scikit-learn's: sum of squares + alpha |W|^2."""
    X, y = load_diabetes(return_X_y=True)
    X, l2 = X / X.std(axis=0), 0.3
    expected = Ridge(alpha=len(X) * l2 / 2, tol=1e-12).fit(X, y)
    net = fl.Network([10, 1], dtype="float64")
    run = fl.descend(
        net, X, y, optimizer=fl.SGD(0.1, momentum=0.95), batch_size=None, epochs=2000, l2=l2, engine=engine
    )
    np.testing.assert_allclose(run.network.W[0][:, 0], expected.coef_, rtol=1e-4)
    np.testing.assert_allclose(run.network.b[0], expected.intercept_, rtol=1e-4)


@both_engines
def test_binary_cross_entropy_ends_at_logistic_regression(engine: str) -> None:
    X, y = load_iris(return_X_y=True)
    X, y = standardised(X[50:]), y[50:] - 1
    l2 = 0.01
    expected = LogisticRegression(C=1 / (l2 * len(X)), tol=1e-10, max_iter=10_000).fit(X, y)
    net = fl.Network([4, 1], output="sigmoid", dtype="float64")
    run = fl.descend(
        net, X, y, optimizer=fl.SGD(1.0, momentum=0.95), batch_size=None, epochs=2000, l2=l2, engine=engine
    )
    np.testing.assert_allclose(run.network.W[0][:, 0], expected.coef_[0], atol=1e-3)
    np.testing.assert_allclose(run.network.b[0], expected.intercept_, atol=1e-3)


@both_engines
def test_categorical_cross_entropy_ends_at_multinomial_logistic_regression(engine: str) -> None:
    X, y = load_iris(return_X_y=True)
    X, l2 = standardised(X), 0.01
    expected = LogisticRegression(C=1 / (l2 * len(X)), tol=1e-10, max_iter=10_000).fit(X, y)
    net = fl.Network([4, 3], output="softmax", dtype="float64")
    run = fl.descend(
        net, X, y, optimizer=fl.SGD(1.0, momentum=0.95), batch_size=None, epochs=2000, l2=l2, engine=engine
    )
    np.testing.assert_allclose(run.network.W[0].T, expected.coef_, atol=1e-3)
    bias = run.network.b[0] - run.network.b[0].mean()  # softmax does not see a constant added to every bias
    np.testing.assert_allclose(bias, expected.intercept_ - expected.intercept_.mean(), atol=1e-3)
    np.testing.assert_allclose(run.network(X), expected.predict_proba(X), atol=1e-4)


@both_engines
def test_poisson_ends_at_poisson_regression(engine: str) -> None:
    """Identity output: the network gives the logarithm of the rate."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 3))
    y = rng.poisson(np.exp(0.3 + X @ [0.5, -0.4, 0.1])).astype(float)
    l2 = 0.01
    expected = PoissonRegressor(alpha=l2, tol=1e-10, max_iter=10_000).fit(X, y)
    net = fl.Network([3, 1], dtype="float64")
    run = fl.descend(
        net, X, y, "poisson", fl.SGD(0.1, momentum=0.9), batch_size=None, epochs=2000, l2=l2, engine=engine
    )
    np.testing.assert_allclose(run.network.W[0][:, 0], expected.coef_, atol=1e-4)
    np.testing.assert_allclose(run.network.b[0], expected.intercept_, atol=1e-4)


def test_several_quantiles_end_at_quantile_regressions() -> None:
    rng = np.random.default_rng(2)
    X = rng.uniform(0, 2, (400, 1))
    y = X[:, 0] + (0.2 + X[:, 0]) * rng.normal(size=400)
    quantiles = (0.1, 0.5, 0.9)
    run = fl.descend(
        fl.Network([1, 3], dtype="float64"), X, y, fl.losses.Quantile(quantiles), fl.Adam(0.02), "cosine",
        batch_size=None, epochs=8000,
    )  # fmt: skip
    for q, p in enumerate(quantiles):
        expected = QuantileRegressor(quantile=p, alpha=0).fit(X, y)
        assert run.network.W[0][0, q] == pytest.approx(expected.coef_[0], abs=0.02)
        assert run.network.b[0][q] == pytest.approx(expected.intercept_, abs=0.02)
        assert np.mean(y < run.network(X)[:, q]) == pytest.approx(p, abs=0.01)

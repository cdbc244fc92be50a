"""The same done with scikit-learn's perceptrons and with ours, and all that comes of it compared."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn.neural_network

from fallline.estimators import MLPClassifier, MLPRegressor

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

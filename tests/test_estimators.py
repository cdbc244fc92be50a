"""The estimators: scikit-learn's own checks, its tools around them, and data frames as they come."""

import datetime
import pickle

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fallline as fl
from fallline.estimators import NetworkClassifier, NetworkRegressor

QUICK = {"epochs": 15, "starts": 2, "random_state": 0, "threads": 1}

# Checks that cannot pass, and why.
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2, and a row twice, make other batches",
}


@parametrize_with_checks(
    [NetworkClassifier(**QUICK), NetworkRegressor(**QUICK)], expected_failed_checks=lambda estimator: EXPECTED
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


def table(n=200, seed=0):
    """A frame with a category, a date, a number with holes; and targets that follow from all three."""
    rng = np.random.default_rng(seed)
    colour, x, day = rng.integers(0, 3, n), rng.normal(size=n), rng.integers(0, 365, n)
    frame = pl.DataFrame(
        {
            "colour": [["red", "green", None][c] for c in colour],
            "x": [None if r % 11 == 0 else v for r, v in enumerate(x.tolist())],
            "day": [datetime.date(2024, 1, 1) + datetime.timedelta(days=int(d)) for d in day],
        }
    )
    return frame, 2.0 * colour + np.where(np.arange(n) % 11 == 0, 0, x) + np.cos(2 * np.pi * day / 365)


def test_frames_as_they_come():
    frame, y = table()
    regressor = NetworkRegressor(epochs=80, starts=4, random_state=0).fit(frame, y)
    new, truth = table(seed=1)
    assert regressor.score(new, truth) > 0.9
    assert regressor.scores_["r2"] > 0.9
    assert set(regressor.beside_) == {"guess", "linear"}
    assert regressor.feature_names_in_.tolist() == ["colour", "x", "day"]
    shuffled = new.select("day", "colour", "x")
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        regressor.predict(shuffled)
    labels = np.where(y > 2, "high", "low")
    classifier = NetworkClassifier(**QUICK).fit(frame, labels)
    assert set(classifier.predict(new)) == {"high", "low"}
    assert classifier.model_.classes.tolist() == classifier.classes_.tolist() == ["high", "low"]


def test_the_model_works_without_scikit_learn(tmp_path):
    frame, y = table()
    regressor = NetworkRegressor(**QUICK).fit(frame, y)
    regressor.model_.save(tmp_path / "m.fallline")
    np.testing.assert_array_equal(fl.load(tmp_path / "m.fallline").predict(frame), regressor.predict(frame))


@pytest.mark.parametrize("labels", [[3, 7], ["b", "a"], [True, False], [1.0, 2.0], np.array(["b", "a"], dtype=object)])
def test_labels_of_any_type_come_back_as_they_were(labels):
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = np.asarray(labels)[(X[:, 0] > 0).astype(int)]
    classifier = NetworkClassifier(epochs=60, starts=2, random_state=0).fit(X, y)
    predicted = classifier.predict(X)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.9


def test_scikit_learn_s_tools():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetworkClassifier(**QUICK))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.85
    search = GridSearchCV(NetworkClassifier(**QUICK), {"hidden_layer_sizes": [(4,), (16, 16)]}, cv=2).fit(X, y)
    assert search.best_params_["hidden_layer_sizes"] in [(4,), (16, 16)]
    fitted = NetworkClassifier(**QUICK).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    twin = clone(fitted).fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(X), fitted.predict_proba(X))
    other = clone(fitted).set_params(random_state=1).fit(X, y)
    assert (other.predict_proba(X) != fitted.predict_proba(X)).any()


def test_weights_an_own_set_to_measure_on_and_callbacks():
    X, y = load_diabetes(return_X_y=True)
    heard = []

    class Hear(fl.Listener):
        def on_epoch(self, epoch):
            heard.append(epoch.progress.epoch)

    weight = np.where(np.arange(len(y)) % 2, 1.0, 0.0)
    regressor = NetworkRegressor(**QUICK).fit(X, y, weight, eval_set=(X[:50], y[:50]), callbacks=Hear())
    assert heard == list(range(1, 16))
    even = np.arange(len(y)) % 2 == 0
    changed = y.copy()
    changed[even] = y[even][::-1]  # of weight 0: nobody learns from them
    again = NetworkRegressor(**QUICK).fit(X, changed, weight, eval_set=(X[:50], y[:50]))
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))
    unweighted = NetworkRegressor(**QUICK).fit(X, y, eval_set=(X[:50], y[:50]))
    assert (unweighted.predict(X) != regressor.predict(X)).any()
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        NetworkRegressor(**QUICK).fit(X, y, -weight)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"starts": 0}, "starts is 0; it must be a whole number, 1 or more, or 'auto'"),
        ({"hidden_layer_sizes": (0,)}, "hidden is \\(0,\\); it must be whole numbers"),
        ({"activation": "rellu"}, "activation 'rellu' is unknown; did you mean 'relu'"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        NetworkRegressor(**settings).fit(np.eye(6), np.arange(6.0))

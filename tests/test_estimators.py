"""The estimators: scikit-learn's own checks, its tools around them, and data frames as they come."""

import datetime
import pickle

import numpy as np
import polars as pl
import pytest
from joblib import Parallel, delayed, parallel_config
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fallline as fl
from fallline.engines import as_engine
from fallline.estimators import NetworkClassifier, NetworkRegressor
from fallline.threads import available

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
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes is \\(0,\\); it must be whole numbers"),
        ({"activation": "rellu"}, "activation 'rellu' is unknown; did you mean 'relu'"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        NetworkRegressor(**settings).fit(np.eye(6), np.arange(6.0))


def test_several_labels_and_several_numbers():
    X, Y = make_multilabel_classification(600, n_classes=4, random_state=0)
    classifier = NetworkClassifier(epochs=30, starts=4, random_state=0).fit(X[:500], Y[:500])
    assert classifier.predict(X).shape == classifier.predict_proba(X).shape == (600, 4)
    assert classifier.score(X[500:], Y[500:]) == accuracy_score(Y[500:], classifier.predict(X[500:]))
    from_sparse = NetworkClassifier(epochs=30, starts=4, random_state=0).fit(X[:500], csr_array(Y[:500]))
    np.testing.assert_array_equal(from_sparse.predict_proba(X), classifier.predict_proba(X))
    likely = Y.mean(axis=0)
    guess = -(likely * np.log(likely) + (1 - likely) * np.log(1 - likely)).mean()
    assert classifier.scores_["log_loss"] < 0.8 * guess
    with pytest.raises(ValueError, match="y has 4 columns, so each must hold 0 and 1 alone"):
        NetworkClassifier(**QUICK).fit(X, Y * 2 + 1)
    y = np.column_stack([X[:, 0] * 100, X[:, 1] + X[:, 2]])
    regressor = NetworkRegressor(epochs=60, starts=4, random_state=0).fit(X, y)
    assert regressor.predict(X).shape == (600, 2)
    assert regressor.score(X, y) > 0.95


def test_class_weights_multiply_those_of_the_rows():
    X, y = load_breast_cancer(return_X_y=True)
    names = np.array(["bad", "good"])[y]
    plain, heavy, balanced, by_row = (
        NetworkClassifier(**QUICK, class_weight=weight).fit(X, names, row_weight)
        for weight, row_weight in [
            (None, None),
            ({"bad": 20, "good": 1}, None),
            ("balanced", None),
            (None, np.where(y == 0, 20.0, 1.0)),
        ]
    )
    np.testing.assert_array_equal(heavy.predict_proba(X), by_row.predict_proba(X))
    assert heavy.predict_proba(X)[:, 0].mean() > plain.predict_proba(X)[:, 0].mean()
    assert (balanced.predict_proba(X) != plain.predict_proba(X)).any()
    of_objects = NetworkClassifier(**QUICK, class_weight={"bad": 20, "good": 1}).fit(X, names.astype(object))
    np.testing.assert_array_equal(of_objects.predict_proba(X), heavy.predict_proba(X))


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "f1", "accuracy"])
def test_a_scorer_of_scikit_learn_says_which_epoch_is_best(scoring):
    X, y = load_breast_cancer(return_X_y=True)
    chosen = NetworkClassifier(epochs=8, starts=1, scoring=scoring, threads=1, random_state=3)
    chosen.fit(X[:400], y[:400], eval_set=(X[400:], y[400:]))
    scores = chosen.history_[scoring][:, 0]
    assert chosen.n_iter_ == scores.argmax() + 1
    if scoring == "roc_auc":
        best = NetworkClassifier(**chosen.get_params() | {"combine": "best"})
        best.fit(X[:400], y[:400], eval_set=(X[400:], y[400:]))
        assert scores.max() == pytest.approx(roc_auc_score(y[400:], best.predict_proba(X[400:])[:, 1]), abs=1e-6)


def test_a_scorer_for_numbers_and_one_of_your_own():
    X, y = load_diabetes(return_X_y=True)

    def mine(estimator, X, y):
        return -np.abs(estimator.predict(X) - y).max()

    for scoring, name in ((mine, "mine"), ("neg_mean_absolute_error", "neg_mean_absolute_error")):
        regressor = NetworkRegressor(**QUICK, scoring=scoring).fit(X, y)
        assert regressor.n_iter_ == (regressor.history_[name].argmax(axis=0) + 1).max()
        assert -200 < regressor.history_[name].max() < -20
    with pytest.raises(ValueError, match="'roc_ac' is not a valid scoring value"):
        NetworkRegressor(scoring="roc_ac").fit(X, y)


def test_quantiles_intervals_and_logarithms():
    X, y = load_diabetes(return_X_y=True)
    quantiles = NetworkRegressor(**QUICK, loss="quantile", quantiles=(0.1, 0.5, 0.9)).fit(X, y)
    assert (np.diff(quantiles.predict_quantiles(X), axis=1) >= 0).all()
    np.testing.assert_array_equal(quantiles.predict(X), quantiles.predict_quantiles(X)[:, 1])
    low, high = NetworkRegressor(**QUICK).fit(X, y).predict_interval(X, coverage=0.9).T
    assert 0.8 < ((low < y) & (y < high)).mean() <= 1
    assert NetworkRegressor(**QUICK, target_transform="log").fit(X, y).predict(X).min() > 0


def test_a_loss_of_your_own():
    X, y = load_diabetes(return_X_y=True)

    def squared(A, Y):
        return ((A - Y) ** 2).mean(axis=1), 2 * (A - Y)

    def wrong(A, Y):
        return ((A - Y) ** 2).mean(axis=1), A - Y

    mine = NetworkRegressor(**QUICK, loss=squared).fit(X, y)
    theirs = NetworkRegressor(**QUICK, engine="reference").fit(X, y)
    np.testing.assert_array_equal(mine.predict(X), theirs.predict(X))
    with pytest.raises(ValueError, match=r"the gradient of the loss is .* by finite differences it is"):
        NetworkRegressor(**QUICK, loss=wrong).fit(X, y)
    with pytest.raises(ValueError, match=r"the loss gave shapes \(8, 1\) and \(8, 1\)"):
        NetworkRegressor(**QUICK, loss=lambda A, Y: (A - Y, A)).fit(X, y)


def test_rows_in_passes():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]
    order = np.random.default_rng(0).permutation(150)
    classifier = NetworkClassifier(starts=2, random_state=0)
    for _ in range(30):
        for rows in np.array_split(order, 3):
            classifier.partial_fit(X[rows], names[rows], classes=["virginica", "versicolor", "setosa"])
    assert classifier.score(X, names) > 0.9
    first = NetworkClassifier(**QUICK).partial_fit(X[:50], names[:50], classes=np.unique(names))
    assert first.predict_proba(X).shape == (150, 3)
    assert first.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    regressor = NetworkRegressor(starts=2, random_state=0)
    X, y = load_diabetes(return_X_y=True)
    for _ in range(20):
        regressor.partial_fit(X, y)
    assert regressor.score(X, y) > 0.4
    with pytest.raises(ValueError, match="X has 3 features, but NetworkRegressor is expecting 10"):
        regressor.partial_fit(X[:, :3], y)


def test_a_warm_start_goes_on():
    X, y = load_diabetes(return_X_y=True)
    cold = NetworkRegressor(epochs=3, starts=2, random_state=0).fit(X, y)
    warm = clone(cold).set_params(warm_start=True).fit(X, y)
    np.testing.assert_array_equal(warm.predict(X), cold.predict(X))
    first = warm.history_["loss"]
    warm.fit(X, y)
    assert (warm.history_["loss"][0] < first[0]).all()
    np.testing.assert_array_equal(cold.fit(X, y).history_["loss"], first)
    frame, targets = table()
    warm = NetworkRegressor(**QUICK, warm_start=True).fit(frame, targets)
    with pytest.raises(ValueError, match="feature names should match"):
        warm.fit(frame.rename({"x": "z"}), targets)


def test_what_a_column_holds_can_be_said():
    frame = pl.DataFrame({"zip": [10, 20, 30, 40] * 20, "x": np.arange(80) % 7})
    y = np.tile([5.0, -3.0, 4.0, 0.0], 20)
    regressor = NetworkRegressor(**QUICK, column_kinds={"zip": "category"}).fit(frame, y)
    assert [column.role for column in regressor.model_.encoder.encodings] == ["category", "number"]
    with pytest.raises(ValueError, match="column_kinds names 'zop', but X has no such column"):
        NetworkRegressor(column_kinds={"zop": "category"}).fit(frame, y)
    with pytest.raises(ValueError, match="column_kinds has 'text' for 'zip'; it must be 'number', 'category' or"):
        NetworkRegressor(column_kinds={"zip": "text"}).fit(frame, y)
    with pytest.raises(ValueError, match="but X is an array"):
        NetworkRegressor(column_kinds={"x0": "category"}).fit(frame.to_numpy(), y)


def test_groups_and_the_order_of_time():
    X, y = load_diabetes(return_X_y=True)
    group = np.array([f"g{r % 20}" for r in range(len(y))])
    one = NetworkRegressor(**QUICK).fit(X, y, groups=group)
    two = NetworkRegressor(**QUICK).fit(X, y)
    assert (one.predict(X) != two.predict(X)).any()
    last = NetworkRegressor(**QUICK, hold_back="last", validation=0.3).fit(X, y)
    explicit = NetworkRegressor(**QUICK).fit(X[:-133], y[:-133], eval_set=(X[-133:], y[-133:]))
    np.testing.assert_array_equal(last.predict(X), explicit.predict(X))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NetworkRegressor(**QUICK).fit(X, y, groups=group[:10])


def test_processes_of_joblib_share_the_processors():
    """Each of two processes on two processors trains with one thread, as joblib tells it."""
    X, y = load_iris(return_X_y=True)
    rows = [np.arange(len(y))] * 2
    with parallel_config("loky", n_jobs=2):
        counts = Parallel()(delayed(threads_of)(X[r], y[r]) for r in rows)
    assert counts == [max(1, available() // 2)] * 2
    search = GridSearchCV(NetworkClassifier(**QUICK), {"hidden_layer_sizes": [(4,), (8,)]}, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.7


def threads_of(X, y):
    fitted = NetworkClassifier(epochs=1, starts=1, random_state=0).fit(X, y)
    return as_engine(fitted.model_.engine, fitted.model_.threads).threads

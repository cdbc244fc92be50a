"""Permutation importance."""

import numpy as np
import polars as pl
import pytest
from sklearn.inspection import permutation_importance

import fallline as fl
from fallline.errors import DataError, ParameterError
from fallline.fit import fit
from fallline.pictures import ImportanceDisplay
from fallline.table import Table


@pytest.fixture(scope="module")
def line():
    """Twice the first column, and nothing of the second."""
    X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    table = Table("line", X, 2.0 * X[:, 0].astype(float), ("slope", "noise"), "y")
    return fit(table, {"epochs": 60, "starts": 1, "hidden": (16,)}).model, table


@pytest.mark.parametrize("score", ["r2", "rmse", "mae"])
def test_what_is_used_is_important_and_what_is_not_is_not(line, score):
    model, table = line
    display = ImportanceDisplay.from_model(model, table, score=score, n_repeats=4)
    slope, noise = display.importances
    assert slope.min() > 1
    assert np.abs(noise).max() < 0.1 * slope.min()
    assert display.value == pytest.approx(model.evaluate(table)[score])


def test_r2_lost_is_what_theory_says(line):
    """Of two independent copies of x, mean squares differ by twice the variance: R2 falls by 2."""
    display = ImportanceDisplay.from_model(*line, n_repeats=30)
    assert display.score == "r2"
    assert display.importances[0].mean() == pytest.approx(2.0, rel=0.05)


def test_it_is_seeded_and_leaves_the_table_alone(iris):
    model, table = iris
    before = table.X.copy()
    first, again, other = (ImportanceDisplay.from_model(model, table, n_repeats=3, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.importances, again.importances)
    assert (first.importances != other.importances).any()
    np.testing.assert_array_equal(table.X, before)


def test_estimators_go_to_scikit_learn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = (X[:, 1] > 0).astype(int)
    classifier = fl.NetworkClassifier(epochs=10, starts=1, random_state=0).fit(X, y)
    display = ImportanceDisplay.from_estimator(classifier, X, y, n_repeats=3)
    expected = permutation_importance(classifier, X, y, n_repeats=3, random_state=0)
    np.testing.assert_array_equal(display.importances, expected.importances)
    assert list(display.columns) == ["x0", "x1", "x2"]
    assert display.value == classifier.score(X, y)


def test_a_data_frame_that_is_not_pandas_s():
    rng = np.random.default_rng(2)
    town = rng.choice(["Bree", "Dale"], 120)
    houses = pl.DataFrame({"rooms": rng.normal(size=120), "town": town})
    regressor = fl.NetworkRegressor(epochs=10, starts=1, random_state=0).fit(houses, (town == "Dale") * 2.0)
    display = ImportanceDisplay.from_estimator(regressor, houses, (town == "Dale") * 2.0, n_repeats=3)
    assert display.columns == ["rooms", "town"]
    rooms, in_dale = display.importances.mean(axis=1)
    assert in_dale > 1 > abs(rooms)
    assert display.value == pytest.approx(regressor.score(houses, (town == "Dale") * 2.0), abs=1e-6)


def test_the_picture(tumours):
    display = ImportanceDisplay.from_model(*tumours, score="log_loss", n_repeats=2, rows=200, most=6)
    means = display.means_.get_offsets()[:, 0]
    assert len(means) == 6
    assert (np.diff(means) <= 0).all()
    assert len(display.repeats_.get_offsets()) == 12
    best = int(np.argmax(display.importances.mean(axis=1)))
    assert display.ax_.get_yticklabels()[0].get_text() == display.columns[best]
    assert "log loss added" in display.ax_.get_xlabel()
    assert "2 shuffles of 200 rows" in display.ax_.get_title(loc="left")


def test_what_cannot_be_drawn(iris):
    model, table = iris
    with pytest.raises(ParameterError, match="score 'acuracy' is unknown"):
        ImportanceDisplay.from_model(model, table, score="acuracy")
    with pytest.raises(DataError, match="there is no target 'species'"):
        ImportanceDisplay.from_model(model, Table("new", table.X, None, table.columns, None))

"""Partial dependence."""

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import partial_dependence
from sklearn.linear_model import LinearRegression

import fallline as fl
from fallline.errors import DataError, ParameterError
from fallline.pictures import PartialDependenceDisplay


@pytest.fixture(scope="module")
def houses():
    """Prices of houses by rooms, town and day, and a model of them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "rooms": rng.integers(1, 8, 200),
            "town": rng.choice(["Ely", "Bath", "Hull"], 200),
            "sold": pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 3000, 200), "D"),
        }
    )
    y = frame["rooms"] * 50 + frame["town"].map({"Ely": 0, "Bath": 100, "Hull": -20})
    return fl.NetworkRegressor(epochs=20, starts=1, random_state=0).fit(frame, y), frame


def test_it_is_scikit_learn_s():
    X = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    regressor = fl.NetworkRegressor(epochs=5, starts=1, random_state=0).fit(X, X[:, 0] ** 2)
    display = PartialDependenceDisplay.from_estimator(regressor, X, "x0", n=7)
    known = partial_dependence(regressor, X, [0], custom_values={0: display.values}, kind="average")
    np.testing.assert_allclose(display.mean[:, 0], known["average"][0], rtol=1e-4, atol=1e-5)
    answers = partial_dependence(regressor, X, [0], custom_values={0: display.values}, kind="individual")
    np.testing.assert_allclose(
        display.band, np.percentile(answers["individual"][0], [10, 90], axis=0).T, rtol=1e-3, atol=1e-4
    )


def test_few_values_are_asked_about_as_they_are(houses):
    display = PartialDependenceDisplay.from_estimator(*houses, "rooms")
    assert display.values.tolist() == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), display.mean[:, 0])
    assert len(display.rug_.get_xdata()) == 200
    assert display.band_ is not None


def test_categories_are_dots_with_their_names(houses):
    regressor, frame = houses
    display = PartialDependenceDisplay.from_estimator(regressor, frame, "town")
    by_name = dict(zip(display.values.tolist(), display.mean[:, 0], strict=True))
    for town, mean in by_name.items():
        assert regressor.predict(frame.assign(town=town)).mean() == pytest.approx(mean, rel=1e-5)
    assert dict(zip(display.values, display.rug, strict=True)) == frame["town"].value_counts().to_dict()
    order = [label.get_text().split("\n")[0] for label in display.ax_.get_xticklabels()]
    assert order == sorted(by_name, key=by_name.get)
    assert display.lines_[0].get_linestyle() == "None"


def test_dates_are_dates(houses):
    display = PartialDependenceDisplay.from_estimator(*houses, "sold", n=9)
    first = display.lines_[0].get_xdata()[0]
    assert np.datetime64("2015-01-01") <= first < np.datetime64("2015-04-01")


def test_classes(iris, tumours):
    three = PartialDependenceDisplay.from_model(*iris, "petal width (cm)", n=8)
    np.testing.assert_allclose(three.mean.sum(axis=1), 1, rtol=1e-5)
    assert [text.get_text() for text in three.ax_.get_legend().get_texts()] == list(iris[0].classes)
    assert three.band_ is None
    two = PartialDependenceDisplay.from_model(*tumours, "mean radius", n=8)
    assert two.mean.shape == (8, 1)
    assert two.ax_.get_ylabel() == f"probability of {tumours[0].classes[1]}"


def test_what_cannot_be_drawn(iris):
    model, table = iris
    with pytest.raises(DataError, match="no column 'petal'"):
        PartialDependenceDisplay.from_model(model, table, "petal")
    linear = LinearRegression().fit(table.X, np.zeros(150))
    with pytest.raises(ParameterError, match="LinearRegression is no fitted Network estimator"):
        PartialDependenceDisplay.from_estimator(linear, table.X, "x0")

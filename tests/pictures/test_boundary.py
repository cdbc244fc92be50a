"""What a model says everywhere."""

import numpy as np
import pandas as pd
import pytest

import fallline as fl
from fallline.errors import DataError, ParameterError
from fallline.pictures import BoundaryDisplay
from fallline.table import Table

PETALS = ["petal length (cm)", "petal width (cm)"]


def test_regions_with_the_other_columns_at_their_medians(iris):
    model, table = iris
    display = BoundaryDisplay.from_model(model, table, PETALS, n=7)
    medians = np.median(table.X, axis=0)
    for i in (0, 3, 6):
        row = [medians[0], medians[1], display.grid[0][i], display.grid[1][2]]
        expected = model.predict_proba(np.array([row], np.float32))[0]
        np.testing.assert_allclose(display.answers[i, 2], expected, atol=1e-5)
    assert display.others == {"sepal length (cm)": "5.8", "sepal width (cm)": "3"}
    assert "sepal length (cm) = 5.8" in display.ax_.get_title(loc="left")
    np.testing.assert_array_equal(display.wrong, model.predict(table) != table.y)
    assert display.ax_.get_xlabel() == PETALS[0]
    assert sum(len(part.get_offsets()) for part in display.rows_) == 150
    assert (0 if display.wrong_ is None else len(display.wrong_.get_offsets())) == display.wrong.sum()
    # The image's rows go up with the second column.
    assert display.surface_.get_array().shape == (7, 7, 3)


def test_the_colour_of_a_region_is_its_class_s():
    """All below 0 is class 0, all above it class 1."""
    net = fl.Network([2, 1], output="sigmoid", parameters=[0.0, 10.0, 0.0])
    display = BoundaryDisplay.from_network(net, [[-1.0, -1.0], [1.0, 1.0]], [0, 1], n=5)
    image = display.surface_.get_array()
    lower, upper = image[0, 2], image[-1, 2]
    assert lower[2] > lower[0]  # blue
    assert upper[0] > upper[2]  # orange
    np.testing.assert_allclose(display.answers[:, 0, 0], 1, atol=1e-3)
    np.testing.assert_allclose(display.lines_[0].get_paths()[0].vertices[:, 1], 0, atol=1e-6)


@pytest.mark.parametrize("columns", ["petal width (cm)", ["petal width (cm)"]])
def test_one_column_of_classes(iris, columns):
    display = BoundaryDisplay.from_model(*iris, columns, n=9)
    assert display.answers.shape == (9, 3)
    for k, line in enumerate(display.lines_):
        np.testing.assert_array_equal(line.get_ydata(), display.answers[:, k])


def test_numbers(diabetes):
    model, table = diabetes
    one = BoundaryDisplay.from_model(model, table, "bmi", n=9)
    np.testing.assert_array_equal(one.lines_[0].get_ydata(), one.answers[:, 0])
    np.testing.assert_array_equal(one.rows_[0].get_offsets()[:, 1], table.y)
    assert len(one.others) == 9
    assert "5 others at their usual values" in one.ax_.get_title(loc="left").replace("\n", " ")
    two = BoundaryDisplay.from_model(model, table, ["bmi", "s5"], n=6)
    assert two.surface_.get_clim() == two.rows_[0].get_clim()


def test_a_network_of_one_input():
    x = np.linspace(-1, 1, 20)[:, None]
    net = fl.Network([1, 3, 1], "tanh", seed=1)
    display = BoundaryDisplay.from_network(net, x, x[:, 0], n=11)
    np.testing.assert_array_equal(display.answers[:, 0], net(display.grid[0][:, None])[:, 0])


def test_an_estimator_and_its_categories():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.uniform(0, 10, 60), "town": ["Ely", "Bath", "Bath"] * 20})
    regressor = fl.NetworkRegressor(epochs=3, starts=1, random_state=0).fit(frame, frame["size"] * 2)
    display = BoundaryDisplay.from_estimator(regressor, frame, frame["size"] * 2, "size", n=5)
    assert display.others == {"town": "Bath"}
    asked = pd.DataFrame({"size": display.grid[0].astype(np.float32), "town": ["Bath"] * 5})
    np.testing.assert_allclose(display.answers[:, 0], regressor.predict(asked), rtol=1e-5)
    with pytest.raises(ParameterError, match="holds a category; columns must hold numbers"):
        BoundaryDisplay.from_estimator(regressor, frame, frame["size"], "town")


def test_what_cannot_be_drawn(iris):
    model, table = iris
    with pytest.raises(ParameterError, match="columns must be one or two, of "):
        BoundaryDisplay.from_model(model, table)
    with pytest.raises(DataError, match="no column 'petal widht"):
        BoundaryDisplay.from_model(model, table, "petal widht (cm)")
    with pytest.raises(DataError, match="one target is needed"):
        BoundaryDisplay.from_model(model, Table("new", table.X, None, table.columns, None), PETALS)
    with pytest.raises(ParameterError, match="one or two inputs"):
        BoundaryDisplay.from_network(fl.Network([3, 1]), np.zeros((2, 3)), [0, 1])
    with pytest.raises(ParameterError, match="no fitted Network estimator"):
        BoundaryDisplay.from_estimator(fl.NetworkClassifier(), table.X, table.y)

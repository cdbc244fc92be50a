"""scikit-learn's Displays for a model and a table: the same numbers as from scikit-learn itself."""

import numpy as np
import pytest
from sklearn import metrics

from fallline import pictures
from fallline.errors import DataError, ParameterError
from fallline.fit import fit
from fallline.table import Table

OF_CLASSES = ("confusion_matrix", "roc", "precision_recall", "calibration")
OF_NUMBERS = ("predictions", "residuals")


def test_the_confusion_matrix(iris):
    model, table = iris
    display = pictures.confusion_matrix(model, table)
    np.testing.assert_array_equal(display.confusion_matrix, metrics.confusion_matrix(table.y, model.predict(table)))
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["setosa", "versicolor", "virginica"]


def test_curves_of_each_class_against_the_rest(iris):
    model, table = iris
    P = model.predict_proba(table)
    displays = pictures.roc(model, table)
    for k, (name, display) in enumerate(zip(model.classes, displays, strict=True)):
        assert np.ravel(display.roc_auc)[0] == pytest.approx(metrics.roc_auc_score(table.y == name, P[:, k]))
    assert len({id(display.ax_) for display in displays}) == 1
    assert [text.get_text().split(" (")[0] for text in displays[0].ax_.get_legend().get_texts()] == list(model.classes)
    found = [np.ravel(d.average_precision)[0] for d in pictures.precision_recall(model, table)]
    expected = [metrics.average_precision_score(table.y == name, P[:, k]) for k, name in enumerate(model.classes)]
    np.testing.assert_allclose(found, expected)


def test_two_classes_have_one_curve(tumours):
    model, table = tumours
    (display,) = pictures.roc(model, table)
    second = model.classes[1]
    expected = metrics.roc_auc_score(table.y == second, model.predict_proba(table)[:, 1])
    assert np.ravel(display.roc_auc)[0] == pytest.approx(expected)
    calibration = pictures.calibration(model, table, n_bins=5)
    assert calibration.ax_.get_xlabel() == f"probability of {second}"
    np.testing.assert_allclose(np.mean(calibration.y_prob), np.mean(model.predict_proba(table)[:, 1]), rtol=1e-6)


def test_calibration_of_several_classes_is_about_the_answer(iris):
    model, table = iris
    display = pictures.calibration(model, table)
    np.testing.assert_array_equal(display.y_prob, model.predict_proba(table).max(axis=1))


def test_several_labels_of_a_row():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3)).astype(np.float32)
    table = Table("two labels", X, (X[:, :2] > 0).astype(np.int64), ("a", "b", "c"), "labels")
    model = fit(table, {"epochs": 5, "starts": 1, "hidden": (8,)}).model
    assert len(pictures.roc(model, table)) == 2
    assert len(pictures.calibration(model, table).y_prob) == 160
    with pytest.raises(ParameterError, match="several labels"):
        pictures.confusion_matrix(model, table)


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_numbers(diabetes, name):
    model, table = diabetes
    display = getattr(pictures, name)(model, table)
    x, y = display.scatter_.get_offsets().T
    predicted = model.predict(table)
    np.testing.assert_allclose(x, predicted)
    np.testing.assert_allclose(y, table.y if name == "predictions" else table.y - predicted, atol=1e-9)


@pytest.mark.parametrize("name", [*OF_CLASSES, *OF_NUMBERS])
def test_what_cannot_be_drawn(iris, diabetes, name):
    right, wrong = (diabetes, iris) if name in OF_NUMBERS else (iris, diabetes)
    with pytest.raises(ParameterError, match="only"):
        getattr(pictures, name)(*wrong)
    model, table = right
    without = Table("new.csv", table.X, None, table.columns, None)
    with pytest.raises(DataError, match=r"new\.csv: there is no target"):
        getattr(pictures, name)(model, without)


def test_a_class_without_rows_has_no_curve(iris):
    model, table = iris
    with pytest.raises(DataError, match="no rows are 'virginica'"):
        pictures.roc(model, table.rows(np.arange(100)))
    with pytest.raises(ParameterError, match="target is 1; there are 1"):
        pictures.residuals(*_numbers(), target=1)


def _numbers():
    x = np.linspace(0, 1, 40, dtype=np.float32)
    table = Table("line", x[:, None], 2.0 * x.astype(float), ("x",), "y")
    return fit(table, {"epochs": 1, "starts": 1, "hidden": (4,)}).model, table

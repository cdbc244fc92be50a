"""A plugin for pytest, with which scikit-learn's tests of its perceptrons are tests of ours; see test_drop_in_place."""

import sklearn.neural_network

from fallline.estimators import MLPClassifier, MLPRegressor

sklearn.neural_network.MLPClassifier = MLPClassifier
sklearn.neural_network.MLPRegressor = MLPRegressor


def pytest_collection_modifyitems(items):
    """Both names must have been imported from here."""
    assert items
    for item in items:
        assert item.module.MLPClassifier is MLPClassifier
        assert item.module.MLPRegressor is MLPRegressor

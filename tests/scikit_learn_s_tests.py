"""A plugin for pytest: scikit-learn's tests of its MLP, but of our classes."""

import sklearn.neural_network

from fallline.estimators import MLPClassifier, MLPRegressor

sklearn.neural_network.MLPClassifier = MLPClassifier
sklearn.neural_network.MLPRegressor = MLPRegressor

"""Estimators with scikit-learn's conventions; the only room that imports scikit-learn."""

from fallline.estimators.classifier import NetworkClassifier
from fallline.estimators.perceptrons import MLPClassifier, MLPRegressor
from fallline.estimators.regressor import NetworkRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NetworkClassifier", "NetworkRegressor"]

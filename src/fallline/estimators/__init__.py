"""Estimators with scikit-learn's conventions; the only room that imports scikit-learn."""

from fallline.estimators.networks import NetworkClassifier, NetworkRegressor
from fallline.estimators.perceptrons import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NetworkClassifier", "NetworkRegressor"]

"""Estimators with scikit-learn's conventions; the only room that imports scikit-learn."""

from fallline.estimators.networks import NetworkClassifier, NetworkRegressor

__all__ = ["NetworkClassifier", "NetworkRegressor"]

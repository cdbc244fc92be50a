"""Pictures: scikit-learn's Display conventions, drawn with matplotlib, which is loaded when something is drawn.

Each class keeps what it shows as attributes. Class methods whose names begin with `from_` compute it, draw it on the
axes `ax`, or on those of a new figure, and give the Display back, with its axes in `ax_` and its figure in `figure_`;
`plot(ax)` draws it again, elsewhere. `caption` says in words what the picture shows.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "BoundaryDisplay": "boundary",
    "DescentPathDisplay": "path",
    "ImportanceDisplay": "importance",
    "LossCurveDisplay": "loss_curve",
    "LossSurfaceDisplay": "surface",
    "MinimaDisplay": "minima",
    "MinimizeDisplay": "minimize",
    "PartialDependenceDisplay": "dependence",
    "StartsDisplay": "starts",
    "calibration": "results",
    "confusion_matrix": "results",
    "precision_recall": "results",
    "predictions": "results",
    "residuals": "results",
    "roc": "results",
    "LayerNormsDisplay": "norms",
    "LayersDisplay": "layers",
    "NetworkDisplay": "network",
    "NeuronDisplay": "neuron",
    "WeightImagesDisplay": "weights",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"fallline.pictures.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fallline.pictures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""fallline: dense neural networks trained by gradient descent.

Each public name is loaded when it is first used, so `import fallline` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fallline import activations, losses, metrics, optimizers, schedules
    from fallline.backpropagation import Gradient, gradient
    from fallline.checkpoint import Checkpoint
    from fallline.descent import descend, resume
    from fallline.diagnosis import Finding
    from fallline.errors import (
        CheckpointError,
        CheckpointWarning,
        DataError,
        DivergenceError,
        DivergenceWarning,
        FalllineError,
        ModelFileError,
        ParameterError,
        PrecisionWarning,
    )
    from fallline.estimators import NetworkClassifier, NetworkRegressor
    from fallline.explanation import Explanation
    from fallline.files.imports import import_network
    from fallline.inputs import Inputs
    from fallline.listeners import EarlyStopping, History, Listener, Recorder
    from fallline.live.program import studio
    from fallline.matching import match_neurons
    from fallline.minimization import LineSearch, minimize
    from fallline.model import Model, load
    from fallline.network import Network
    from fallline.optimizers import SGD, Adam, AdamW, RMSprop
    from fallline.rates import Rates
    from fallline.run import Run
    from fallline.spreading import spread
    from fallline.surfaces import Plane, barrier, loss_surface

__version__ = "0.1.0"

_HOME = {
    "Adam": "optimizers",
    "AdamW": "optimizers",
    "Checkpoint": "checkpoint",
    "CheckpointError": "errors",
    "CheckpointWarning": "errors",
    "DataError": "errors",
    "DivergenceError": "errors",
    "DivergenceWarning": "errors",
    "EarlyStopping": "listeners",
    "Explanation": "explanation",
    "FalllineError": "errors",
    "Finding": "diagnosis",
    "Gradient": "backpropagation",
    "History": "listeners",
    "Inputs": "inputs",
    "LineSearch": "minimization",
    "Listener": "listeners",
    "Model": "model",
    "ModelFileError": "errors",
    "Network": "network",
    "NetworkClassifier": "estimators",
    "NetworkRegressor": "estimators",
    "ParameterError": "errors",
    "Plane": "surfaces",
    "PrecisionWarning": "errors",
    "RMSprop": "optimizers",
    "Rates": "rates",
    "Recorder": "listeners",
    "Run": "run",
    "SGD": "optimizers",
    "barrier": "surfaces",
    "descend": "descent",
    "gradient": "backpropagation",
    "import_network": "files.imports",
    "load": "model",
    "loss_surface": "surfaces",
    "match_neurons": "matching",
    "minimize": "minimization",
    "resume": "descent",
    "spread": "spreading",
    "studio": "live.program",
}
_ROOMS = ("activations", "losses", "metrics", "optimizers", "schedules")

__all__ = sorted([*_HOME, *_ROOMS])


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"fallline.{name}")
    if name in _HOME:
        value = getattr(import_module(f"fallline.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fallline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

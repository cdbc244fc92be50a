"""scikit-learn's scorers as what says which epoch of a descent is best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
from sklearn.metrics import get_scorer  # type: ignore[import-untyped]

from fallline.table import Target

Array = npt.NDArray[Any]
Score = Callable[[Target, Array, Array, Array], float]


def as_score(scoring: str | Callable[..., float]) -> tuple[str, Score]:
    """Give a scorer's name, and the scorer as `fallline.fit.fit` takes it.

    Parameters
    ----------
    scoring : str or callable
        A name that scikit-learn knows, or `(estimator, X, y) -> float`, the larger the better.

    Returns
    -------
    str
    callable
        `(target, A, Y, weight) -> float`.

    Raises
    ------
    ValueError
        scikit-learn knows no scorer of that name.
    """
    scorer = get_scorer(scoring)
    name = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", "score")

    def score(target: Target, A: Array, Y: Array, weight: Array) -> float:
        if target.classes is not None:
            answers, y = _Classes(target, A), target.classes[Y.argmax(axis=1)]
        elif target.task == "classification":
            answers, y = _Classes(target, A), Y.astype(np.int64)
        else:
            answers, y = _Numbers(target, A), target.truth(Y)
            y = y[:, 0] if target.n_targets == 1 else y
        if (weight == 1).all():
            return float(scorer(answers, A, y))
        return float(scorer(answers, A, y, sample_weight=weight))

    return name, score


class _Answers(BaseEstimator):  # type: ignore[misc]
    """Stands for a fitted estimator whose answers are known."""

    def __init__(self, target: Target, A: Array) -> None:
        self.target, self.A = target, A

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Array) -> Array:
        """Give the answers, whatever X is."""
        return self.target.decode(self.A)


class _Classes(ClassifierMixin, _Answers):  # type: ignore[misc]
    """Of classes, or of several labels."""

    @property
    def classes_(self) -> Array:
        """As `predict_proba` has them."""
        return np.arange(self.A.shape[1]) if self.target.classes is None else self.target.classes

    def predict_proba(self, X: Array) -> Array:
        """Give the probabilities, whatever X is."""
        return np.asarray(self.A / self.A.sum(axis=1, keepdims=True)) if self.target.classes is not None else self.A


class _Numbers(RegressorMixin, _Answers):  # type: ignore[misc]
    """Of numbers."""

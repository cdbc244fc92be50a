"""How good predictions are: the usual scores with 95 % confidence intervals, by the bootstrap over rows.

Each score is written once, for rows that count several times: a resample of n rows is how often it has each of them, so
the value and its thousand resamples are the same formula, for many resamples at once. `w` holds such counts, shape
(n_resamples, n).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Scores: TypeAlias = Callable[[Array], dict[str, Array]]

LEVEL = 0.95
N_RESAMPLES = 1000
MOST_ROWS = 20_000  # to resample, over the number of curves that are integrated for each: a few seconds
FEWEST_ROWS = 1000
MOST_CURVES = 100  # of more classes the area under the ROC curve is not computed
CHUNK = 1 << 16  # counts at once, which stay in the cache


@dataclass(frozen=True)
class Score:
    """A score and its confidence interval.

    Parameters
    ----------
    value, low, high : float
        NaN where it is not defined, such as an area under the curve of rows of one class.
    constant : float
        What the best answer that is the same for every row would have scored.
    """

    value: float
    low: float
    high: float
    constant: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of some rows.

    Parameters
    ----------
    scores : dict from str to Score
        accuracy, balanced_accuracy, log_loss, brier, roc_auc and f1 of classes; rmse, mae, median_absolute_error and r2
        of numbers.
    n_rows : int
    n_resampled : int
        How many of the rows the resamples are of. Where it is not all of them the widths of the intervals are those of
        a part, scaled by the root of the share.
    confusion : ndarray of shape (n_classes, n_classes) or None
        How many rows of each class (down) were taken for each (across).
    """

    scores: dict[str, Score]
    n_rows: int
    n_resampled: int
    confusion: npt.NDArray[np.int64] | None = None


def evaluate_classes(A: Array, codes: npt.NDArray[np.int64]) -> Evaluation:
    """Score probabilities of classes.

    Parameters
    ----------
    A : ndarray of shape (n, n_classes)
        Rows sum to one.
    codes : ndarray of shape (n,)
        The right classes, as columns of `A`.

    Returns
    -------
    Evaluation
        Log loss in nats; a probability of 0 counts as the smallest float32. Brier score from 0 to 2 (Brier 1950). ROC
        AUC is each class against the rest; it and F1 are means over the classes that occur, but of two classes F1 is
        that of the second. Accuracy's interval is Wilson's (1927).

    Examples
    --------
    >>> A = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    >>> evaluation = evaluate_classes(A, np.array([0, 1, 0]))
    >>> round(evaluation.scores["accuracy"].value, 3), evaluation.confusion.tolist()
    (0.667, [[1, 1], [0, 1]])
    """
    from scipy.stats import binomtest  # type: ignore[import-untyped]

    n, K = A.shape
    evaluation = _evaluate(
        n, lambda rows: _class_scores(A[rows], codes[rows]), _class_constants(codes, K), len(_curved(K))
    )
    right = int((A.argmax(axis=1) == codes).sum())
    low, high = binomtest(right, n).proportion_ci(LEVEL, method="wilson")
    accuracy = evaluation.scores["accuracy"]
    scores = evaluation.scores | {"accuracy": Score(accuracy.value, float(low), float(high), accuracy.constant)}
    confusion = np.bincount(codes * K + A.argmax(axis=1), minlength=K * K).reshape(K, K)
    return Evaluation(scores, n, evaluation.n_resampled, confusion)


def evaluate_numbers(predicted: Array, actual: Array) -> Evaluation:
    """Score predicted numbers.

    Parameters
    ----------
    predicted, actual : ndarray of shape (n,)

    Returns
    -------
    Evaluation
        In the units of the numbers, but for R2.

    Examples
    --------
    >>> scores = evaluate_numbers(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])).scores
    >>> scores["r2"].value, round(scores["mae"].value, 3)
    (0.5, 0.333)
    """
    return _evaluate(
        len(actual), lambda rows: _number_scores(predicted[rows], actual[rows]), _number_constants(actual), 1
    )


def _evaluate(n: int, scores_of: Callable[[Any], Scores], constants: dict[str, float], n_curves: int) -> Evaluation:
    """Score all rows, then resamples of them, or of a random part where they are many.

    The spread of a score falls with the root of the number of rows (Politis, Romano and Wolf, Subsampling, 1999).
    """
    rng = np.random.default_rng(0)
    m = min(n, max(FEWEST_ROWS, MOST_ROWS // max(1, n_curves)))
    everything = scores_of(slice(None))
    values = {name: float(value[0]) for name, value in everything(np.ones((1, n))).items()}
    scores, part = everything, values
    if m < n:
        scores = scores_of(rng.choice(n, m, replace=False))
        part = {name: float(value[0]) for name, value in scores(np.ones((1, m))).items()}
    resampled: dict[str, list[Array]] = {name: [] for name in values}
    step = max(1, CHUNK // m)
    for first in range(0, N_RESAMPLES, step):
        for name, value in scores(_counts(rng, min(step, N_RESAMPLES - first), m)).items():
            resampled[name].append(value)
    return Evaluation(
        {
            name: Score(value, *_interval(value, part[name], np.concatenate(resampled[name]), m / n), constants[name])
            for name, value in values.items()
        },
        n,
        m,
    )


def _interval(value: float, center: float, resampled: Array, share: float) -> tuple[float, float]:
    """Percentiles of the resamples, brought from a share of the rows to all of them."""
    known = resampled[~np.isnan(resampled)]  # a resample may lack a class
    if not len(known) or np.isnan(value) or np.isnan(center):
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(value + (low - center) * np.sqrt(share)), float(value + (high - center) * np.sqrt(share))


def _counts(rng: np.random.Generator, n_resamples: int, n: int) -> Array:
    """How often each of n rows is among n rows drawn with replacement."""
    drawn = rng.integers(0, n, (n_resamples, n)) + n * np.arange(n_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n).reshape(n_resamples, n).astype(np.float64)


def _mean(values: Array) -> Array:
    """Mean over the last axis of what is defined."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0).sum(axis=-1), there.sum(axis=-1))


def _ratio(a: Array, b: Array) -> Array:
    """Quotients, NaN where there is nothing to divide by."""
    return np.where(b > 0, a, np.nan) / np.where(b > 0, b, 1)


def _curved(n_classes: int) -> Sequence[int]:
    """The classes with a curve of their own: that of the first of two is the second's, turned around."""
    return [1] if n_classes == 2 else range(n_classes if n_classes <= MOST_CURVES else 0)


def _class_scores(A: Array, codes: Array) -> Scores:
    n, K = A.shape
    said = A.argmax(axis=1)
    right = said == codes
    likelihood = A[np.arange(n), codes].astype(np.float64)
    squares = np.square(A, dtype=np.float64).sum(axis=1) + 1 - 2 * likelihood
    losses = np.stack([right, -np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)), squares], axis=1)
    curves: Iterable[_Curve] = (_Curve(A[:, k], codes == k) for k in _curved(K))
    if n <= MOST_ROWS:  # they will be asked for again; of more rows each is made, asked once and forgotten
        curves = list(curves)

    def per_class(label: Array, w: Array) -> Array:
        return np.stack([np.bincount(label, weights=row, minlength=K) for row in w])

    def scores(w: Array) -> dict[str, Array]:
        accuracy, log_loss, brier = (w @ losses / n).T
        hits, there, named = per_class(codes, w * right), per_class(codes, w), per_class(said, w)
        f1 = _ratio(2 * hits, there + named)
        return {
            "accuracy": accuracy,
            "balanced_accuracy": _mean(_ratio(hits, there)),
            "log_loss": log_loss,
            "brier": brier,
            "roc_auc": _mean(np.array([curve.area(w) for curve in curves]).reshape(-1, len(w)).T),
            "f1": f1[:, 1] if K == 2 else _mean(f1),
        }

    return scores


class _Curve:
    """The ROC curve of one class against the rest, from the least to the greatest probability."""

    def __init__(self, probability: Array, is_class: Array) -> None:
        self._order = np.argsort(probability, kind="stable")
        ordered = probability[self._order]
        self._is_class = is_class[self._order].astype(np.float64)
        self._steps = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])  # equal ones are one step

    def area(self, w: Array) -> Array:
        """Share of the pairs, one of the class and one of the rest, that stand in the right order; ties count half."""
        w = w[:, self._order]
        of_class = w * self._is_class
        rest = w - of_class
        if len(self._steps) < w.shape[1]:
            of_class, rest = (np.add.reduceat(part, self._steps, axis=1) for part in (of_class, rest))
        below = np.cumsum(rest, axis=1) - rest / 2
        return _ratio((of_class * below).sum(axis=1), of_class.sum(axis=1) * rest.sum(axis=1))


def _class_constants(codes: Array, K: int) -> dict[str, float]:
    shares = np.bincount(codes, minlength=K) / len(codes)
    shares_there = shares[shares > 0]
    commonest = float(shares.max())
    f1 = 2 * commonest / (1 + commonest) / len(shares_there)
    return {
        "accuracy": commonest,
        "balanced_accuracy": 1 / len(shares_there),
        "log_loss": float(-(shares_there * np.log(shares_there)).sum()),
        "brier": float(1 - np.square(shares).sum()),
        "roc_auc": 0.5,
        "f1": float(2 * shares[1] / (1 + shares[1])) if K == 2 else f1,
    }


def _number_scores(predicted: Array, actual: Array) -> Scores:
    n = len(actual)
    errors = predicted.astype(np.float64) - actual
    distance = np.abs(errors)
    order = np.argsort(distance, kind="stable")
    y = actual - actual.mean()  # so that squares do not drown what differs
    sums = np.stack([np.square(errors), distance, y, np.square(y)], axis=1)

    def scores(w: Array) -> dict[str, Array]:
        mse, mae, mean, square = (w @ sums / n).T
        total = square - np.square(mean)
        explained = np.where(total > 0, 1 - mse / np.where(total > 0, total, 1), mse == 0)
        reached = np.cumsum(w[:, order], axis=1)
        middle = [distance[order][(reached >= rank).argmax(axis=1)] for rank in ((n + 1) // 2, n // 2 + 1)]
        return {"rmse": np.sqrt(mse), "mae": mae, "median_absolute_error": sum(middle) / 2, "r2": explained}

    return scores


def _number_constants(actual: Array) -> dict[str, float]:
    from_median = np.abs(actual - np.median(actual))
    return {
        "rmse": float(np.std(actual)),
        "mae": float(from_median.mean()),
        "median_absolute_error": float(np.median(from_median)),
        "r2": 0.0,
    }

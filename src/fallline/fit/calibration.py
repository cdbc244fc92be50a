"""What rows that networks did not learn from say of them: how good they are, how sure they may be, what to add."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fallline.activations import OUTPUTS
from fallline.engines import Engine
from fallline.fit.rows import Array, Rows
from fallline.losses import Quantile
from fallline.network import Network
from fallline.sharpness import sharpened
from fallline.table import Target

N_LEVELS = 201  # of the quantiles of errors


@dataclass(frozen=True)
class Unseen:
    """Rows that were held back: for each the networks that did not learn from it.

    Attributes
    ----------
    X : array of shape (m, n_in)
        Encoded.
    Y : array of shape (m,) or (m, n_targets)
        Encoded targets.
    fold : array of int, shape (m,)
        The rows of fold f are unseen by the starts k of which `k % n_folds` is f.
    n_folds : int
        0: all rows are unseen by all starts.
    """

    X: Array
    Y: Array
    fold: Array
    n_folds: int

    @classmethod
    def of(cls, rows: Rows, data: tuple[Array, Array], validation: tuple[Array, ...]) -> Unseen:
        """The held-back rows among those encoded: of folds all of `data`, otherwise `validation`."""
        if not rows.n_folds:
            return cls(validation[0], validation[1], np.zeros(len(validation[0]), np.int64), 0)
        some = rows.held_back_rows
        return cls(data[0][some], data[1][some], rows.fold[some], rows.n_folds)

    def outputs(self, engine: Engine, networks: Sequence[Network], starts: Sequence[int]) -> Array:
        """What networks say on average, each of rows that its start did not learn from.

        Parameters
        ----------
        engine : Engine
        networks : sequence of Network
        starts : sequence of int
            The number of each.

        Returns
        -------
        array of shape (m, n_out), float64
            NaN in rows that all of them learned from.
        """
        total, n_answers = np.zeros((len(self.X), networks[0].layer_sizes[-1])), np.zeros(len(self.X))
        for k, network in zip(starts, networks, strict=True):
            own = np.flatnonzero(self.fold == k % self.n_folds) if self.n_folds else np.arange(len(self.X))
            total[own] += engine.predict(network.shape, network.parameters, np.ascontiguousarray(self.X[own]))
            n_answers[own] += 1
        with np.errstate(invalid="ignore"):
            return np.asarray(total / n_answers[:, None])


def distance(target: Target, A: Array, Y: Array) -> Array:
    """Of outputs and targets, shape (m,): squared; for probabilities the Brier score, for quantiles their own loss."""
    if target.quantiles:
        return Quantile(target.quantiles).value_and_gradient(A, A, Y, OUTPUTS["identity"])[0]
    truth = np.eye(A.shape[1])[Y] if target.classes is not None else Y
    return np.asarray(np.square(A - truth).sum(axis=1))


def share_to_add(target: Target, A: Array, other: Array, Y: Array) -> float:
    """The share of another model's outputs that makes the mean distance smallest; 0 unless it clearly does.

    Clearly: what is gained is more than its standard error.
    """
    shares = np.linspace(0, 1, 21)
    distances = [distance(target, (1 - share) * A + share * other, Y) for share in shares]
    best = int(np.argmin([each.mean() for each in distances]))
    gain = distances[0] - distances[best]
    return float(shares[best]) if gain.mean() > gain.std() / math.sqrt(len(gain)) else 0.0


def best_sharpness(target: Target, A: Array, Y: Array) -> float:
    """The power of probabilities that makes their log loss smallest."""
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    each = target.classes is None

    def log_loss(log_sharpness: float) -> float:
        P = sharpened(A, math.exp(log_sharpness), each)
        right = np.where(Y == 1, P, 1 - P) if each else P[np.arange(len(P)), Y]
        return float(-np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean())

    return math.exp(minimize_scalar(log_loss, bounds=(-2.0, 2.0), method="bounded").x)


def error_quantiles(A: Array, Y: Array) -> Array:
    """Quantiles of absolute errors, shape (n_targets, N_LEVELS), a little high where rows are few (Vovk 2015)."""
    m = len(A)
    levels = np.minimum(1, np.linspace(0, 1, N_LEVELS) * (m + 1) / m)
    return np.asarray(np.quantile(np.abs(A - Y), levels, axis=0, method="inverted_cdf").T)

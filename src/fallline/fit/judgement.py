"""What comes of networks when rows that they did not learn from have been asked: a model, and how good it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fallline.engines import Engine
from fallline.fit.beside import simplest_guess
from fallline.fit.calibration import Unseen, best_sharpness, error_quantiles, share_to_add
from fallline.fit.rows import Array, Rows
from fallline.network import Network
from fallline.sharpness import sharpened
from fallline.table import Encoder, Target
from fallline.table.score import score


@dataclass(frozen=True)
class Judgement:
    """What rows that were not learned from say of networks; as it is, what is said without such rows.

    Attributes
    ----------
    scores : dict of str to float
        Of all networks' answer, with the linear model's share and the sharpness found; see `Model.evaluate`.
    each : list of dict
        Of each network alone.
    beside : dict of str to dict
        Of the simplest guess and of a linear model, if it was trained.
    linear_share : float
        What the linear model should have in the answer.
    sharpness : float
        Of the probabilities; 1 for numbers.
    errors : array of shape (n_targets, n_levels) or None
        Quantiles of the absolute errors; None for classes.
    rows : array of int, shape (m,)
        The rows judged by, among those measured on.
    outputs : array of shape (m, n_out)
        The answers that the scores are of: probabilities, or standardised numbers.
    """

    scores: dict[str, float] = field(default_factory=dict)
    each: list[dict[str, float]] = field(default_factory=list)
    beside: dict[str, dict[str, float]] = field(default_factory=dict)
    linear_share: float = 0.0
    sharpness: float = 1.0
    errors: Array | None = None
    rows: Array = field(default_factory=lambda: np.arange(0))
    outputs: Array = field(default_factory=lambda: np.empty((0, 0)))


def judge(
    encoder: Encoder,
    rows: Rows,
    unseen: Unseen,
    engine: Engine,
    networks: Sequence[Network],
    starts: Sequence[int],
    linear: Sequence[Network],
    calibrates: bool,
    blends: bool,
) -> Judgement:
    """Ask the held-back rows.

    Parameters
    ----------
    encoder : Encoder
    rows : Rows
    unseen : Unseen
    engine : Engine
    networks, starts : sequence of Network, of int
        What the model will have, and their numbers.
    linear : sequence of Network
        Linear models, one a start; none of them is no error.
    calibrates, blends : bool
        Whether the rows have a say in the sharpness, and in whether the linear model has a share.

    Returns
    -------
    Judgement
    """
    target, y, trained = encoder.target, rows.measured.y, rows.train.y
    assert y is not None
    assert trained is not None
    A = unseen.outputs(engine, networks, starts)
    there = np.isfinite(A).all(axis=1)  # some rows all networks learned from, if starts have diverged
    Y = unseen.Y[there]
    each = []
    for network, k in zip(networks, starts, strict=True):
        own = unseen.outputs(engine, [network], [k])
        seen = np.isfinite(own).all(axis=1)
        each.append(score(target, own[seen], y[seen]))
    beside, share, A = {}, 0.0, A[there]
    if linear:
        beside["guess"] = simplest_guess(encoder, trained, y[there])
        straight = unseen.outputs(engine, linear, range(len(linear)))[there]
        beside["linear"] = score(target, sharpened_best(target, straight, Y, calibrates)[0], y[there])
        share = share_to_add(target, A, straight, Y) if blends else 0.0
        A = (1 - share) * A + share * straight
    A, sharpness = sharpened_best(target, A, Y, calibrates)
    errors = error_quantiles(A, Y) if target.task == "regression" and not target.quantiles else None
    return Judgement(
        score(target, A, y[there]), each, beside, share, sharpness, errors, rows=np.flatnonzero(there), outputs=A
    )


def sharpened_best(target: Target, A: Array, Y: Array, calibrates: bool) -> tuple[Array, float]:
    """Probabilities as sharp as suits the truth, and the sharpness; anything else as it is."""
    if target.task == "regression" or not calibrates:
        return A, 1.0
    sharpness = best_sharpness(target, A, Y)
    return sharpened(A, sharpness, target.classes is None), sharpness


def with_linear(
    networks: Sequence[Network], linear: Sequence[Network], share: float
) -> tuple[list[Network], list[float]]:
    """Networks and what each has in the answer; the linear ones come last, if they have a share."""
    shares = [(1 - share) / len(networks)] * len(networks)
    if not share:
        return list(networks), shares
    return [*networks, *linear], [*shares, *[share / len(linear)] * len(linear)]

"""What a network should beat: a linear model of the same columns, and the simplest guess."""

from __future__ import annotations

import numpy as np

from fallline.fit.rows import Array
from fallline.network import Network
from fallline.table import Encoder
from fallline.table.score import score
from fallline.table.table import Targets


def linear_network(encoder: Encoder, seed: int) -> Network:
    """A network of no hidden layer, whose numbers go in as they are."""
    sizes = [encoder.n_in, encoder.n_out]
    return Network(sizes, (), encoder.target.output, seed=seed, inputs=encoder.plain_inputs)


def simplest_guess(encoder: Encoder, learned: Targets, measured: Targets) -> dict[str, float]:
    """Score the answer that is the same for all rows: the shares of the classes, or the mean number.

    Parameters
    ----------
    encoder : Encoder
    learned, measured : array of shape (n,) or (n, n_targets)
        Raw targets of the rows to learn from, and of those to measure on.

    Returns
    -------
    dict of str to float
        As from `Model.evaluate`.
    """
    target = encoder.target
    Y = target.encode(learned)
    answer: Array
    if target.classes is not None:
        answer = np.bincount(Y, minlength=target.n_out) / len(Y)
    elif target.quantiles:
        answer = np.quantile(Y, target.quantiles, axis=0).T.ravel()
    else:
        answer = Y.mean(axis=0)
    return score(target, np.tile(answer, (len(measured), 1)), measured)

"""Early stopping: end a descent that no longer gets better."""

from __future__ import annotations

import numpy as np

from fallline.errors import ParameterError
from fallline.listeners.listener import Epoch, Listener, Progress, is_better


class EarlyStopping(Listener):
    """Stop when no start's loss has improved for some epochs.

    It watches the validation loss, or the training loss where there is no validation. The descent itself keeps the best
    parameters (see `descend`'s `keep`).

    Parameters
    ----------
    patience : int, default 10
        Epochs without improvement before a start counts as done; the descent stops when all are.
    min_delta : float, default 0
        What counts as an improvement, in units of the loss.

    Raises
    ------
    ParameterError
        patience below 1, or min_delta below 0.

    Examples
    --------
    >>> EarlyStopping(patience=5).patience
    5
    """

    def __init__(self, patience: int = 10, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ParameterError(f"patience is {patience}; it must be 1 or more epochs")
        if min_delta < 0:
            raise ParameterError(f"min_delta is {min_delta}; it must be 0 or more")
        self.patience, self.min_delta = patience, min_delta

    def on_begin(self, progress: Progress) -> None:
        """Forget an earlier descent."""
        n_starts = len(progress.loss)
        self._best = np.full(n_starts, np.inf)
        self._best_epoch = np.zeros(n_starts, dtype=int)

    def on_epoch(self, epoch: Epoch) -> bool:
        """Compare with the best so far; True when every start has run out of patience."""
        better = is_better(epoch.monitored, self._best, self.min_delta)
        self._best[better] = epoch.monitored[better]
        self._best_epoch[better] = epoch.progress.epoch
        return bool((epoch.progress.epoch - self._best_epoch >= self.patience).all())

"""Stopping early where longer cycles of the learning rate make the starts worse."""

from __future__ import annotations

import numpy as np
import pytest

from fallline.fit import fit
from fallline.listeners import CycleStopping, Epoch, Progress
from fallline.schedules import Coslog4
from fallline.table import Table

N_EPOCHS = 30  # so that cycles end at 2, 6 and 14


def stopped_at(losses: np.ndarray) -> int | None:
    """The epoch after which it asks to stop, of losses (epochs, starts)."""
    listener = CycleStopping(Coslog4.cycle_ends)

    def progress(epoch: int) -> Progress:
        return Progress(epoch, N_EPOCHS, epoch, N_EPOCHS, np.zeros(losses.shape[1]), 0.0, lambda: np.empty(0))

    listener.on_begin(progress(0))
    asked = [epoch for epoch, row in enumerate(losses, 1) if listener.on_epoch(Epoch(progress(epoch), {}, row))]
    return asked[0] if asked else None


def test_the_schedule_s_factor_is_0_where_its_cycles_end() -> None:
    assert np.allclose(Coslog4().factor(np.array(Coslog4.cycle_ends)), 0)


FALLING = np.linspace(1, 0.5, N_EPOCHS)
RISING = 1 - FALLING
NOISE = np.random.default_rng(0).normal(0, 1, (1, 8))


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [
        (FALLING[:, None] + NOISE, None),
        (RISING[:, None] + NOISE, 6),  # already the second cycle is worse than the first
        (np.where(np.arange(N_EPOCHS) < 6, FALLING, RISING + 1)[:, None] + NOISE, 14),
        (RISING[:, None], None),  # one start says nothing about chance
        (RISING[:, None] * np.where(np.arange(8) % 2, 1, -1), None),  # half of the starts get better
        (np.full((N_EPOCHS, 8), np.nan), None),  # nothing was measured
        (np.where(np.arange(N_EPOCHS)[:, None] % 2, RISING[:, None] + NOISE, np.nan), 6),  # every other epoch was
        (np.where(np.arange(8) < 5, np.nan, RISING[:, None] + NOISE), 6),  # some starts have diverged
    ],
)
def test_it_stops_after_a_cycle_that_was_worse_beyond_chance(losses: np.ndarray, epoch: int | None) -> None:
    assert stopped_at(losses) == epoch


def noisy(n: int = 400) -> Table:
    """Labels that have little to do with the numbers: a network soon learns them by heart."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, 8)).astype(np.float32)
    y = np.where(X[:, 0] + 2 * rng.normal(size=n) > 0, "yes", "no")
    return Table("noisy", X, y, tuple("abcdefgh"), "y")


def test_a_fit_stops_by_itself_unless_epochs_are_asked_for() -> None:
    by_itself = fit(noisy(), {"starts": 4})
    assert by_itself.run.stop_reason == "stopped"
    assert by_itself.run.message.endswith("a longer cycle of the learning rate made the networks worse")
    planned = by_itself.model.training["settings"]["epochs"]
    done = len(by_itself.run.history) // 4
    assert done in {round(planned * end) for end in Coslog4.cycle_ends}
    asked = fit(noisy(), {"starts": 4, "epochs": planned})
    assert asked.run.stop_reason == "finished"
    kept = zip(by_itself.run.kept_epochs, asked.run.kept_epochs, strict=True)
    assert sum(one == other for one, other in kept) >= 3, "what was left out would not have been kept"

"""The history: columns while the descent runs, rows when somebody asks, and the same either way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engines.native import NativeEngine
from fallline.listeners import Epoch, Progress


def run(starts: int, **settings: Any) -> fl.Run:
    x = np.linspace(-1, 1, 20)[:, None]
    return fl.descend(
        fl.Network([1, 4, 1], seed=1), x, x[:, 0], optimizer=fl.SGD(0.1), epochs=6, starts=starts,
        validation=(x, x[:, 0]), metrics=["rmse"], **settings,
    )  # fmt: skip


@pytest.mark.parametrize("starts", [1, 3])
def test_rows_and_columns_say_the_same(starts: int) -> None:
    history = run(starts).history
    assert len(history) == len(history.rows) == 6 * starts
    assert list(history) == history.rows
    for column in history.rows[0]:
        expected = np.array([row[column] for row in history.rows]).reshape(6, starts)
        assert history[column].dtype == expected.dtype
        np.testing.assert_array_equal(history[column], expected)
    assert history["start"].tolist() == [list(range(starts))] * 6
    assert history["epoch"][:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert {type(value) for row in history.rows for value in row.values()} == {int, float}


def test_rows_asked_for_on_the_way_are_not_made_twice() -> None:
    seen: list[tuple[int, list[dict[str, Any]]]] = []
    history = fl.History()

    class Ear(fl.Listener):
        def on_epoch(self, epoch: Epoch) -> None:
            history.on_epoch(epoch)
            if epoch.progress.epoch % 2 == 0:
                seen.append((len(history), list(history.rows)))
            assert epoch.rows == history.rows[-2:] or epoch.progress.epoch % 2

    descent = run(2, callbacks=[Ear()])
    assert [n for n, _ in seen] == [4, 8, 12]
    assert seen[-1][1] == history.rows == descent.history.rows
    assert history.rows is history.rows


@pytest.mark.parametrize("starts", [1, 3])
def test_a_history_is_made_again_from_its_rows(starts: int) -> None:
    history = run(starts).history
    again = fl.History(json.loads(json.dumps(history.rows)))
    assert again.rows == history.rows
    assert repr(again) == repr(history)
    for column in history.rows[0]:
        np.testing.assert_array_equal(again[column], history[column])


def test_an_empty_history() -> None:
    history = fl.History()
    assert (len(history), history.rows, repr(history)) == (0, [], "History(0 rows: none)")
    assert history["loss"].shape == (0, 1)


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(
        fl.ParameterError, match="the history has no 'los'; it has epoch, step, start, loss, validation_"
    ):
        run(1).history["los"]


def test_only_what_is_listened_to_is_told() -> None:
    """Methods of a class, of an object, and those that were left alone."""
    heard: list[str] = []

    class Quiet(fl.Listener):
        pass

    class Ear(Quiet):
        def on_progress(self, progress: Progress) -> None:
            heard.append("class")

    own = Quiet()
    own.on_progress = lambda progress: heard.append("object")  # type: ignore[method-assign]
    run(1, callbacks=[Quiet(), Ear(), own])
    assert heard == ["class", "object"] * 6


def test_the_validation_rows_are_measured_with_their_own_plan() -> None:
    """The native engine keeps the plan it was last asked about; another one counts at once."""
    x = np.linspace(-1, 1, 20)[:, None]
    engine = NativeEngine()
    for loss in ("squared_error", "absolute_error", "squared_error"):
        settings: dict[str, Any] = {"loss": loss, "epochs": 1, "validation": (x, 2 * x[:, 0])}
        kept, fresh = (fl.descend(fl.Network([1, 1]), x, x[:, 0], engine=e, **settings) for e in (engine, "native"))
        assert kept.losses.tolist() == fresh.losses.tolist()


def test_the_schedule_is_asked_ahead_and_each_step_gets_its_factor() -> None:
    """Epochs of three steps, a thousand of them: more than the schedule is asked for at a time."""
    x = np.linspace(-1, 1, 20)[:, None]
    settings: dict[str, Any] = {"optimizer": fl.SGD(0.5), "batch_size": 8, "epochs": 1000, "schedule": "cosine"}
    rates = fl.descend(fl.Network([1, 1]), x, x[:, 0], **settings).history["learning_rate"][:, 0]
    t = (3 * np.arange(1, 1001) - 1) / 3000
    np.testing.assert_array_equal(rates, 0.5 * fl.schedules.Cosine().factor(t))

"""The loop: epochs, history, validation, stopping, Ctrl-C, divergence, listeners."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import threads
from fallline.engines import ALWAYS
from fallline.engines.reference import backpropagation
from fallline.listeners import Epoch, Progress
from fallline.optimizers import SGD

both_engines = pytest.mark.parametrize("engine", ALWAYS)


def wave(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 1))
    return x, np.sin(3 * x[:, 0])


@both_engines
def test_history_rows(engine: str, tmp_path: Path) -> None:
    X, y = wave()
    net = fl.Network([1, 8, 1], "tanh")
    run = fl.descend(
        net, X, y, epochs=4, batch_size=25, starts=2, validation=wave(30, 1), metrics=["r2"], engine=engine
    )
    assert len(run.history) == 8
    assert [row["epoch"] for row in run.history] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [row["start"] for row in run.history] == [0, 1] * 4
    assert run.history.rows[-1]["step"] == 4 * 3  # 25 + 25 + 10 rows
    expected = ["epoch", "step", "start", "loss", "validation_loss", "r2", "learning_rate", "gradient_norm", "seconds"]
    assert list(run.history.rows[0]) == expected
    assert json.loads(json.dumps(run.history.rows)) == run.history.rows
    assert (np.diff(run.history["seconds"][:, 0]) > 0).all()
    assert run.stop_reason == "finished"
    assert run.message == "all 4 epochs were done"
    assert run.stopped_because == ""
    for ending in ("json", "csv"):
        run.history.write(tmp_path / f"history.{ending}")
    assert json.loads((tmp_path / "history.json").read_text()) == run.history.rows
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 9
    with pytest.raises(fl.ParameterError, match=r"must end in .csv or .json"):
        run.history.write(tmp_path / "history.txt")


@both_engines
def test_the_given_network_is_left_alone(engine: str) -> None:
    net = fl.Network([1, 4, 1], seed=3)
    before = net.parameters.copy()
    run = fl.descend(net, *wave(), epochs=2, engine=engine)
    np.testing.assert_array_equal(net.parameters, before)
    assert not np.array_equal(run.network.parameters, before)


@both_engines
def test_a_short_last_batch_counts_for_what_it_is(engine: str) -> None:
    """With a learning rate of next to nothing the epoch's loss is the loss over all rows, weighted."""
    X, y = wave(23)
    weight = np.random.default_rng(2).uniform(0.1, 3, 23)
    net = fl.Network([1, 8, 1], "tanh", seed=1, dtype="float64")
    run = fl.descend(net, X, y, optimizer=SGD(1e-12), batch_size=10, epochs=1, sample_weight=weight, engine=engine)
    expected = np.average((net(X)[:, 0] - y) ** 2, weights=weight)
    assert run.history["loss"].item() == pytest.approx(expected, rel=1e-9)


@both_engines
def test_the_gradient_norm_is_that_of_the_last_step(engine: str) -> None:
    X, y = wave(20)
    net = fl.Network([1, 8, 1], "tanh", seed=1, dtype="float64")
    run = fl.descend(net, X, y, optimizer=SGD(1e-12), batch_size=None, epochs=1, l2=0.1, engine=engine)
    assert run.history["gradient_norm"].item() == pytest.approx(np.linalg.norm(fl.gradient(net, X, y, l2=0.1).block))


@both_engines
def test_early_stopping_keeps_the_best_parameters(engine: str) -> None:
    """Few noisy rows and a large network: the validation loss falls, then rises."""
    rng = np.random.default_rng(0)
    X, y = wave(20)
    y = y + rng.normal(0, 0.4, 20)
    held_back = wave(200, 1)
    net = fl.Network([1, 64, 64, 1], "relu", seed=1)
    run = fl.descend(
        net, X, y, fl.losses.SquaredError(), fl.Adam(5e-3), batch_size=5, epochs=400, validation=held_back,
        callbacks=[fl.EarlyStopping(patience=15)], engine=engine,
    )  # fmt: skip
    validation = run.history["validation_loss"][:, 0]
    assert run.stop_reason == "stopped"
    assert len(validation) == np.argmin(validation) + 1 + 15 < 400
    assert run.kept_epochs == [np.argmin(validation) + 1]
    assert run.losses[0] == validation.min() < validation[-1]
    again = np.mean((run.network(held_back[0])[:, 0] - held_back[1]) ** 2)
    assert again == pytest.approx(validation.min(), rel=1e-5)


def test_keep_last_and_keep_best() -> None:
    X, y = wave(20)
    settings: dict[str, Any] = {"optimizer": SGD(0.2), "batch_size": 3, "epochs": 30, "validation": wave(50, 1)}
    net = fl.Network([1, 16, 1], "tanh", seed=1)
    best, last = (fl.descend(net, X, y, keep=keep, **settings) for keep in ("best", "last"))
    validation = best.history["validation_loss"][:, 0]
    np.testing.assert_array_equal(validation, last.history["validation_loss"][:, 0])
    assert best.losses[0] == validation.min()
    assert last.losses[0] == validation[-1]
    assert last.kept_epochs == [30]
    assert np.argmin(validation) + 1 == best.kept_epochs[0] != 30


def test_the_best_start_is_the_one_with_the_lowest_loss() -> None:
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    run = fl.descend(
        fl.Network([2, 2, 1], "tanh", "sigmoid", seed=3), X, [0, 1, 1, 0],
        optimizer=fl.Adam(0.05), batch_size=None, epochs=300, starts=8,
    )  # fmt: skip
    assert run.losses.shape == (8,)
    assert run.best_start == np.argmin(run.losses)
    assert run.losses.max() > 2 * run.losses.min(), "XOR has bad valleys, and some starts end there"
    assert run.network is run.networks[run.best_start]


def test_who_stopped_it_is_known_though_the_message_is_of_a_start_that_diverged() -> None:
    with pytest.warns(fl.DivergenceWarning):
        run = fl.descend(
            fl.Network([1, 16, 1]), *wave(), optimizer=SGD([1e6, 1e-9]), starts=2, callbacks=fl.EarlyStopping(1, 1.0)
        )
    assert run.stop_reason == "stopped"
    assert "no longer a finite number" in run.message
    assert run.stopped_because == "no start got better any more"


@both_engines
@pytest.mark.parametrize("optimizer", [SGD(1e6), SGD(30.0, momentum=0.9)], ids=str)
def test_a_loss_that_is_not_finite_stops_the_run(engine: str, optimizer: SGD) -> None:
    X, y = wave()
    net = fl.Network([1, 16, 1], "relu", seed=1)
    with pytest.warns(fl.DivergenceWarning, match="no longer a finite number at step") as caught:
        run = fl.descend(net, X, y, optimizer=optimizer, epochs=50, engine=engine)
    assert caught[0].filename == __file__, "the warning points at the caller"
    assert run.stop_reason == "diverged"
    assert f"and {optimizer.learning_rate / 8:g} still is; try {optimizer.learning_rate / 80:g}" in run.message
    assert np.isfinite(run.network.parameters).all()
    assert run.kept_epochs == [0], "no epoch was better than the random start"
    np.testing.assert_array_equal(run.network.parameters, net.parameters)
    assert np.isfinite(run.losses).all()


@both_engines
def test_a_start_that_diverges_does_not_stop_the_others(engine: str) -> None:
    """One start has weights that overflow float32 at once; the other is healthy."""
    X, y = wave()
    net = fl.Network([1, 4, 1], "relu", seed=1)
    net.parameters[:] = 3e38
    with pytest.warns(fl.DivergenceWarning, match="loss of start 0 .* at step 1 .* the random start was kept"):
        run = fl.descend(net, X, y, epochs=5, starts=2, engine=engine)
    assert run.stop_reason == "finished"
    assert run.best_start == 1
    assert run.kept_epochs == [0, 5]
    assert np.isnan(run.history["loss"][:, 0]).all()
    assert np.isfinite(run.history["loss"][:, 1]).all()


@both_engines
def test_a_later_divergence_keeps_the_best_epoch(engine: str) -> None:
    """A schedule that explodes after ten good epochs."""

    class Explosion(fl.schedules.Schedule):
        def factor(self, t: np.ndarray) -> np.ndarray:
            return np.where(t < 0.5, 1.0, 1e9)

    net = fl.Network([1, 16, 1], "relu", seed=1)
    with pytest.warns(fl.DivergenceWarning, match=r"\(epoch 1\d\).* the parameters after step \d+ were kept"):
        run = fl.descend(net, *wave(), optimizer=SGD(0.05), schedule=Explosion(), epochs=20, engine=engine)
    assert 5 < run.kept_epochs[0] <= 11
    assert np.mean((run.network(wave()[0])[:, 0] - wave()[1]) ** 2) < 0.2


class PressCtrlC(fl.Listener):
    """Some seconds into the descent, and not before it listens."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.pressed = seconds, 0.0

    def on_begin(self, progress: Progress) -> None:
        threading.Timer(self.seconds, self.press).start()

    def press(self) -> None:
        self.pressed = time.process_time()  # what other processes take does not count
        os.kill(os.getpid(), signal.SIGINT)


@both_engines
@pytest.mark.parametrize("validated", [True, False])
def test_ctrl_c_ends_the_descent_soon_and_keeps_the_best(engine: str, validated: bool) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20_000, 50)), rng.normal(size=20_000)
    validation = (X[:500], y[:500]) if validated else None
    net = fl.Network([50, 64, 64, 1], seed=1)
    press = PressCtrlC(0.6)
    run = fl.descend(net, X, y, epochs=10_000, validation=validation, callbacks=press, engine=engine)
    late = time.process_time() - press.pressed
    assert run.stop_reason == "interrupted"
    assert late < 0.4, "asked for within 0.2 s; twice that for slower machines"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert np.isfinite(run.network.parameters).all()
    if validated and run.kept_epochs[0]:
        assert run.losses[0] == run.history["validation_loss"].min()


@pytest.mark.parametrize(
    ("sizes", "n", "validated"),
    [([100, 1000, 1000, 1], 60_000, False), ([784, 2000, 2000, 10], 4096, False), ([100, 1000, 1000, 1], 300, True)],
    ids=["many rows", "a large network", "many validation rows"],
)
def test_ctrl_c_need_not_wait_for_a_long_step(sizes: list[int], n: int, validated: bool) -> None:
    """Full-batch steps, or measuring 60,000 rows, take seconds; both are left half done."""
    rng = np.random.default_rng(0)
    X, y = rng.random((n, sizes[0]), dtype=np.float32), rng.random((n, sizes[-1]))
    validation = (
        (rng.random((60_000, sizes[0]), dtype=np.float32), np.zeros((60_000, sizes[-1]))) if validated else None
    )
    press = PressCtrlC(0.5)
    settings: dict[str, Any] = {"batch_size": None, "epochs": 50, "starts": 2, "callbacks": press}
    run = fl.descend(fl.Network(sizes), X, y, validation=validation, **settings)
    late = (time.process_time() - press.pressed) / threads.available()  # each of them works, or spins
    assert run.stop_reason == "interrupted"
    assert late < 0.4, "asked for within 0.2 s; twice that for slower machines"
    assert np.isfinite(run.network.parameters).all()


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    class Press(fl.Listener):
        def on_epoch(self, epoch: Epoch) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = fl.descend(fl.Network([1, 4, 1]), *wave(), epochs=3, callbacks=Press())
        assert run.stop_reason == "finished"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_raises() -> None:
    class Press(fl.Listener):
        def on_progress(self, progress: Progress) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        fl.descend(fl.Network([1, 4, 1]), *wave(), epochs=100, callbacks=[Press()])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_descending_in_another_thread_leaves_signals_alone() -> None:
    runs: list[fl.Run] = []
    thread = threading.Thread(target=lambda: runs.append(fl.descend(fl.Network([1, 4, 1]), *wave(), epochs=2)))
    thread.start()
    thread.join()
    assert runs[0].stop_reason == "finished"


def test_other_threads_run_while_the_native_engine_trains() -> None:
    """A counter in another thread goes on counting through one long slice: the GIL is not held."""
    from fallline.engines import Data, Plan, as_engine

    rng = np.random.default_rng(0)
    net = fl.Network([100, 200, 1])
    data = Data.of(net, fl.losses.SquaredError(), rng.normal(size=(1000, 100)), rng.normal(size=1000))
    session = as_engine("native").session(
        Plan(net.shape, fl.losses.SquaredError(), SGD(1e-3)), net.parameters[None], data
    )
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.wait(0.001):
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    done = session.run(np.full(10_000_000, 1e-6), 0.5)
    stop.set()
    thread.join()
    assert 0 < done.n_steps < 10_000_000
    assert counted[0] > 20, f"{counted[0]} ticks in half a second"


@both_engines
def test_listeners_hear_everything_and_may_stop(engine: str) -> None:
    heard: list[str] = []

    class Ear(fl.Listener):
        def on_begin(self, progress: Progress) -> None:
            heard.append(f"begin {progress.n_steps}")

        def on_epoch(self, epoch: Epoch) -> bool:
            heard.append(f"epoch {epoch.progress.epoch}")
            assert epoch.parameters().shape == (2, 13)
            return epoch.progress.epoch == 3

        def on_end(self, stop_reason: str) -> None:
            heard.append(stop_reason)

    run = fl.descend(
        fl.Network([1, 4, 1]), *wave(60), batch_size=30, epochs=10, starts=2, callbacks=[Ear()], engine=engine
    )
    assert heard == ["begin 20", "epoch 1", "epoch 2", "epoch 3", "stopped"]
    assert run.stop_reason == "stopped"
    assert run.message == "stopped after 3 epochs: a listener asked for it"
    assert run.stopped_because == "a listener asked for it"


def test_a_listener_may_stop_within_an_epoch() -> None:
    class Impatient(fl.Listener):
        def on_progress(self, progress: Progress) -> bool:
            return True

    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 50))
    y = 3 * X[:, 0]
    run = fl.descend(fl.Network([50, 64, 1]), X, y, batch_size=1, epochs=1, callbacks=[Impatient()])
    assert run.stop_reason == "stopped"
    assert len(run.history) == 0
    assert run.kept_epochs == [0]
    assert run.kept_steps[0] > 0
    assert not np.array_equal(run.network.parameters, fl.Network([50, 64, 1]).parameters)


@both_engines
def test_a_request_to_stop_is_heard_however_short_the_epochs(engine: str) -> None:
    """An epoch that fits in one slice, and an answer that is NumPy's True."""

    class Third(fl.Listener):
        def on_progress(self, progress: Progress) -> Any:
            return np.bool_(progress.epoch == 3)

    run = fl.descend(fl.Network([1, 4, 1]), *wave(), epochs=50, callbacks=Third(), engine=engine)
    assert run.stop_reason == "stopped"
    assert len(run.history) == 3


@both_engines
def test_the_kept_loss_is_that_of_the_kept_parameters(engine: str) -> None:
    """A step too large makes it worse at once: what is kept is what was better, and its loss is true."""

    class Second(fl.Listener):
        def on_epoch(self, epoch: Epoch) -> bool:
            return epoch.progress.epoch == 2

    X, y = wave()
    net = fl.Network([1, 1], parameters=[1.0, 1.0], dtype="float64")
    run = fl.descend(net, 3 * X, y, optimizer=SGD(0.8), batch_size=None, callbacks=[Second()], engine=engine)
    assert run.history["loss"][1, 0] > 1.5 * run.history["loss"][0, 0]
    assert run.kept_steps == [0]
    assert run.losses[0] == pytest.approx(np.mean((run.network(3 * X)[:, 0] - y) ** 2))


@both_engines
def test_all_good_epochs_before_a_divergence_are_kept(engine: str) -> None:
    """Full batch, a hundred good steps, then an explosion in one: back to before it, not to the beginning."""

    class Explosion(fl.schedules.Schedule):
        def factor(self, t: np.ndarray) -> np.ndarray:
            return np.where(t < 0.5, 1.0, 1e30)

    X, y = wave()
    net = fl.Network([1, 16, 1], "relu", seed=1)
    with pytest.warns(fl.DivergenceWarning, match="the parameters after step 100 were kept"):
        run = fl.descend(
            net, X, y, optimizer=SGD(0.05), schedule=Explosion(), batch_size=None, epochs=200, engine=engine
        )
    assert run.kept_steps == [100]
    assert run.losses[0] == pytest.approx(np.mean((run.network(X)[:, 0] - y) ** 2), rel=1e-4)
    assert run.losses[0] < 0.5 * run.history["loss"][0, 0]


@both_engines
def test_a_divergence_in_the_very_last_step_is_noticed(engine: str) -> None:
    X, y = wave()
    net = fl.Network([1, 1], parameters=[1.0, 1.0])
    with pytest.warns(fl.DivergenceWarning, match=r"at step 1 \(epoch 1\).* the random start was kept"):
        run = fl.descend(net, 1e5 * X, y, optimizer=SGD(1e38), batch_size=None, epochs=1, engine=engine)
    assert run.stop_reason == "diverged"
    np.testing.assert_array_equal(run.network.parameters, net.parameters)


def test_a_schedule_must_give_numbers() -> None:
    class Wrong(fl.schedules.Schedule):
        def factor(self, t: np.ndarray) -> np.ndarray:
            return np.full_like(t, np.nan)

    with pytest.raises(fl.ParameterError, match="the schedule Wrong must give a finite number, 0 or more"):
        fl.descend(fl.Network([1, 1]), *wave(), schedule=Wrong())


def test_a_listener_that_fails_ends_the_descent_and_the_others_hear_of_it() -> None:
    heard: list[str] = []

    class Ear(fl.Listener):
        def on_end(self, stop_reason: str) -> None:
            heard.append(stop_reason)

    class Broken(fl.Listener):
        def on_epoch(self, epoch: Epoch) -> bool:
            raise RuntimeError("no more paper")

    with pytest.raises(RuntimeError, match="no more paper"):
        fl.descend(fl.Network([1, 1]), *wave(), callbacks=[Ear(), Broken()])
    assert heard == ["failed"]


@both_engines
def test_one_row_a_batch_is_stochastic_gradient_descent_by_hand(engine: str) -> None:
    """Three steps of one row each, in the order that the seed gives, against steps written out."""
    from fallline.engines import Data, Plan
    from fallline.philox import row_order

    X, y = wave(3)
    net = fl.Network([1, 2, 1], "tanh", seed=1, dtype="float64")
    run = fl.descend(net, X, y, optimizer=SGD(0.1), batch_size=1, epochs=1, seed=8, engine=engine)
    theta = net.parameters.copy()
    plan = Plan(net.shape, fl.losses.SquaredError(), SGD())
    for row in row_order(3, seed=8, epoch=0):
        data = Data.of(net, plan.loss, X[row : row + 1], y[row : row + 1])
        theta -= 0.1 * backpropagation(plan, theta, data)[1]
    np.testing.assert_allclose(run.network.parameters, theta, rtol=1e-13)


@both_engines
def test_a_batch_without_weight_moves_nothing(engine: str) -> None:
    X, y = wave(4)
    net = fl.Network([1, 2, 1], "tanh", seed=1, dtype="float64")
    settings: dict[str, Any] = {"optimizer": SGD(0.1), "batch_size": 2, "epochs": 1, "shuffle": False, "engine": engine}
    run = fl.descend(net, X, y, sample_weight=[1, 2, 0, 0], **settings)
    alone = fl.descend(net, X[:2], y[:2], sample_weight=[1, 2], **settings)
    np.testing.assert_array_equal(run.network.parameters, alone.network.parameters)
    assert run.history["loss"] == alone.history["loss"]


@both_engines
def test_measuring_every_third_epoch_and_the_last(engine: str) -> None:
    X, y = wave()
    settings: dict[str, Any] = {"epochs": 8, "batch_size": 10, "engine": engine, "validation": (X[:20], y[:20])}
    often, seldom = (
        fl.descend(fl.Network([1, 8, 1], seed=1), X, y, metrics="rmse", measure_every=every, **settings)
        for every in (1, 3)
    )
    for column in ("validation_loss", "rmse"):
        expected = np.full((8, 1), np.nan)
        expected[[2, 5, 7]] = often.history[column][[2, 5, 7]]
        np.testing.assert_array_equal(seldom.history[column], expected)
    best = int(np.nanargmin(seldom.history["validation_loss"]))
    assert seldom.kept_epochs == [best + 1]
    with pytest.raises(fl.ParameterError, match="measure_every is 0; it must be a whole number, 1 or more"):
        fl.descend(fl.Network([1, 8, 1]), X, y, measure_every=0)


def test_another_measure_may_say_which_epoch_is_best() -> None:
    X, y = wave()
    settings: dict[str, Any] = {"epochs": 12, "batch_size": 10, "validation": (X[:20], y[:20]), "seed": 3}
    metrics = {"first": lambda A, Y: float(len(A)), "mae": fl.metrics.mae}
    run = fl.descend(fl.Network([1, 8, 1], seed=1), X, y, metrics=metrics, monitor="mae", **settings)
    assert run.kept_epochs == [int(run.history["mae"].argmin()) + 1]
    assert run.losses[0] == run.history["mae"].min()
    run = fl.descend(fl.Network([1, 8, 1], seed=1), X, y, metrics=metrics, monitor="first", **settings)
    assert run.kept_epochs == [1]
    for monitor, message in (
        ("rmse", "monitor is 'rmse'; it must be 'validation_loss' or one of the metrics"),
        ("r2", "monitor is 'r2', of which more is better; put a minus before it: '-r2'"),
    ):
        metric = ["r2"] if monitor == "r2" else ["mae"]
        with pytest.raises(fl.ParameterError, match=message):
            fl.descend(fl.Network([1, 8, 1]), X, y, metrics=metric, monitor=monitor, **settings)

"""Many random starts of one network going down at once, to see where they end and what lies between their valleys."""

from __future__ import annotations

import math
import threading
import warnings
from dataclasses import replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.descent import descend
from fallline.errors import DivergenceWarning, FalllineError, ParameterError
from fallline.listeners import Epoch, Listener, Progress
from fallline.live.ruler import outputs, ruler
from fallline.live.view import View
from fallline.matching import match_neurons
from fallline.metrics import measure
from fallline.network import Network
from fallline.pictures.yardstick import Yardstick
from fallline.run import Run
from fallline.surfaces import Barrier, Plane, barrier

Array = npt.NDArray[Any]

STARTS, EPOCHS = (2, 50), (1, 1000)
MOST_NUMBERS = 20_000_000  # starts times parameters
MOST_SHOWN = 400  # epochs; then every other is dropped
OPERATIONS = 8e9  # of the surface: about a second of one core
MOST_ROWS, FEWEST_ROWS = 1000, 32
GRID = 33  # points each way
PAIRS = 4  # of the best start with others, whose barriers are measured
ROOM = 0.35  # around the three minima


@final
class Race(Listener):
    """A descent of many starts in a thread of its own.

    The starts differ in their seed alone: the first has that of the experiment, the others the next ones. When they are
    down, the plane through the three best ends is measured, and the barriers between the best and those after it, as
    the neurons are and after those of the others are matched to those of the best.

    Parameters
    ----------
    view : View
        Whose network, rows and settings they have.
    starts : int
        2 to 50.
    epochs : int
        1 to 1000.

    Attributes
    ----------
    version : int
        Grows with everything that happens.

    Raises
    ------
    ParameterError
        A number is out of range, or the networks are too large for so many.

    Examples
    --------
    >>> from fallline.live.experiment import Experiment
    >>> from fallline.table import load_bundled
    >>> race = Race(Experiment(load_bundled("iris")).view(), starts=3, epochs=5)
    >>> race.wait()
    >>> numbers, arrays = race.snapshot()
    >>> numbers["phase"], arrays["losses"].shape, arrays["surface"].shape
    ('finished', (3, 5), (33, 33))
    """

    stops_because = "the race was stopped"

    def __init__(self, view: View, starts: int, epochs: int) -> None:
        for name, value, (low, high) in (("starts", starts, STARTS), ("epochs", epochs, EPOCHS)):
            if type(value) is not int or not low <= value <= high:
                raise ParameterError(f"{name} is {value!r:.40}; it must be a whole number from {low} to {high}")
        n_parameters = view.plan.shape.n_parameters
        if starts * n_parameters > MOST_NUMBERS:
            most = MOST_NUMBERS // n_parameters
            raise ParameterError(f"starts is {starts}; of networks of {n_parameters:,} parameters at most {most} race")
        self.version = 0
        self._view, self._epochs = view, epochs
        first = view.job.networks[0]
        self._seeds = [first.seed + k for k in range(starts)]
        self._networks = [_start(first, seed) for seed in self._seeds]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._shown_every = 1
        self._losses: list[tuple[int, Array]] = []  # epoch, and the loss of each start
        self._numbers: dict[str, Any] = {"phase": "racing", "done": 0.0, "epoch": 0}
        self._arrays: dict[str, Array] = {}
        self._thread = threading.Thread(target=self._work, name="fallline-race", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether something is still computed."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Have it end after the slice under way; what was reached so far is measured, but not what lies between."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Until it is over, or so many seconds."""
        self._thread.join(seconds)

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What is known now: the phase ("racing", "measuring", "finished", "stopped" or "failed"), and what it came to.

        Returns
        -------
        dict
            phase, done (share of the steps), epoch, epochs, seeds; at the end each (start, seed, loss, score and
            whether it diverged, the best first), score_name, barriers, minima (which starts the plane goes through).
        dict of str to array
            epoch (T,), losses (K, T); at the end a, b, surface (n, n), corners (3, 2).
        """
        with self._lock:
            epoch = np.array([epoch for epoch, _ in self._losses], np.int32)
            losses = np.array([loss for _, loss in self._losses]).reshape(len(epoch), len(self._seeds)).T
            numbers = {**self._numbers, "epochs": self._epochs, "seeds": self._seeds}
            return numbers, {"epoch": epoch, "losses": losses, **self._arrays}

    def on_progress(self, progress: Progress) -> bool:
        """Say how far it is; True once it is to end."""
        self._publish(done=progress.step / progress.n_steps)
        return self._stop.is_set()

    def on_epoch(self, epoch: Epoch) -> None:
        """Keep the losses."""
        number = epoch.progress.epoch
        if number % self._shown_every == 0:
            with self._lock:
                self._losses.append((number, epoch.columns["loss"]))
                if len(self._losses) > MOST_SHOWN:
                    self._losses = self._losses[1::2]
                    self._shown_every *= 2
        self._publish(epoch=number)

    def _publish(self, arrays: dict[str, Array] | None = None, **numbers: Any) -> None:
        with self._lock:
            self._numbers |= numbers
            self._arrays |= arrays or {}
            self.version += 1

    def _work(self) -> None:
        try:
            run = self._descend()
            networks = run.networks
            self._publish(phase="measuring", done=1.0)
            best = self._score(run)
            if not self._stop.is_set() and len(best) > 1:
                self._look_between(networks, best)
            self._publish(phase="stopped" if self._stop.is_set() else "finished")
        except FalllineError as error:
            self._publish(phase="failed", message=str(error))
        except Exception as error:  # the page hears of it: nobody waits for this thread
            self._publish(phase="failed", message=f"{type(error).__name__}: {error}")
            raise

    def _descend(self) -> Run:
        """All starts to their ends, with the settings as they are now."""
        plan, told = self._view.plan, self._view.job.passed_on
        now = plan.starts[0]
        own: dict[str, Any] = {
            "optimizer": replace(told["optimizer"], learning_rate=now.learning_rate),
            "l2": now.l2,
            "batch_size": plan.batch_size,
            "epochs": self._epochs,
            "starts": len(self._networks),
            "validation": None,
            "metrics": {},
            "monitor": "validation_loss",
            "keep": "last",
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)  # the page sees it
            return descend(self._networks, *self._view.job.data, callbacks=self, **told | own)

    def _score(self, run: Run) -> list[int]:
        """Each end on rows learned from and on those held back; gives the starts with a loss, the best first."""
        networks, steps = run.networks, run.kept_steps
        diverged = [run.stop_reason == "diverged" or step < max(steps) for step in steps]  # at their last good point
        yardstick, metrics = ruler(self._view, self._rows(len(networks))), self._view.job.passed_on["metrics"]
        losses = yardstick.losses(np.stack([network.parameters for network in networks]))
        score_name = next(iter(metrics), None)
        scores = [math.nan] * len(networks)
        held_back = self._view.validation
        if score_name is not None and held_back is not None:
            for k in np.flatnonzero(np.isfinite(losses)):
                said = outputs(replace(self._view, network=networks[k]), held_back.X)
                scores[k] = measure(metrics[score_name], said, held_back.Y, held_back.weight)
        order = np.argsort(np.where(np.isfinite(losses), losses, np.inf), kind="stable").tolist()
        each = [
            {"start": k, "seed": self._seeds[k], "loss": float(losses[k]), "score": scores[k], "diverged": diverged[k]}
            for k in order
        ]
        self._publish(each=each, score_name=score_name, rows=yardstick.n_rows)
        return [k for k in order if np.isfinite(losses[k])]

    def _look_between(self, networks: list[Network], best: list[int]) -> None:
        """The plane through three ends, and the barriers from the best to some others."""
        if len(best) > 2:
            self._measure_plane([networks[k] for k in best[:3]], best[:3])
        X, y = self._view.job.data
        some = np.linspace(0, len(X) - 1, min(len(X), self._rows(4 * 21 * PAIRS))).astype(np.int64)

        def between(first: Network, second: Network) -> Barrier:
            return barrier(first, second, X[some], y[some], self._view.plan.loss, engine=self._view.engine)

        barriers: list[dict[str, Any]] = []
        lines: dict[str, list[Array]] = {"raw": [], "matched": []}
        top = networks[best[0]]
        for k in best[1 : 1 + PAIRS]:
            if self._stop.is_set():
                return
            found = {"raw": between(top, networks[k]), "matched": between(top, match_neurons(networks[k], top))}
            barriers.append({"from": best[0], "to": k, **{name: line.height for name, line in found.items()}})
            for name, line in found.items():
                lines[name].append(line.losses)
            t = found["raw"].t
            self._publish({"t": t, **{name: np.stack(kept) for name, kept in lines.items()}}, barriers=list(barriers))

    def _measure_plane(self, networks: list[Network], which: list[int]) -> None:
        points = np.stack([network.parameters.astype(np.float64) for network in networks])
        try:
            plane = Plane.through(*points)
        except ParameterError:  # two of them are the same
            return
        yardstick: Yardstick = ruler(self._view, self._rows(GRID * GRID))
        a, b = plane.around(points, GRID, ROOM)
        surface = yardstick.surface(plane, a, b)
        self._publish({"a": a, "b": b, "surface": surface, "corners": plane.coordinates(points)}, minima=which)

    def _rows(self, n_points: int) -> int:
        """How many rows can be asked at so many points in about a second."""
        fit = int(OPERATIONS / (2 * self._view.plan.shape.n_parameters * n_points))
        return max(FEWEST_ROWS, min(MOST_ROWS, fit))


def _start(network: Network, seed: int) -> Network:
    """A random start of the same layers."""
    return Network(
        network.layer_sizes,
        network.activation,
        network.output,
        network.start,
        seed,
        network.dtype,
        inputs=network.shape.inputs,
    )

"""One of several processes that train together: `python -m tests.host_process PORT N I FOLDER CHECK...`.

Does one check after another, each of which all processes do; what does not hold raises.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import fallline as fl
from fallline.engines import Engine, as_engine
from fallline.engines.xla.hosts import joined
from fallline.fit import fit, survey
from fallline.table import Source

TOLERANCE = 1e-5  # relative


def rows(n: int = 103) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 6)).astype(np.float32), rng.integers(0, 3, n), rng.random(n)


def settings(**others: Any) -> dict[str, Any]:
    """Of a descent with something of everything."""
    X, y, weight = rows()
    net = fl.Network([6, 21, 10, 3], "tanh", "softmax", seed=2)
    own = {"batch_size": 16, "epochs": 12, "seed": 4, "dropout": 0.3, "clip_norm": 0.5, "l2": 1e-3, "starts": 2}
    return {"net": net, "X": X, "y": y, "sample_weight": weight, "optimizer": fl.Adam(0.01)} | own | others


def distance(run: fl.Run, other: fl.Run) -> float:
    pairs = zip(run.networks, other.networks, strict=True)
    return max(float(np.linalg.norm(a.parameters - b.parameters) / np.linalg.norm(b.parameters)) for a, b in pairs)


def assert_same(engine: Engine, numbers: Any) -> None:
    """In all processes."""
    each = engine.gather(np.asarray(numbers))
    np.testing.assert_array_equal(each, np.broadcast_to(each[0], each.shape))


def paths(engine: Engine, folder: Path) -> None:
    """The path of the reference, whatever there is."""
    X, y, _ = rows()
    weights = np.random.default_rng(1).random((3, 103))  # of each start
    for others in (
        {},
        {"shuffle": False, "batch_size": 40, "dropout": 0.0},
        {"batch_size": None, "sample_weight": weights, "validation": (X, y), "dropout": 0.0, "starts": 3},
    ):
        run = fl.descend(**settings(engine=engine, **others))
        assert distance(run, fl.descend(**settings(engine="reference", **others))) < TOLERANCE, others
        assert_same(engine, [network.parameters for network in run.networks])
        assert_same(engine, run.history["loss"])


def exchange(engine: Engine, folder: Path) -> None:
    process, n = engine.group
    assert engine.gather(np.array([process, 1e300])).tolist() == [[i, 1e300] for i in range(n)]
    assert engine.exchange(b"x" * process) == [b"x" * i for i in range(n)]
    owned = [engine.gather(np.array([*engine.share(k).indices(k)[:2]])) for k in (1, 5, 103)]
    for k, each in zip((1, 5, 103), owned, strict=True):
        assert [int(i) for first, last in each for i in range(int(first), int(last))] == list(range(k))


class Act(fl.Listener):
    """Does something in one process alone, after some epochs."""

    def __init__(self, process: int, epoch: int, what: Any) -> None:
        self.process, self.epoch, self.what = process, epoch, what

    def on_epoch(self, epoch: fl.Epoch) -> bool | None:
        if self.process and epoch.progress.epoch == self.epoch:
            return bool(self.what())
        return None


def stops(engine: Engine, folder: Path) -> None:
    """Ctrl-C, and a listener, in the second process: all stop at the same step."""
    process = int(engine.group[0] == 1)
    for what, reason in ((lambda: signal.raise_signal(signal.SIGINT), "interrupted"), (lambda: True, "stopped")):
        run = fl.descend(**settings(engine=engine, epochs=10_000, callbacks=[Act(process, 3, what)]))
        assert run.stop_reason == reason
        assert 3 <= len(run.history) < 10_000
        assert_same(engine, [len(run.history), *run.kept_steps])

    class Soon(fl.Listener):
        def __init__(self) -> None:
            self.end = time.perf_counter() + 0.3 * process + 0.3

        def on_progress(self, progress: fl.Progress) -> bool:
            return time.perf_counter() > self.end

    run = fl.descend(**settings(engine=engine, epochs=10_000, callbacks=[Soon()]))
    assert run.stop_reason == "stopped"
    assert_same(engine, [len(run.history), *run.kept_steps, *run.losses])


def repairs(engine: Engine, folder: Path) -> None:
    """A start that diverges goes through its epoch again, in all processes."""
    import warnings

    runs = []
    for one in (engine, "reference"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fl.DivergenceWarning)
            told = settings(engine=one, optimizer=fl.SGD([0.05, 1e30]), clip_norm=None, dropout=0.0)
            runs.append(fl.descend(**told))
    assert distance(*runs) < TOLERANCE
    assert runs[0].message == runs[1].message


def half(engine: Engine, folder: Path) -> None:
    """A descent that is cut short, and kept by the first process alone."""
    own = folder / f"of-{engine.group[0]}"
    kept = fl.Checkpoint(own, seconds=0)
    stop = Act(int(engine.group[0] == 1), 4, lambda: signal.raise_signal(signal.SIGINT))
    run = fl.descend(**settings(engine=engine, callbacks=[stop], checkpoint=kept))
    assert run.stop_reason == "interrupted"
    assert own.exists() == (engine.group[0] == 0)


def whole(engine: Engine, folder: Path) -> None:
    """It goes on, in another number of processes, of which the first has the checkpoint."""
    kept = fl.Checkpoint(folder / f"of-{engine.group[0]}", resume=True)
    run = fl.descend(**settings(engine=engine, checkpoint=kept))
    assert run.stop_reason == "finished"
    assert len(run.history) == 12 * 2
    assert distance(run, fl.descend(**settings(engine="reference"))) < TOLERANCE


def tables(engine: Engine, folder: Path) -> None:
    """Each process reads some blocks of a table; together they train as one does that has them all."""
    read: list[int] = []
    survey.MOST_ROWS = 128
    rows_of = Source.rows

    def counted(source: Source, first: int, last: int, *most_text: float) -> Any:
        read.append(last - first)
        return rows_of(source, first, last, *most_text)

    Source.rows = counted  # type: ignore[method-assign]
    source = Source.of(folder / "table", "y")
    asked = {"engine": "xla", "epochs": 3, "starts": 2, "hidden": (16,), "batch_size": 32}
    fitted = fit(source, asked, memory=None)
    assert sum(read) <= 2 * (source.n_rows / engine.group[1] + 2 * 160)  # twice, and the blocks at the ends
    assert fitted.rows.n_trained + len(fitted.held_back_rows) == source.n_rows
    assert_same(engine, [network.parameters for network in fitted.model.networks])
    if engine.group[0] == 0:
        fitted.model.save(folder / f"{engine.group[1]}.fallline")


def main() -> None:
    port, n, i, folder, *checks = sys.argv[1:]
    with joined(f"127.0.0.1:{port}", int(n), int(i)) as (process, _):
        for name in checks:
            began = time.perf_counter()
            globals()[name](as_engine("xla"), Path(folder))
            print(process, name, f"{time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()

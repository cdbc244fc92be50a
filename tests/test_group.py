"""Processes that train together do the same at every turn: here two threads stand for them."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest

import fallline as fl
from fallline.cli.group import OWN
from fallline.engines.reference import ReferenceEngine


class Pair:
    """What two say to each other."""

    def __init__(self):
        self.barrier, self.said = threading.Barrier(2, timeout=20), [None, None]

    def gather(self, process, values):
        self.said[process] = np.asarray(values, np.float64)
        self.barrier.wait()
        both = np.stack(self.said)
        self.barrier.wait()
        return both


class InPair(ReferenceEngine):
    """One of two; takes one step at a time, or fewer where the other has no more."""

    def __init__(self, pair, process):
        self.pair, self.process = pair, process

    @property
    def group(self):
        return self.process, 2

    def gather(self, values):
        return self.pair.gather(self.process, values)

    def session(self, plan, parameters, data):
        session = super().session(plan, parameters, data)
        alone = session.run

        def run(factors, seconds, after=None):
            n = int(self.gather([len(factors)]).min())
            return alone(factors[: min(n, 1)], 60, after)

        session.run = run
        return session


@pytest.mark.parametrize("who", [0, 1])
def test_ctrl_c_while_a_checkpoint_is_due(who, tmp_path, monkeypatch):
    """Process 0 takes a step for the checkpoint's sake, the others do not know; all leave at the same one."""
    mine = threading.local()

    @contextmanager
    def ctrl_c():
        mine.pressed = threading.Event()
        yield mine.pressed

    monkeypatch.setattr("fallline.descent.loop.ctrl_c", ctrl_c)
    monkeypatch.setattr("fallline.descent.saving.MOST_OF_THE_TIME", np.inf)
    x, pair, runs = np.linspace(-1, 1, 60)[:, None], Pair(), {}

    class Press(fl.Listener):
        def on_progress(self, progress):
            if progress.step == 8:
                mine.pressed.set()

    def descend(process):
        told = {"engine": InPair(pair, process), "checkpoint": fl.Checkpoint(tmp_path / str(process), seconds=0)}
        told["callbacks"] = [Press()] if process == who else []
        runs[process] = fl.descend(fl.Network([1, 4, 1]), x, x[:, 0], batch_size=5, epochs=5, **told)

    threads = [threading.Thread(target=descend, args=(process,)) for process in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [runs[process].stop_reason for process in range(2)] == ["interrupted"] * 2
    np.testing.assert_array_equal(runs[0].network.parameters, runs[1].network.parameters)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_what_decides_how_rows_are_read_is_the_same_for_all():
    assert not {"data", "group", "studio", "validation", "memory", "engine"} & set(OWN)

"""Processes that train together do the same at every turn: here two threads stand for them."""

import threading
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest

import fallline as fl
from fallline.cli.group import group_of
from fallline.engines.reference import ReferenceEngine
from fallline.fit.survey import Survey
from fallline.params import check
from fallline.table import Source


class Pair:
    """What two say to each other."""

    def __init__(self):
        self.barrier, self.said = threading.Barrier(2, timeout=20), [None, None]

    def exchange(self, process, what):
        self.said[process] = what
        self.barrier.wait()
        both = list(self.said)
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
        return np.stack(self.exchange(np.asarray(values, np.float64)))

    def exchange(self, data):
        return self.pair.exchange(self.process, data)

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


def in_both(call):
    """What a call comes to in each of two processes."""
    pair, found = Pair(), [None, None]

    def one(process):
        try:
            found[process] = call(InPair(pair, process), process)
        except fl.FalllineError as error:
            found[process] = str(error)

    threads = [threading.Thread(target=one, args=(process,)) for process in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_other_rows_in_one_process_are_refused(tmp_path):
    """Otherwise they would wait for each other for ever."""
    x = np.linspace(-1, 1, 60)[:, None]

    def descend(engine, process):
        return fl.descend(fl.Network([1, 4, 1]), x[process:], x[process:, 0], epochs=2, engine=engine)

    wrong = "process 1 has 59 rows, 4 steps and 13 numbers, but process 0 has 60 rows, 4 steps and 13 numbers"
    assert in_both(descend) == [f"{wrong}; give all the same"] * 2

    def survey(engine, process):
        path = tmp_path / str(process) / "t.parquet"
        path.parent.mkdir()
        pl.DataFrame({"x": range(60 - process), "y": range(60 - process)}).write_parquet(path)
        return Survey.of(Source.of(path, "y"), check({}), 10**8, engine=engine)

    wrong = "process 1 has other files than process 0; give all the same"
    assert [text.partition(": ")[2] for text in in_both(survey)] == [wrong] * 2


def test_each_hears_of_the_rows_it_reads_until_all_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("fallline.fit.survey.MOST_ROWS", 100)
    pl.DataFrame({"x": range(550), "y": range(550)}).write_parquet(tmp_path / "t.parquet")
    source = Source.of(tmp_path / "t.parquet", "y")

    def survey(engine, process):
        heard = []
        found = Survey.of(
            source, check({}), 10**8, heard=lambda rows, share: heard.append((rows, share)), engine=engine
        )
        return heard, found.known.n_rows + len(found.held_back_rows)

    for heard, n_rows in (both := in_both(survey)):
        assert heard[-1][1] == 1
        assert n_rows == 550
    assert sum(rows for heard, _ in both for rows, _ in heard) == 550


def test_what_all_must_be_told_alike(monkeypatch):
    """All that decides how rows are read and who listens; where files are written is each one's own."""
    told = []

    @contextmanager
    def joined(coordinator, n_processes, process, settings, *others):
        told.append(settings)
        yield process, n_processes

    monkeypatch.setattr("fallline.engines.xla.hosts.joined", joined)
    for others in ({}, {"report": "b/r.html", "out": "b/m"}, {"report": None}, {"studio": True}, {"data": "b/t.csv"}):
        typed = {"data": "a/t.csv", "report": "a/r.html", "out": "a/m", "studio": False, "group": None} | others
        with group_of("h:1", 2, 0, 1.0, typed, None) as number:
            assert number == 0
    assert told[0] == told[1] == told[4]
    assert {"--report", "--studio"} == {name for some in told[2:4] for name in some if some[name] != told[0][name]}

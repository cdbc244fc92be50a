"""The arithmetic of the benchmarks, and that fallline and its peers come to the same; nothing here is timed."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import sklearn
from benchmarks import figures, report, sweeps, workloads
from benchmarks.contenders import Entry
from benchmarks.contenders import fallline as ours
from benchmarks.cost_model import Cluster, Work, widest
from benchmarks.entrants import entries, thread_counts
from benchmarks.race import PREDICTED, TRAINED, Lane, Race, _set_aside, difference, reference
from benchmarks.workloads import WORKLOADS, Workload, flatten, products, training_products, unflatten

from fallline.engines.xla.batches import batches

SMALL = Workload("small", (8, 6, 3), rows=60, batch=10, epochs=2)
SIX = Workload("six", (5, 4, 1), rows=40, batch=10, activation="sigmoid", starts=6)
ROW = Workload("row", (8, 6, 3), rows=1, calls=3)


@pytest.fixture(autouse=True)
def settings_of_others():
    """Contenders set up their whole process, which here is everybody's."""
    with sklearn.config_context():
        torch = sys.modules.get("torch")
        threads = torch and torch.get_num_threads()
        yield
        if torch:
            torch.set_num_threads(threads)


def lane(peer, *seconds, way="", threads=1, **more):
    return Lane(Entry(peer, peer, way, threads), seconds=list(seconds), **more)


def test_operations_are_those_of_forward_dW_and_dA_but_the_first() -> None:
    n, sizes = 10, (784, 30, 10)
    forward = 2 * n * (784 * 30 + 30 * 10)
    assert products(sizes, n) == forward
    assert training_products(sizes, n) == 2 * forward + 2 * n * 30 * 10
    assert SMALL.operations == 6 * 10 * (8 * 6 + 6 * 3) - 2 * 10 * 8 * 6
    assert SIX.operations == 6 * training_products((5, 4, 1), 10)
    assert ROW.operations == 2 * (8 * 6 + 6 * 3)


def test_a_round_is_whole_epochs_of_whole_batches() -> None:
    assert SMALL.steps == 12
    assert ROW.steps == 1
    with pytest.raises(ValueError, match="whole batches"):
        replace(SMALL, rows=61)


@pytest.mark.parametrize("workload", [w for w in WORKLOADS if w.trains and w.classifies], ids=lambda w: w.name)
def test_every_class_occurs_in_the_checked_rows(workload) -> None:
    y = workload.data()[1][: workload.checked_rows]
    assert set(y) == set(range(workload.sizes[-1]))
    assert workload.checked_rows % workload.batch == 0


@pytest.mark.parametrize("sweep", sweeps.SWEEPS, ids=lambda sweep: sweep.name)
def test_sweeps_are_made_of_whole_batches(sweep) -> None:
    for value in sweep.values:
        assert sweep.workload(value).steps >= sweeps.LEAST_STEPS


def test_names_are_unique() -> None:
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)


def test_flatten_undoes_unflatten() -> None:
    blocks = np.arange(2 * (9 * 6 + 7 * 3), dtype=np.float32).reshape(2, -1)
    np.testing.assert_array_equal(flatten(unflatten(blocks, (8, 6, 3)), 2), blocks)


def test_the_best_of_each_peer_is_the_one_with_the_lowest_median() -> None:
    lanes = [lane("A", 1, 9, 9), lane("A", 3, 3, 8, threads=2), lane("B", 2, 2, 2)]
    assert figures.best(lanes) == {"A": lanes[1], "B": lanes[2]}


def test_ratios_are_taken_round_by_round() -> None:
    found = figures.ratios(Race(SMALL, [lane("fallline", 1, 2, 4), lane("A", 3, 4, 20), lane("A", 9, 9, 99)], 0.0))
    assert found == {"A": figures.Ratio(3, 2, 5, "A (1 thread)")}


def test_without_fallline_there_are_no_ratios() -> None:
    assert figures.ratios(Race(SMALL, [lane("fallline", error="broken"), lane("A", 3)], 0.0)) == {}


def test_share_of_the_peak() -> None:
    timed = lane("fallline", 1.0, 2.0, 4.0, peaks=[SMALL.operations * 48.0] * 3)
    assert figures.flops(SMALL, 2.0) == SMALL.operations * 6
    assert figures.share_of_peak(timed, SMALL) == pytest.approx(0.125)
    assert figures.share_of_peak(lane("fallline", 1.0), SMALL) is None


def test_a_setting_that_cannot_become_its_peers_best_is_set_aside() -> None:
    lanes = [lane("A", warm_seconds=1), lane("A", warm_seconds=5), lane("B", warm_seconds=50)]
    _set_aside(lanes)
    assert [found.set_aside for found in lanes] == [False, True, False]


def test_the_difference_is_that_of_the_worst_output_or_start() -> None:
    assert difference(np.array([[3.0, 4.5]]), np.array([[3.0, 4.0]]), ROW) == 0.5
    found, expected = np.array([[3.0, 4.7], [30.0, 40.1]]), np.array([[3.0, 4.0], [30.0, 40.0]])
    assert difference(found, expected, SIX) == pytest.approx(0.1)


@pytest.mark.parametrize("workload", [w for w in WORKLOADS if w.quick and w.trains], ids=lambda w: w.name)
def test_the_check_would_notice_another_order_of_the_rows_and_another_rate(workload, monkeypatch) -> None:
    right = reference(workload)
    monkeypatch.setitem(workloads.RATES, workload.rule, 1.1 * workloads.RATES[workload.rule])
    assert difference(reference(workload), right, workload) > TRAINED
    monkeypatch.undo()
    X, y = (part[: workload.checked_rows] for part in workload.data())
    monkeypatch.setattr(Workload, "data", lambda _: (np.roll(X, workload.batch, axis=0), np.roll(y, workload.batch)))
    assert difference(reference(workload), right, workload) > TRAINED


def test_thread_counts() -> None:
    assert [thread_counts(n) for n in (1, 2, 16)] == [(1,), (1, 2), (1, 2, 16)]


def test_entries_leave_onnxruntime_out_of_training() -> None:
    peers = [entry.peer for entry in entries(SMALL, ["torch", "jax", "onnxruntime"], (1,), True, "", "")]
    assert peers == ["fallline", "PyTorch", "PyTorch", "JAX"]
    assert entries(SMALL, [], (1,), True, "avx2", "")[0].environment["FALLLINE_ISA"] == "avx2"


def test_the_table_lines_up() -> None:
    assert report.table([["", "time"], ["a name", "1"]]) == ["        time", "a name     1"]


def test_a_race_is_reported_with_what_failed_and_what_was_set_aside() -> None:
    lanes = [
        lane("fallline", 1.2, start_seconds=0.5, first_seconds=1.5, difference=1e-6, memory=40_000_000),
        lane("A", 2.4, idle=0.9, start_seconds=0.5, first_seconds=1.5),
        lane("B", error="broken"),
        lane("C", set_aside=True, warm_seconds=12),
    ]
    lines = "\n".join(report.of_race(Race(SMALL, lanes, 0.0)))
    for expected in ("100 ms", "2.00", "failed", "set aside", "not measured", "A (1 thread) 0.90"):
        assert expected in lines
    assert "2.0 (2.0–2.0)" in report.summary([Race(SMALL, lanes, 0.0)])[1]


def test_units() -> None:
    assert [figures.unit(s) for s in (2.0, 0.0123, 4.56e-5, 7e-8)] == ["2 s", "12.3 ms", "45.6 µs", "70 ns"]


@pytest.mark.parametrize("workload", [SMALL, SIX], ids=lambda w: w.name)
@pytest.mark.parametrize("module", ["fallline", "sklearn", "torch", "jax"])
def test_contenders_train_to_the_same_parameters(module, workload) -> None:
    if module != "fallline":
        pytest.importorskip(module, reason="a peer that is not installed here")
    first = ours.network(workload)
    initial = np.stack([first.restart(k).parameters for k in range(workload.starts)])
    build = __import__(f"benchmarks.contenders.{module}", fromlist=["build"]).build
    contender = build(workload, Entry(module, module, "", 1), initial)
    contender.begin()
    contender.train()  # what a round leaves behind must not be seen in the next
    assert contender.set_up >= 0
    assert (contender.set_up > 0) == (module == "fallline")
    contender.begin()
    found = contender.train_in_order(workload.checked_rows)
    assert difference(found, reference(workload), workload) < TRAINED


@pytest.mark.parametrize("module", ["fallline", "sklearn", "torch", "jax", "onnxruntime"])
def test_contenders_predict_the_same(module) -> None:
    if module != "fallline":
        pytest.importorskip(module, reason="a peer that is not installed here")
    build = __import__(f"benchmarks.contenders.{module}", fromlist=["build"]).build
    contender = build(ROW, Entry(module, module, "", 1), ours.network(ROW).parameters[None])
    assert difference(contender.predict(contender.X), reference(ROW), ROW) < PREDICTED


def test_the_widest_part_of_a_batch_is_that_of_the_engine():
    rng = np.random.default_rng(0)
    for rows, devices in ((256, 2), (1024, 4), (65_536, 64)):
        order = rng.permutation(10 * rows)
        width = batches(order, rows, len(order) // devices, range(1)).which.shape[-1]
        assert widest(rows, devices) <= width <= 1.26 * widest(rows, devices)  # rounded up, so that few are compiled
    assert widest(100, 1) == 100


def test_the_cost_model_counts_what_a_device_does():
    free = Cluster(rate=1e9, overhead=0.0, memory=math.inf, bandwidth=math.inf, latency=0.0)
    work = Work.of((10, 20, 5), rows=1_000_000)
    assert (work.numbers, work.operations) == (11 * 20 + 21 * 5, 2 * (3 * (200 + 100) - 200))
    assert free.step_seconds(work, 1) == pytest.approx(1e6 * 1400 / 1e9)
    assert free.rows_per_second(work, 8) == pytest.approx(8 * 1e9 / 1400, rel=0.02)  # the widest part is hardly wider
    slow = replace(free, latency=1e9)
    assert slow.most_devices(work) == 1
    assert slow.step_seconds(work, 8) == pytest.approx(6e9, rel=1e-3)  # three rounds there, three back

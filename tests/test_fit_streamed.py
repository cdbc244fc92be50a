"""Fits of tables that stay in their files, beside the same rows in memory."""

import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from fallline.checkpoint import Checkpoint
from fallline.descent import descend
from fallline.engines import Data, as_engine
from fallline.errors import DataError, ParameterError
from fallline.fit import diagnose, fit
from fallline.fit.streaming import streamed_job
from fallline.fit.survey import (
    BLOCK_SHARE,
    CELL_BYTES,
    LEAST_MEMORY,
    MOST_HELD_BACK,
    SOME_SHARE,
    TEXT_COPIES,
    Cut,
    Survey,
)
from fallline.listeners import Listener
from fallline.params import check
from fallline.schedules import Factors, as_schedule
from fallline.table import Encoder, Source, read

MEMORY = 100 * 10**6
N = 2777


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("table"), np.random.default_rng(5)
    x, label = rng.normal(size=(N, 3)), rng.choice([*"abc", None], N)
    y = 3 * x[:, 0] - x[:, 1] ** 2 + 2 * (label == "a") + 0.1 * rng.normal(size=N)
    whole = pl.DataFrame({f"x{j}": x[:, j] for j in range(3)} | {"label": label.tolist(), "y": y})
    whole = whole.with_columns(
        pl.when(pl.col("x2") > -1).then("x2"), kind=pl.when(pl.col("y") > 0).then(1).otherwise(0)
    )
    for i, first in enumerate((0, 1000, 1100)):
        whole[first : (1000, 1100, N)[i]].write_parquet(path / f"{i}.parquet", row_group_size=300)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of few rows, so that there are many; and buffers of three."""
    monkeypatch.setattr("fallline.fit.survey.MOST_ROWS", 200)
    monkeypatch.setattr("fallline.fit.streaming.BUFFER_SHARE", 3 * 192 * 4 * 10 / MEMORY)


def survey_of(folder, settings, target="y", drop=("kind",)):
    return Survey.of(Source.of(folder, target, drop), check(settings), MEMORY)


@pytest.mark.parametrize(
    ("n", "batch", "share"), [(2777, 64, 0.2), (100, 64, 0.2), (5, 5, 0.2), (10**6, 512, 0.2), (500, 8, 0)]
)
def test_a_cut_leaves_whole_batches_and_each_row_once(n, batch, share):
    cut = Cut.of(n, 280, batch, share, seed=3, memory=10**8)
    assert (cut.size - cut.held) % batch == 0
    spans = [cut.span(i) for i in range(len(cut))]
    assert [first for first, _ in spans] == [0, *(last for _, last in spans[:-1])]
    assert spans[-1][1] == n
    n_held = n - cut.n_learned
    assert n_held <= min(MOST_HELD_BACK, max(1, n * share * 1.2))
    assert (n_held > 0) == (share > 0)
    for i in range(min(3, len(cut))):
        out = cut.held_back(i)
        assert len(np.unique(out)) == len(out) == cut.n_held(i)
        assert out.max(initial=0) < spans[i][1] - spans[i][0]


@pytest.mark.usefixtures("small_blocks")
def test_a_streamed_fit_is_the_descent_over_the_same_rows_in_memory(folder):
    """Encoded at once and visited in the same order, block after block: the same bits."""
    settings = {"starts": 3, "epochs": 4, "hidden": (16, 8), "dropout": 0.1, "seed": 7}
    survey = survey_of(folder, settings)
    job = streamed_job(survey, survey.checked)
    assert len(job.stream.blocks) == 12
    assert max(map(len, job.stream.blocks.buffers(7, 0))) == 3
    run = job.descend([])
    table, cut = read(folder, "y", drop=["kind"]), survey.cut
    learned = np.concatenate(
        [cut.span(i)[0] + np.delete(np.arange(np.diff(cut.span(i))[0]), cut.held_back(i)) for i in range(len(cut))]
    )
    held = np.setdiff1d(np.arange(N), learned)
    encoder = Encoder.fit(table.rows(learned))
    assert encoder.encodings == job.encoder.encodings
    np.testing.assert_array_equal(np.sort(survey.held_back_rows), held)
    np.testing.assert_array_equal(survey.held_back.X, table.rows(held).X)
    told = job.passed_on
    in_memory = table.rows(learned)
    X, y = job.encoder.encode_inputs(job.encoder.rows_of(in_memory)), job.encoder.target.encode(in_memory.y)
    data = Data.of(job.networks[0], told["loss"], X, y)
    blocks, steps = job.stream.blocks, -(-len(X) // run.plan.batch_size)
    session = as_engine("native").session(run.plan, run.begun_at, data)
    factors = Factors(as_schedule(told["schedule"]), 4 * steps)
    for epoch in range(4):
        order = []
        for b, numbers in enumerate(blocks.buffers(7, epoch)):
            rows = np.concatenate([i * blocks.size + np.arange(blocks.rows_of(i)) for i in numbers])
            order.append(rows[blocks.order(7, epoch, b, len(rows))])
        session.visit(np.concatenate(order))
        taken, todo = 0, factors.of_steps(epoch * steps, (epoch + 1) * steps)
        while taken < steps:
            taken += session.run(todo[taken:], 1.0).n_steps
    final = streamed_job(survey, survey.checked)
    last = descend(final.networks[0], final.stream, **final.passed_on | {"keep": "last", "callbacks": ()})
    for k in range(3):
        np.testing.assert_array_equal(last.networks[k].parameters, session.parameters()[k])


@pytest.mark.usefixtures("small_blocks")
def test_a_fit_that_was_cut_short_within_an_epoch_ends_at_the_same_bits(folder, tmp_path):
    source, settings = Source.of(folder, "y", ["kind"]), {"starts": 2, "epochs": 6, "hidden": (16,), "dropout": 0.1}

    class PowerCut(Listener):
        every = 1

        def on_progress(self, progress):
            if progress.step == cut_at:
                raise OSError("no more power")

    whole = fit(source, settings, memory=MEMORY)
    steps = -(-whole.rows.n_trained // 64)
    for cut_at in (3, steps, 2 * steps + 7):
        kept = Checkpoint(tmp_path / str(cut_at), seconds=0)
        with pytest.raises(OSError, match="no more power"):
            fit(source, settings, [PowerCut()], memory=MEMORY, checkpoint=kept)
        again = fit(source, settings, memory=MEMORY, checkpoint=Checkpoint(tmp_path / str(cut_at), resume=True))
        for one, other in zip(again.model.networks, whole.model.networks, strict=True):
            np.testing.assert_array_equal(one.parameters, other.parameters)
        assert again.scores == whole.scores


@pytest.mark.usefixtures("small_blocks")
def test_a_streamed_fit_is_about_as_good_as_one_in_memory(folder):
    settings = {"starts": 2, "epochs": 40, "validation": 0.2}
    streamed = fit(Source.of(folder, "y", ["kind"]), settings, memory=MEMORY)
    at_hand = fit(read(folder, "y", drop=["kind"]), settings)
    assert streamed.scores["rmse"] < 1.3 * at_hand.scores["rmse"]
    assert streamed.n_folds == 0
    assert streamed.judgement.beside["linear"]["rmse"] > streamed.scores["rmse"]
    assert isinstance(diagnose(streamed, streamed.rows.train), list)


def test_numbers_that_are_classes(folder):
    found = fit(Source.of(folder, "kind", ["y"]), {"epochs": 10, "starts": 1}, memory=MEMORY)
    assert found.model.task == "classification"
    assert found.model.classes.tolist() == [0, 1]
    assert found.scores["accuracy"] > 0.8


@pytest.mark.usefixtures("small_blocks")
def test_ctrl_c_ends_it_within_an_epoch_and_it_goes_on(folder, tmp_path):
    source, settings = Source.of(folder, "y", ["kind"]), {"starts": 2, "epochs": 6, "hidden": (16,)}

    class CtrlC(Listener):
        every = 1

        def on_progress(self, progress):
            if progress.step == 50:
                signal.raise_signal(signal.SIGINT)

    kept = Checkpoint(tmp_path / "kept", seconds=0)
    cut = fit(source, settings, [CtrlC()], memory=MEMORY, checkpoint=kept)
    assert cut.run.stop_reason == "interrupted"
    assert cut.run.history.rows[-1]["epoch"] == 1
    again = fit(source, settings, memory=MEMORY, checkpoint=Checkpoint(tmp_path / "kept", resume=True))
    whole = fit(source, settings, memory=MEMORY)
    for one, other in zip(again.model.networks, whole.model.networks, strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)


def test_a_class_that_only_held_back_rows_have_is_known(tmp_path):
    rng, n = np.random.default_rng(0), 400
    y = rng.choice(["a", "b"], n).astype("U9")
    for i, row in enumerate(Cut.of(n, 28, 64, 0.2, 0, MEMORY).held_back(0)[:2]):
        y[row] = f"rare {i}"
    pl.DataFrame({"x": rng.normal(size=n), "y": y}).write_parquet(tmp_path / "t.parquet")
    found = fit(Source.of(tmp_path / "t.parquet", "y"), {"epochs": 2, "starts": 1}, memory=MEMORY)
    assert found.model.classes.tolist() == ["a", "b", "rare 0", "rare 1"]


def test_too_many_classes_are_refused(tmp_path):
    pl.DataFrame({"x": range(50), "y": [f"n{i}" for i in range(50)]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="different values in 40 rows, too many for classes"):
        fit(Source.of(tmp_path / "t.parquet", "y"), memory=MEMORY)


def test_a_batch_that_there_is_no_memory_for_is_refused_with_what_is_enough(folder):
    source, complaint = (
        Source.of(folder, "y", ["kind"]),
        "memory is 100MB, of which 12MB are for a batch while it is read",
    )
    row_bytes = sum(CELL_BYTES[kind] for kind in source.kinds.values()) + TEXT_COPIES * source.text_bytes
    with pytest.raises(
        ParameterError, match=f"{complaint}; one of 50000 rows takes .* so give .*MB or more, or a smaller"
    ):
        Cut.of(10**6, row_bytes, 50_000, 0.2, 0, MEMORY)
    enough = int(50_000 * row_bytes / BLOCK_SHARE) + 10
    assert Cut.of(10**6, row_bytes, 50_000, 0.2, 0, enough).size >= 50_000
    assert Cut.of(1000, row_bytes, 50_000, 0.2, 0, MEMORY).size >= 50_000  # as there are no more than 1000
    settings = check({"batch_size": 2000})
    with pytest.raises(ParameterError, match="so give"):
        Survey.of(replace(source, text_bytes=10**5), settings, MEMORY)
    assert Survey.of(replace(source, text_bytes=10**5), settings, None).cut.size >= 2000  # each process holds its share


def test_long_text_makes_blocks_of_fewer_rows(tmp_path):
    n = 3000
    for name, letters in (("short", 10), ("long", 2000)):
        text = [f"{i:0{letters}}" for i in range(n)]
        pl.DataFrame({"text": text, "x": range(n), "y": range(n)}).write_parquet(tmp_path / name)
        (tmp_path / name).rename(tmp_path / f"{name}.parquet")
    surveys = [Survey.of(Source.of(tmp_path / f"{name}.parquet", "y"), check({}), MEMORY) for name in ("short", "long")]
    assert [len(survey.cut) for survey in surveys] == [1, 2]
    assert surveys[1].cut.size * TEXT_COPIES * 2000 < 1.3 * BLOCK_SHARE * MEMORY
    labels = surveys[1].held_back.labels["text"]
    assert len(labels) == surveys[1].held_back.n_rows  # those of the other rows are let go of


def test_text_that_becomes_much_longer_is_refused_with_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("fallline.fit.survey.MOST_ROWS", 200)
    n = 12_000
    text = ["short" if i < 11_500 else "x" * 200_000 for i in range(n)]
    pl.DataFrame({"x": range(n), "text": text, "y": range(n)}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t.parquet, row 1\d+ and the \d+ after it: they hold \d+ MB .* column 'text'"):
        Survey.of(Source.of(tmp_path / "t.parquet", "y"), check({}), MEMORY)


@pytest.mark.usefixtures("small_blocks")
def test_no_more_rows_are_held_back_than_there_is_memory_for(folder, monkeypatch):
    whole = survey_of(folder, {"validation": 0.01})
    assert len(whole.held_back_rows) == len(whole.cut) - 1  # one of each block but the last, shorter one
    row_bytes = 3 * CELL_BYTES["number"] + CELL_BYTES["category"]
    monkeypatch.setattr("fallline.fit.survey.SOME_SHARE", 3 * row_bytes / MEMORY)
    few = survey_of(folder, {"validation": 0.01})
    assert 0 < len(few.held_back_rows) <= 6
    assert set(few.held_back_rows) < set(whole.held_back_rows)
    assert few.cut == whole.cut


def test_a_time_is_planned_for_reading_where_that_takes_longer(folder, monkeypatch):
    monkeypatch.setattr("fallline.fit.survey.MOST_ROWS", 200)
    rows = Source.rows
    monkeypatch.setattr(Source, "rows", lambda *told: (time.sleep(0.05), rows(*told))[1])
    found = fit(Source.of(folder, "y", ["kind"]), {"time_budget": 8.0, "starts": 1, "hidden": (4,)}, memory=MEMORY)
    planned = found.model.training["settings"]["epochs"]
    assert 1 < planned * N // 200 * 0.05 < 8


def test_rows_to_measure_on_are_named_where_they_are_at_fault(folder, tmp_path):
    pl.read_parquet(folder / "1.parquet").with_columns(kind=pl.lit(7)).write_parquet(tmp_path / "new.parquet")
    source = Source.of(folder, "kind", ["y"])
    other = read(tmp_path / "new.parquet", "kind", columns=source.columns, kinds=source.kinds)
    with pytest.raises(DataError, match=r"new.parquet: target 'kind', row 1: the training rows have no label 7"):
        fit(source, {"epochs": 1, "starts": 1}, validation_table=other, memory=MEMORY)


def test_the_last_rows_are_held_back_as_far_as_memory_lasts(tmp_path):
    n, n_columns = 2000, 300
    numbers = np.random.default_rng(0).normal(size=(n, n_columns + 1))
    pl.DataFrame(numbers, [*(f"x{j}" for j in range(n_columns)), "y"]).write_parquet(tmp_path / "t.parquet")
    source = Source.of(tmp_path / "t.parquet", "y")
    held = Survey.of(source, check({"hold_back": "last", "validation": 0.5}), LEAST_MEMORY).held_back_rows
    assert held.tolist() == list(range(n - int(SOME_SHARE * LEAST_MEMORY) // (28 * n_columns), n))


def test_a_target_of_text_that_are_numbers_says_what_to_do(tmp_path):
    pl.DataFrame({"x": range(50), "y": ["1", "2"] * 25}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="regression needs numbers, but it is text; say that the column is a number"):
        fit(Source.of(tmp_path / "t.parquet", "y"), {"task": "regression"}, memory=MEMORY)


def test_a_process_without_rows_is_refused(folder):
    survey = survey_of(folder, {})
    for first in (0, 2000):
        engine = SimpleNamespace(share=lambda n, first=first: slice(first, first))
        with pytest.raises(ParameterError, match="rows are too few for so many processes; start fewer"):
            streamed_job(survey, survey.checked, engine=engine)


def test_what_needs_the_table_at_hand_is_refused(folder):
    source = Source.of(folder, "y", ["kind"])
    with pytest.raises(ParameterError, match="need the table in memory"):
        fit(source, groups=np.zeros(N, int), memory=MEMORY)
    with pytest.raises(ParameterError, match="memory is 1 MB; it must be"):
        fit(source, memory=1 << 20)


def test_a_time_budget_and_patience_hold(folder):
    source = Source.of(folder, "y", ["kind"])
    found = fit(source, {"time_budget": 4.0}, memory=MEMORY)
    assert found.scores["r2"] > 0.9
    found = fit(source, {"patience": 2, "epochs": 500, "starts": 1}, memory=MEMORY)
    assert found.run.stop_reason == "stopped"
    with pytest.raises(ParameterError, match="patience needs rows to measure on"):
        fit(source, {"patience": 2, "validation": 0.0}, memory=MEMORY)


def test_a_logarithm_is_learned_from_a_stream(tmp_path):
    x = np.random.default_rng(0).normal(size=2000)
    pl.DataFrame({"x": x, "y": np.exp(2 * x)}).write_parquet(tmp_path / "t.parquet")
    source = Source.of(tmp_path / "t.parquet", "y")
    found = fit(source, {"target_transform": "log", "epochs": 20, "starts": 1}, memory=MEMORY)
    assert found.model.encoder.target.log
    assert found.model.encoder.target.scales[0] == pytest.approx(2, abs=0.1)
    assert found.scores["r2"] > 0.9

"""`--memory`: tables that are streamed through so much of it, and when it is advised."""

import json
import sys

import numpy as np
import polars as pl
import pytest

from fallline import control_groups
from fallline.cli import memory
from fallline.errors import ParameterError


def rows(n, seed):
    rng = np.random.default_rng(seed)
    x, label = rng.normal(size=(n, 3)), rng.choice(["red", "green", "blue"], n)
    y = 3 * x[:, 0] - x[:, 1] + 2 * (label == "red") + 0.1 * rng.normal(size=n)
    numbers = {f"x{j}": x[:, j] for j in range(3)} | {"holes": np.where(rng.random(n) < 0.2, np.nan, x[:, 2])}
    return pl.DataFrame(numbers | {"label": label, "y": y, "class": np.where(y > 0, "up", "down")})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("table")
    for i, n in enumerate((1500, 700, 800)):
        rows(n, i).write_parquet(path / f"part-{i}.parquet")
    rows(300, 9).write_parquet(path.with_suffix(".parquet"))
    return path


def test_training_from_a_folder_predicts_and_evaluates(run, folder, tmp_path):
    told = ["--target", "y", "--drop", "class", "--memory", "100MB", "--epochs", "8", "--starts", "2"]
    done = run("train", folder, *told, "--out", tmp_path / "m.fallline", "--json", "--report", tmp_path / "r.html")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert (found["rows_trained"], found["rows_held_back"], found["folds"]) == (2400, 600, 0)
    assert found["scores"]["r2"] > 0.97
    assert found["beside"]["linear"]["r2"] > 0.9
    assert found["columns"]["label"] == "category"
    assert "The data" in (tmp_path / "r.html").read_text()
    answers = run("predict", tmp_path / "m.fallline", f"{folder}/*.parquet")
    assert len(answers.out.splitlines()) == 3001
    scored = json.loads(run("evaluate", tmp_path / "m.fallline", folder, "--json").out)
    assert scored["rows"] == 3000
    assert scored["scores"]["r2"]["value"] > 0.97


def test_classes_with_a_file_to_measure_on(run, folder, tmp_path):
    told = ["--target", "class", "--drop", "y", "--memory", "100MB", "--epochs", "5", "--out", tmp_path / "m.fallline"]
    other = folder.with_suffix(".parquet")
    done = run("train", f"{folder}/part-*.parquet", *told, "--validation", other, "--json")
    found = json.loads(done.out)
    assert (found["rows_trained"], found["rows_held_back"]) == (3000, 300)
    assert found["classes"] == ["down", "up"]
    assert found["scores"]["accuracy"] > 0.9
    done = run("train", folder, *told, "--validation", "0")
    assert "3,000 to train on" in done.out
    done = run("train", folder, *told, "--hold-back", "last", "--json", "--validation", "0.1")
    assert json.loads(done.out)["rows_held_back"] == 300


def test_a_training_goes_on_to_the_same_model(run, folder, tmp_path):
    told = ["--target", "y", "--drop", "class", "--memory", "100MB", "--epochs", "4", "--starts", "1", "--json"]
    alone = json.loads(run("train", folder, *told, "--out", tmp_path / "a.fallline").out)
    kept = [*told, "--out", tmp_path / "b.fallline", "--checkpoint", tmp_path / "kept", "--checkpoint-every", "0"]
    run("train", folder, *kept)
    latest = sorted((tmp_path / "kept").glob("descent*"))
    latest[-1].unlink()  # as if it had been cut short
    again = json.loads(run("train", folder, *kept, "--resume").out)
    assert again["scores"] == alone["scores"]
    done = run("train", folder, *kept, "--resume", "--batch-size", "32")
    assert done.status == 2
    assert "batch_size is" in done.err


@pytest.mark.parametrize(("was", "now"), [("100MB", "none"), ("none", "100MB"), ("100MB", "200MB")])
def test_another_memory_than_at_first_is_refused_with_both(run, refused, folder, tmp_path, was, now):
    def told(size):
        memory = [] if size == "none" else ["--memory", size]
        return ["train", folder, "--target", "y", "--drop", "class", "--epochs", "1", "--starts", "1", *memory]

    kept = ["--checkpoint", tmp_path / "kept", "--checkpoint-every", "0", "--out", tmp_path / "m.fallline"]
    run(*told(was), *kept)
    said = refused(*told(now), *kept, "--resume")
    assert f"memory is {now}, but the training in {tmp_path / 'kept'} began with {was}; give the same again" in said


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        (["--memory", "lots"], "--memory is 'lots'; it must be a number with MB or GB, such as 2GB"),
        (["--memory", "5 parsecs"], "--memory is '5 parsecs'; it must be a number"),
        (["--memory", "10MB"], "--memory is 10MB; it must be 100MB or more"),
        (["--memory", "1GB", "--group", "label"], "--group needs the table in memory"),
    ],
)
def test_what_does_not_go_with_it_is_said_in_a_line(refused, folder, told, complaint):
    assert complaint in refused("train", folder, "--target", "y", *told)


def test_other_files_say_what_to_do(refused, tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n2,3\n")
    said = refused("train", tmp_path / "t.csv", "--target", "y", "--memory", "1GB")
    assert "write the table as Parquet, or leave out --memory" in said


def test_a_broken_cell_in_the_last_file_is_named(refused, folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows(50, 3).with_columns(x1=pl.lit(float("inf"))).write_parquet(tmp_path / "part-3.parquet")
    said = refused("train", tmp_path, "--target", "y", "--memory", "100MB", "--out", tmp_path / "m.fallline")
    assert "part-3.parquet row 1, column 'x1': 'inf' is not a finite number" in said


@pytest.mark.parametrize(
    ("text", "n"), [("500MB", 5e8), ("2 GB", 2e9), ("1.5gb", 1.5e9), ("1GiB", 1 << 30), ("9" * 400 + "GB", sys.maxsize)]
)
def test_sizes(text, n):
    assert memory.as_bytes(text) == n


@pytest.mark.parametrize("text", ["", "GB", "1", "-1GB", "1e9", "1XB", "99MB"])
def test_no_sizes(text):
    with pytest.raises(ParameterError, match="--memory is"):
        memory.as_bytes(text)


def test_advice_where_a_table_is_larger_than_what_is_free(folder, monkeypatch, capsys):
    monkeypatch.setattr(memory, "SMALL", 1)
    memory.advise(str(folder))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(memory, "available", lambda: 1000)
    memory.advise(str(folder))
    assert "--memory 2GB streams Parquet" in capsys.readouterr().err
    memory.advise("digits")
    memory.advise("no such file")
    assert capsys.readouterr().err == ""


def test_rows_to_measure_on_that_take_too_much_are_refused(refused, folder, monkeypatch):
    monkeypatch.setattr(memory, "BYTES_PER_CELL", 10**5)
    other = folder.with_suffix(".parquet")
    said = refused("train", folder, "--target", "y", "--memory", "100MB", "--validation", other)
    assert said == (
        f"--validation: {other} may take about 210MB in memory, and --memory has 50MB for it; give fewer rows, or "
        "--memory 420MB"
    )


def group(folder, names, limit, used, stat):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{text}\n")
    (folder / "memory.stat").write_text("".join(f"{name} {n}\n" for name, n in stat.items()))


V1, V2 = ("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")


@pytest.mark.parametrize(
    ("own", "place", "names", "prefix"),
    [
        ("0::/jobs/ours", "sys/fs/cgroup/jobs", V2, ""),
        ("0::/", "sys/fs/cgroup", V2, ""),
        ("5:cpu:/\n4:memory:/jobs/ours", "sys/fs/cgroup/memory/jobs/ours", V1, "total_"),
        ("4:memory:/not/seen/in/here\n0::/", "sys/fs/cgroup/memory", V1, "total_"),
    ],
)
def test_what_is_free_is_what_a_control_group_has_left(tmp_path, monkeypatch, own, place, names, prefix):
    for module, name in ((memory, "MEMINFO"), (control_groups, "PROCESS_GROUPS"), (control_groups, "GROUPS")):
        monkeypatch.setattr(module, name, tmp_path / getattr(module, name).relative_to("/"))
    (tmp_path / "proc/self").mkdir(parents=True)
    memory.MEMINFO.write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    control_groups.PROCESS_GROUPS.write_text(own + "\n")
    assert memory.available() == 8000 << 10
    stat = {"inactive_file": 1, "active_file": 2} if prefix else {}
    stat |= {f"{prefix}inactive_file": 30_000, f"{prefix}active_file": 5_000, "anon": 60_000}
    group(tmp_path / place, names, 200_000, 100_000, stat)
    assert memory.available() == 135_000
    group(tmp_path / place, names, "max" if names is V2 else 2**63 - 4096, 100_000, stat)
    assert memory.available() == 8000 << 10
    group(tmp_path / place, names, 1000, 100_000, {})
    assert memory.available() == 0


def test_what_is_free_is_known_here():
    assert memory.available() > 1 << 20

"""Predictions block by block: the same as in one piece, in the order of the rows, whole or not at all."""

import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fallline.table
from fallline.cli import progress
from fallline.errors import DataError
from fallline.fit import fit
from fallline.model import load
from fallline.table import read


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Models of a price and of a kind, and a table of 200,000 rows."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    n = 200_000
    frame = pl.DataFrame(
        {
            "area": rng.uniform(30, 200, n).round(1),
            "town": rng.choice(['Aa, "upper"', "Bb\nCc", "Dd"], n),
            "built": (np.datetime64("1950-01-01") + rng.integers(0, 20_000, n)).astype(str),
        }
    )
    frame = frame.with_columns(
        price=(frame["area"] * 1000 + rng.normal(0, 1000, n)).round(),
        kind=pl.Series(np.where(frame["area"] > 100, "villa", "flat")),
    )
    frame.write_csv(folder / "many.csv")
    frame.write_parquet(folder / "many.parquet")
    frame.head(500).write_csv(folder / "few.csv")
    for target, other in (("price", "kind"), ("kind", "price")):
        table = read(folder / "few.csv", target, drop=[other])
        fit(table, {"epochs": 3, "starts": 2, "hidden": (8,)}).model.save(folder / f"{target}.fallline")
    return folder


@pytest.fixture
def in_blocks(monkeypatch):
    """Read in blocks of so many bytes, and count them."""

    def small(block_bytes):
        monkeypatch.setattr(
            fallline.table, "read_blocks", functools.partial(fallline.table.read_blocks, block_bytes=block_bytes)
        )

    return small


@pytest.mark.parametrize("many", ["many.csv", "many.parquet"])
def test_many_rows_in_small_blocks_are_what_they_are_in_one_piece(run, folder, in_blocks, many):
    model = load(folder / "price.fallline")
    kinds = model.encoder.kinds
    expected = model.predict(read(folder / many, columns=list(kinds), kinds=kinds))
    in_blocks(200_000)
    assert run("predict", folder / "price.fallline", folder / many, "--out", "p.parquet") == (0, "", "")
    predicted = pl.read_parquet("p.parquet")
    assert predicted.schema == {"price": pl.Float64}
    np.testing.assert_array_equal(predicted["price"].to_numpy(), expected)
    assert run("predict", folder / "price.fallline", folder / many, "--out", "p.csv") == (0, "", "")
    np.testing.assert_allclose(pl.read_csv("p.csv")["price"].to_numpy(), expected, rtol=1e-8)
    assert Path("p.csv").read_text() == run("predict", folder / "price.fallline", folder / many).out


def test_classes_and_their_probabilities_in_parquet(run, folder, in_blocks):
    in_blocks(5000)
    model = load(folder / "kind.fallline")
    kinds = model.encoder.kinds
    few = read(folder / "few.csv", columns=list(kinds), kinds=kinds)
    for option, expected in (
        ([], pl.DataFrame({"kind": model.predict(few)})),
        (["--proba"], pl.DataFrame(model.predict_proba(few), schema=["flat", "villa"])),
    ):
        assert run("predict", folder / "kind.fallline", folder / "few.csv", "--out", "p.parquet", *option).status == 0
        assert pl.read_parquet("p.parquet").equals(expected)
    assert sorted(map(str, Path().iterdir())) == ["p.parquet"]


@pytest.mark.parametrize("out", ["p.csv", "p.parquet"])
def test_a_fault_far_down_leaves_an_older_file(run, refused, folder, in_blocks, out):
    in_blocks(1000)
    lines = (folder / "few.csv").read_text() + '1,Dd,2000-01-01,1,flat\nbig,"Bb\n",2000-01-01,1,flat\n'
    Path("t.csv").write_text(lines)
    Path(out).write_text("older")
    line = lines.count("\n") - 1
    said = refused("predict", folder / "price.fallline", "t.csv", "--out", out)
    assert said == f"t.csv, line {line}, column 'area': 'big' is not a number"
    assert Path(out).read_text() == "older"
    assert sorted(map(str, Path().iterdir())) == [out, "t.csv"]


def test_a_row_without_an_answer_is_named_by_its_place_in_the_file(folder):
    model = load(folder / "price.fallline")
    for network in model.networks:
        network.W[-1][...] = 3e38
    kinds = model.encoder.kinds
    (block,) = fallline.table.read_blocks(folder / "few.csv", kinds)
    with pytest.raises(DataError, match=r"few.csv, row 1001: no finite prediction"):
        model.predict(replace(block.table, first_row=1000))


@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
@pytest.mark.parametrize("out", ["p.csv", "p.parquet"])
def test_ctrl_c_leaves_nothing_half_written(folder, tmp_path, out):
    """While it waits for more rows on standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fallline.cli", "predict", folder / "price.fallline", "-", "--out", out],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write((folder / "few.csv").read_bytes())
    process.stdin.flush()
    for _ in range(600):
        if list(tmp_path.iterdir()):
            break
        time.sleep(0.05)
    assert [path.name[:10] for path in tmp_path.iterdir()] == [".fallline-"]
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"fallline: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_standard_input_to_standard_output(folder, tmp_path):
    """More than a block; and a reader that leaves after one line is no error to speak of."""
    source, model = folder / "many.csv", folder / "price.fallline"
    predict = f"cat {source} {source} {source} | grep -v '^area' | (head -1 {source}; cat)"
    command = f"{predict} | {sys.executable} -m fallline.cli predict {model} -"
    done = subprocess.run(f"{command} | head -1", shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("price\n", "")
    done = subprocess.run(f"{command} | wc -l", shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("600001", "")


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True)
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def test_a_bar_shows_how_far_it_is(run, folder, terminal, in_blocks):
    in_blocks(1000)
    status, out, err = run("predict", folder / "price.fallline", folder / "few.csv", "--out", "p.csv")
    assert (status, out) == (0, "")
    assert "500 rows predicted" in err
    assert err.rstrip().endswith("\x1b[?25h")  # the cursor is back
    assert run("predict", folder / "price.fallline", folder / "few.csv").err == ""  # the lines on the terminal say it
    assert "500 rows measured" in run("evaluate", folder / "price.fallline", folder / "few.csv").err


def test_the_terminal_is_given_back_after_a_fault(run, folder, terminal, in_blocks):
    in_blocks(1000)
    Path("t.csv").write_text((folder / "few.csv").read_text() + "big,Dd,2000-01-01,1,flat\n")
    err = run("predict", folder / "price.fallline", "t.csv", "--out", "p.csv").err
    assert err.index("\x1b[?25l") < err.index("\x1b[?25h") < err.index("'big' is not a number")


def test_what_is_soon_over_needs_no_bar(run, folder, terminal, monkeypatch):
    monkeypatch.setattr(progress, "SILENT_SECONDS", 1e9)
    assert run("predict", folder / "price.fallline", folder / "few.csv", "--out", "p.csv").err == ""

"""How a model comes to its answer for one row, from the command line."""

import io
import json
import sys

import numpy as np
import polars as pl
import pytest

from fallline.fit import fit
from fallline.model import load
from fallline.table import load_bundled


@pytest.fixture(scope="module")
def iris_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "iris.fallline"
    fit(load_bundled("iris"), {"epochs": 3, "starts": 2, "hidden": (8,)}).model.save(path)
    return path


def test_text_is_what_python_says(run, iris_model):
    status, out, err = run("explain", iris_model, "iris", "--row", 61, "--neuron", "0,3", "--network", 1)
    assert (status, err) == (0, "")
    assert out == f"{load(iris_model).explain(load_bundled('iris'), 60, network=1, neuron=(0, 3))}\n"
    assert out.startswith("Row 61 of iris, counted from 1: the model says species is ")
    assert "Neuron 3 of layer 0, network 1, in full" in out


def test_json_has_every_digit(run, iris_model):
    status, out, err = run("explain", iris_model, "iris", "--json")
    assert (status, err) == (0, "")
    model, iris = load(iris_model), load_bundled("iris")
    told = json.loads(out)
    assert told == model.explain(iris).to_dict()
    assert told["row"] == 1
    own = model.predict_proba(iris.rows(np.array([0])))[0]
    np.testing.assert_allclose(told["answer"]["probabilities"], own, atol=1e-6)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_row_of_a_file_is_found_in_a_later_block(run, iris_model, tmp_path, monkeypatch, ending):
    from functools import partial

    import fallline.table

    iris = load_bundled("iris")
    frame = pl.DataFrame(iris.X, schema=list(iris.columns))
    getattr(frame, f"write_{ending}")(tmp_path / f"flowers.{ending}")
    monkeypatch.setattr(fallline.table, "read_blocks", partial(fallline.table.read_blocks, block_bytes=500))
    told = json.loads(run("explain", iris_model, f"flowers.{ending}", "--row", 140, "--json").out)
    expected = load(iris_model).explain(iris, 139).to_dict()
    assert (told["row"], told["data"]) == (140, f"flowers.{ending}")
    assert told["answer"] == expected["answer"]
    assert told["contributions"] == expected["contributions"]


def test_standard_input(run, iris_model, monkeypatch):
    names = ",".join(load_bundled("iris").columns)
    stdin = io.TextIOWrapper(io.BytesIO(f"{names}\n5.1,3.5,1.4,0.2\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run("explain", iris_model, "-").out.startswith("Row 1 of standard input, counted from 1: ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("iris --row 0", "--row is 0; rows are counted from 1"),
        ("iris --row 151", "iris: there is no row 151; it has 150 rows, counted from 1"),
        ("iris --row two", "'--row'"),
        ("iris --neuron 1", "--neuron is '1'; it must be a layer and a neuron in it, such as 1,0"),
        ("iris --neuron a,b", "--neuron is 'a,b'"),
        ("iris --neuron 5,0", "there is no layer 5; the layers of network 0 are 0 to 1"),
        ("iris --neuron 0,8", "there is no neuron 8; those in layer 0 of network 0 are 0 to 7"),
        ("iris --network 9", "network is 9; the model's networks are numbered from 0 to "),
        ("wine", "wine: missing 4 columns"),
        ("nofile.csv", "no file 'nofile.csv'"),
    ],
)
def test_one_line_for_what_is_wrong(refused, iris_model, arguments, says):
    assert says in refused("explain", iris_model, *arguments.split())


def test_data_without_a_name(refused, iris_model):
    assert refused("explain", iris_model, "") == "DATA is empty; name a file or a bundled set"


def test_a_file_of_one_row_is_not_called_rows(refused, iris_model, tmp_path):
    names = ",".join(load_bundled("iris").columns)
    (tmp_path / "one.csv").write_text(f"{names}\n5.1,3.5,1.4,0.2\n")
    says = "one.csv: there is no row 2; it has 1 row, counted from 1"
    assert refused("explain", iris_model, "one.csv", "--row", 2) == says

"""`fallline export`: a file for other programs, or one line that says why not."""

import sys

import numpy as np
import pytest

from fallline.fit import fit
from fallline.table import load_bundled


@pytest.fixture(scope="module")
def iris():
    return fit(load_bundled("iris"), {"epochs": 1, "starts": 1}).model


@pytest.fixture
def saved(iris, tmp_path):
    iris.save(tmp_path / "iris.fallline")


@pytest.mark.parametrize(
    ("out", "said"), [("a.onnx", "a.onnx"), ("b c.c", "b c.c and b c.h"), ("iris_model.py", "iris_model.py")]
)
def test_files_are_written(run, saved, tmp_path, out, said):
    assert run("export", "iris.fallline", "--out", out) == (0, f"model   {said}\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {"iris.fallline", *said.split(" and ")}


@pytest.mark.parametrize(("to", "name"), [("onnx", "iris.onnx"), ("c", "iris.c"), ("numpy", "iris.py")])
def test_the_name_follows_from_the_format(run, saved, tmp_path, to, name):
    code, said, _ = run("export", "iris.fallline", "--to", to)
    assert code == 0
    assert said.startswith(f"model   {name}")
    assert (tmp_path / name).stat().st_size > 100


def test_the_module_answers(run, saved, iris, tmp_path):
    run("export", "iris.fallline", "--out", "iris_model.py")
    module = {}
    exec((tmp_path / "iris_model.py").read_text(), module)
    table = load_bundled("iris")
    answers = module["predict"](dict(zip(module["COLUMNS"], table.X.T, strict=True)))
    np.testing.assert_array_equal(answers, iris.predict(table))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["iris.fallline", "--out", "iris.pt"], "--out iris.pt: the name must end in .onnx or .c or .py"),
        (["nothing.fallline", "--out", "a.c"], "no file 'nothing.fallline', did you mean 'iris.fallline'?"),
        (["iris.fallline"], "say what to write: --to, one of onnx, c, numpy, or a file's name with --out"),
        (["iris.fallline", "--to", "pdf"], "--to is 'pdf'; it must be one of onnx, c, numpy"),
        (["iris.fallline", "--to", "onnx", "--out", "a.c"], "--out a.c: the name must end in .onnx"),
        (["iris.fallline", "--out", "no/a.c"], "--out no/a.c: there is no folder 'no'"),
        (["iris.fallline", "--out", "a%.c"], "a%.c: the name of a C file must be of letters, digits, '-', '_' and '.', "
         "and end in '.c'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(refused, saved, tmp_path, arguments, complaint):
    assert refused("export", *arguments) == complaint
    assert [path.name for path in tmp_path.iterdir()] == ["iris.fallline"]


def test_an_older_file_stays_whole(refused, saved, tmp_path, monkeypatch):
    (tmp_path / "a.onnx").write_text("older")
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert refused("export", "iris.fallline", "--out", "a.onnx").endswith("pip install 'fallline[onnx]'")
    assert (tmp_path / "a.onnx").read_text() == "older"

"""The examples run as they stand, say something, draw what they promise, and are short."""

import os
import re
import runpy
from pathlib import Path
from unittest import mock

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example, tmp_path, monkeypatch, capsys):
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    if example.stem == "search_ray":
        pytest.importorskip("ray", reason="there is no Ray for this system")
    with mock.patch.dict(os.environ):  # Dask leaves something there
        runpy.run_path(str(example), run_name="__main__")
    plt.close("all")
    assert capsys.readouterr().out
    promised = re.findall(r"[\w-]+\.(?:png|fallline)", example.read_text(encoding="utf-8").split('"""')[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(promised)


def test_examples_are_short_and_listed():
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    for example in EXAMPLES:
        assert len(example.read_text(encoding="utf-8").splitlines()) < 60
        assert f"(../examples/{example.name})" in page

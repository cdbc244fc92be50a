"""Running `fallline` in this process: arguments in, exit status and what was printed out."""

import sys
from typing import NamedTuple

import numpy as np
import pytest

from fallline.cli.__main__ import main


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """`run("train", "iris", ...)` in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fallline", *map(str, arguments)])
        capsys.readouterr()
        try:
            status = main()
        except SystemExit as end:
            status = end.code
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def refused(run):
    """The one line that a wrong call ends with; the exit status is 2 and nothing else is printed."""

    def refused(*arguments):
        status, out, err = run(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("fallline: ")
        assert err.count("\n") == 1
        return err.removeprefix("fallline: ").rstrip("\n")

    return refused


def write_houses(path, n=60, seed=0):
    """A CSV of houses whose price is nearly a plane."""
    rng = np.random.default_rng(seed)
    rooms, area = rng.integers(1, 8, n), rng.uniform(30, 200, n).round(1)
    price = (1000 * area + 5000 * rooms + rng.normal(0, 1000, n)).round()
    lines = [f"{a},{r},{p:.0f}" for a, r, p in zip(area, rooms, price, strict=True)]
    path.write_text("area,rooms,price\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def houses(tmp_path):
    return write_houses(tmp_path / "houses.csv")

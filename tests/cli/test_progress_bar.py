"""The progress bar: on a terminal it says how the descent stands, elsewhere nothing."""

import sys

import numpy as np
import pytest

from fallline.cli import progress
from fallline.descent import descend
from fallline.listeners.progress_bar import ProgressBar, describe
from fallline.network import Network

X = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]


@pytest.fixture
def terminal(capsys, monkeypatch):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return capsys


def train(bar, starts=1, **settings):
    return descend(Network([1, 4, 1]), X, X, validation=(X, X), epochs=3, starts=starts, callbacks=[bar], **settings)


def test_it_ends_with_the_last_epoch(terminal):
    run = train(ProgressBar())
    out, err = terminal.readouterr()
    assert out == ""
    assert "epoch 3/3" in err
    assert f"loss {run.history.rows[-1]['loss']:.3g}, held back {run.history.rows[-1]['validation_loss']:.3g}" in err
    assert "epochs/s" in err
    assert err.rstrip().endswith("\x1b[?25h")  # the cursor is back


def test_it_shows_the_best_of_several_starts(terminal):
    run = train(ProgressBar(), starts=4)
    assert f"held back {run.history['validation_loss'][-1].min():.3g}" in terminal.readouterr().err


def test_the_terminal_is_given_back_after_an_error(terminal):
    bar = ProgressBar()
    with pytest.raises(ZeroDivisionError):
        train(bar, metrics={"broken": lambda A, Y: 1 / 0})
    shown = terminal.readouterr().err
    assert shown.index("\x1b[?25l") < shown.index("\x1b[?25h")


def test_it_is_silent_without_a_terminal(capsys):
    train(ProgressBar())
    assert capsys.readouterr() == ("", "")


def test_describe_leaves_out_what_the_bar_shows_already():
    row = {"epoch": 1, "step": 9, "start": 0, "loss": 0.123456, "validation_loss": 2.0, "accuracy": 0.5}
    row |= {"learning_rate": 1e-3, "gradient_norm": 1.0, "seconds": 2.0}
    assert describe(row) == "loss 0.123, held back 2, accuracy 0.5, rate 0.001"


def test_of_a_table_that_takes_long_it_shows_rows_a_second(terminal):
    train(ProgressBar(n_rows=32))
    shown = terminal.readouterr().err
    assert "rows/s" in shown
    assert "epochs/s" not in shown


def test_rows_that_are_read_give_the_terminal_back_at_the_end(terminal, monkeypatch):
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0)
    bar = progress.RowsBar("read")
    bar.advance(500, 0.5)
    assert "\x1b[?25h" not in terminal.readouterr().err
    bar.advance(500, 1.0)
    shown = terminal.readouterr().err
    assert "1,000 rows read" in shown
    assert shown.rstrip().endswith("\x1b[?25h")

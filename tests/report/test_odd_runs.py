"""Reports of runs that leave some pictures nothing to draw."""

import numpy as np
import pytest

import fallline as fl
from fallline.listeners import Listener

X = np.linspace(-1, 1, 60)[:, None]


class StopAtOnce(Listener):
    every = 1

    def on_progress(self, progress):
        return True


def below_zero():
    """The Poisson loss of large counts is negative from the start."""
    net = fl.Network([1, 4, 1])
    net.b[-1][:] = 2
    told = {"loss": "poisson", "optimizer": fl.SGD(0.01), "epochs": 10, "callbacks": fl.Recorder()}
    return fl.descend(net, X, np.full(60, 20.0), **told)


def three_times_the_same():
    return fl.descend([fl.Network([1, 4, 1])] * 3, X, X[:, 0], epochs=5)


def stopped_before_the_first_epoch():
    return fl.descend(fl.Network([1, 4, 1]), X, X[:, 0], epochs=5, starts=3, callbacks=StopAtOnce())


@pytest.mark.parametrize(
    ("make", "shown", "hidden"),
    [
        (below_zero, "Start and end, ", ""),
        (three_times_the_same, "random starts end", "through the networks of starts"),
        (stopped_before_the_first_epoch, "There was no epoch", "random starts end"),
    ],
)
def test_a_report_is_written_all_the_same(tmp_path, make, shown, hidden):
    run = make()
    if make is below_zero:
        assert run.history["loss"][0] < 0
    run.report(tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert shown in text
    assert not hidden or hidden not in text

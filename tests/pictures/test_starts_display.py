"""Many starts: how many end in a bad valley."""

import numpy as np
import pytest

import fallline as fl
from fallline.errors import DivergenceWarning, ParameterError
from fallline.fit import fit
from fallline.pictures import StartsDisplay
from fallline.table import load_bundled

XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


@pytest.fixture(scope="module")
def xor_run():
    net = fl.Network([2, 2, 1], "tanh", output="sigmoid")
    return fl.descend(net, XOR, [0.0, 1.0, 1.0, 0.0], starts=50, epochs=400, optimizer=fl.Adam(0.05))


def test_xor_with_two_hidden_neurons(xor_run):
    display = StartsDisplay.from_run(xor_run, threshold=0.3)
    n_bad = sum(loss > 0.3 for loss in xor_run.losses)
    assert 5 < n_bad < 45
    assert display.n_bad == n_bad
    assert f"{n_bad} of 50 random starts end above a training loss of 0.3" in display.caption
    assert len(display.curves_) == 50
    good, bad = (part.get_offsets()[:, 1] for part in display.ends_)
    assert (len(good), len(bad)) == (50 - n_bad, n_bad)
    np.testing.assert_allclose(np.sort(xor_run.losses), [*good, *bad])
    heights = [axis.transData.transform([(1, loss) for loss in (0.1, 0.5)])[:, 1] for axis in display.axes_]
    np.testing.assert_allclose(*heights)  # the same scale


def test_the_usual_threshold_is_a_tenth_of_what_the_best_start_gained(xor_run):
    display = StartsDisplay.from_run(xor_run)
    best, first = xor_run.losses.min(), np.median(xor_run.history["loss"][0])
    assert display.threshold == pytest.approx(best + 0.1 * (first - best))


def test_a_start_without_a_loss_is_bad_and_not_drawn():
    display = StartsDisplay(curves=np.array([[1.0, 1.0], [0.1, np.nan]]), losses=np.array([0.1, np.nan]), threshold=0.5)
    assert display.plot().n_bad == 1
    assert sum(len(part.get_offsets()) for part in display.ends_) == 1
    assert display.ax_.texts[0].get_text() == "1 of 2 starts ends in a bad valley"


def test_where_all_diverge_there_is_nothing_to_draw():
    x = np.linspace(-1, 1, 64)[:, None]
    with pytest.warns(DivergenceWarning):
        run = fl.descend(fl.Network([1, 8, 1]), x, x[:, 0] ** 2, optimizer=fl.SGD(1e30), starts=2, epochs=50)
    with pytest.raises(ParameterError, match="no start came to a finite loss"):
        StartsDisplay.from_run(run)


def test_shows_what_the_best_epochs_were_chosen_by():
    """Curves and ends are of one measure: each start's lowest point is where it ended."""
    run = fit(load_bundled("iris"), {"epochs": 20, "starts": 3}).run
    display = StartsDisplay.from_run(run)
    assert display.measured == "Brier score"
    np.testing.assert_allclose(np.nanmin(display.curves, axis=0), display.losses)
    assert display.axes_[0].get_ylabel() == "Brier score"


def test_a_measure_of_which_more_is_better_is_turned_over():
    X = np.linspace(-1, 1, 40)[:, None]
    told = {"validation": (X, X[:, 0]), "metrics": "r2", "monitor": "-r2", "epochs": 5, "starts": 2}
    display = StartsDisplay.from_run(fl.descend(fl.Network([1, 3, 1]), X, X[:, 0], **told))
    assert display.measured == "minus R2"
    np.testing.assert_allclose(np.nanmin(display.curves, axis=0), display.losses)

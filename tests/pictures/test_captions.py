"""Every picture says in words what it shows, and is drawn on any figure, not on pyplot's alone."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import fallline as fl
from fallline import pictures

NUMBER = re.compile(r"−?[\d,]*\d(?:\.\d+)?(?:e−?\d+)?")

ROW = [0.5, -1.0]
X, Y = np.linspace(-1, 1, 40).reshape(20, 2), np.linspace(0, 1, 20) ** 2
NET = fl.Network([2, 4, 1], "tanh", seed=1)


def bowl(x):
    return x @ x + 0.125


RESULT = fl.minimize(bowl, [3.0, 4.0], steps=7)


@pytest.fixture(scope="module")
def run():
    return fl.descend(NET, X, Y, starts=3, epochs=9, callbacks=fl.Recorder())


@pytest.fixture(scope="module")
def flowers(iris):
    return iris[0], iris[1].rows(np.arange(0, 150, 3))


# Of each picture how to draw it, and a number that its caption must hold.
CASES = {
    "NetworkDisplay": (
        lambda run, flowers, ax: pictures.NetworkDisplay.from_network(NET, ROW, ax=ax),
        lambda display: display.values[-1][0],
    ),
    "NeuronDisplay": (
        lambda run, flowers, ax: pictures.NeuronDisplay.from_network(NET, ROW, 0, 2, y=1.0, ax=ax),
        lambda display: display.new_bias,
    ),
    "WeightImagesDisplay": (
        lambda run, flowers, ax: pictures.WeightImagesDisplay.from_network(fl.Network([9, 3], seed=2), ax=ax),
        lambda display: display.images.min(),
    ),
    "LayersDisplay": (
        lambda run, flowers, ax: pictures.LayersDisplay.from_run(run, ax=ax),
        lambda display: display.n_rows,
    ),
    "LayerNormsDisplay": (
        lambda run, flowers, ax: pictures.LayerNormsDisplay.from_run(run, ax=ax),
        lambda display: display.gradient_norms[-1, 1],
    ),
    "LossCurveDisplay": (
        lambda run, flowers, ax: pictures.LossCurveDisplay.from_run(run, ax=ax),
        lambda display: np.median(display.loss[-1]),
    ),
    "LossSurfaceDisplay": (
        lambda run, flowers, ax: pictures.LossSurfaceDisplay.from_network(NET, X, Y, n=5, ax=ax),
        lambda display: display.loss,
    ),
    "DescentPathDisplay": (
        lambda run, flowers, ax: pictures.DescentPathDisplay.from_run(run, n=5, ax=ax),
        lambda display: display.off_plane.max(),
    ),
    "StartsDisplay": (
        lambda run, flowers, ax: pictures.StartsDisplay.from_run(run, ax=ax),
        lambda display: display.losses.min(),
    ),
    "MinimaDisplay": (
        lambda run, flowers, ax: pictures.MinimaDisplay.from_run(run, n=5, ax=ax),
        lambda display: float(f"{display.barriers[1, 2]:.2g}"),
    ),
    "MinimizeDisplay": (
        lambda run, flowers, ax: pictures.MinimizeDisplay.from_results(bowl, RESULT, n=5, ax=ax),
        lambda display: display.values[0][-1],
    ),
    "BoundaryDisplay": (
        lambda run, flowers, ax: pictures.BoundaryDisplay.from_network(NET, X, Y, n=5, ax=ax),
        lambda display: display.answers.max(),
    ),
    "BoundaryDisplay of classes": (
        lambda run, flowers, ax: pictures.BoundaryDisplay.from_model(*flowers, "petal width (cm)", n=5, ax=ax),
        lambda display: display.wrong.sum(),
    ),
    "ImportanceDisplay": (
        lambda run, flowers, ax: pictures.ImportanceDisplay.from_model(*flowers, n_repeats=2, ax=ax),
        lambda display: display.importances.mean(axis=1).max(),
    ),
    "PartialDependenceDisplay": (
        lambda run, flowers, ax: pictures.PartialDependenceDisplay.from_model(*flowers, "petal width (cm)", n=5, ax=ax),
        lambda display: display.mean[:, 1].max(),
    ),
}
DISPLAYS = [name for name in pictures.__all__ if isinstance(getattr(pictures, name), type)]


def test_no_picture_is_forgotten():
    assert {name.split()[0] for name in CASES} == set(DISPLAYS)


@pytest.mark.parametrize("name", CASES)
def test_on_any_figure_with_a_caption_that_holds_the_numbers(name, run, flowers, tmp_path):
    draw, expected = CASES[name]
    figure = Figure(layout="constrained")
    ax = figure.subplots()
    display = draw(run, flowers, ax)
    assert display.ax_ is ax or not ax.axison  # several axes take its place
    assert display.figure_ is display.ax_.figure is figure
    figure.savefig(tmp_path / "picture.png")
    assert plt.get_fignums() == []

    said = display.caption
    assert re.fullmatch(r"[A-Z0-9].*[a-z]{3}.*\.", said)
    assert "nan" not in said
    numbers = [float(text.replace(",", "").replace("−", "-")) for text in NUMBER.findall(said)]
    assert any(number == pytest.approx(float(expected(display)), rel=5e-3, abs=1e-12) for number in numbers), said


@pytest.mark.parametrize("name", CASES)
def test_a_figure_of_its_own_and_once_more_elsewhere(name, run, flowers):
    display = CASES[name][0](run, flowers, None)
    first = display.figure_
    assert plt.get_fignums() == [first.number]
    assert display.plot(Figure().subplots()) is display
    assert display.figure_ is not first

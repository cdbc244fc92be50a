"""Tables beside pictures: their numbers are those of what was drawn."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fallline as fl
from fallline import pictures
from fallline.fit import fit
from fallline.report.page import Grid
from fallline.report.twins import cell, spaced, twin
from fallline.table import load_bundled

RNG = np.random.default_rng(2)
X = RNG.normal(size=(80, 3))
Y = np.sin(X[:, 0])


@pytest.fixture(scope="module")
def run() -> fl.Run:
    net = fl.Network([3, 6, 1], "tanh", seed=4)
    return fl.descend(net, X, Y, starts=3, epochs=12, validation=(X[:20], Y[:20]), callbacks=fl.Recorder())


def columns(grid: Grid) -> dict[str, list[str]]:
    assert {len(row) for row in grid.rows} == {len(grid.header)}
    return dict(zip(grid.header, map(list, zip(*grid.rows, strict=True)), strict=True))


def floats(cells: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in cells]


def about(values: Any) -> Any:
    return pytest.approx(np.ravel(values).tolist(), rel=1e-3, abs=1e-12)


def test_a_network_layer_by_layer() -> None:
    net = fl.Network([3, 6, 2], "tanh", seed=4)
    with_values = columns(twin(pictures.NetworkDisplay.from_network(net, X[:1])))
    assert with_values["neurons"] == ["3", "6", "2"]
    assert with_values["activation"] == ["", "tanh", "identity"]
    assert with_values["weights"] == ["", "18", "12"]
    assert floats(with_values["their mean size"][1:]) == about([np.abs(W).mean() for W in net.W])
    assert floats(with_values["their largest size"][1:]) == about([np.abs(W).max() for W in net.W])
    low, high = floats(with_values["values for the row"][-1].split(" to "))
    assert [low, high] == about(sorted(net(X[:1])[0]))
    assert "values for the row" not in columns(twin(pictures.NetworkDisplay.from_network(net)))


def test_weights_as_images() -> None:
    net = fl.Network([6, 4, 1], seed=1)
    found = columns(twin(pictures.WeightImagesDisplay.from_network(net, (2, 3), neurons=[0, 3])))
    w = net.W[0][:, [0, 3]]
    assert found["neuron"] == ["0", "3"]
    assert floats(found["norm of its weights"]) == about(np.linalg.norm(w, axis=0))
    name, value = found["strongest pixel (row, column)"][1].split(": ")
    strongest = int(np.abs(w[:, 1]).argmax())
    assert name == f"r{strongest // 3}c{strongest % 3}"
    assert float(value) == pytest.approx(w[strongest, 1], rel=1e-2)


def test_losses_by_epoch_and_by_start(run: fl.Run) -> None:
    found = columns(twin(pictures.LossCurveDisplay.from_run(run)))
    assert floats(found["epoch"]) == list(range(1, 13))
    for header, name in (("loss", "loss"), ("validation loss", "validation_loss")):
        assert floats(found[f"{header}, median of the starts"]) == about(np.median(run.history[name], axis=1))
    rare = np.where(np.arange(1000)[:, None] % 10 == 9, 0.5, np.nan)
    epochs = columns(twin(pictures.LossCurveDisplay(loss=np.ones((1000, 1)), validation_loss=rare).plot()))
    assert 40 <= len(epochs["epoch"]) <= 50
    assert epochs["validation loss"] == ["-", *["0.5"] * (len(epochs["epoch"]) - 1)]
    display = pictures.StartsDisplay.from_run(run, threshold=float(np.median(run.losses)))
    found = columns(twin(display))
    assert floats(found["loss"]) == about(run.losses)
    above = next(cells for header, cells in found.items() if header.startswith("above"))
    assert above.count("yes") == display.n_bad == 1


def test_the_path(run: fl.Run) -> None:
    display = pictures.DescentPathDisplay.from_run(run, n=11)
    found = columns(twin(display))
    assert found["which"][0] == "start"
    assert found["which"][-1].startswith("end")
    assert sum("kept" in name for name in found["which"]) == 1
    assert 10 <= len(found["step"]) <= 12
    at = [display.steps.tolist().index(int(step)) for step in found["step"]]
    assert floats(found["loss"]) == about(display.losses[at])
    assert floats(found["loss where it is drawn"]) == about(display.in_plane[at])
    assert floats(found["off the plane"]) == about(display.off_plane[at])
    assert floats(found["distance towards the end"]) == about(display.coordinates[at, 0])


def test_norms_of_gradients(run: fl.Run) -> None:
    display = pictures.LayerNormsDisplay.from_run(run)
    found = columns(twin(display))
    at = [display.steps.tolist().index(int(step)) for step in found["step"]]
    assert floats(found["gradient, layer 1"]) == about(display.gradient_norms[at, 1])
    assert found["change a step, layer 0"][-1] == "-"
    known = [i for i in at[:-1] if np.isfinite(display.changes[i, 0])]
    assert floats(found["change a step, layer 0"][: len(known)]) == about(display.changes[known, 0])


def test_a_surface_on_a_coarse_grid(run: fl.Run) -> None:
    display = pictures.LossSurfaceDisplay.from_run(run, n=41)
    grid = twin(display)
    assert list(grid.header[1:]) == ["-1", "-0.5", "0", "0.5", "1"]
    assert [row[0] for row in grid.rows] == ["-1", "-0.5", "0", "0.5", "1"]
    heights = [floats(list(row[1:])) for row in grid.rows]
    assert np.ravel(heights).tolist() == about(display.surface[::10, ::10])
    assert heights[2][2] == pytest.approx(display.loss, rel=1e-3)
    assert cell(display.loss) in grid.caption


def test_layers() -> None:
    net = fl.Network([3, 10, 4, 1], ["relu", "tanh"], seed=1, dtype="float64")
    net.b[0][:3] = -100
    rows = twin(pictures.LayersDisplay.from_network(net, X, Y)).rows
    assert len(rows) == 9
    g, A = fl.gradient(net, X, Y), net.forward(X).A
    for l in range(3):
        for row, values in zip(rows[3 * l :], (net.W[l], A[l], np.abs(g.dW[l])), strict=False):
            assert floats(list(row[2:6])) == about([values.mean(), values.std(), values.min(), values.max()])
            assert row[6] == f"{(values == 0).mean():.1%}"
    assert [list(row[7:]) for row in rows[:3]] == [["", ""], ["30.0%", "0.0%"], ["", ""]]
    assert list(rows[7][7:]) == ["", ""], "the output layer has no hidden neurons"


def test_minima(run: fl.Run) -> None:
    display = pictures.MinimaDisplay.from_run(run, starts=[2, 0, 1], n=5)
    found = columns(twin(display))
    assert found["starts"] == ["2 and 0", "2 and 1", "0 and 1"]
    assert floats(found["loss of the first"]) == about(display.losses[[0, 0, 1]])
    assert floats(found["of the second"]) == about(display.losses[[1, 2, 2]])
    assert floats(found["ridge above the higher"]) == about(display.barriers[0])
    assert floats(found["with neurons matched"]) == about(display.barriers[1])


def test_columns_of_a_table() -> None:
    iris = load_bundled("iris")
    model = fit(iris, {"epochs": 5, "starts": 1}).model
    importance = pictures.ImportanceDisplay.from_model(model, iris, "log_loss", n_repeats=2)
    grid = twin(importance)
    assert grid.caption == "How much log loss is added when a column is shuffled, mean of 2 times"
    added = dict(zip(*columns(grid).values(), strict=True))
    for name, values in zip(importance.columns, importance.importances, strict=True):
        assert float(added[name]) == pytest.approx(values.mean(), rel=1e-3)
    dependence = pictures.PartialDependenceDisplay.from_model(model, iris, "petal width (cm)", n=21)
    found = columns(twin(dependence))
    assert floats(found["petal width (cm)"]) == pytest.approx(dependence.values[::2], rel=5e-3)
    assert floats(found["virginica"]) == about(dependence.mean[::2, 2])


def test_another_display_has_no_twin() -> None:
    with pytest.raises(TypeError, match="no table is known for the numbers of Axes"):
        twin(plt.figure().subplots())


def test_some_of_many_have_both_ends_and_those_that_must_be_among_them() -> None:
    assert spaced(101, 5) == [0, 25, 50, 75, 100]
    assert spaced(3, 5) == [0, 1, 2]
    assert spaced(101, 3, [0, 7]) == [0, 7, 50, 100]
    assert [cell(np.nan), cell(np.inf), cell(0.5)] == ["-", "-", "0.5"]

"""Three minima, and what lies between them."""

import numpy as np
import pytest

import fallline as fl
from fallline.errors import ParameterError
from fallline.pictures import MinimaDisplay
from fallline.table import load_bundled


def test_barriers_and_corners(digits_run):
    before = [network.parameters.tobytes() for network in digits_run.networks]
    display = MinimaDisplay.from_run(digits_run, starts=[2, 0, 1], n=9, rows=2000)
    digits = load_bundled("digits")
    X, y = digits.X[:1200], digits.y[:1200]
    networks = [digits_run.networks[k] for k in (2, 0, 1)]
    matched = [networks[0]] + [fl.match_neurons(network, networks[0]) for network in networks[1:]]
    for row, of in zip(display.barriers, (networks, matched), strict=True):
        expected = [fl.barrier(of[i], of[j], X, y).height for i, j in ((0, 1), (0, 2), (1, 2))]
        np.testing.assert_allclose(np.maximum(row, 0), expected, rtol=1e-3, atol=1e-5)
    assert (display.barriers[1] < display.barriers[0]).all()
    for corners, of in zip(display.corners, (networks, matched), strict=True):
        for i, j in ((0, 1), (0, 2), (1, 2)):
            apart = np.linalg.norm(of[i].parameters.astype(float) - of[j].parameters)
            assert np.linalg.norm(corners[i] - corners[j]) == pytest.approx(apart)
    assert [network.parameters.tobytes() for network in digits_run.networks] == before


def test_both_panels_have_one_scale_of_colours_and_of_distances(digits_run):
    display = MinimaDisplay.from_run(digits_run, n=9, rows=300)
    left, right = display.axes_
    for of in ("get_xlim", "get_ylim"):
        np.testing.assert_allclose(np.diff(getattr(left, of)()), np.diff(getattr(right, of)()))
    np.testing.assert_array_equal(*(surface.levels for surface in display.surfaces_))
    numbers = [text.get_text() for text in display.texts_]
    assert numbers == [f"{height:.2g}" for height in display.barriers.ravel()]
    assert f"{display.barriers[0, 0]:.2g}" in display.caption


def test_three_starts_are_needed(digits_run):
    x = np.linspace(-1, 1, 8)[:, None]
    two = fl.descend(fl.Network([1, 2, 1]), x, x[:, 0], starts=2, epochs=1)
    for run, starts in ((two, None), (digits_run, [0, 0, 1]), (digits_run, [0, 1, 7])):
        with pytest.raises(ParameterError, match="it takes three of the run's"):
            MinimaDisplay.from_run(run, starts=starts)

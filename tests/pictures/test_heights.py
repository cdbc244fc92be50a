"""The scale of heights."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fallline.errors import DataError
from fallline.pictures.heights import BOX, Heights, box_around

SURFACES = {
    "bowl": np.add.outer(np.linspace(-1, 1, 21) ** 2, np.linspace(-1, 1, 21) ** 2),
    "steep": np.exp(np.add.outer(np.linspace(0, 30, 21), np.linspace(0, 30, 21))),
    "below zero": -np.add.outer(np.arange(5.0), np.arange(5.0)),
    "flat": np.full((4, 4), 2.5),
}


@pytest.mark.parametrize("name", SURFACES)
def test_levels_rise_and_squeezing_is_undone(name):
    heights = Heights.of(SURFACES[name])
    assert (np.diff(heights.levels) > 0).all()
    assert heights.levels[0] == heights.low == SURFACES[name].min()
    inside = np.linspace(heights.low, heights.high, 7)
    np.testing.assert_allclose(heights.norm.inverse(heights.norm(inside)), inside, rtol=1e-6, atol=1e-9)
    assert all(heights.low <= tick <= heights.high for tick in heights.ticks)


def test_half_of_a_surface_is_in_the_lower_half_of_the_colours():
    surface = SURFACES["steep"]
    heights = Heights.of(surface)
    assert 0.3 < np.mean(heights.norm(np.minimum(surface, heights.high)) < 0.5) < 0.6


def test_all_points_are_on_the_scale():
    heights = Heights.of(SURFACES["bowl"], [5.0, -1.0, np.inf])
    assert (heights.low, heights.high) == (-1.0, 5.0)


def test_where_there_is_no_height_it_is_hatched():
    surface = SURFACES["bowl"].copy()
    surface[:3] = np.nan
    surface[3] = np.inf
    ax = plt.figure().add_subplot()
    axis = np.linspace(-1, 1, 21)
    Heights.of(surface).draw(ax, axis, axis, surface)
    assert ax.patch.get_hatch() == "////"
    with pytest.raises(DataError, match="no finite height"):
        Heights.of(np.full((2, 2), np.nan))


@pytest.mark.parametrize("points", [[[0, 0], [10, 0]], [[0, 0], [0, 3]], [[1, 1], [1, 1]]])
def test_the_box_has_one_shape_and_the_points_well_inside(points):
    points = np.array(points, float)
    a, b = box_around(points, 5)
    assert (a[-1] - a[0]) / (b[-1] - b[0]) == pytest.approx(BOX)
    assert (points.min(axis=0) > [a[0], b[0]]).all()
    assert (points.max(axis=0) < [a[-1], b[-1]]).all()


def test_a_mark_has_the_colour_of_its_height():
    heights = Heights.of(np.linspace(0, 5, 25).reshape(5, 5))
    ax = plt.subplots()[1]
    mark = heights.mark(ax, 1.0, 2.0, 3.5)
    np.testing.assert_allclose(mark.to_rgba([3.5]), [heights.colors(float(heights.norm(3.5)))])
    assert [drawn.get_offsets().tolist() for drawn in ax.collections] == [[[1.0, 2.0]]] * 2
    assert ax.collections[0].get_sizes() > mark.get_sizes(), "the rim is behind it"

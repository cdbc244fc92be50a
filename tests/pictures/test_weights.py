"""First-layer weights as images."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fallline as fl
from fallline.pictures import WeightImagesDisplay


def test_each_image_is_a_neuron_s_weights() -> None:
    net = fl.Network([6, 5, 2], seed=1)
    display = WeightImagesDisplay.from_network(net, (2, 3), neurons=[4, 0, 3])
    assert display.images.shape == (3, 2, 3)
    np.testing.assert_array_equal(display.images[0].ravel(), net.W[0][:, 4])
    mosaic = np.asarray(display.im_.get_array().filled(np.nan))
    np.testing.assert_allclose(np.sort(mosaic[~np.isnan(mosaic)]), np.sort(net.W[0][:, [0, 3, 4]].ravel()))
    top, left = np.argwhere(~np.isnan(mosaic))[0]
    np.testing.assert_allclose(mosaic[top : top + 2, left : left + 3], net.W[0][:, 4].reshape(2, 3))
    assert [text.get_text() for text in display.ax_.texts][:3] == ["4", "0", "3"]
    assert display.figure_ is display.ax_.figure


def test_one_scale_for_all_symmetric_around_zero() -> None:
    net = fl.Network([784, 30, 10], seed=1)
    net.W[0][0, 0] = 100.0
    display = WeightImagesDisplay.from_network(net)
    low, high = display.im_.get_clim()
    assert low == -high
    assert 0 < high < 1, "a single large weight does not make all others pale"
    assert display.colorbar_.extend == "both"
    below, middle, above = display.im_.cmap([0.0, 0.5, 1.0])
    assert below[0] > below[2]
    assert above[2] > above[0]
    assert middle[:3].min() > 0.95
    mosaic = np.asarray(display.im_.get_array().filled(np.nan))
    assert (~np.isnan(mosaic)).sum() == 784 * 30


def test_of_many_neurons_those_with_the_largest_weights() -> None:
    net = fl.Network([16, 100, 2], seed=2)
    strong = np.arange(3, 100, 4)
    net.W[0][:, strong] *= 30
    display = WeightImagesDisplay.from_network(net)
    assert display.images.shape == (32, 4, 4)
    assert set(strong) <= set(display.neurons)
    assert (np.diff(display.neurons) > 0).all()
    assert "32 of 100 neurons" in display.ax_.get_title(loc="left")


def test_a_model_of_pictures_knows_their_shape() -> None:
    from fallline.fit import fit
    from fallline.table import load_bundled

    model = fit(load_bundled("digits"), {"hidden": (7,), "epochs": 1}).model
    display = WeightImagesDisplay.from_model(model)
    np.testing.assert_array_equal(display.images, model.network.W[0].T.reshape(7, 8, 8))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 31])
def test_any_number_of_images_has_room(n: int) -> None:
    display = WeightImagesDisplay.from_network(fl.Network([9, n, 2], seed=1))
    mosaic = np.asarray(display.im_.get_array().filled(np.nan))
    assert (~np.isnan(mosaic)).sum() == 9 * n


def test_weights_of_zero_are_drawn() -> None:
    net = fl.Network([9, 2], parameters=np.zeros(20))
    assert WeightImagesDisplay.from_network(net).im_.get_clim() == (-1, 1)


def test_axes_that_are_given_are_drawn_on() -> None:
    _, ax = plt.subplots()
    assert WeightImagesDisplay.from_network(fl.Network([9, 2]), ax=ax).ax_ is ax


def test_complaints(iris) -> None:
    net = fl.Network([12, 3])
    with pytest.raises(fl.ParameterError, match="12 columns are no square"):
        WeightImagesDisplay.from_network(net)
    with pytest.raises(fl.ParameterError, match="image_shape is 5 by 2, but the network takes 12 columns"):
        WeightImagesDisplay.from_network(net, (5, 2))
    for neurons in ([3], [-1], []):
        with pytest.raises(fl.ParameterError, match="numbered from 0 to 2"):
            WeightImagesDisplay.from_network(net, (3, 4), neurons=neurons)
    with pytest.raises(fl.ParameterError, match="embedded before the first layer"):
        WeightImagesDisplay.from_model(iris[0])

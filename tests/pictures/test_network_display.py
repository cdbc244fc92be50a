"""The network drawn: what is in the picture is what is in the network."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import fallline as fl
from fallline.pictures import NetworkDisplay, style
from fallline.pictures.numbers import number

RNG = np.random.default_rng(2)


def texts(display: NetworkDisplay) -> list[str]:
    return [text.get_text() for text in display.ax_.texts]


def lines(display: NetworkDisplay) -> list[tuple[float, float, bool, tuple[float, ...]]]:
    """Of each connection that is drawn its weight, width, whether it is dashed, and its colour."""
    edges = display.edges_
    dashed = [pattern[1] is not None for pattern in edges.get_linestyle()]
    colours = [tuple(color[:3]) for color in edges.get_edgecolor()]
    return list(zip(display.edge_weights_, edges.get_linewidth(), dashed, colours, strict=True))


def test_every_connection_of_a_small_network_is_drawn() -> None:
    net = fl.Network([2, 3, 1], "tanh", seed=1)
    display = NetworkDisplay.from_network(net)
    assert display.figure_ is display.ax_.figure
    found = lines(display)
    np.testing.assert_allclose(sorted(w for w, *_ in found), sorted(np.concatenate([W.ravel() for W in net.W])))
    for weight, _, dashed, color in found:
        assert dashed == (weight < 0)
        np.testing.assert_allclose(color, to_rgb(style.POSITIVE if weight > 0 else style.NEGATIVE), atol=1e-6)
    assert [len(neurons.get_offsets()) for neurons in display.neurons_] == [2, 3, 1]


def test_a_connection_ends_at_its_neurons() -> None:
    net = fl.Network([2, 2], parameters=[1.0, 2.0, 3.0, 4.0, 0.0, 0.0])  # W[i, j] = 1 + 2 i + j
    display = NetworkDisplay.from_network(net)
    left, right = (neurons.get_offsets() for neurons in display.neurons_)
    for weight, (begin, end) in zip(display.edge_weights_, display.edges_.get_segments(), strict=True):
        i, j = divmod(int(weight) - 1, 2)
        assert begin.tolist() == left[i].tolist()
        assert end.tolist() == right[j].tolist()


def test_width_grows_with_strength_and_the_scale_is_written_below_each_layer() -> None:
    net = fl.Network([3, 4, 2], seed=3)
    net.W[1] *= 50
    display = NetworkDisplay.from_network(net)
    sizes = [np.abs(W).max() for W in net.W]
    assert [f"widest line: {number(size)}" in texts(display) for size in sizes] == [True, True]
    second = np.isin(display.edge_weights_, net.W[1])
    for layer, size in ((~second, sizes[0]), (second, sizes[1])):
        share = np.abs(display.edge_weights_[layer]) / size
        width = np.array(display.edges_.get_linewidth())[layer]
        slope, least = np.polyfit(share, width, 1)
        np.testing.assert_allclose(width, least + slope * share, atol=1e-5)
        assert slope > 1


def test_large_layers_show_their_strongest_neurons_and_say_how_many_are_left_out() -> None:
    net = fl.Network([784, 30, 10], "sigmoid", "softmax", seed=1)
    strong = [5, 100, 700]
    net.W[0][strong] *= 20
    display = NetworkDisplay.from_network(net, most_neurons=12)
    assert [len(shown) for shown in display.shown_] == [12, 12, 10]
    assert set(strong) <= set(display.shown_[0].tolist())
    assert {"772 more", "18 more", "784 inputs\n", "10 outputs\nsoftmax"} <= set(texts(display))
    assert "the strongest 264 of 23,820 connections" in display.ax_.get_title(loc="left").replace("\n", " ")
    i, j = display.shown_[0], display.shown_[1]
    np.testing.assert_allclose(
        np.sort(display.edge_weights_), np.sort(np.concatenate([net.W[0][np.ix_(i, j)].ravel(), net.W[1][j].ravel()]))
    )


def test_no_more_connections_than_asked_for_the_strongest_of_their_layers() -> None:
    net = fl.Network([60, 60, 60], seed=1)
    display = NetworkDisplay.from_network(net, most_neurons=60)
    assert len(display.edges_.get_segments()) == 1500
    share = np.concatenate([(np.abs(W) / np.abs(W).max()).ravel() for W in net.W])
    limit = np.sort(share)[-1500]
    drawn = np.concatenate([W.ravel() for W in net.W])[share >= limit]
    np.testing.assert_allclose(np.sort(display.edge_weights_), np.sort(drawn))
    assert "the strongest 1,500 of 7,200 connections" in display.ax_.get_title(loc="left")
    few = NetworkDisplay.from_network(net, most_edges=7)
    assert len(few.edges_.get_segments()) == 7


def test_values_of_a_row_stand_in_the_neurons() -> None:
    net = fl.Network([3, 4, 2], "tanh", "softmax", seed=2)
    row = [0.5, -2.0, 1.0]
    display = NetworkDisplay.from_network(net, row, output_names=["no", "yes"])
    values = [np.array(row), *(A[0] for A in net.forward([row]).A)]
    for shown, expected in zip(display.values, values, strict=True):
        np.testing.assert_allclose(shown, expected)
    for value in np.concatenate(values):
        assert f"{value:.2f}".replace("-", "−") in texts(display)
    bold = [text.get_text() for text in display.ax_.texts if text.get_weight() == "bold"]
    assert ["no", "yes"][int(values[-1].argmax())] in bold
    inputs = display.neurons_[0].get_facecolors()
    assert inputs[1][2] < inputs[1][0], "below zero is orange"
    assert inputs[2][2] > inputs[2][0], "above zero is blue"


def test_names_stand_beside_their_neurons() -> None:
    display = NetworkDisplay.from_network(
        fl.Network([2, 3, 1]), input_names=["width of the leaf in the middle of May", "height"], output_names=["price"]
    )
    places = {text.get_text().replace("\n", " "): text.xy for text in display.ax_.texts if hasattr(text, "xy")}
    assert places["width of the leaf in the middle of May"] == tuple(display.neurons_[0].get_offsets()[0])
    assert places["price"] == tuple(display.neurons_[2].get_offsets()[0])


@pytest.mark.parametrize("sizes", [[2, 3, 1], [12, 16, 8, 2], [784, 30, 10], [40, 40, 40]])
def test_nothing_is_drawn_outside_or_over_something_else(sizes: list[int]) -> None:
    names = [f"a rather long name of a column, number {i}" for i in range(sizes[0])]
    display = NetworkDisplay.from_network(
        fl.Network(sizes, seed=1), np.zeros(sizes[0]), input_names=names, output_names=["some answer"] * sizes[-1]
    )
    figure = display.figure_
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in display.ax_.texts if text.get_text().strip()]
    for k, box in enumerate(boxes):
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1
        assert box.y1 <= figure.bbox.height + 1
        for other in boxes[:k]:
            assert not (
                min(box.x1, other.x1) - max(box.x0, other.x0) > 1 and min(box.y1, other.y1) - max(box.y0, other.y0) > 1
            )


def test_the_words_are_those_of_the_model_s_table(iris) -> None:
    model, table = iris
    display = NetworkDisplay.from_model(model, table, row=60)
    assert display.output_names == ["setosa", "versicolor", "virginica"]
    assert display.input_names[:5] == [
        "sepal length (cm)",
        *(f"sepal length (cm), wave {i}" for i in (1, 2, 3)),
        "sepal width (cm)",
    ]
    row = model.encoder.encode_inputs(table.X[60:61])
    np.testing.assert_allclose(display.values[0][::4], row[0] * model.network.parameters[:16:4], rtol=1e-6)
    np.testing.assert_allclose(display.values[-1], model.networks[0](row)[0], atol=1e-6)
    assert "16 inputs\nfrom 4 columns" in texts(display)


def test_codes_of_categories_and_plain_numbers_have_their_names() -> None:
    inputs = fl.Inputs(embedded=1, plain=1, tables=[(5, 2)], size=3)
    net = fl.Network([3, 4, 1], inputs=inputs, seed=1)
    display = NetworkDisplay.from_network(net, [0.5, 1.0, 3.0], input_names=["age", "is new", "town"])
    assert display.input_names == ["age", "age, wave 1", "age, wave 2", "is new", "town, learned 1", "town, learned 2"]
    np.testing.assert_allclose(
        display.values[0], inputs.forward(net.parameters, np.array([[0.5, 1, 3]], np.float32))[0]
    )


def test_estimators_are_drawn_by_their_model(iris) -> None:
    class Fitted:
        model_ = iris[0]

    assert NetworkDisplay.from_estimator(Fitted()).output_names == ["setosa", "versicolor", "virginica"]


def test_axes_that_are_given_are_drawn_on() -> None:
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    display = NetworkDisplay.from_network(fl.Network([2, 3, 1]), [1.0, 2.0], input_names=["width", "height"], ax=right)
    assert display.ax_ is right
    assert not left.texts
    assert len(figure.axes) == 2
    figure.draw_without_rendering()
    assert right.get_position().width > 0.4, "in narrow axes nothing asks for more room than there is"
    box = right.get_window_extent()
    for artist in [*right.texts, right.get_legend(), display.edges_]:
        assert artist.get_window_extent().x0 > box.x0 - 5
        assert artist.get_window_extent().x1 < box.x1 + 5


def test_a_network_of_zeros_is_drawn_as_well() -> None:
    net = fl.Network([2, 3, 1])
    net.parameters = np.zeros(13)
    assert len(NetworkDisplay.from_network(net, [0.0, 0.0]).edges_.get_segments()) == 9


def test_complaints(iris) -> None:
    net = fl.Network([2, 3, 1])
    with pytest.raises(fl.DataError, match="X has 2 rows"):
        NetworkDisplay.from_network(net, np.zeros((2, 2)))
    with pytest.raises(fl.DataError, match="the network takes"):
        NetworkDisplay.from_network(net, np.zeros(3))
    with pytest.raises(fl.ParameterError, match="input_names has 3 names; 2 are needed"):
        NetworkDisplay.from_network(net, input_names=list("abc"))
    with pytest.raises(fl.ParameterError, match="must be 1 or more"):
        NetworkDisplay.from_network(net, most_neurons=0)
    model, table = iris
    with pytest.raises(fl.ParameterError, match="start is 7"):
        NetworkDisplay.from_model(model, start=7)
    with pytest.raises(fl.DataError, match="there is no row 150"):
        NetworkDisplay.from_model(model, table, row=150)

"""One neuron's arithmetic: against forward passes, gradients, and finite differences."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import fallline as fl
from fallline.pictures import NeuronDisplay
from fallline.pictures.neuron import _loss_of

RNG = np.random.default_rng(4)
ROW = RNG.standard_normal(5)
TARGETS = {"identity": np.array([[0.3, -1.0, 2.0]]), "sigmoid": np.array([[1, 0, 1]]), "softmax": np.array([2])}


def network(activation: str = "tanh", output: str = "softmax") -> fl.Network:
    return fl.Network([5, 4, 6, 3], activation, output, seed=3, dtype="float64")


@pytest.mark.parametrize("output", sorted(TARGETS))
@pytest.mark.parametrize(("layer", "neuron"), [(0, 2), (1, 5), (2, 1)])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_forward_and_back(activation: str, output: str, layer: int, neuron: int) -> None:
    net = network(activation, output)
    y = TARGETS[output]
    display = NeuronDisplay.from_network(net, ROW, layer, neuron, y=y, learning_rate=0.5)
    values = net.forward([ROW])
    before = ROW if layer == 0 else values.A[layer - 1][0]
    np.testing.assert_allclose(display.inputs, before)
    np.testing.assert_allclose(display.weights, net.W[layer][:, neuron])
    assert display.z == pytest.approx(before @ net.W[layer][:, neuron] + net.b[layer][neuron])
    assert display.z == pytest.approx(values.Z[layer][0, neuron])
    assert display.a == pytest.approx(values.A[layer][0, neuron])
    assert display.curve(np.array([display.z]))[0] == pytest.approx(display.a)

    g = fl.gradient(net, [ROW], y, engine="reference")
    np.testing.assert_allclose(display.gradient, g.dW[layer][:, neuron], atol=1e-12)
    assert display.delta == pytest.approx(g.db[layer][neuron], abs=1e-12)
    np.testing.assert_allclose(display.new_weights, net.W[layer][:, neuron] - 0.5 * g.dW[layer][:, neuron], atol=1e-12)
    assert display.new_bias == pytest.approx(net.b[layer][neuron] - 0.5 * g.db[layer][neuron])
    if layer < 2:
        assert display.dA * display.slope == pytest.approx(display.delta, abs=1e-12)
    else:
        assert display.dA is None


def test_what_comes_back_is_how_the_loss_changes_with_what_the_neuron_gives() -> None:
    """By differences: the layers behind it, from a value that is a bit larger or smaller."""
    net, y, h = network(), np.array([2]), 1e-5
    display = NeuronDisplay.from_network(net, ROW, 0, 1, y=y)

    def loss(more: float) -> float:
        A = net.forward([ROW]).A[0].copy()
        A[0, 1] += more
        rest = fl.Network([4, 6, 3], "tanh", "softmax", dtype="float64", parameters=net.parameters[5 * 4 + 4 :])
        return -float(np.log(rest(A)[0, 2]))

    assert display.dA == pytest.approx((loss(h) - loss(-h)) / (2 * h), rel=1e-6)


def test_the_bars_add_up_to_z() -> None:
    display = NeuronDisplay.from_network(network(), ROW, 0, 0)
    bars = list(display.bars_)
    lengths = [bar.get_width() for bar in bars]
    np.testing.assert_allclose(lengths, [*(display.inputs * display.weights), display.bias])
    ends = np.cumsum(lengths)
    np.testing.assert_allclose([bar.get_x() for bar in bars], [0, *ends[:-1]])
    assert ends[-1] == pytest.approx(display.z)
    hatched = [bool(bar.get_hatch()) for bar in bars]
    assert hatched == [length < 0 for length in lengths], "the sign is seen without its colour"
    assert (display.point_.get_xdata()[0], display.point_.get_ydata()[0]) == (display.z, display.a)
    assert display.axes_[0].get_xlim() == display.axes_[2].get_xlim(), "z stands right below the sum"
    np.testing.assert_allclose(display.line_.get_ydata(), np.tanh(display.line_.get_xdata()))


def test_of_many_inputs_the_largest_products_and_the_others_together() -> None:
    net = fl.Network([100, 3], seed=5, dtype="float64")
    row = RNG.standard_normal(100)
    display = NeuronDisplay.from_network(net, row, 0, 1, y=[[0.0, 1.0, 2.0]], most=6)
    products = row * net.W[0][:, 1]
    largest = np.sort(np.argsort(-np.abs(products))[:6])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == [*(f"x{i}" for i in largest), "the other 94 together", "bias", "sum: z"]
    lengths = [bar.get_width() for bar in display.bars_]
    np.testing.assert_allclose(lengths[:6], products[largest])
    assert lengths[6] == pytest.approx(products.sum() - products[largest].sum())
    assert [len(column) for column in display.cells_] == [9] * 5
    assert len(NeuronDisplay.from_network(net, row, 0, 1, most=99).bars_) == 101, "one other has a line of its own"


def test_the_numbers_that_are_written_are_those_that_are_so() -> None:
    net = network()
    display = NeuronDisplay.from_network(net, ROW, 1, 2, y=[2], learning_rate=0.01)
    written = [[text.get_text().replace("−", "-") for text in column] for column in display.cells_]
    expected = [
        [*display.inputs, 1],
        [*display.weights, display.bias],
        [*(display.inputs * display.weights), display.bias, display.z],
        [*display.gradient, display.delta],
        [*display.new_weights, display.new_bias],
    ]
    for texts, numbers in zip(written, expected, strict=True):
        shown = [float(text) for text in texts if text]
        decimals = max(len(text.partition(".")[2]) for text in texts)
        np.testing.assert_allclose(shown, numbers, atol=0.5001 * 10.0**-decimals)
    assert written[1][:4] != written[4][:4], "enough digits to see a small step"


def test_where_the_value_goes() -> None:
    net = network()
    hidden = NeuronDisplay.from_network(net, ROW, 0, 3)
    onward = net.W[1][3]
    order = np.argsort(-np.abs(onward))[:4]
    assert hidden.goes_to == [(f"neuron {k}", pytest.approx(onward[k])) for k in order]
    assert hidden.n_next == 6
    said = hidden.axes_[3].texts[0].get_text()
    assert "a goes on to 6 neurons of layer 1" in said
    assert "and 2 more" in said
    named = NeuronDisplay.from_network(net, ROW, 1, 5, output_names=["a", "b", "c"])
    assert sorted(to for to, _ in named.goes_to) == ["output 'a'", "output 'b'", "output 'c'"]
    last = NeuronDisplay.from_network(net, ROW, -1, -1, output_names=["a", "b", "c"])
    assert (last.layer, last.neuron, last.n_next, last.goes_to) == (2, 2, 0, [("c", 1.0)])
    assert "the network's answer for 'c'" in last.axes_[3].texts[0].get_text()


def test_softmax_is_drawn_with_its_neighbours_as_they_are() -> None:
    net = network()
    display = NeuronDisplay.from_network(net, ROW, 2, 0)
    others = np.exp(net.forward([ROW]).Z[2][0, 1:]).sum()
    z = display.line_.get_xdata()
    np.testing.assert_allclose(display.line_.get_ydata(), np.exp(z) / (np.exp(z) + others))


def test_of_a_model_in_its_words_with_its_loss_and_the_row_s_target(iris) -> None:
    model, table = iris
    display = NeuronDisplay.from_model(model, table, 1, 2, row=77)
    net = model.networks[0]
    encoded = model.encoder.encode_inputs(table.X[77:78])
    loss = fl.losses.CategoricalCrossEntropy(label_smoothing=model.training["settings"]["label_smoothing"])
    assert loss.label_smoothing > 0
    assert _loss_of(model) == loss
    g = fl.gradient(net, encoded, model.encoder.target.encode(table.y[77:78]), loss)
    np.testing.assert_allclose(display.gradient, g.dW[1][:, 2], rtol=1e-5)
    first = NeuronDisplay.from_model(model, table, 0, 0, row=77)
    assert first.input_names[0] == "sepal length (cm)"
    without = NeuronDisplay.from_model(model, table.X, 1, 2, row=77)
    assert without.delta is None
    assert without.gradient is without.new_weights is without.new_bias is None
    assert without.z == pytest.approx(display.z)


def test_axes_that_are_given_are_replaced_by_its_own() -> None:
    figure, (left, right) = plt.subplots(1, 2)
    display = NeuronDisplay.from_network(network(), ROW, ax=right)
    assert display.figure_ is figure
    assert not right.axison
    figure.draw_without_rendering()
    assert all(panel.get_position().x0 > left.get_position().x1 for panel in display.axes_)


def test_complaints() -> None:
    net = network()
    with pytest.raises(fl.DataError, match="X has 2 rows"):
        NeuronDisplay.from_network(net, np.zeros((2, 5)))
    with pytest.raises(fl.ParameterError, match="there is no layer 3; they are 0 to 2"):
        NeuronDisplay.from_network(net, ROW, 3)
    with pytest.raises(fl.ParameterError, match="there is no neuron 4 in layer 0; they are 0 to 3"):
        NeuronDisplay.from_network(net, ROW, 0, 4)
    with pytest.raises(fl.ParameterError, match="most is 0"):
        NeuronDisplay.from_network(net, ROW, most=0)
    with pytest.raises(fl.DataError, match="class 3"):
        NeuronDisplay.from_network(net, ROW, y=3)

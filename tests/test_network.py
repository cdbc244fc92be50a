"""Networks: the block and its views, the laws of the random starts, forward by hand, and every message read aloud."""

import copy
import math
import pickle
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from fallline.activations import HIDDEN, OUTPUTS
from fallline.errors import DataError, ParameterError
from fallline.network import STARTS, Layer, Network, views

# ---- the block


def test_views_share_memory_with_the_block():
    net = Network([3, 4, 2], seed=1)
    assert net.parameters.shape == (3 * 4 + 4 + 4 * 2 + 2,)
    assert [W.shape for W in net.W] == [(3, 4), (4, 2)]
    assert [b.shape for b in net.b] == [(4,), (2,)]
    assert all(np.shares_memory(array, net.parameters) for array in [*net.W, *net.b])
    net.parameters[:] = np.arange(26)
    np.testing.assert_array_equal(net.W[0], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(net.b[0], [12, 13, 14, 15])
    np.testing.assert_array_equal(net.W[1], [[16, 17], [18, 19], [20, 21], [22, 23]])
    np.testing.assert_array_equal(net.b[1], [24, 25])
    net.W[1][3, 0] = -1
    assert net.parameters[22] == -1
    net.b[0] += 100
    np.testing.assert_array_equal(net.parameters[12:16], [112, 113, 114, 115])


def test_views_of_anything_laid_out_alike():
    shape = Network([2, 3, 1]).shape
    block = np.zeros(13)
    W, b = views(shape, block)
    for i, view in enumerate([W[0], b[0], W[1], b[1]]):
        view += i + 1
    np.testing.assert_array_equal(block, [1] * 6 + [2] * 3 + [3] * 3 + [4])


@pytest.mark.parametrize("sizes", [[1, 1], [5, 2], [784, 30, 10], [7, 1, 1, 1, 3], (np.int64(2), 3, 2)])
def test_sizes(sizes):
    net = Network(sizes, output="identity")
    assert net.layer_sizes == tuple(map(int, sizes))
    assert sum(layer.n_parameters for layer in net.layers) == len(net.parameters)
    assert len(net.parameters) == sum((a + 1) * b for a, b in pairwise(sizes))
    assert [layer.n_in for layer in net.layers] == list(sizes[:-1])
    assert [layer.n_out for layer in net.layers] == list(sizes[1:])
    assert net(np.zeros((4, sizes[0]))).shape == (4, sizes[-1])


def test_a_name_for_each_hidden_layer():
    net = Network([2, 3, 3, 2], activation=["tanh", "gelu"], output="softmax")
    assert [layer.activation for layer in net.layers] == [HIDDEN["tanh"], HIDDEN["gelu"], OUTPUTS["softmax"]]
    net = Network([2, 3, 3, 2], activation="selu", output="sigmoid")
    assert [layer.activation.name for layer in net.layers] == ["selu", "selu", "sigmoid"]
    assert Network([2, 2], activation=[]).layers == (Layer(2, 2, OUTPUTS["identity"]),)
    assert repr(net) == "Network(2-3-3-2, selu, selu, sigmoid, 29 parameters)"


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, np.dtype(np.float64)])
def test_dtype(dtype):
    net = Network([3, 4, 2], dtype=dtype)
    assert {array.dtype for array in [net.parameters, *net.W, *net.b, net(np.zeros((2, 3)))]} == {np.dtype(dtype)}
    values = net.forward([[1, 2, 3]])
    assert {array.dtype for array in [*values.Z, *values.A]} == {np.dtype(dtype)}


def test_given_parameters_are_copied():
    mine = np.arange(13.0)
    net = Network([2, 3, 1], parameters=mine, dtype="float64")
    np.testing.assert_array_equal(net.parameters, mine)
    net.parameters[:] = 0
    assert mine[-1] == 12
    assert Network([2, 3, 1], parameters=list(range(13))).parameters.dtype == np.float32


def test_copies_have_their_own_block():
    net = Network([2, 3, 1], activation="tanh", output="sigmoid", start="normal", seed=3, dtype="float64")
    twin = net.copy()
    np.testing.assert_array_equal(twin.parameters, net.parameters)
    assert not np.shares_memory(twin.parameters, net.parameters)
    assert (twin.layers, twin.start, twin.seed, twin.dtype) == (net.layers, net.start, net.seed, net.dtype)
    other = net.copy(np.ones(13))
    assert other.parameters.all()
    assert not (net.parameters == 1).all()


# ---- random starts

LAWS = {  # law of W and of b (None: zeros), from n_in, n_out and the gain; a new start fails until its law stands here
    "xavier": lambda n_in, n_out, gain: (centred_uniform(math.sqrt(6 / (n_in + n_out))), None),
    "he": lambda n_in, n_out, gain: (stats.norm(0, gain / math.sqrt(n_in)), None),
    "lecun": lambda n_in, n_out, gain: (stats.norm(0, math.sqrt(1 / n_in)), None),
    "normal": lambda n_in, n_out, gain: (stats.norm(0, 1), stats.norm(0, 1)),
    "uniform": lambda n_in, n_out, gain: (centred_uniform(n_in**-0.5), centred_uniform(n_in**-0.5)),
    "orthogonal": None,  # has its own tests
}


def centred_uniform(bound):
    return stats.uniform(-bound, 2 * bound)


def test_every_start_has_its_law():
    assert set(LAWS) == set(STARTS)


@pytest.mark.parametrize("start", [start for start, law in LAWS.items() if law])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_law_of_a_start(start, activation):
    n_in, n_out = 180, 120
    # Biases are few, so they are gathered from many seeds.
    nets = [Network([n_in, n_out, 1], activation, start=start, seed=seed, dtype="float64") for seed in range(10)]
    law_W, law_b = LAWS[start](n_in, n_out, {"relu": math.sqrt(2), "tanh": 1}[activation])
    W = np.concatenate([net.W[0].ravel() for net in nets])
    b = np.concatenate([net.b[0] for net in nets])
    for values, law in ((W, law_W), (b, law_b)):
        if law is None:
            assert not values.any()
            continue
        n = len(values)
        assert stats.kstest(values, law.cdf).pvalue > 1e-3
        assert abs(values.mean()) < 4 * law.std() / math.sqrt(n)
        assert values.var() == pytest.approx(law.var(), rel=4 * math.sqrt(2 / n))
        low, high = law.support()
        assert low <= values.min()
        assert values.max() <= high


@pytest.mark.parametrize(("n_in", "n_out"), [(20, 20), (30, 7), (7, 30), (1, 5), (5, 1)])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_orthogonal(n_in, n_out, activation):
    net = Network([n_in, n_out, 1], activation, start="orthogonal", seed=5, dtype="float64")
    W, gain = net.W[0], HIDDEN[activation].start_gain
    product = W.T @ W if n_in >= n_out else W @ W.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(n_in, n_out)), atol=1e-12)
    assert not net.b[0].any()


def test_orthogonal_is_uniform_over_the_orthogonal_matrices():
    # A column of a random 3 x 3 rotation is a point on the sphere, whose coordinates are uniform (Archimedes).
    matrices = [Network([3, 3], start="orthogonal", seed=seed, dtype="float64").W[0] for seed in range(1000)]
    for i in range(3):
        for j in range(3):
            assert stats.kstest([W[i, j] for W in matrices], stats.uniform(-1, 2).cdf).pvalue > 1e-3
    reflections = sum(np.linalg.det(W) < 0 for W in matrices)
    assert stats.binomtest(reflections, len(matrices)).pvalue > 1e-3


# What "auto" means: Glorot & Bengio 2010 for the saturating and linear, He et al. 2015 for the rectifying, LeCun et al.
# 1998 for selu.
AUTO = {
    **dict.fromkeys(["identity", "sigmoid", "tanh", "softmax"], "xavier"),
    **dict.fromkeys(["relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"], "he"),
    "selu": "lecun",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_auto_follows_a_hidden_layers_activation(name):
    auto, named = (Network([6, 5, 1], name, start=start, seed=7) for start in ("auto", AUTO[name]))
    np.testing.assert_array_equal(auto.W[0], named.W[0])
    np.testing.assert_array_equal(auto.b[0], 0)


@pytest.mark.parametrize("name", OUTPUTS)
def test_auto_follows_the_outputs_activation(name):
    auto, named = (Network([6, 5], output=name, start=start, seed=7) for start in ("auto", AUTO[name]))
    np.testing.assert_array_equal(auto.parameters, named.parameters)


def test_auto_goes_layer_by_layer():
    net = Network([400, 300, 300, 200], activation=["relu", "selu"], output="softmax", dtype="float64")
    for W, variance in zip(net.W, [2 / 400, 1 / 300, 2 / (300 + 200)], strict=True):
        assert W.var() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("name", [name for name, record in HIDDEN.items() if record.start == "he"])
def test_from_standard_normal_sums_to_sums_of_the_same_second_moment(name):
    width = 600
    Z = np.random.default_rng(0).normal(size=(400, width))
    net = Network([width, width, 1], activation=name, seed=1, dtype="float64")
    moment = (net.forward(HIDDEN[name].value(Z)).Z[0] ** 2).mean()
    assert moment == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("start", STARTS)
def test_same_seed_same_bits(start):
    made = [Network([20, 30, 4], start=start, seed=11).parameters.tobytes() for _ in range(2)]
    assert made[0] == made[1]
    others = [Network([20, 30, 4], start=start, seed=seed).parameters.tobytes() for seed in (0, 12, 2**40)]
    assert len({made[0], *others}) == 4
    single, double = (Network([20, 30, 4], start=start, seed=11, dtype=dtype) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(single.parameters, double.parameters.astype(np.float32))


def test_a_start_draws_from_numpys_generator_as_written():
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(5, spawn_key=(3,))))
    bound = math.sqrt(6 / 10)
    net = Network([4, 6, 2], activation="tanh", seed=5, dtype="float64").restart(3)
    np.testing.assert_array_equal(net.W[0], rng.uniform(-bound, bound, (4, 6)))
    np.testing.assert_array_equal(net.W[1], rng.uniform(-math.sqrt(6 / 8), math.sqrt(6 / 8), (6, 2)))


@pytest.mark.parametrize("start", ["auto", *STARTS])
def test_restarts(start):
    net = Network([5, 6, 2], start=start, seed=2, dtype="float64")
    before = net.parameters.copy()
    np.testing.assert_array_equal(net.restart(0).parameters, before)
    starts = [net.restart(index) for index in range(5)]
    assert len({other.parameters.tobytes() for other in starts}) == 5
    assert all((other.layers, other.dtype, other.seed) == (net.layers, net.dtype, net.seed) for other in starts)
    np.testing.assert_array_equal(net.parameters, before)
    np.testing.assert_array_equal(net.restart(3).parameters, starts[3].parameters)
    # number 1 of seed 2 is no other seed's number 0
    assert starts[1].parameters.tobytes() not in {net.copy().restart(0).parameters.tobytes()} | {
        Network([5, 6, 2], start=start, seed=seed, dtype="float64").parameters.tobytes() for seed in range(8)
    }


def test_restart_0_of_trained_parameters_is_the_random_start():
    net = Network([5, 6, 2], seed=2)
    trained = net.copy(np.zeros_like(net.parameters))
    np.testing.assert_array_equal(trained.restart(0).parameters, net.parameters)


# ---- forward


def test_forward_by_hand():
    # 2 - 3 - 2, relu, identity
    W0, b0 = [[1, 0, -1], [2, 1, 1]], [0, 1, -1]
    W1, b1 = [[1, 2], [0, -1], [3, 1]], [10, 20]
    parameters = [*np.ravel(W0), *b0, *np.ravel(W1), *b1]
    net = Network([2, 3, 2], parameters=parameters)
    values = net.forward([[1, 1], [0, -2]])
    np.testing.assert_array_equal(values.Z[0], [[3, 2, -1], [-4, -1, -3]])
    np.testing.assert_array_equal(values.A[0], [[3, 2, 0], [0, 0, 0]])
    np.testing.assert_array_equal(values.Z[1], [[13, 24], [10, 20]])
    np.testing.assert_array_equal(values.A[1], values.Z[1])
    np.testing.assert_array_equal(net([[1, 1], [0, -2]]), [[13, 24], [10, 20]])


def test_forward_through_every_activation():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6, 3))
    for name in HIDDEN:
        for output in OUTPUTS:
            net = Network([3, 5, 4, 2], activation=name, output=output, start="normal", seed=1, dtype="float64")
            values, A = net.forward(X), X
            assert [Z.shape for Z in values.Z] == [A.shape for A in values.A] == [(6, 5), (6, 4), (6, 2)]
            for layer, W, b, Z, A_next in zip(net.layers, net.W, net.b, values.Z, values.A, strict=True):
                np.testing.assert_allclose(Z, np.einsum("ni,ij->nj", A, W) + b, rtol=1e-12, atol=1e-14)
                np.testing.assert_array_equal(A_next, layer.activation.value(Z))
                A = A_next
            np.testing.assert_allclose(net(X), values.A[-1], rtol=1e-12)


def test_inputs_come_in_many_forms():
    net = Network([2, 1], seed=1)
    X = np.array([[1.0, 2.0], [3.0, 4.0]])
    for given in (X.tolist(), X.astype(np.int8), X.astype(np.float32), np.asfortranarray(X), X[::-1][::-1]):
        np.testing.assert_array_equal(net(given), net(X))
    assert net(np.empty((0, 2))).shape == (0, 1)


# ---- messages

KNOWN = "elu, gelu, identity, leaky_relu, mish, relu, selu, sigmoid, silu, softplus, tanh"
STARTS_KNOWN = "auto, he, lecun, normal, orthogonal, uniform, xavier"

PARAMETER_ERRORS = [
    (([3],), {}, "layer_sizes is [3]; it must list two or more whole numbers above 0"),
    (([],), {}, "layer_sizes is []; it must list two or more whole numbers above 0"),
    (([2, 0, 1],), {}, "layer_sizes is [2, 0, 1]; it must list two or more whole numbers above 0"),
    (([2, -3, 1],), {}, "layer_sizes is [2, -3, 1]; it must list two or more whole numbers above 0"),
    (([2, 1.5],), {}, "layer_sizes is [2, 1.5]; it must list two or more whole numbers above 0"),
    (([2, "3"],), {}, "layer_sizes is [2, '3']; it must list two or more whole numbers above 0"),
    (([2, 3, 1], "rellu"), {}, f"activation 'rellu' is unknown; did you mean 'relu'? choose from {KNOWN}"),
    (([2, 3, 1], ["softmax"]), {}, f"activation 'softmax' is unknown; choose from {KNOWN}"),
    (([2, 1], "rellu"), {}, f"activation 'rellu' is unknown; did you mean 'relu'? choose from {KNOWN}"),
    (([2, 3, 1], ["relu", "tanh"]), {}, "activation names 2 layers, but layer_sizes has 1 hidden ones"),
    (([2, 3, 4, 1], ["relu"]), {}, "activation names 1 layers, but layer_sizes has 2 hidden ones"),
    (([2, 1],), {"output": "relu"}, "output 'relu' is unknown; choose from identity, sigmoid, softmax"),
    (
        ([2, 1],),
        {"output": "sigmoyd"},
        "output 'sigmoyd' is unknown; did you mean 'sigmoid'? choose from identity, sigmoid, softmax",
    ),
    (
        ([2, 1],),
        {"output": "softmax"},
        "output 'softmax' needs two outputs or more; one yes-or-no question takes 'sigmoid'",
    ),
    (([2, 1],), {"start": "xaver"}, f"start 'xaver' is unknown; did you mean 'xavier'? choose from {STARTS_KNOWN}"),
    (([2, 1],), {"start": "zero"}, f"start 'zero' is unknown; choose from {STARTS_KNOWN}"),
    (([2, 1],), {"seed": -1}, "seed is -1; it must be a whole number from 0 up to 2^63"),
    (([2, 1],), {"seed": 1.0}, "seed is 1.0; it must be a whole number from 0 up to 2^63"),
    (([2, 1],), {"seed": None}, "seed is None; it must be a whole number from 0 up to 2^63"),
    (([2, 1],), {"dtype": "float16"}, "dtype is 'float16'; it must be 'float32' or 'float64'"),
    (([2, 1],), {"dtype": "int64"}, "dtype is 'int64'; it must be 'float32' or 'float64'"),
    (([2, 1],), {"dtype": "foo"}, "dtype is 'foo'; it must be 'float32' or 'float64'"),
    (([2, 1],), {"dtype": None}, "dtype is None; it must be 'float32' or 'float64'"),
    ((5,), {}, "layer_sizes is [5]; it must list two or more whole numbers above 0"),
    (([2, 1],), {"parameters": ["a", "b", "c"]}, "parameters must be one row of numbers"),
    (([2, 1],), {"parameters": [1.0, 2.0]}, "parameters has shape (2,); this network takes (3,)"),
    (([2, 1],), {"parameters": [[1.0, 2.0, 3.0]]}, "parameters has shape (1, 3); this network takes (3,)"),
]


@pytest.mark.parametrize(("args", "kwargs", "message"), PARAMETER_ERRORS, ids=[row[-1] for row in PARAMETER_ERRORS])
def test_parameter_errors(args, kwargs, message):
    with pytest.raises(ParameterError) as raised:
        Network(*args, **kwargs)
    assert str(raised.value) == message


INPUT_ERRORS = [
    ([1.0, 2.0], "X has shape (2,), but the network takes (n, 2)"),
    ([[1.0, 2.0, 3.0]], "X has shape (1, 3), but the network takes (n, 2)"),
    (np.zeros((2, 2, 2)), "X has shape (2, 2, 2), but the network takes (n, 2)"),
    (3.0, "X has shape (1,), but the network takes (n, 2)"),
    ([[1.0, 2.0], [3.0]], "X must be a table of numbers, one row an example"),
    ([["a", "b"]], "X must be a table of numbers, one row an example"),
    ([[1.0, 2.0], [3.0, np.nan]], "X has nan in row 1, column 1; inputs must be finite numbers"),
    ([[-np.inf, 2.0]], "X has -inf in row 0, column 0; inputs must be finite numbers"),
]


@pytest.mark.parametrize(("X", "message"), INPUT_ERRORS, ids=[row[-1] for row in INPUT_ERRORS])
def test_input_errors(X, message):
    net = Network([2, 1])
    for call in (net, net.forward, net.checked_rows):
        with pytest.raises(DataError) as raised:
            call(X)
        assert str(raised.value) == message


def test_a_network_cannot_be_split_from_its_block():
    net = Network([2, 3, 1], seed=1)
    net.W[0] = np.ones((2, 3))
    net.b[1] -= 5.0
    assert net.parameters[:6].tolist() == [1] * 6
    assert net.parameters[-1] == -5
    net.parameters = np.arange(13)
    assert net.W[1].ravel().tolist() == [9, 10, 11]
    with pytest.raises(ParameterError, match=r"parameters has shape \(2,\); this network takes \(13,\)"):
        net.parameters = [1, 2]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_and_pickles_are_networks_of_their_own(copied):
    net = Network([2, 3, 1], "gelu", "sigmoid", start="he", seed=4, dtype="float64")
    other = copied(net)
    np.testing.assert_array_equal(other.parameters, net.parameters)
    assert repr(other) == repr(net)
    assert np.shares_memory(other.W[0], other.parameters)
    assert not np.shares_memory(other.parameters, net.parameters)
    np.testing.assert_array_equal(other.restart(2).parameters, net.restart(2).parameters)

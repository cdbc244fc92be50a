"""Networks that others have trained answer as they did there."""

from __future__ import annotations

import sys
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from safetensors.numpy import save_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

import fallline as fl
from fallline.activations import HIDDEN
from fallline.errors import ModelFileError, ParameterError
from fallline.estimators import MLPClassifier as OurClassifier

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(7)
X = RNG.normal(size=(40, 4))


def weights(*sizes: int, dtype: str = "float32") -> list[tuple[Array, Array]]:
    """Of each layer a weight (n_in, n_out) and a bias."""
    return [(RNG.normal(size=pair).astype(dtype), RNG.normal(size=pair[1]).astype(dtype)) for pair in pairwise(sizes)]


# scikit-learn


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_scikit_learn_s_classifier(activation: str, n_classes: int) -> None:
    mlp = MLPClassifier((6, 5), activation=activation, max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X, np.arange(len(X)) % n_classes)
    net = fl.import_network(mlp)
    expected = mlp.predict_proba(X)[:, -1:] if n_classes == 2 else mlp.predict_proba(X)
    np.testing.assert_allclose(net(X), expected, atol=1e-12)
    assert net.dtype == np.float64


def test_scikit_learn_s_regressor() -> None:
    mlp = MLPRegressor(hidden_layer_sizes=(), max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X.astype(np.float32), X[:, :2].astype(np.float32))
    net = fl.import_network(mlp)
    assert (net.dtype, net.layer_sizes, net.output) == (np.float32, (4, 2), "identity")
    np.testing.assert_allclose(net(X), mlp.predict(X.astype(np.float32)), atol=1e-6)


def test_our_own_drop_in_too() -> None:
    mlp = OurClassifier((6,), max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X, np.arange(len(X)) % 3)
    np.testing.assert_allclose(fl.import_network(mlp)(X), mlp.predict_proba(X), atol=1e-6)


def test_an_output_that_we_do_not_have() -> None:
    mlp = MLPRegressor("poisson", hidden_layer_sizes=(3,), max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(X, np.abs(X[:, 0]))
    with pytest.raises(ParameterError, match="MLPRegressor: the activation 'exp' has no equal here"):
        fl.import_network(mlp)


# PyTorch's state dicts, as `safetensors.torch.save_file(net.state_dict(), ...)` writes them


def state_of(layers: list[tuple[Array, Array]], step: int = 2, prefix: str = "") -> dict[str, Array]:
    state = {}
    for l, (W, b) in enumerate(layers):
        state |= {f"{prefix}{step * l}.weight": np.ascontiguousarray(W.T), f"{prefix}{step * l}.bias": b}
    return state


def test_a_state_dict(tmp_path: Path) -> None:
    layers = weights(4, 8, 7, 3)
    state = state_of(layers)
    del state["2.bias"]  # Linear(8, 7, bias=False)
    save_file(state, tmp_path / "net.safetensors")
    x = X.astype(np.float32)
    hidden = np.maximum(x @ layers[0][0] + layers[0][1], 0)
    Z = np.tanh(hidden @ layers[1][0]) @ layers[2][0] + layers[2][1]
    net = fl.import_network(tmp_path / "net.safetensors", ["ReLU", "Tanh"])
    np.testing.assert_allclose(net(x), Z, atol=1e-5)
    assert (net.activation, net.dtype) == (("relu", "tanh"), np.float32)
    powers = np.exp(Z)
    softmax = fl.import_network(str(tmp_path / "net.safetensors"), ["relu", "tanh"], "Softmax")
    np.testing.assert_allclose(softmax(x), powers / powers.sum(axis=1, keepdims=True), atol=1e-6)


def test_layers_are_put_in_the_order_of_their_numbers() -> None:
    layers = weights(*[4] * 12)
    state = state_of(layers, step=1, prefix="net.")
    back = dict(sorted(state.items()))  # net.10 before net.2, as files have them
    net = fl.import_network(back, "identity")
    for l, (W, b) in enumerate(layers):
        np.testing.assert_array_equal(net.W[l], W)
        np.testing.assert_array_equal(net.b[l], b)


def test_every_activation_has_pytorch_s_name() -> None:
    names = "Identity Sigmoid Tanh ReLU LeakyReLU ELU SELU GELU SiLU Mish Softplus".split()  # noqa: SIM905
    net = fl.import_network(state_of(weights(*[3] * 13), step=1), names, "Sigmoid")
    assert set(net.activation) == set(HIDDEN)


@pytest.mark.parametrize(
    ("state", "activation", "complaint"),
    [
        ({"0.weight": np.ones((2, 3))}, None, "a state dict does not say its activations"),
        (
            {"0.weight": np.ones(3)},
            "relu",
            r"'0.weight' of shape \(3,\) is neither the weight nor the bias of a Linear",
        ),
        ({"0.running_mean": np.ones(3)}, "relu", r"'0.running_mean' of shape"),
        ({"0.bias": np.ones(3)}, "relu", "'0.bias' has no weight beside it"),
        ({}, "relu", "there is no layer of weights"),
        (state_of(weights(4, 3, 2)), "relux", "activation 'relux' is unknown; did you mean 'relu'"),
        (state_of(weights(4, 3, 2)), ["relu", "relu"], "activation names 2 layers, but the state dict has 1 hidden"),
        (
            state_of(weights(4, 3) + weights(2, 3)),
            "relu",
            r"layer 1 has weights of shape \(2, 3\).* fit 3 inputs",
        ),
        ({"0.weight": np.full((2, 3), np.nan)}, "relu", "layer 0 has weights that are no finite numbers"),
    ],
)
def test_state_dicts_that_cannot_be(state: dict[str, Array], activation: Any, complaint: str) -> None:
    with pytest.raises((ModelFileError, ParameterError), match=complaint):
        fl.import_network(state, activation)


# ONNX, with onnxruntime as the oracle


def onnx_file(path: Path, nodes: list[Any], constants: dict[str, Array], n_in: int = 4, dtype: str = "float32") -> Path:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", kind, ["n", n_in])],
        [helper.make_tensor_value_info("y", kind, ["n", "m"])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def assert_same(path: Path, x: Array) -> fl.Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    net = fl.import_network(path)
    np.testing.assert_allclose(net(x), session.run(["y"], {"x": x})[0], atol=1e-5)
    return net


def made(*steps: Any) -> list[Any]:
    """Nodes of (operator, inputs, output) and attributes."""
    return [
        helper.make_node(step[0], step[1].split(), [step[2]], **(step[3] if len(step) > 3 else {})) for step in steps
    ]


# How exporters write activations of `z` as `a`.
WRITTEN: dict[str, list[Any]] = {
    "relu": [("Relu", "z", "a")],
    "leaky_relu": [("LeakyRelu", "z", "a", {"alpha": 0.01})],
    "elu": [("Elu", "z", "a")],
    "selu": [("Selu", "z", "a")],
    "gelu": [
        ("Div", "z root", "g"),
        ("Erf", "g", "e"),
        ("Add", "e one", "f"),
        ("Mul", "z f", "h"),
        ("Mul", "h half", "a"),
    ],
    "silu": [("Sigmoid", "z", "s"), ("Mul", "z s", "a")],
    "mish": [("Softplus", "z", "s"), ("Tanh", "s", "t"), ("Mul", "z t", "a")],
    "softplus": [("Softplus", "z", "a")],
    "tanh": [("Tanh", "z", "a")],
    "sigmoid": [("Sigmoid", "z", "a")],
    "identity": [("Identity", "z", "a")],
}
NUMBERS = {"root": np.float32(np.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)}


@pytest.mark.parametrize("name", WRITTEN)
def test_onnx_as_pytorch_writes_it(name: str, tmp_path: Path) -> None:
    (W, b), (V, c) = weights(4, 9, 3)
    nodes = made(
        ("Gemm", "x W b", "z", {"transB": 1}),
        *WRITTEN[name],
        ("Gemm", "a V c", "q", {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        ("Softmax", "q", "y", {"axis": 1}),
    )
    path = onnx_file(tmp_path / "net.onnx", nodes, {"W": W.T, "b": b, "V": V.T, "c": c, **NUMBERS})
    net = assert_same(path, X.astype(np.float32))
    assert (net.activation, net.output) == ((name,), "softmax")


def test_all_activations_are_tested() -> None:
    assert set(WRITTEN) == set(HIDDEN)


def test_onnx_as_skl2onnx_writes_it(tmp_path: Path) -> None:
    """Columns are scaled first; both classes are told."""
    (W, b), (V, c) = weights(4, 9, 1)
    nodes = made(
        ("Scaler", "x", "u", {"domain": "ai.onnx.ml", "offset": [1.0, -2.0, 0.0, 3.0], "scale": [2.0, 1.0, 0.5, 4.0]}),
        ("Cast", "u", "v", {"to": TensorProto.FLOAT}),
        ("MatMul", "v W", "p"),
        ("Add", "p b", "z"),
        ("Relu", "z", "a"),
        ("MatMul", "a V", "q"),
        ("Add", "c q", "r"),
        ("Sigmoid", "r", "s"),
        ("Sub", "one s", "t"),
        ("Concat", "t s", "both", {"axis": 1}),
        ("Identity", "both", "y"),
    )
    path = onnx_file(tmp_path / "net.onnx", nodes, {"W": W, "b": b, "V": V, "c": c[None], "one": np.float32(1)})
    import onnxruntime

    x = X.astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(str(path)).run(["y"], {"x": x})
    np.testing.assert_allclose(fl.import_network(path)(x), expected[:, 1:], atol=1e-5)


def test_onnx_in_double(tmp_path: Path) -> None:
    (W, _), (V, c) = weights(4, 9, 2, dtype="float64")
    nodes = made(("MatMul", "x W", "z"), ("Tanh", "z", "a"), ("Gemm", "a V c", "y"))
    net = assert_same(onnx_file(tmp_path / "net.onnx", nodes, {"W": W, "V": V, "c": c}, dtype="float64"), X)
    assert net.dtype == np.float64


REFUSED: list[tuple[str, list[Any], str]] = [
    ("another activation", [("Gemm", "x W", "z"), ("HardSwish", "z", "a"), ("Gemm", "a V", "y")],
     "between layers 0 and 1 stands HardSwish, which has no equal here"),
    ("another slope", [("Gemm", "x W", "z"), ("LeakyRelu", "z", "a", {"alpha": 0.2}), ("Gemm", "a V", "y")],
     "between layers 0 and 1 stands LeakyRelu"),
    ("a way around a layer", [("Gemm", "x U", "z"), ("Add", "z x", "a"), ("Gemm", "a W", "y")],
     "between layers 0 and 1 stands something else"),
    ("no scaling", [("Tanh", "x", "a"), ("Gemm", "a W", "y")], "before the first layer stands Tanh"),
    ("columns", [("Gemm", "x W", "y", {"transA": 1})], "a product of columns"),
    ("no layer", [("Tanh", "x", "y")], "there is no layer of weights"),
    ("another output", [("Gemm", "x W", "z"), ("LogSoftmax", "z", "y")], "after the last layer stands LogSoftmax"),
    ("a product of two values", [("Gemm", "x W", "z"), ("MatMul", "z z", "y")], "a product that is not of rows with"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "steps", "complaint"), REFUSED, ids=[each[0] for each in REFUSED])
def test_onnx_that_is_no_chain_of_dense_layers(what: str, steps: list[Any], complaint: str, tmp_path: Path) -> None:
    constants = {"W": np.ones((4, 4), np.float32), "V": np.ones((4, 2), np.float32), "U": np.eye(4, dtype=np.float32)}
    with pytest.raises(ModelFileError, match=complaint):
        fl.import_network(onnx_file(tmp_path / "net.onnx", made(*steps), constants))


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"hello there")
    (tmp_path / "a.safetensors").write_bytes(b"hello there")
    with pytest.raises(ModelFileError, match=r"a.onnx: no ONNX graph, or a damaged one"):
        fl.import_network(tmp_path / "a.onnx")
    with pytest.raises(ModelFileError, match=r"a.safetensors: no safetensors of numbers"):
        fl.import_network(tmp_path / "a.safetensors", "relu")
    for name in ("b.onnx", "b.safetensors"):
        with pytest.raises(ModelFileError, match="there is no such file"):
            fl.import_network(tmp_path / name, *(["relu"] if name == "b.safetensors" else []))


def test_what_is_no_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'net.pt' is no network to import: a .onnx or .safetensors file"):
        fl.import_network("net.pt")
    with pytest.raises(ParameterError, match="a int is no network to import"):
        fl.import_network(3)
    with pytest.raises(ParameterError, match="the MLPClassifier is not fitted"):
        fl.import_network(MLPClassifier())
    with pytest.raises(ParameterError, match="activation and output are for state dicts"):
        fl.import_network("net.onnx", "relu")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ParameterError, match=r"pip install 'fallline\[onnx\]'"):
        fl.import_network("net.onnx")

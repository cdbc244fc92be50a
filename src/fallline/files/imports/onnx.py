"""An ONNX graph that is a chain of dense layers; it needs the package onnx.

Layers are found by their products. What stands between two products is taken for the activation that gives the same
numbers for numbers from -8 to 8: exporters write one activation in several ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.activations import HIDDEN, OUTPUTS, Activation
from fallline.errors import ModelFileError, ParameterError
from fallline.files.imports.chain import Chain

Array = npt.NDArray[Any]

# What may stand between two products: all that works number by number, and what only changes shape or type.
BETWEEN = frozenset(
    word
    for line in (
        "Abs Add Cast Celu Clip Concat Constant Div Dropout Elu Erf Exp Flatten Gelu Greater HardSigmoid HardSwish",
        "Identity LeakyRelu Less Log LogSoftmax Max Min Mish Mul Neg PRelu Pow Reciprocal Relu Reshape Scaler",
        "Selu Sigmoid Softmax Softplus Sqrt Squeeze Sub Swish Tanh Transpose Unsqueeze Where",
    )
    for word in line.split()
)
TOLERANCE = 1e-5
ROWS = 257


def read(path: str | PathLike[str]) -> Chain:
    """Read the layers of a graph.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Chain

    Raises
    ------
    ModelFileError
        The file is missing or no ONNX, or its graph is no chain of dense layers with activations that are known here.
    ParameterError
        The package onnx is missing.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise ParameterError("ONNX needs the package onnx; install it with: pip install 'fallline[onnx]'") from None
    if not Path(path).is_file():
        raise ModelFileError(f"{path}: there is no such file")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
        return _Graph(str(path), model).chain()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (DecodeError, onnx.checker.ValidationError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, ModelFileError):
            raise
        why = (str(error).strip().splitlines() or [""])[0]
        raise ModelFileError(f"{path}: no ONNX graph, or a damaged one ({why})") from None


class _Graph:
    """The graph's nodes, and which of its values are constants."""

    def __init__(self, name: str, model: Any) -> None:
        from onnx import numpy_helper

        self.name, self.model, self.nodes = name, model, list(model.graph.node)
        self.constants = {each.name: np.asarray(numpy_helper.to_array(each)) for each in model.graph.initializer}
        self.maker = {output: node for node in self.nodes for output in node.output}
        for node in self.nodes:  # constants that are written as nodes, or made of constants
            if all(each in self.constants for each in node.input if each) and node.op_type in BETWEEN:
                for output in node.output:
                    self.constants[output] = self._evaluated([node], {}, output)

    def chain(self) -> Chain:
        """The layers in their order."""
        given = [each.name for each in self.model.graph.input if each.name not in self.constants]
        if len(given) != 1:
            raise ModelFileError(
                f"{self.name}: it has {len(given)} inputs, and one of rows of numbers is needed; what fallline "
                "exported with its columns is kept in its .fallline file"
            )
        layers: list[tuple[Array, Array]] = []
        hidden: list[str] = []
        at, dtype = given[0], self._type_of_input(given[0])
        for node in self.nodes:
            if node.op_type not in ("Gemm", "MatMul") or node.output[0] in self.constants:
                continue
            x, W, b, result = self._layer(node)
            if layers:
                found = self._activation(at, x, layers[-1][0].shape[1], dtype, HIDDEN)
                if found is None:
                    raise self._unknown(f"between layers {len(layers) - 1} and {len(layers)}", at, x)
                hidden.append(found)
            else:
                W, b = self._scaled(at, x, dtype, W, b)
            layers.append((W, b))
            at, dtype = result, W.dtype
        if not layers:
            raise ModelFileError(f"{self.name}: there is no layer of weights")
        outputs = [each.name for each in self.model.graph.output]
        width = layers[-1][0].shape[1]
        found_last = (self._activation(at, each, width, dtype, OUTPUTS) for each in outputs)
        last = next((found for found in found_last if found), None)
        if last is None:
            raise self._unknown("after the last layer", at, outputs[-1])
        return Chain(self.name, layers, hidden, last)

    def _layer(self, node: Any) -> tuple[str, Array, Array, str]:
        """What goes in, weights `(n_in, n_out)`, bias, and what comes out."""
        x, weights = node.input[:2]
        if x in self.constants or weights not in self.constants or self.constants[weights].ndim != 2:
            raise ModelFileError(f"{self.name}: a product that is not of rows with constant weights")
        W = self.constants[weights]
        attributes = {each.name: each for each in node.attribute}
        if node.op_type == "Gemm":
            if "transA" in attributes and attributes["transA"].i:
                raise ModelFileError(f"{self.name}: a product of columns; rows of numbers are needed")
            if "transB" in attributes and attributes["transB"].i:
                W = W.T
            alpha, beta = (attributes[name].f if name in attributes else 1.0 for name in ("alpha", "beta"))
            W = W if alpha == 1 else (W * alpha).astype(W.dtype)
            bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
            if bias is None:
                return x, W, np.zeros(W.shape[1], W.dtype), node.output[0]
            if bias not in self.constants:
                raise ModelFileError(f"{self.name}: a bias that is no constant")
            b = np.broadcast_to(self.constants[bias].reshape(-1), W.shape[1:]).astype(W.dtype)
            return x, W, (b * beta).astype(W.dtype), node.output[0]
        takers = [each for each in self.nodes if node.output[0] in each.input]
        if len(takers) == 1 and takers[0].op_type == "Add":
            (bias,) = (each for each in takers[0].input if each != node.output[0])
            if bias in self.constants and self.constants[bias].size in (1, W.shape[1]):
                b = np.broadcast_to(self.constants[bias].reshape(-1), W.shape[1:]).astype(W.dtype)
                return x, W, b, takers[0].output[0]
        return x, W, np.zeros(W.shape[1], W.dtype), node.output[0]

    def _type_of_input(self, name: str) -> np.dtype[Any]:
        from onnx import helper

        (given,) = (each for each in self.model.graph.input if each.name == name)
        found: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
        return found

    def _scaled(self, at: str, to: str, dtype: np.dtype[Any], W: Array, b: Array) -> tuple[Array, Array]:
        """First layer that does what scaling its inputs, each by itself, and the layer do."""
        start, unit, many = (self._led(at, to, Z.astype(dtype)) for Z in (_none(W), _none(W) + 1, _many(len(W))))
        if start is None or unit is None or many is None or many.shape != (ROWS, len(W)):
            raise self._unknown("before the first layer", at, to)
        offset, scale = start[0].astype(np.float64), unit[0].astype(np.float64) - start[0]
        if not np.allclose(many, offset + scale * _many(len(W)), TOLERANCE, TOLERANCE):
            raise self._unknown("before the first layer", at, to)
        return (scale[:, None] * W).astype(W.dtype), (b + offset @ W).astype(b.dtype)

    def _activation(
        self, at: str, to: str, width: int, dtype: np.dtype[Any], known: Mapping[str, Activation]
    ) -> str | None:
        """The name of the activation that leads from one value to another; None if there is none."""
        Z = _many(width).astype(dtype)
        A = self._led(at, to, Z)
        if A is not None and width == 1 and A.shape == (ROWS, 2) and np.allclose(A[:, 0], 1 - A[:, 1], 0, TOLERANCE):
            A = A[:, 1:]  # of two classes both are told
        if A is None or A.shape != Z.shape:
            return None
        names = [name for name in known if name != "softmax" or width > 1]  # a single one is always 1
        return next((name for name in names if np.allclose(A, known[name].value(Z), TOLERANCE, TOLERANCE)), None)

    def _led(self, at: str, to: str, Z: Array) -> Array | None:
        """What becomes of some rows between two values; None if other values have a part in it."""
        nodes = self._between(at, to)
        if nodes is None or not {node.op_type for node in nodes} <= BETWEEN:
            return None
        return self._evaluated(nodes, {at: Z}, to)

    def _unknown(self, where: str, at: str, to: str) -> ModelFileError:
        nodes = self._between(at, to)
        told = "something else" if nodes is None else " and ".join(node.op_type for node in nodes) or "nothing"
        return ModelFileError(f"{self.name}: {where} stands {told}, which has no equal here")

    def _between(self, at: str, to: str) -> list[Any] | None:
        """Nodes that make one value of another and of constants alone, in order; None where there are none."""
        wanted, needed = {to}, []
        for node in reversed(self.nodes):
            if wanted & set(node.output) and at not in node.output:
                needed.append(node)
                wanted |= {each for each in node.input if each and each not in self.constants}
        made = {output for node in needed for output in node.output}
        return needed[::-1] if wanted - made <= {at} and at in wanted else None

    def _evaluated(self, nodes: Iterable[Any], given: Mapping[str, Array], wanted: str) -> Array:
        from onnx import helper, numpy_helper
        from onnx.reference import ReferenceEvaluator

        if wanted in given:
            return given[wanted]
        nodes = list(nodes)
        used = {each for node in nodes for each in node.input} & set(self.constants)
        held = [numpy_helper.from_array(np.ascontiguousarray(self.constants[each]), each) for each in sorted(used)]
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in given.items()
        ]
        graph = helper.make_graph(nodes, "part", inputs, [helper.make_empty_tensor_value_info(wanted)], held)
        part = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        try:
            with np.errstate(all="ignore"):
                return np.asarray(ReferenceEvaluator(part).run([wanted], dict(given))[0])
        except Exception as error:  # a stranger's graph may fail in any way
            told = " and ".join(node.op_type for node in nodes)
            raise ModelFileError(f"{self.name}: {told} cannot be computed ({error})") from None


def _many(width: int) -> Array:
    """Rows of numbers all over the range, in no order."""
    return np.random.default_rng(0).permutation(np.linspace(-8, 8, ROWS * width)).reshape(ROWS, width)


def _none(W: Array) -> Array:
    return np.zeros((1, len(W)))

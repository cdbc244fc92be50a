"""onnxruntime: prediction alone, with all its graph optimizations."""

from __future__ import annotations

from typing import Any

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contenders import Array, Entry, Predictor
from benchmarks.workloads import Workload

OPERATORS = {"relu": "Relu", "sigmoid": "Sigmoid"}


def graph(workload: Workload, layers: list[tuple[Array, Array]]) -> bytes:
    """The network as ONNX: a Gemm and an activation for each layer."""
    nodes, weights, at = [], [], "x"
    for l, (W, b) in enumerate(layers):
        last = l == len(layers) - 1
        operator = OPERATORS[workload.activation] if not last else "Softmax" if workload.classifies else "Identity"
        weights += [numpy_helper.from_array(W, f"W{l}"), numpy_helper.from_array(b, f"b{l}")]
        nodes.append(helper.make_node("Gemm", [at, f"W{l}", f"b{l}"], [f"z{l}"]))
        nodes.append(helper.make_node(operator, [f"z{l}"], [at := "y" if last else f"a{l}"]))
    ends = [("x", workload.sizes[0]), ("y", workload.sizes[-1])]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n]) for name, n in ends)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(helper.make_graph(nodes, "net", [x], [y], weights), opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


class _Predictor(Predictor):
    def __init__(self, workload: Workload, entry: Entry, initial: Array) -> None:
        super().__init__(workload, initial)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = entry.threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        model = graph(workload, self.layers)
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def predict(self, X: Array) -> Array:
        return self.session.run(None, {"x": X})[0]

    def details(self) -> dict[str, Any]:
        return {"providers": self.session.get_providers()}


def build(workload: Workload, entry: Entry, initial: Array) -> Predictor:
    """The contender."""
    return _Predictor(workload, entry, initial)

"""A model as an ONNX graph, with one input for each column; it needs the package onnx.

Networks are computed in float32 as they were trained, what becomes of columns and of the networks' outputs in float64.
Of the operators, `LabelEncoder` alone is from `ai.onnx.ml`.
"""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import ParameterError
from fallline.files.export.steps import Step, Steps, Value
from fallline.table import Target

Array = npt.NDArray[Any]

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8  # of 2022: what runtimes of the last years have
MOST_BYTES = 2**31 - 1  # of a protocol buffer

OPERATORS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "greater": "Greater",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "tanh": "Tanh",
    "erf": "Erf",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "round": "Round",
    "isnan": "IsNaN",
    "where": "Where",
    "softmax": "Softmax",
}
FLOAT32_ALONE = ("erf", "softplus")  # onnxruntime has no others


def write(path: str | PathLike[str], steps: Steps, target: Target) -> None:
    """Write the graph, atomically.

    Parameters
    ----------
    path : str or path
    steps : Steps
    target : Target

    Raises
    ------
    OSError
        The file cannot be written.
    ParameterError
        The package onnx is missing, or the model is larger than 2 GB, the most that ONNX has in one file.
    """
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise ParameterError("ONNX needs the package onnx; install it with: pip install 'fallline[onnx]'") from None
    data = Graph(steps, target).bytes()
    with whole_file(path, binary=True) as file:
        file.write(data)


class Graph:
    """Nodes and constants of a graph.

    Parameters
    ----------
    steps : Steps
    target : Target
    """

    def __init__(self, steps: Steps, target: Target) -> None:
        from onnx import TensorProto, helper, numpy_helper

        self.steps, self.target, self.helper, self.tensor_of = steps, target, helper, numpy_helper.from_array
        self.types = {
            "float32": TensorProto.FLOAT,
            "float64": TensorProto.DOUBLE,
            "bool": TensorProto.BOOL,
            "int64": TensorProto.INT64,
            "text": TensorProto.STRING,
        }
        self.nodes: list[Any] = []
        self.constants: dict[tuple[bytes, str, tuple[int, ...]], str] = {}
        self.tensors: list[Any] = []
        self.taken: set[str] = set()
        self.names = {value.number: self._free(column.name or "unnamed") for column, value in steps.columns}
        self.outputs = {name: self._free(name) for name in steps.answers if name != "outputs"}

    def bytes(self) -> bytes:
        """The file's content."""
        helper = self.helper
        for step in self.steps.steps:
            self._add(step)
        for name, output in self.outputs.items():
            shape = np.array([-1 if size is None else size for size in self._shape(name)], np.int64)
            self._node("Reshape", [self.names[self.steps.answers[name].number], self._constant(shape)], output)
        inputs = [
            helper.make_tensor_value_info(self.names[value.number], self.types[value.dtype], [None, value.width])
            for _, value in self.steps.columns
        ]
        outputs = []
        for name, output in self.outputs.items():
            value = self.steps.answers[name]
            outputs.append(helper.make_tensor_value_info(output, self.types[value.dtype], self._shape(name)))
        graph = helper.make_graph(self.nodes, "fallline", inputs, outputs, self.tensors)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="fallline")
        helper.set_model_props(model, {"fallline": json.dumps(self._account())})
        if model.ByteSize() > MOST_BYTES:
            raise ParameterError(
                "the model is larger than 2 GB, the most that ONNX has in one file; export to .py or .c"
            )
        return bytes(model.SerializeToString())

    def _account(self) -> dict[str, Any]:
        """What the names of inputs and outputs mean, as JSON beside the graph."""
        target = self.target
        columns = [
            {"input": self.names[value.number], "column": column.name, "kind": column.kind}
            for column, value in self.steps.columns
        ]
        account = {"target": target.name, "columns": columns, "outputs": self.outputs}
        if target.classes is not None:
            account["classes"] = target.classes.tolist()
        return account | ({"quantiles": list(target.quantiles)} if target.quantiles else {})

    def _free(self, name: str) -> str:
        """The name, or the next that nothing in the graph has."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _shape(self, name: str) -> list[int | None]:
        """Of an answer: a single label or number is one value a row."""
        target = self.target
        if name == "quantiles" and target.n_targets > 1:
            return [None, target.n_targets, len(target.quantiles)]
        if name in ("label", "prediction") and target.n_targets == 1:
            return [None]
        return [None, self.steps.answers[name].width]

    def _node(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or self._free(f"fallline/{len(self.nodes)}")
        domain = "ai.onnx.ml" if operator == "LabelEncoder" else ""
        self.nodes.append(self.helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def _constant(self, array: Array) -> str:
        key = (array.tobytes(), str(array.dtype), array.shape)
        if key not in self.constants:
            self.constants[key] = self._free(f"fallline/c{len(self.constants)}")
            held = array.astype(object) if array.dtype.kind == "U" else np.ascontiguousarray(array)
            self.tensors.append(self.tensor_of(held, self.constants[key]))
        return self.constants[key]

    def _add(self, step: Step) -> None:
        name, options, result = step.name, step.options, step.result
        if name == "code":
            words = options["words"]
            given = {
                "keys_strings": [word.encode() for word in words],
                "values_int64s": list(words.values()),
                "default_int64": options["other"],
            }
            first = step.operands[0]
            assert isinstance(first, Value)
            self.names[result.number] = self._node("LabelEncoder", [self.names[first.number]], **given)
            return
        taken = [self.names[each.number] if isinstance(each, Value) else self._constant(each) for each in step.operands]
        self.names[result.number] = self._operator(step, taken)

    def _operator(self, step: Step, taken: list[str]) -> str:
        """Nodes of a step; its inputs by name."""
        name, options, result = step.name, step.options, step.result
        if name in FLOAT32_ALONE and result.dtype == "float64":
            single = self._node("Cast", taken, to=self.types["float32"])
            return self._node("Cast", [self._node(OPERATORS[name], [single])], to=self.types["float64"])
        if name in OPERATORS:
            return self._node(OPERATORS[name], taken)
        if name == "cast":
            return self._node("Cast", taken, to=self.types[options["dtype"]])
        if name == "concat":
            return self._node("Concat", taken, axis=1)
        if name == "take":
            return self._node("Gather", [taken[0], self._constant(np.array(options["places"], np.int64))], axis=1)
        if name == "affine":
            return self._node("Gemm", taken)
        if name == "row":
            rows = self._node("Gather", [taken[1], taken[0]], axis=0)  # (n, 1, width)
            return self._reshaped(rows, -1, result.width)
        if name == "argmax":
            return self._node("ArgMax", taken, axis=1, keepdims=1)
        if name == "sort":
            groups = options["groups"]
            size = result.width // groups
            apart, count = self._reshaped(taken[0], -1, groups, size), self._constant(np.array([size], np.int64))
            values, places = self._free("fallline/sorted"), self._free("fallline/places")
            self.nodes.append(
                self.helper.make_node("TopK", [apart, count], [values, places], axis=2, largest=0, sorted=1)
            )
            return self._reshaped(values, -1, result.width)
        assert name == "grouped"
        groups, n_in, _ = step.operands[1].shape  # type: ignore[union-attr]
        apart = self._node("Transpose", [self._reshaped(taken[0], -1, groups, n_in)], perm=[1, 0, 2])
        product = self._node("Transpose", [self._node("MatMul", [apart, taken[1]])], perm=[1, 0, 2])
        return self._reshaped(product, -1, result.width)

    def _reshaped(self, name: str, *shape: int) -> str:
        return self._node("Reshape", [name, self._constant(np.array(shape, np.int64))])

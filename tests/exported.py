"""What exported models answer, each run as its users run it: by onnxruntime, compiled by cc, in a fresh interpreter."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fallline.files.export.c99 import identifier
from fallline.model import Model

Array = np.ndarray[Any, Any]
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")


def cells(model: Model, frame: pl.DataFrame) -> dict[str, tuple[str, list[Any]]]:
    """Of each column that the model uses its kind and its cells: None is missing, dates are seconds since 1970."""
    found: dict[str, tuple[str, list[Any]]] = {}
    for column in model.encoder.encodings:
        if column.kind is None:
            continue
        series = frame[column.name]
        if column.kind == "category":
            values = series.cast(pl.String).to_list()
        elif column.kind == "date":
            whole = series.cast(pl.Datetime("ms")).cast(pl.Int64)
            values = [None if each is None else each / 1000 for each in whole.to_list()]
        else:
            values = series.cast(pl.Float64).fill_nan(None).to_list()
        found[column.name] = (column.kind, values)
    return found


def by_onnxruntime(model: Model, path: Path, frame: pl.DataFrame | Array) -> dict[str, Array]:
    import onnx
    import onnxruntime

    model.export(path)
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    account = json.loads(session.get_modelmeta().custom_metadata_map["fallline"])
    if isinstance(frame, np.ndarray):
        feeds = {"pixels": frame}
    else:
        given, feeds = cells(model, frame), {}
        for each in account["columns"]:
            kind, values = given[each["column"]]
            if kind == "category":
                column = np.array([["" if value is None else value.strip()] for value in values], object)
            else:
                column = np.array(values, np.float64 if kind == "date" else np.float32)[:, None]
            feeds[each["input"]] = column
    outputs = account["outputs"]
    return dict(zip(outputs, session.run(list(outputs.values()), feeds), strict=True))


def by_cc(model: Model, path: Path, frame: pl.DataFrame | Array) -> dict[str, Array]:
    """The functions' answers; a row that has none is NaN, or None for a label."""
    model.export(path)
    library = compiled(path)
    prefix = identifier(path.stem, [])
    target, n_out = model.encoder.target, model.encoder.n_out
    rows: list[Any]
    if isinstance(frame, np.ndarray):
        row_type: Any = ctypes.c_double * frame.shape[1]
        rows = [row_type(*row) for row in frame.tolist()]
    else:
        given = cells(model, frame).values()
        kinds = [ctypes.c_char_p if kind == "category" else ctypes.c_double for kind, _ in given]
        row_type = type("Row", (ctypes.Structure,), {"_fields_": [(f"f{j}", kind) for j, kind in enumerate(kinds)]})
        columns = [
            [None if value is None else value.encode() for value in values]
            if kind == "category"
            else [float("nan") if value is None else value for value in values]
            for kind, values in given
        ]
        rows = [row_type(*row) for row in zip(*columns, strict=True)]
    label_type: Any = {"U": ctypes.c_char_p, "i": ctypes.c_longlong, "f": ctypes.c_double, "b": ctypes.c_int}
    if target.classes is not None:
        wanted = {"label": ("predict", label_type[target.classes.dtype.kind], 1)}
    elif target.task == "classification":
        wanted = {"label": ("predict", ctypes.c_int, target.n_targets)}
    else:
        wanted = {"prediction": ("predict", ctypes.c_double, target.n_targets)}
    if target.task == "classification":
        wanted["probabilities"] = ("predict_proba", ctypes.c_double, n_out)
    if target.quantiles:
        wanted["quantiles"] = ("predict_quantiles", ctypes.c_double, n_out)
    answers = {}
    for answer, (name, kind, width) in wanted.items():
        function, found = getattr(library, f"{prefix}_{name}"), []
        for row in rows:
            out = (kind * width)()
            failed = function(ctypes.byref(row), out)
            found.append([None if failed else each.decode() if isinstance(each, bytes) else each for each in out])
        answers[answer] = np.array(found, object if kind is ctypes.c_char_p else float)
        if width == 1 and target.n_targets == 1:
            answers[answer] = answers[answer][:, 0]
        if answer == "quantiles" and target.n_targets > 1:
            answers[answer] = answers[answer].reshape(len(rows), target.n_targets, -1)
    return answers


def compiled(path: Path, *options: str) -> ctypes.CDLL:
    library = path.with_suffix(".so")
    command = ["cc", *STRICT, *options, "-shared", "-fPIC", "-o", str(library), str(path), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return ctypes.CDLL(str(library))


IN_PYTHON = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("exported", sys.argv[1])
exported = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exported)
columns = json.load(sys.stdin)
if isinstance(columns, list):
    columns = exported.np.array(columns)
answers = {}
for name in ("predict", "predict_proba", "predict_quantiles"):
    if hasattr(exported, name):
        answers[name] = getattr(exported, name)(columns).tolist()
others = {"fallline", "polars", "sklearn", "scipy", "pandas"} & set(sys.modules)
json.dump([answers, sorted(others)], sys.stdout)
"""


def by_numpy(model: Model, path: Path, frame: pl.DataFrame | Array) -> dict[str, Array]:
    model.export(path)
    if isinstance(frame, np.ndarray):
        columns: Any = frame.tolist()
    else:  # dates as ISO text
        columns = {
            name: [None if each is None else str(np.datetime64(round(1000 * each), "ms")) for each in values]
            if kind == "date"
            else values
            for name, (kind, values) in cells(model, frame).items()
        }
    done = subprocess.run(
        [sys.executable, "-I", "-c", IN_PYTHON, str(path)],
        input=json.dumps(columns),
        capture_output=True,
        text=True,
        check=True,
    )
    answers, others = json.loads(done.stdout)
    assert others == []
    predict = "label" if model.task == "classification" else "prediction"
    names = {"predict": predict, "predict_proba": "probabilities", "predict_quantiles": "quantiles"}
    return {names[name]: np.array(values) for name, values in answers.items()}


RUNNERS = {".onnx": by_onnxruntime, ".c": by_cc, ".py": by_numpy}

"""Exported models answer as the model does, whatever the columns are called and hold."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.exported import RUNNERS, by_cc, by_numpy, by_onnxruntime, compiled

from fallline.activations import HIDDEN
from fallline.errors import DataError, ParameterError
from fallline.files.export.description import ACTIVATIONS
from fallline.files.export.steps import BINARY, UNARY
from fallline.fit import fit
from fallline.model import Model
from fallline.network import Network
from fallline.table import BUNDLED, Encoder, Table, Target, load_bundled, read
from fallline.table.columns import ColumnEncoding

Array = np.ndarray[Any, Any]
TOLERANCE = 1e-5
QUICK = {"epochs": 2, "starts": 2, "hidden": (16, 8)}
runners = pytest.mark.parametrize("ending", RUNNERS)

WORDS = ["", '"', "'", '"""', "\\", "two\nlines", "50 %d", "??/", "*/", "/*", "café", "日本", "\x7f\x01", "x" * 5000]
NAMES = ['say "hi"\n', "int", "label", "a b", "a_b", "??/*/", "日本", "%s", "linux", "fallline/c0"]


def assert_agree(model: Model, answers: dict[str, Array], frame: pl.DataFrame | Array) -> None:
    """All that an export answers is what the model answers, numbers as parts of how far the targets are spread."""
    target, expected = model.encoder.target, {}
    if model.task == "classification":
        expected = {"label": model.predict(frame), "probabilities": model.predict_proba(frame)}
    else:
        expected = {"prediction": model.predict(frame)}
        if target.quantiles:
            expected["quantiles"] = model.predict_quantiles(frame)
    assert set(answers) == set(expected)
    for name, values in expected.items():
        assert answers[name].shape == values.shape
        if name == "label":
            np.testing.assert_array_equal(answers[name].astype(values.dtype), values)
        else:
            size = np.abs(values).max() if model.task == "regression" else 1.0
            assert np.abs(answers[name] - values).max() < TOLERANCE * size


def with_holes(frame: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Some cells missing, and some categories that nobody has seen."""
    rng = np.random.default_rng(seed)
    changed = []
    for series in frame.get_columns():
        holes = pl.Series(rng.random(len(series)) < 0.1)
        if series.dtype == pl.String:
            series = series.set(pl.Series(rng.random(len(series)) < 0.1), "nobody's").set(holes, None)
        else:
            values = [None if hole else value for hole, value in zip(holes, series.to_list(), strict=True)]
            series = pl.Series(series.name, values, series.dtype)
        changed.append(series)
    return pl.DataFrame(changed)


def odd_frame(n: int = 160, seed: int = 0) -> pl.DataFrame:
    """Columns of every kind under names of every kind."""
    rng = np.random.default_rng(seed)
    many = [f"label {i}" for i in range(60)]
    start = datetime(2023, 5, 1)
    return pl.DataFrame(
        [
            pl.Series(NAMES[0], rng.normal(1e6, 3e5, n)),
            pl.Series(NAMES[1], rng.integers(0, 2, n)),
            pl.Series(NAMES[2], [WORDS[i] for i in rng.integers(0, len(WORDS), n)]),
            pl.Series(NAMES[3], [start + timedelta(minutes=int(i)) for i in rng.integers(0, 900_000, n)]),
            pl.Series(NAMES[4], [start.date() + timedelta(days=int(i)) for i in rng.integers(0, 900, n)]),
            pl.Series(NAMES[5], [many[i] for i in rng.integers(0, 60, n)]),
            pl.Series(NAMES[6], [["no", "yes "][i] for i in rng.integers(0, 2, n)]),
            pl.Series(NAMES[7], np.where(rng.random(n) < 0.2, np.nan, rng.exponential(size=n))),
            pl.Series(NAMES[8], np.full(n, 3.0)),  # says nothing, so it is not used
            pl.Series(NAMES[9], rng.normal(size=n).astype(np.float32)),
        ]
    )


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The odd columns, with cells missing, and a target of hostile labels."""
    frame = odd_frame()
    holed = with_holes(frame)
    kept = [holed[name] if name in (NAMES[0], NAMES[2], NAMES[3]) else frame[name] for name in frame.columns]
    labels = [['no "\\n*/??/', "yes\n", "50 %", "日本"][i % 4] for i in range(len(frame))]
    path = tmp_path_factory.mktemp("odd") / "odd.parquet"
    pl.DataFrame([*kept, pl.Series('the "target" */', labels)]).write_parquet(path)
    return read(path, 'the "target" */')


def numbers_of(table: Table) -> Array:
    return 1e5 * np.exp(np.nan_to_num(table.X[:, 9], nan=0.0).astype(np.float64))


@pytest.fixture(scope="module")
def models(odd: Table) -> dict[str, Model]:
    """One of every kind of answer."""
    y = numbers_of(odd)
    two = np.stack([y, -3 * y + 7], axis=1)
    there = np.stack([y > 1e5, odd.X[:, 1] > 0], axis=1).astype(np.int64)

    def of(target: Any, **settings: Any) -> Model:
        return fit(replace(odd, y=target), QUICK | settings).model

    sharp, several = of(odd.y), of(there)
    return {
        "labels": of(odd.y, starts=3),
        "plain inputs": of(odd.y, inputs="plain"),
        "whole numbers": of(np.arange(len(y)) % 3 - 1),
        "yes or no": of(y > 1e5),
        "fractions": of(np.array([0.5, 1e300])[(y > 1e5).astype(int)], task="classification"),
        "several labels": several,
        "number": of(y, target_transform="log"),
        "two numbers": of(two),
        "quantiles": of(y, loss="quantile", quantiles=(0.9, 0.1, 0.5)),
        "two numbers' quantiles": untrained(Encoder.fit(replace(odd, y=two), quantiles=(0.75, 0.25, 0.5))),
        "sharpened": Model(sharp.encoder, sharp.networks[:2], sharpness=2.5, shares=[1.0, 0.0]),
        "several sharpened": Model(
            (model := of(there)).encoder, model.networks[:2], sharpness=0.5, shares=[0.25, 0.75]
        ),
    }


def untrained(encoder: Encoder) -> Model:
    sizes = [encoder.n_in, 8, encoder.n_out]
    return Model(encoder, [Network(sizes, "tanh", encoder.target.output, inputs=encoder.inputs)])


KINDS = ["labels", "plain inputs", "whole numbers", "yes or no", "fractions", "several labels", "number", "two numbers",
         "quantiles", "two numbers' quantiles", "sharpened", "several sharpened"]  # fmt: skip


@runners
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_is_the_model_s(models: dict[str, Model], kind: str, ending: str, tmp_path: Path) -> None:
    frame = with_holes(odd_frame(60, seed=1), seed=1)
    answers = RUNNERS[ending](models[kind], tmp_path / f"my model{ending}", frame)
    assert_agree(models[kind], answers, frame)


def test_all_kinds_are_tested(models: dict[str, Model]) -> None:
    assert list(models) == KINDS
    roles = {column.role for column in models["labels"].encoder.encodings}
    assert roles == {"number", "yes/no", "category", "date", "unused"}
    assert any(column.is_table for column in models["labels"].encoder.encodings)
    assert {column.timed for column in models["labels"].encoder.encodings if column.role == "date"} == {True, False}


@runners
@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets(bundled_models: dict[str, Model], name: str, ending: str, tmp_path: Path) -> None:
    table, model = load_bundled(name), bundled_models[name]
    if table.image_shape is not None:
        frame: Any = table.X
    else:
        frame = with_holes(pl.DataFrame(table.X, schema=list(table.columns)))
    assert_agree(model, RUNNERS[ending](model, tmp_path / f"{name}{ending}", frame), frame)


@pytest.fixture(scope="module")
def bundled_models() -> dict[str, Model]:
    """Networks with learned inputs, and those of a linear model beside them, in equal shares."""
    made = {}
    for name in BUNDLED:
        settings = {"epochs": 1, "hidden": (16,), "starts": 1 if name == "digits" else 2}
        model = fit(load_bundled(name), settings).model
        made[name] = Model(model.encoder, model.networks, sharpness=model.sharpness)
    return made


@runners
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation(ending: str, dtype: str, tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    table = Table("three", X, X.sum(axis=1), ("a", "b", "c"), "y")
    encoder = Encoder.fit(table)
    assert encoder.inputs is not None
    networks = [
        Network([3, 9, 9, 1], [name, name], seed=seed, dtype=dtype, inputs=encoder.inputs)
        for seed, name in enumerate(HIDDEN)
    ]
    model = Model(encoder, networks)
    frame = pl.DataFrame(X * 40, schema=["a", "b", "c"])
    assert_agree(model, RUNNERS[ending](model, tmp_path / f"all{ending}", frame), frame)


def test_the_tables_of_formulas_are_whole() -> None:
    assert set(ACTIVATIONS) == {*HIDDEN, "softmax"}


def test_the_tolerance_rejects_a_changed_weight(models: dict[str, Model], tmp_path: Path) -> None:
    model, frame = models["labels"], with_holes(odd_frame(60, seed=1), seed=1)
    changed = Model(model.encoder, [network.copy() for network in model.networks], sharpness=model.sharpness)
    changed.networks[0].W[0][0, :] += 0.01
    with pytest.raises(AssertionError):
        assert_agree(model, by_onnxruntime(changed, tmp_path / "changed.onnx", frame), frame)


@runners
def test_a_model_that_knows_codes_alone(ending: str, tmp_path: Path) -> None:
    """Its one column is a table of numbers, so nothing goes in beside the code."""
    words = [f"word {i % 70}" for i in range(280)]
    frame = pl.DataFrame({"word": words})
    encoding = ColumnEncoding("word", "category", labels=tuple(sorted(set(words))))
    encoder = Encoder((encoding,), Target("classification", "y", np.array([1, 2])))
    model = Model(encoder, [Network([1, 4, 2], output="softmax", inputs=encoder.inputs)])
    frame = with_holes(frame)
    assert_agree(model, RUNNERS[ending](model, tmp_path / f"codes{ending}", frame), frame)


# What cannot be answered, or written


def test_c_says_where_there_is_no_answer(bundled_models: dict[str, Model], tmp_path: Path) -> None:
    frame = pl.DataFrame(load_bundled("iris").X[:4], schema=list(load_bundled("iris").columns)).cast(pl.Float64)
    frame[1, 2], frame[2, 0] = np.inf, -1e39
    answers = by_cc(bundled_models["iris"], tmp_path / "iris.c", frame)
    assert np.isnan(answers["probabilities"]).all(axis=1).tolist() == [False, True, True, False]
    assert [label is None for label in answers["label"]] == [False, True, True, False]


def test_numpy_says_where_there_is_no_answer(models: dict[str, Model], tmp_path: Path) -> None:
    models["labels"].export(tmp_path / "odd_model.py")
    module: dict[str, Any] = {}
    exec((tmp_path / "odd_model.py").read_text(), module)
    columns = odd_frame(5).to_dict(as_series=False)
    assert module["predict_proba"](odd_frame(5)).shape == (5, 4)  # a data frame, as it is
    assert module["predict_proba"]({name: values[:0] for name, values in columns.items()}).shape == (0, 4)
    for name, values, complaint in (
        (NAMES[0], [1.0, np.inf, 1, 1, 1], r"row 1: infinite"),
        (NAMES[0], ["1,5"] * 5, r"could not convert string to float: '1,5'"),
        (NAMES[0], [1.0], r"columns must have as many rows each, not \[1, 5\]"),
        (NAMES[3], ["tomorrow"] * 5, r"tomorrow"),
    ):
        with pytest.raises(ValueError, match=complaint):
            module["predict"](columns | {name: values})
    with pytest.raises(ValueError, match="column 'int' is missing"):
        module["predict"]({name: values for name, values in columns.items() if name != "int"})


def test_pixels_in_numpy(bundled_models: dict[str, Model], tmp_path: Path) -> None:
    bundled_models["digits"].export(tmp_path / "digits.py")
    module: dict[str, Any] = {}
    exec((tmp_path / "digits.py").read_text(), module)
    X = load_bundled("digits").X[:5]
    for pixels in (X, X.reshape(5, 8, 8), {"pixels": X.tolist()}):
        np.testing.assert_array_equal(module["predict"](pixels), bundled_models["digits"].predict(X))
    for pixels in (X[:, :63], X[0], X + np.inf):
        with pytest.raises(ValueError, match=r"pixels must be finite numbers of shape \(n, 64\)"):
            module["predict"](pixels)


def test_what_numpy_takes_for_the_same(models: dict[str, Model], tmp_path: Path) -> None:
    """Dates as text, as moments of Python and of NumPy and as seconds; missing values as None, NaN and NaT."""
    models["labels"].export(tmp_path / "odd_model.py")
    module: dict[str, Any] = {}
    exec((tmp_path / "odd_model.py").read_text(), module)
    columns = odd_frame(3).to_dict(as_series=False)
    moments = [*columns[NAMES[3]][:2], None]
    text = [None if each is None else each.isoformat() for each in moments]
    seconds = [np.nan if each is None else (each - datetime(1970, 1, 1)).total_seconds() for each in moments]
    dates = [moments, text, seconds, np.array(moments, "datetime64[us]")]
    answers = [module["predict_proba"](columns | {NAMES[3]: each}) for each in dates]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])
    blanks = [module["predict_proba"](columns | {NAMES[2]: [each] * 3}) for each in (None, np.nan, "", "NA", " ? ")]
    for answer in blanks[1:]:
        np.testing.assert_array_equal(answer, blanks[0])


def text_model(label: str) -> Model:
    column = ColumnEncoding("word", "category", labels=("a", "b", label))
    encoder = Encoder((column,), Target("classification", "y", np.array(["no", "yes"])))
    assert encoder.inputs is not None
    return Model(encoder, [Network([3, 2], (), "softmax", inputs=encoder.inputs, seed=1)])


def test_text_in_c_ends_at_a_nul(tmp_path: Path) -> None:
    model, frame = text_model("c\0d"), pl.DataFrame({"word": ["c\0d", "c", "a"]})
    with pytest.raises(DataError, match=r"the label 'c\\x00d' has a NUL character, where text in C ends"):
        model.export(tmp_path / "nul.c")
    assert list(tmp_path.iterdir()) == []
    for runner, ending in ((by_onnxruntime, ".onnx"), (by_numpy, ".py")):
        assert_agree(model, runner(model, tmp_path / f"nul{ending}", frame), frame)


@runners
def test_a_label_that_is_no_unicode(ending: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no Unicode"):
        text_model("\ud800").export(tmp_path / f"odd{ending}")


def test_what_the_format_is(tmp_path: Path) -> None:
    model = text_model("c")
    with pytest.raises(ParameterError, match=r"model.bin: the name must end in .onnx, .c or .py, or the"):
        model.export(tmp_path / "model.bin")
    with pytest.raises(ParameterError, match="format 'onx' is unknown; did you mean 'onnx'"):
        model.export(tmp_path / "model.bin", "onx")
    with pytest.raises(ParameterError, match=r"the name of a C file must be of letters"):
        model.export(tmp_path / 'a"b.c')
    model.export(tmp_path / "model.bin", "onnx")
    model.export(tmp_path / "model.onnx")
    assert (tmp_path / "model.bin").read_bytes() == (tmp_path / "model.onnx").read_bytes()


def test_without_the_package_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ParameterError, match=r"install it with: pip install 'fallline\[onnx\]'"):
        text_model("c").export(tmp_path / "model.onnx")


def test_c_needs_no_more_than_the_standard_library(models: dict[str, Model], tmp_path: Path) -> None:
    """No memory is asked for, nothing that changes is kept, and only the public names are seen from outside."""
    path = tmp_path / "labels.c"
    models["labels"].export(path)
    source = path.read_text()
    assert set(re.findall(r"#include (.*)", source)) == {"<math.h>", "<stddef.h>", "<string.h>", '"labels.h"'}
    assert not re.search(r"\b(malloc|calloc|realloc|free|alloca)\b", source)
    assert re.findall(r"^static (?!const)[^(\n]*$", source, re.MULTILINE) == []
    compiled(path, "-O2", "-Wshadow", "-Wdouble-promotion", "-Wstrict-prototypes")
    seen = subprocess.run(["nm", "-D", "--defined-only", path.with_suffix(".so")], capture_output=True, text=True)
    names = {line.split()[-1] for line in seen.stdout.splitlines()}
    assert {name for name in names if "labels" in name} == {"labels_predict", "labels_predict_proba", "labels_classes"}


def test_every_step_is_used() -> None:
    """The vocabulary is no larger than the formulas need."""
    source = (Path(sys.modules["fallline.files.export.description"].__file__ or "")).read_text()
    operators = {"add": "+", "sub": "-", "mul": "*", "div": "/", "greater": ">"}
    assert [name for name in (*BINARY, *UNARY) if name not in operators and f'"{name}"' not in source] == []

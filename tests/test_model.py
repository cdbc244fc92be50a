"""Models predict, and come back from their file bit for bit, or not at all."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file

from fallline import model as model_room
from fallline.errors import DataError, ModelFileError, ParameterError
from fallline.files import model_file
from fallline.fit import fit
from fallline.model import Model, load
from fallline.network import Network
from fallline.table import Encoder, Table, Target, load_bundled
from fallline.table.columns import ColumnEncoding

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def iris():
    return load_bundled("iris")


@pytest.fixture(scope="module")
def model(iris):
    return fit(iris, {"epochs": 5, "hidden": (8,), "starts": 3}).model


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "iris.fallline")
    return tmp_path / "iris.fallline"


# Predicting


def test_predictions_are_the_network_s(model, iris, engine):
    model = Model(model.encoder, model.networks, engine=engine, sharpness=1.5)
    encoded = model.encoder.encode_inputs(iris.X)
    mean = np.mean([network(encoded) for network in model.networks], axis=0)
    expected = mean**1.5 / (mean**1.5).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(iris), expected, atol=1e-6)
    np.testing.assert_array_equal(model.predict(iris), model.classes[expected.argmax(axis=1)])


def test_the_block_size_does_not_matter(model, iris, monkeypatch):
    whole = model.predict_proba(iris)
    monkeypatch.setattr(model_room, "BLOCK_NUMBERS", 64)
    np.testing.assert_allclose(model.predict_proba(iris), whole, atol=1e-6)
    X = iris.X.copy()
    X[100, 2] = np.inf
    with pytest.raises(DataError, match=r"row 100, column 'petal length \(cm\)': the value is infinite or too large"):
        model.predict(X)


def test_missing_numbers_are_predicted_with(model, iris):
    """A number that is missing is the median of the training rows."""
    X = iris.X.copy()
    X[:, 2] = np.nan
    middle = iris.X.copy()
    middle[:, 2] = model.encoder.encodings[2].center
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(middle), atol=1e-6)


def test_data_frames_of_any_library(model, iris):
    """Columns in any order, found by name; pandas where it is there."""
    frame = pl.DataFrame({name: iris.X[:, j] for j, name in reversed(list(enumerate(iris.columns)))})
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(iris))
    with pytest.raises(DataError, match="missing column 'petal width"):
        model.predict(frame.drop("petal width (cm)"))


def test_categories_and_dates_need_a_table():
    X = np.column_stack([np.arange(20) % 2, np.arange(20)]).astype(np.float32)
    table = Table("t", X, np.arange(20) * 1.5, ("c", "n"), "y", labels={"c": ("no", "yes")})
    model = fit(table, {"epochs": 1, "starts": 2}).model
    frame = pl.DataFrame({"n": range(20), "c": ["no", "yes"] * 10})
    np.testing.assert_array_equal(model.predict(frame), model.predict(table))
    with pytest.raises(DataError, match=r"the model takes categories or dates \('c'\); give a table or a data frame"):
        model.predict(X)


def test_columns_are_found_by_name(model, iris):
    mixed = replace(iris, X=np.ascontiguousarray(iris.X[:, ::-1]), columns=iris.columns[::-1])
    np.testing.assert_array_equal(model.predict_proba(mixed), model.predict_proba(iris))
    with pytest.raises(DataError, match="missing column 'petal width"):
        model.predict(replace(iris, X=iris.X[:, :3], columns=iris.columns[:3]))


def test_no_rows_give_no_predictions(model):
    assert model.predict(np.empty((0, 4))).shape == (0,)
    assert model.predict_proba(np.empty((0, 4))).shape == (0, 3)


@pytest.mark.parametrize(
    ("X", "says"),
    [
        ([[1.0, 2.0]], "shape"),
        ([1.0, 2.0, 3.0, 4.0], "shape"),
        (3.0, "shape"),
        ([["a"] * 4], "numbers"),
        ([[1e300] * 4], "too large"),
    ],
)
def test_inputs_that_do_not_fit(model, X, says):
    with pytest.raises(DataError, match=says):
        model.predict(X)


def test_scores_are_what_they_are_called():
    """By hand: three rows, of which the network, being constant, gets the mean."""
    table = Table("t", np.arange(3, dtype=np.float32)[:, None], np.array([1.0, 2.0, 6.0]), ("x",), "y")
    encoder = replace(Encoder.fit(table, "regression"), image_shape=(1, 1))  # nothing before the first layer
    model = Model(encoder, [Network([1, 1], parameters=[0.0, 0.0])])
    np.testing.assert_allclose(model.predict(table), [3, 3, 3])
    assert model.evaluate(table) == pytest.approx({"rmse": np.sqrt(14 / 3), "mae": 2.0, "r2": 0.0}, abs=1e-6)
    labels = replace(table, y=np.array(["a", "b", "b"]))
    encoder = replace(Encoder.fit(labels), image_shape=(1, 1))
    model = Model(encoder, [Network([1, 2], output="softmax", parameters=[0, 0, 0, np.log(3)])])
    np.testing.assert_allclose(model.predict_proba(labels), [[0.25, 0.75]] * 3, atol=1e-6)
    log_loss = -(np.log(0.25) + 2 * np.log(0.75)) / 3
    assert model.evaluate(labels) == pytest.approx({"accuracy": 2 / 3, "log_loss": log_loss})


def test_a_certain_mistake_costs_much_but_not_everything(model, iris):
    encoder = replace(model.encoder, image_shape=(2, 2))
    sure = Model(encoder, [Network([4, 3], output="softmax", parameters=[0.0] * 12 + [0, 0, 1000])])
    assert 50 < sure.evaluate(iris)["log_loss"] < 100


def test_what_a_model_cannot_do(model, iris):
    with pytest.raises(DataError, match="no target 'species' to compare with"):
        model.evaluate(replace(iris, y=None, target=None))
    with pytest.raises(DataError, match="no label 'rose'"):
        model.evaluate(replace(iris, y=np.where(iris.y == "setosa", "rose", iris.y)))
    number = fit(load_bundled("diabetes"), {"epochs": 1, "starts": 1}).model
    with pytest.raises(ParameterError, match="predicts numbers"):
        number.predict_proba(np.zeros((1, 10)))


# The file


def assert_same(a, b):
    for one, other in zip(a.networks, b.networks, strict=True):
        np.testing.assert_array_equal(one.parameters, other.parameters)
        assert one.parameters.dtype == other.parameters.dtype
        assert one.shape == other.shape
        assert (one.start, one.seed, repr(one)) == (other.start, other.seed, repr(other))
    assert a.encoder.to_header() == b.encoder.to_header()
    assert a.encoder.encodings == b.encoder.encodings
    assert (a.sharpness, a.shares) == (b.sharpness, b.shares)
    np.testing.assert_array_equal(a.errors, b.errors)


def test_a_model_comes_back(model, path, iris):
    again = load(path)
    assert_same(model, again)
    np.testing.assert_array_equal(again.predict_proba(iris), model.predict_proba(iris))
    np.testing.assert_array_equal(again.predict(iris), model.predict(iris))
    assert again.training == json.loads(model_file.to_json(model.training))
    assert again.training["history"][-1]["epoch"] == 5


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def encodings(draw, name):
    role = draw(st.sampled_from(["number", "category", "date", "unused"]))
    if role == "category":
        return ColumnEncoding(name, role, "labels", labels=tuple(draw(st.sets(names, min_size=2, max_size=60))))
    if role == "unused":
        return ColumnEncoding(name, role, draw(names))
    center, scale = draw(st.floats(-(2.0**100), 2.0**100)), draw(st.floats(2.0**-100, 2.0**100))
    timed = role == "date" and draw(st.booleans())
    return ColumnEncoding(name, role, role, center, scale, draw(st.booleans()), timed=timed)


@st.composite
def models(draw):
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    columns = [ColumnEncoding(columns[0], "number"), *(draw(encodings(name)) for name in columns[1:])]
    hidden = draw(st.lists(st.integers(1, 5), max_size=3))
    labels = draw(
        st.one_of(
            st.none(),
            st.sets(names.filter(lambda name: "\0" not in name), min_size=2, max_size=4),
            st.sets(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=4),
            st.sets(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=4),
            st.just({False, True}),
        )
    )
    classes = None if labels is None else np.array(sorted(labels))
    kind = "classes" if labels is not None else draw(st.sampled_from(["numbers", "quantiles", "labels"]))
    n_targets = 1 if kind == "classes" else draw(st.integers(1 + (kind == "labels"), 3))
    task = "regression" if kind in ("numbers", "quantiles") else "classification"
    centers, scales, quantiles = [0.0] * n_targets, [1.0] * n_targets, []
    if task == "regression":
        centers = draw(st.lists(st.floats(-1e9, 1e9), min_size=n_targets, max_size=n_targets))
        scales = draw(st.lists(st.floats(1e-9, 1e9), min_size=n_targets, max_size=n_targets))
    if kind == "quantiles":
        quantiles = draw(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3))
    log = kind == "numbers" and max(centers) < 100 and max(scales) < 1 and draw(st.booleans())
    target = Target(task, draw(names), classes, tuple(centers), tuple(scales), log, tuple(quantiles))
    encoder = Encoder(tuple(columns), target)
    dtype = draw(st.sampled_from(["float32", "float64"]))
    network = Network(
        [encoder.n_in, *hidden, encoder.n_out],
        activation=[draw(st.sampled_from(["relu", "tanh", "mish"])) for _ in hidden],
        output=target.output,
        start=draw(st.sampled_from(["auto", "orthogonal", "uniform"])),
        seed=draw(st.integers(0, 2**62)),
        dtype=dtype,
        inputs=encoder.inputs,
    )
    history = draw(st.lists(st.fixed_dictionaries({"epoch": st.integers(1, 9), "loss": st.floats()}), max_size=3))
    networks = [network.restart(k) for k in range(draw(st.integers(1, 3)))]
    training = {"history": history, "command": draw(names)}
    if draw(st.booleans()):  # a linear model beside
        sizes = [encoder.n_in, encoder.n_out]
        networks.append(Network(sizes, (), target.output, dtype=dtype, inputs=encoder.plain_inputs))
    parts = np.array(draw(st.lists(st.floats(0.01, 1), min_size=len(networks), max_size=len(networks))))
    shares = (parts / parts.sum()).tolist()
    errors = draw(st.one_of(st.none(), hnp.arrays(np.float64, (n_targets, 3), elements=st.floats(0, 9))))
    return Model(encoder, networks, training, sharpness=draw(st.floats(0.1, 7)), shares=shares, errors=errors)


@EXAMPLES
@given(model=models(), data=st.data())
def test_any_model_comes_back_bit_for_bit(model, data, tmp_path):
    model.save(tmp_path / "m.fallline")
    again = load(tmp_path / "m.fallline")
    assert_same(model, again)
    encoder = model.encoder
    rows = data.draw(hnp.arrays(np.float32, (3, len(encoder.columns)), elements=st.floats(-3, 3, width=32)))
    labels = {column.name: column.labels for column in encoder.encodings if column.role == "category"}
    rows[:, [column.name in labels for column in encoder.encodings]] = 1
    dates = frozenset(column.name for column in encoder.encodings if column.role == "date")
    table = Table("t", rows, None, encoder.columns, None, labels=labels, dates=dates)
    np.testing.assert_array_equal(again.predict(table), model.predict(table))


LINEAR = {"W.0": (4, 3), "b.0": (3,), "inputs.scale": (4,), "inputs.w": (0, 16), "inputs.p": (0, 16)}
LINEAR |= {"inputs.M": (0, 16, 3), "inputs.c": (0, 3)}


def test_the_file_is_safetensors_with_a_header_that_says_all(path):
    tensors = load_file(path)
    assert {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()} == {
        "0.W.0": ("float32", (3, 16, 8)),
        "0.W.1": ("float32", (3, 8, 3)),
        "0.b.0": ("float32", (3, 8)),
        "0.b.1": ("float32", (3, 3)),
        "0.inputs.scale": ("float32", (3, 16)),
        "0.inputs.w": ("float32", (3, 4, 16)),
        "0.inputs.p": ("float32", (3, 4, 16)),
        "0.inputs.M": ("float32", (3, 4, 16, 3)),
        "0.inputs.c": ("float32", (3, 4, 3)),
        **{f"1.{name}": ("float32", (3, *shape)) for name, shape in LINEAR.items()},
    }
    header = header_of(path)
    assert list(header) == ["format", "sha256", "encoder", "networks", "sharpness", "errors", "training"]
    assert header["format"] == 4
    assert header["training"]["rows"] == {"trained": 150, "held_back": 57, "folds": 8}
    assert set(header["training"]["versions"]) == {"fallline", "numpy", "python"}


def test_numbers_that_json_has_no_word_for_become_null():
    text = model_file.to_json({"a": [np.float32("nan"), float("inf")], "b": np.int64(3), "c": (True, None)})
    assert json.loads(text) == {"a": [None, None], "b": 3, "c": [True, None]}


def test_a_long_history_is_thinned(model, tmp_path):
    rows = [{"epoch": epoch, "start": start, "loss": 1.0} for epoch in range(1, 30_001) for start in (0, 1)]
    Model(model.encoder, model.networks, {"history": rows}).save(tmp_path / "long.fallline")
    kept = load(tmp_path / "long.fallline").training["history"]
    assert len(kept) <= 20_002
    assert kept[:2] == rows[:2]
    assert kept[-2:] == rows[-2:]


def test_writing_is_all_or_nothing(model, path, monkeypatch):
    before = path.read_bytes()

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        model.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folders")
def test_file_and_folder_are_on_the_disk_when_it_is_written(model, path, monkeypatch):
    synced, fsync = [], os.fsync

    def note(number):
        synced.append(Path(f"/proc/self/fd/{number}").readlink().name if sys.platform == "linux" else number)
        fsync(number)

    monkeypatch.setattr(os, "fsync", note)
    model.save(path)
    assert len(synced) == 2
    if sys.platform == "linux":
        assert synced[0].endswith(".part")
        assert synced[1] == path.parent.name


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a file that is open")
def test_whoever_reads_the_old_file_keeps_it(model, path):
    before = path.read_bytes()
    other = Model(model.encoder, [model.network.restart(1)])
    with path.open("rb") as reader:
        other.save(path)
        assert reader.read() == before
    assert_same(load(path), other)


def test_a_link_to_a_model_stays_a_link(model, path, tmp_path):
    link = tmp_path / "link.fallline"
    link.symlink_to(path)
    path.write_bytes(b"old")
    model.save(link)
    assert link.is_symlink()
    assert_same(load(path), model)


# Files that are no models


def header_of(path):
    raw = path.read_bytes()
    return json.loads(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["fallline"])


def refusal(path):
    with pytest.raises(ModelFileError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"x,y\n1,2\n", bytes(range(256)) * 4, b"\x02" + b"\0" * 7 + b"{}", b"\xff" * 100]
)
def test_foreign_bytes(tmp_path, content):
    path = tmp_path / "foreign.fallline"
    path.write_bytes(content)
    assert "model" in refusal(path)


def test_no_file_at_all(tmp_path):
    path = tmp_path / "nothing.fallline"
    with pytest.raises(ModelFileError, match=f"^no file {str(path)!r}$"):
        load(path)
    assert "directory" in refusal(tmp_path)


def test_somebody_else_s_safetensors(tmp_path):
    save_file({"0.W.0": np.zeros((2, 2), np.float32)}, tmp_path / "other.safetensors")
    assert "but not of a fallline model" in refusal(tmp_path / "other.safetensors")


@EXAMPLES
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short(path, share):
    raw = path.read_bytes()
    cut = path.with_name("cut.fallline")
    cut.write_bytes(raw[: int(len(raw) * share)])
    refusal(cut)


@settings(EXAMPLES, max_examples=300)
@given(data=st.data())
def test_a_changed_byte_is_refused(path, data):
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed = path.with_name("changed.fallline")
    changed.write_bytes(raw)
    refusal(changed)


def edited(path, change):
    """The file with its header changed, tensors untouched."""
    header = header_of(path)
    change(header)
    lying = path.with_name("lying.fallline")
    lying.write_bytes(b"".join(model_file.sealed(header | {"sha256": model_file.NO_SUM}, load_file(path))))
    return lying


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: h.update(format=5), "of format 5, but this fallline reads up to format 4; update fallline"),
        (lambda h: h.update(format=3), "of format 3, from before the first release; train the model again"),
        (lambda h: h.update(sharpness=0), "sharpness is not positive"),
        (lambda h: h.pop("sharpness"), "'sharpness' is missing"),
        (lambda h: h.update(format="1"), "no format number"),
        (lambda h: h.pop("format"), "no format number"),
        (lambda h: h.pop("training"), "'training' is missing"),
        (lambda h: h.update(training=[]), "training is not an object"),
        (lambda h: h.update(networks=None), "there are no networks"),
        (lambda h: h["networks"][0].update(layer_sizes=[4, 9, 3]), "tensor 0.W.0 is float32 of shape (3, 16, 8)"),
        (lambda h: h["networks"][0].update(inputs=None), "the inputs do not fit the columns"),
        (lambda h: h["networks"][0]["inputs"].update(embedded=3, plain=1), "the inputs do not fit the columns"),
        (lambda h: h["networks"][0]["inputs"].update(frequencies=10**15), "the inputs do not fit the columns"),
        (lambda h: h["networks"][0]["inputs"].update(size="4"), "size is '4'"),
        (lambda h: h["networks"][0]["inputs"].update(own=1), "damaged"),
        (lambda h: h["encoder"]["columns"][0].update(role="spy"), "has the role 'spy'"),
        (lambda h: h["encoder"]["columns"][0].update(scale="1"), "a scale is not positive"),
        (lambda h: h["encoder"]["columns"][0].update(labels=[1]), "the labels of 'sepal length (cm)' are damaged"),
        (lambda h: h["encoder"]["columns"][0].update(role="category"), "labels of 'sepal length (cm)' are missing"),
        (lambda h: h["encoder"]["columns"][0].update(missing=1), "a column is damaged"),
        (lambda h: h["encoder"]["columns"].append("x"), "columns are not a list"),
        (lambda h: h["networks"][0].update(layer_sizes=[4, 8, 8, 3]), "tensor 0.W.1"),
        (lambda h: h["networks"][0].update(layer_sizes=[4, 10**15, 3]), "tensor 0.W.0"),
        (lambda h: h["networks"][0].update(layer_sizes=[4, 8]), "does not fit the columns"),
        (lambda h: h["networks"][0].update(layer_sizes="48"), "not a list of whole numbers"),
        (lambda h: h["networks"][0].update(layer_sizes=[4, 8.0, 3]), "not a list of whole numbers"),
        (lambda h: h["networks"][0].update(activation=["relu", "relu"]), "activation"),
        (lambda h: h["networks"][0].update(activation=["os.system"]), "is unknown"),
        (lambda h: h["networks"][0].update(output="sigmoid"), "does not fit the task"),
        (lambda h: h["networks"][0].update(dtype="float64"), "not float64"),
        (lambda h: h["networks"][0].update(seed=-1), "seed"),
        (lambda h: h["networks"][0].update(start="nowhere"), "is unknown"),
        (lambda h: h["encoder"]["columns"].pop(), "the inputs do not fit the columns"),
        (lambda h: h["encoder"]["columns"][1].update(name="sepal length (cm)"), "different names"),
        (lambda h: h["encoder"]["target"].update(task="poetry"), "task is unknown"),
        (lambda h: h["encoder"]["target"].update(task="regression"), "numbers have classes"),
        (lambda h: h["encoder"]["target"].update(classes=None), "classes are missing"),
        (lambda h: h["encoder"]["target"]["classes"].update(type="object"), "classes of type 'object'"),
        (lambda h: h["encoder"]["target"]["classes"].update(type="int64"), "not of their type"),
        (lambda h: h["encoder"]["target"]["classes"].update(values=["a", "b"]), "does not fit the columns"),
        (lambda h: h["encoder"]["target"]["classes"].update(values=["a", "a", "b"]), "not different"),
        (lambda h: h["encoder"]["target"].update(scales=[0]), "scales has what is not positive"),
        (lambda h: h["encoder"]["target"].update(scales=[]), "not as many as their scales"),
        (lambda h: h["encoder"]["target"].update(centers=["0"]), "centers has what is not a number"),
        (lambda h: h["encoder"]["target"].update(centers=[float("nan")]), "centers has what is not a number"),
        (lambda h: h["encoder"]["target"].update(log=1), "log is neither true nor false"),
        (lambda h: h["networks"][0].update(shares=[]), "a group has no networks"),
        (lambda h: h["networks"][0].update(shares=["1"]), "shares has what is not a number"),
        (lambda h: h["networks"][0].update(shares=[2, 0, -1]), "the shares are not parts of a whole"),
        (lambda h: h.update(errors=[[1]]), "errors are not numbers of each target"),
        (lambda h: h["encoder"].update(image_shape=[3, 3]), "image_shape does not fit"),
        (lambda h: h["encoder"]["target"].update(name=3), "target is not a name"),
    ],
)
def test_a_header_that_lies(path, change, says):
    assert says in refusal(edited(path, change))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
def test_a_header_that_is_no_header(path, text):
    save_file(load_file(path), path, {"fallline": text})
    assert "damaged model file" in refusal(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.update({"0.W.0": np.full((3, 16, 8), np.nan, np.float32)}), "W.0 has values that are not finite"),
        (lambda t: t.update({"0.b.1": np.full((3, 3), np.inf, np.float32)}), "b.1 has values that are not finite"),
        (lambda t: t.update({"0.inputs.scale": np.zeros((3, 16), np.int64)}), "inputs.scale is I64"),
        (lambda t: t.update({"0.b.1": np.zeros((2, 3), np.float32)}), "tensor 0.b.1 is float32 of shape (2, 3)"),
        (lambda t: [t.update({name: tensor[:0]}) for name, tensor in t.items()], "float32 of shape (0"),
        (lambda t: t.pop("0.b.0"), "tensor 0.b.0 is missing"),
        (lambda t: t.update({"0.W.2": np.zeros((3, 3), np.float32)}), "do not belong"),
    ],
)
def test_tensors_that_do_not_fit(path, change, says):
    header, tensors = header_of(path), load_file(path)
    change(tensors)
    path.write_bytes(b"".join(model_file.sealed(header | {"sha256": model_file.NO_SUM}, tensors)))
    assert says in refusal(path)

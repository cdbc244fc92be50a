"""Models predict, and come back from their file bit for bit, or not at all."""

import json
import os
from dataclasses import replace

import numpy as np
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
from fallline.table import Encoder, Table, load_bundled

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def iris():
    return load_bundled("iris")


@pytest.fixture(scope="module")
def model(iris):
    return fit(iris, {"epochs": 5, "hidden": (8,)}).model


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "iris.fallline")
    return tmp_path / "iris.fallline"


# Predicting


def test_predictions_are_the_network_s(model, iris, engine):
    model = Model(model.encoder, model.network, engine=engine)
    expected = model.network(model.encoder.encode_inputs(iris.X))
    np.testing.assert_allclose(model.predict_proba(iris), expected, atol=1e-6)
    np.testing.assert_array_equal(model.predict(iris), model.classes[expected.argmax(axis=1)])


def test_the_block_size_does_not_matter(model, iris, monkeypatch):
    whole = model.predict_proba(iris)
    monkeypatch.setattr(model_room, "BLOCK_NUMBERS", 64)
    np.testing.assert_allclose(model.predict_proba(iris), whole, atol=1e-6)
    X = iris.X.copy()
    X[100, 2] = np.nan
    with pytest.raises(DataError, match=r"row 100, column 'petal length \(cm\)': the value is missing"):
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
    table = Table("t", np.zeros((3, 1), np.float32), np.array([1.0, 2.0, 6.0]), ("x",), "y")
    model = Model(Encoder.fit(table, "regression"), Network([1, 1], parameters=[0.0, 0.0]))
    np.testing.assert_allclose(model.predict(table), [3, 3, 3])
    assert model.evaluate(table) == pytest.approx({"rmse": np.sqrt(14 / 3), "mae": 2.0, "r2": 0.0}, abs=1e-6)
    labels = replace(table, y=np.array(["a", "b", "b"]))
    model = Model(Encoder.fit(labels), Network([1, 2], output="softmax", parameters=[0, 0, 0, np.log(3)]))
    np.testing.assert_allclose(model.predict_proba(labels), [[0.25, 0.75]] * 3, atol=1e-6)
    log_loss = -(np.log(0.25) + 2 * np.log(0.75)) / 3
    assert model.evaluate(labels) == pytest.approx({"accuracy": 2 / 3, "log_loss": log_loss})


def test_a_certain_mistake_costs_much_but_not_everything(model, iris):
    sure = Model(model.encoder, Network([4, 3], output="softmax", parameters=[0.0] * 12 + [0, 0, 1000]))
    assert 50 < sure.evaluate(iris)["log_loss"] < 100


def test_what_a_model_cannot_do(model, iris):
    with pytest.raises(DataError, match="no target 'species' to compare with"):
        model.evaluate(replace(iris, y=None, target=None))
    with pytest.raises(DataError, match="no label 'rose'"):
        model.evaluate(replace(iris, y=np.where(iris.y == "setosa", "rose", iris.y)))
    number = fit(load_bundled("diabetes"), {"epochs": 1}).model
    with pytest.raises(ParameterError, match="predicts numbers"):
        number.predict_proba(np.zeros((1, 10)))


# The file


def assert_same(a, b):
    np.testing.assert_array_equal(a.network.parameters, b.network.parameters)
    assert a.network.parameters.dtype == b.network.parameters.dtype
    assert repr(a.network) == repr(b.network)
    assert (a.network.activation, a.network.start, a.network.seed) == (
        b.network.activation,
        b.network.start,
        b.network.seed,
    )
    assert a.encoder.to_header() == b.encoder.to_header()
    for name, tensor in a.encoder.tensors().items():
        np.testing.assert_array_equal(tensor, b.encoder.tensors()[name])


def test_a_model_comes_back(model, path, iris):
    again = load(path)
    assert_same(model, again)
    np.testing.assert_array_equal(again.predict_proba(iris), model.predict_proba(iris))
    np.testing.assert_array_equal(again.predict(iris), model.predict(iris))
    assert again.training == json.loads(model_file.to_json(model.training))
    assert again.training["history"][-1]["epoch"] == 5


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def models(draw):
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    hidden = draw(st.lists(st.integers(1, 5), max_size=3))
    finite = st.floats(-(2.0**100), 2.0**100, width=32)
    center = draw(hnp.arrays(np.float32, len(columns), elements=finite))
    scale = draw(hnp.arrays(np.float32, len(columns), elements=st.floats(2.0**-100, 2.0**100, width=32)))
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
    dtype = draw(st.sampled_from(["float32", "float64"]))
    network = Network(
        [len(columns), *hidden, 1 if classes is None else len(classes)],
        activation=[draw(st.sampled_from(["relu", "tanh", "mish"])) for _ in hidden],
        output="identity" if classes is None else "softmax",
        start=draw(st.sampled_from(["auto", "orthogonal", "uniform"])),
        seed=draw(st.integers(0, 2**62)),
        dtype=dtype,
    )
    shift, spread = draw(st.tuples(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))) if classes is None else (0.0, 1.0)
    task = "regression" if classes is None else "classification"
    encoder = Encoder(task, tuple(columns), draw(names), classes, center, scale, shift, spread)
    history = draw(st.lists(st.fixed_dictionaries({"epoch": st.integers(1, 9), "loss": st.floats()}), max_size=3))
    return Model(encoder, network, {"history": history, "command": draw(names)})


@EXAMPLES
@given(model=models(), data=st.data())
def test_any_model_comes_back_bit_for_bit(model, data, tmp_path):
    model.save(tmp_path / "m.fallline")
    again = load(tmp_path / "m.fallline")
    assert_same(model, again)
    rows = model.encoder.center + model.encoder.scale * data.draw(
        hnp.arrays(np.float32, (3, model.encoder.n_in), elements=st.floats(-3, 3, width=32))
    )
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))


def test_the_file_is_safetensors_with_a_header_that_says_all(path):
    tensors = load_file(path)
    assert {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()} == {
        "W.0": ("float32", (4, 8)),
        "W.1": ("float32", (8, 3)),
        "b.0": ("float32", (8,)),
        "b.1": ("float32", (3,)),
        "encoder.center": ("float32", (4,)),
        "encoder.scale": ("float32", (4,)),
    }
    header = header_of(path)
    assert list(header) == ["format", "encoder", "network", "training"]
    assert header["format"] == 1
    assert header["training"]["rows"] == {"trained": 120, "held_back": 30}
    assert set(header["training"]["versions"]) == {"fallline", "numpy", "python"}


def test_numbers_that_json_has_no_word_for_become_null():
    text = model_file.to_json({"a": [np.float32("nan"), float("inf")], "b": np.int64(3), "c": (True, None)})
    assert json.loads(text) == {"a": [None, None], "b": 3, "c": [True, None]}


def test_a_long_history_is_thinned(model, tmp_path):
    rows = [{"epoch": epoch, "start": start, "loss": 1.0} for epoch in range(1, 30_001) for start in (0, 1)]
    Model(model.encoder, model.network, {"history": rows}).save(tmp_path / "long.fallline")
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


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a file that is open")
def test_whoever_reads_the_old_file_keeps_it(model, path):
    before = path.read_bytes()
    other = Model(model.encoder, model.network.restart(1))
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
    assert "no such file" in refusal(tmp_path / "nothing.fallline")
    assert "directory" in refusal(tmp_path)


def test_somebody_else_s_safetensors(tmp_path):
    save_file({"W.0": np.zeros((2, 2), np.float32)}, tmp_path / "other.safetensors")
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
def test_a_changed_byte_is_refused_or_harmless(path, iris, data):
    """A changed weight cannot be told from a trained one; but what is not refused works."""
    raw = bytearray(path.read_bytes())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    changed = path.with_name("changed.fallline")
    changed.write_bytes(raw)
    try:
        model = load(changed)
    except ModelFileError:
        refusal(changed)
    else:
        assert model.predict(iris.X).shape == (150,)


def edited(path, change):
    """The file with its header changed, tensors untouched."""
    header = header_of(path)
    change(header)
    lying = path.with_name("lying.fallline")
    save_file(load_file(path), lying, {"fallline": json.dumps(header)})
    return lying


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda h: h.update(format=2), "of format 2, but this fallline reads up to format 1; update fallline"),
        (lambda h: h.update(format="1"), "no format number"),
        (lambda h: h.pop("format"), "no format number"),
        (lambda h: h.pop("training"), "'training' is missing"),
        (lambda h: h.update(training=[]), "training is not an object"),
        (lambda h: h.update(network=None), "damaged"),
        (lambda h: h["network"].update(layer_sizes=[4, 9, 3]), "tensor W.0 is float32 of shape (4, 8)"),
        (lambda h: h["network"].update(layer_sizes=[4, 8, 8, 3]), "tensor W.1"),
        (lambda h: h["network"].update(layer_sizes=[4, 10**15, 3]), "tensor W.0"),
        (lambda h: h["network"].update(layer_sizes=[4, 8]), "does not fit the columns"),
        (lambda h: h["network"].update(layer_sizes="48"), "not a list of whole numbers"),
        (lambda h: h["network"].update(layer_sizes=[4, 8.0, 3]), "not a list of whole numbers"),
        (lambda h: h["network"].update(activation=["relu", "relu"]), "activation"),
        (lambda h: h["network"].update(activation=["os.system"]), "is unknown"),
        (lambda h: h["network"].update(output="sigmoid"), "does not fit the task"),
        (lambda h: h["network"].update(dtype="float64"), "not float64"),
        (lambda h: h["network"].update(seed=-1), "seed"),
        (lambda h: h["network"].update(start="nowhere"), "is unknown"),
        (lambda h: h["encoder"].update(columns=["a", "b"]), "encoder.center"),
        (lambda h: h["encoder"].update(columns=["a", "a", "b", "c"]), "different names"),
        (lambda h: h["encoder"].update(task="poetry"), "task is unknown"),
        (lambda h: h["encoder"].update(task="regression"), "task is unknown"),
        (lambda h: h["encoder"].update(classes=None), "damaged"),
        (lambda h: h["encoder"]["classes"].update(type="object"), "classes of type 'object'"),
        (lambda h: h["encoder"]["classes"].update(type="int64"), "not of their type"),
        (lambda h: h["encoder"]["classes"].update(values=["a", "b"]), "does not fit the columns"),
        (lambda h: h["encoder"]["classes"].update(values=["a", "a", "b"]), "not different"),
        (lambda h: h["encoder"].update(target_scale=0), "target_scale is not positive"),
        (lambda h: h["encoder"].update(target_center="0"), "target_center is not a number"),
        (lambda h: h["encoder"].update(target_center=float("nan")), "NaN is no number"),
        (lambda h: h["encoder"].update(image_shape=[3, 3]), "image_shape does not fit"),
        (lambda h: h["encoder"].update(target=3), "target is not a name"),
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
        (lambda t: t.update({"W.0": np.full((4, 8), np.nan, np.float32)}), "W.0 has values that are not finite"),
        (lambda t: t.update({"b.1": np.full(3, np.inf, np.float32)}), "b.1 has values that are not finite"),
        (lambda t: t.update({"encoder.scale": np.zeros(4, np.float32)}), "a scale is not positive"),
        (lambda t: t.update({"encoder.center": np.zeros(4, np.int64)}), "encoder.center is int64"),
        (lambda t: t.pop("b.0"), "tensor b.0 is missing"),
        (lambda t: t.update({"W.2": np.zeros((3, 3), np.float32)}), "do not belong"),
    ],
)
def test_tensors_that_do_not_fit(path, change, says):
    header, tensors = header_of(path), load_file(path)
    change(tensors)
    save_file(tensors, path, {"fallline": json.dumps(header)})
    assert says in refusal(path)

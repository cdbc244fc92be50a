"""The encoder against scikit-learn's StandardScaler, there and back, and through the parts of a model file."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import StandardScaler

from fallline.errors import DataError, ParameterError
from fallline.table import Encoder, Table, guess_task, load_bundled

UNHURRIED = settings(max_examples=50, deadline=None)
VALUES = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def table_of(X, y, **fields):
    X = np.asarray(X, np.float32)
    return Table("t.csv", X, np.asarray(y), tuple(f"x{j}" for j in range(X.shape[1])), "y", **fields)


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        ([0, 1, 2], "classification"),
        ([1.0, 2.0], "classification"),
        (list(range(20)), "classification"),
        (list(range(21)), "regression"),
        ([0.5, 1.0], "regression"),
    ],
)
def test_guess_task(y, task):
    assert guess_task(np.array(y)) == task


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes"])
def test_inputs_are_standardised_as_scikit_learn_does(name):
    table = load_bundled(name)
    encoder = Encoder.fit(table)
    oracle = StandardScaler().fit(table.X.astype(np.float64))
    np.testing.assert_allclose(encoder.center, oracle.mean_, rtol=1e-6)
    np.testing.assert_allclose(encoder.scale, oracle.scale_, rtol=1e-6)
    encoded = encoder.encode_inputs(table.X)
    np.testing.assert_allclose(encoded, oracle.transform(table.X.astype(np.float64)), atol=1e-4)
    assert (encoded.dtype, encoded.flags.c_contiguous) == (np.float32, True)
    assert (encoder.center.dtype, encoder.scale.dtype) == (np.float32, np.float32)


def test_fit_looks_at_no_other_rows():
    table = table_of([[1], [3], [1000]], [0, 1, 9])
    encoder = Encoder.fit(table.rows(np.array([0, 1])))
    assert (encoder.center.tolist(), encoder.scale.tolist(), encoder.classes.tolist()) == ([2.0], [1.0], [0, 1])


@UNHURRIED
@given(X=hnp.arrays(np.float32, st.tuples(st.integers(2, 8), st.integers(1, 3)), elements=VALUES))
def test_any_columns_come_out_finite_and_of_unit_size(X):
    table = table_of(X, np.arange(len(X)) + 0.5)
    encoded = Encoder.fit(table).encode_inputs(table.X)
    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() <= np.sqrt(len(X)) + 0.1


@pytest.mark.parametrize("value", [0.0, 0.1, -1e30, 16_777_217])
def test_a_constant_column_becomes_zero(value):
    encoder = Encoder.fit(table_of([[value]] * 7, np.arange(7) % 2))
    assert encoder.scale.tolist() == [1.0]
    assert encoder.encode_inputs(np.full((2, 1), value, np.float32)).tolist() == [[0.0], [0.0]]


def test_pictures_stay_as_they_are():
    digits = load_bundled("digits")
    encoder = Encoder.fit(digits)
    np.testing.assert_array_equal(encoder.encode_inputs(digits.X), digits.X)
    assert (encoder.image_shape, encoder.n_out) == ((8, 8), 10)


def test_encoding_does_not_change_its_argument():
    table = table_of([[1], [3]], [0, 1])
    Encoder.fit(table).encode_inputs(table.X)
    assert table.X.tolist() == [[1.0], [3.0]]


LABELS = [
    np.array(["b", "a", "b"]),
    np.array([10, 9, 10]),
    np.array([-1.0, 2.0, -1.0]),
    np.array([True, False, True]),
    np.array([3, 5, 3], np.uint8),
]


def through_json(encoder):
    return Encoder.from_parts(json.loads(json.dumps(encoder.to_header())), encoder.tensors())


@pytest.mark.parametrize("y", LABELS, ids=lambda y: y.dtype.name)
@pytest.mark.parametrize("reload", [lambda encoder: encoder, through_json], ids=["fresh", "reloaded"])
def test_labels_there_and_back(y, reload):
    encoder = reload(Encoder.fit(table_of(np.eye(3), y)))
    codes = encoder.encode_target(y)
    assert (encoder.task, encoder.n_out, encoder.n_in) == ("classification", 2, 3)
    assert (codes.dtype, sorted(set(codes.tolist()))) == (np.int64, [0, 1])
    back = encoder.decode_target(np.eye(2, dtype=np.float32)[codes])
    np.testing.assert_array_equal(back, y)
    assert back.dtype == y.dtype
    np.testing.assert_array_equal(encoder.classes, np.unique(y))


@UNHURRIED
@given(y=hnp.arrays(np.float64, st.integers(2, 9), elements=st.floats(-1e100, 1e100)))
@pytest.mark.parametrize("reload", [lambda encoder: encoder, through_json], ids=["fresh", "reloaded"])
def test_numbers_there_and_back(y, reload):
    encoder = reload(Encoder.fit(table_of(np.zeros((len(y), 1)), y), "regression"))
    encoded = encoder.encode_target(y)
    assert (encoder.n_out, encoder.classes) == (1, None)
    assert (encoded.shape, encoded.dtype) == ((len(y), 1), np.float32)
    back = encoder.decode_target(encoded)
    assert (back.shape, back.dtype) == (y.shape, np.float64)
    np.testing.assert_allclose(back, y, rtol=0, atol=1e-6 * (encoder.target_scale + np.abs(y).max()))


def test_numbers_are_standardised_as_scikit_learn_does():
    diabetes = load_bundled("diabetes")
    expected = StandardScaler().fit_transform(diabetes.y[:, np.newaxis])
    np.testing.assert_allclose(Encoder.fit(diabetes).encode_target(diabetes.y), expected, atol=1e-6)


def test_all_parts_come_back():
    encoder = Encoder.fit(load_bundled("digits"))
    again = through_json(encoder)
    assert again.to_header() == encoder.to_header()
    assert (again.columns, again.image_shape) == (encoder.columns, encoder.image_shape)
    for name, tensor in encoder.tensors().items():
        np.testing.assert_array_equal(again.tensors()[name], tensor)


@pytest.mark.parametrize(
    ("trained", "given", "codes"),
    [
        (np.array([1, 2]), np.array([2.0, 1.0]), [1, 0]),
        (np.array(["1", "10", "9", "other"]), np.array([9, 10]), [2, 1]),
        (np.array([1, 9, 10]), np.array(["10", "9"]), [2, 1]),
        (np.array([True, False]), np.array(["True", "False"]), [1, 0]),
    ],
)
def test_labels_from_another_file_may_have_another_type(trained, given, codes):
    encoder = Encoder.fit(table_of(np.zeros((len(trained), 1)), trained))
    assert encoder.encode_target(given).tolist() == codes


@pytest.mark.parametrize(
    ("trained", "given", "message"),
    [
        (["a", "b"], ["a", "zz"], "target 'y', row 2: the training rows have no label 'zz' (labels: 'a', 'b')"),
        (["a", "b"], ["A"], "target 'y', row 1: the training rows have no label 'A'"),
        ([0, 1], [1, 2], "target 'y', row 2: the training rows have no label 2 (labels: '0', '1')"),
        ([0, 1], [-1], "target 'y', row 1: the training rows have no label -1"),
        ([0.5, 1], ["a"], "target 'y', row 1: regression needs numbers, not 'a'"),
        ([0.5, 1], ["3", "oops"], "target 'y', row 2: regression needs numbers, not 'oops'"),
        ([0.5, 1], ["3", "1_000"], "target 'y', row 2: regression needs numbers, not '1_000'"),
    ],
)
def test_targets_that_do_not_fit(trained, given, message):
    encoder = Encoder.fit(table_of(np.zeros((2, 1)), trained))
    with pytest.raises(DataError) as caught:
        encoder.encode_target(np.array(given))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("table", "task", "message"),
    [
        (table_of([[1], [2]], ["a", "a"]), None, "t.csv: the target 'y' has one class only: 'a'"),
        (table_of([[1], [2]], [3, 3]), None, "t.csv: the target 'y' has one class only: 3"),
        (table_of([[1]], ["a"]), None, "t.csv: at least 2 rows are needed to learn from, not 1 (rows held"),
        (table_of([[1], [2]], ["3", "a"]), "regression", "target 'y': regression needs numbers, not 'a'"),
        (table_of([[1], [2]], [1e300, -1e300]), "regression", "t.csv: the numbers in the target 'y' are too large"),
        (Table("t.csv", np.eye(2, dtype=np.float32), None, ("a", "b"), None), None, "t.csv: there is no target to"),
    ],
)
def test_tables_that_cannot_be_learned(table, task, message):
    with pytest.raises(DataError) as caught:
        Encoder.fit(table, task)
    assert str(caught.value).startswith(message)


def test_unknown_task():
    with pytest.raises(ParameterError, match="unknown task 'clasification'"):
        Encoder.fit(table_of([[1], [2]], [0, 1]), "clasification")


@pytest.mark.parametrize("shape", [(2, 2), (2,), (2, 0)])
def test_inputs_of_another_shape(shape):
    with pytest.raises(DataError, match=r"inputs of shape \(n, 1\) are needed, not "):
        Encoder.fit(table_of([[1], [2]], [0, 1])).encode_inputs(np.zeros(shape))


def test_whole_numbers_can_be_learned_as_numbers():
    encoder = Encoder.fit(table_of([[1], [2]], [1, 3]), "regression")
    assert (encoder.target_center, encoder.target_scale) == (2.0, 1.0)


def test_a_constant_number_can_be_learned():
    y = np.full(3, 0.1)
    encoder = Encoder.fit(table_of(np.zeros((3, 1)), y))
    assert encoder.encode_target(y).tolist() == [[0.0]] * 3
    assert encoder.decode_target(np.zeros((3, 1), np.float32)).tolist() == y.tolist()

"""The encoder against scikit-learn's scalers and encoders, there and back, and through the header of a model file."""

import datetime
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

from fallline.errors import DataError, ParameterError
from fallline.inputs import Inputs
from fallline.table import Encoder, Table, guess_task, load_bundled
from fallline.table.frames import table_from_frame

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
def test_numbers_are_scaled_as_scikit_learn_does_and_smoothly_clipped(name):
    table = load_bundled(name)
    encoder = Encoder.fit(table)
    oracle = RobustScaler().fit(table.X.astype(np.float64))
    numbers = [column.role == "number" for column in encoder.encodings]  # embedded, so they come first
    encoded = encoder.encode_inputs(table.X)
    z = oracle.transform(table.X.astype(np.float64))[:, numbers]
    low, high = np.percentile(table.X[:, numbers], [25, 75], axis=0)
    usual = high > low  # else scikit-learn's scale is 1
    assert usual.sum() >= 4
    clipped = z / np.sqrt(1 + (z / 3) ** 2)
    np.testing.assert_allclose(encoded[:, : sum(numbers)][:, usual], clipped[:, usual], atol=1e-5)
    assert (encoded.dtype, encoded.flags.c_contiguous) == (np.float32, True)
    assert (np.abs(encoded) < 3).all()


def test_fit_looks_at_no_other_rows():
    table = table_of([[1], [3], [1000]], [0, 1, 9])
    (column,) = Encoder.fit(table.rows(np.array([0, 1]))).encodings
    assert (column.center, column.scale) == (2.0, 1.0)


def test_a_number_that_seldom_differs_goes_by_the_numbers_that_do():
    encoder = Encoder.fit(table_of([[0]] * 19 + [[10], [20], [90]], np.arange(22) % 2))
    assert (encoder.encodings[0].center, encoder.encodings[0].scale) == (0, 1 / 20)


@UNHURRIED
@given(X=hnp.arrays(np.float32, st.tuples(st.integers(2, 8), st.integers(1, 3)), elements=VALUES))
def test_any_columns_come_out_finite_and_small(X):
    X = np.concatenate([X, np.arange(len(X), dtype=np.float32)[:, None]], axis=1)  # one column is of use
    table = table_of(X, np.arange(len(X)) + 0.5)
    encoded = Encoder.fit(table).encode_inputs(table.X)
    assert np.isfinite(encoded).all()
    assert np.abs(encoded).max() <= 3


@pytest.mark.parametrize("value", [0.0, 0.1, -1e30, 16_777_217, np.nan])
def test_a_column_that_says_nothing_is_left_out(value):
    X = np.column_stack([np.full(7, value), np.arange(7)])
    encoder = Encoder.fit(table_of(X, np.arange(7) % 2))
    assert [column.role for column in encoder.encodings] == ["unused", "number"]
    assert encoder.encode_inputs(X.astype(np.float32)).shape == (7, 1)
    with pytest.raises(DataError, match=r"t.csv: no input column can be used \('x0: all values are"):
        Encoder.fit(table_of(X[:, :1], np.arange(7) % 2))


def test_a_number_of_two_values_is_not_embedded():
    encoder = Encoder.fit(table_of([[3, 1], [5, 2], [3, np.nan], [5, 1]], [0, 1, 0, 1]))
    assert [column.role for column in encoder.encodings] == ["yes/no", "yes/no"]
    assert encoder.inputs == Inputs(plain=3)
    one = 1 / np.sqrt(1 + 1 / 9)
    expected = [[-one, -one, 0], [one, one, 0], [-one, 0, 1], [one, -one, 0]]
    np.testing.assert_allclose(
        encoder.encode_inputs(np.array([[3, 1], [5, 2], [3, np.nan], [5, 1]])), expected, rtol=1e-6
    )


def test_missing_numbers_become_the_median_and_say_so():
    encoder = Encoder.fit(table_of([[1, 5], [np.nan, 6], [3, 9], [2, 7]], [0, 1, 0, 1]))
    encoded = encoder.encode_inputs(np.array([[np.nan, np.nan], [2, 6.5]], np.float32))
    assert encoded[0].tolist() == [0.0, 0.0, 1.0]  # the second column had none missing, so has no indicator
    assert encoded[1, [0, 2]].tolist() == [0.0, 0.0]
    assert [column.missing for column in encoder.encodings] == [True, False]
    assert (encoder.inputs.embedded, encoder.inputs.plain) == (2, 1)


def words(columns, y=None, **fields):
    """A table of categories from lists of labels, None being a missing one."""
    frame = pl.DataFrame(columns, strict=False).with_columns(
        y=pl.Series(y or [i % 2 for i in range(len(columns["c"]))])
    )
    return table_from_frame(frame, "t.parquet", lambda row: f"row {row + 1}", "y", **fields)


def test_categories_become_indicators_as_in_scikit_learn():
    cells = ["red", "blue", None, "green", "red", "blue"]
    table = words({"c": cells})
    encoder = Encoder.fit(table)
    oracle = OneHotEncoder(sparse_output=False).fit([[cell or ""] for cell in cells])
    encoded = encoder.encode_inputs(encoder.rows_of(table))
    order = [list(encoder.encodings[0].labels).index(label) for label in oracle.categories_[0]]
    np.testing.assert_array_equal(encoded[:, order], oracle.transform([[cell or ""] for cell in cells]))
    assert encoder.inputs == Inputs(plain=4)


def test_two_labels_are_one_number_and_others_are_unknown():
    encoder = Encoder.fit(words({"c": ["no", "yes", "yes", "no"]}))
    other = words({"c": ["maybe", "yes", None, "no"]})
    assert encoder.encode_inputs(encoder.rows_of(other)).ravel().tolist() == [0, 1, 0, -1]


def test_labels_are_found_by_name_whatever_their_place():
    encoder = Encoder.fit(words({"c": ["a", "b", "c", "a"]}))
    other = words({"c": ["zebra", "c", "b", "aardvark"]})
    assert encoder.encode_inputs(encoder.rows_of(other)).tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_many_labels_become_codes():
    cells = [f"city {i % 60}" for i in range(240)]
    encoder = Encoder.fit(words({"c": cells}))
    assert encoder.inputs.tables == ((61, 8),)
    other = words({"c": ["city 7", "elsewhere", "city 0"]}, y=[0, 1, 0])
    codes = encoder.encode_inputs(encoder.rows_of(other)).ravel().tolist()
    labels = list(encoder.encodings[0].labels)
    assert codes == [labels.index("city 7") + 1, 0, labels.index("city 0") + 1]


def test_identifiers_and_constants_are_left_out_with_a_reason():
    table = words({"c": ["x"] * 30, "id": [f"no. {i}" for i in range(30)], "n": list(range(30))})
    reasons = {column.name: column.reason for column in Encoder.fit(table).encodings if column.role == "unused"}
    assert reasons == {"c": "all values are 'x'", "id": "each row has a text of its own, as an identifier has"}


def test_dates_become_trend_and_cycles():
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=i) for i in range(731)]
    table = words({"c": ["a", "b"] * 365 + ["a"], "d": days})
    encoder = Encoder.fit(table)
    encoded = encoder.encode_inputs(encoder.rows_of(table))
    assert (encoder.inputs.embedded, encoder.inputs.plain) == (5, 1)
    trend, *cycles = encoded[:, :5].T
    assert (np.diff(trend) > 0).all()
    np.testing.assert_allclose(cycles[0] ** 2 + cycles[1] ** 2, 1, atol=1e-5)
    np.testing.assert_allclose(cycles[2][7:], cycles[2][:-7], atol=1e-4)  # the same day of the week
    np.testing.assert_allclose(cycles[1][366:], cycles[1][:-366], atol=0.02)  # 2024 had 366 days


def test_a_time_of_day_is_a_cycle_too():
    moments = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=6 * i) for i in range(40)]
    table = words({"c": ["a", "b"] * 20, "d": [*moments[:-1], None]})
    encoder = Encoder.fit(table)
    encoded = encoder.encode_inputs(encoder.rows_of(table))
    assert (encoder.inputs.embedded, encoder.inputs.plain) == (7, 2)
    np.testing.assert_allclose(encoded[4:-1, 5:7], encoded[:-5, 5:7], atol=1e-2)
    np.testing.assert_array_equal(encoded[-1, :7], 0)


def test_columns_that_are_missing_or_of_another_kind_are_named():
    encoder = Encoder.fit(words({"c": ["a", "b", "a", "b"], "n": [1, 2, 3, 4]}))
    with pytest.raises(DataError, match=r"^t.parquet: missing column 'n' \(columns: 'c'\)$"):
        encoder.rows_of(words({"c": ["a", "b"]}))
    with pytest.raises(DataError, match=r"^t.parquet, column 'n': it holds a category; a number is needed$"):
        encoder.rows_of(words({"c": ["a", "b"], "n": ["x", "y"]}))


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
    return Encoder.from_header(json.loads(json.dumps(encoder.to_header())))


@pytest.mark.parametrize("y", LABELS, ids=lambda y: y.dtype.name)
@pytest.mark.parametrize("reload", [lambda encoder: encoder, through_json], ids=["fresh", "reloaded"])
def test_labels_there_and_back(y, reload):
    encoder = reload(Encoder.fit(table_of(np.eye(3), y)))
    codes = encoder.target.encode(y)
    assert (encoder.task, encoder.n_out, encoder.n_in) == ("classification", 2, 3)
    assert (codes.dtype, sorted(set(codes.tolist()))) == (np.int64, [0, 1])
    back = encoder.target.decode(np.eye(2, dtype=np.float32)[codes])
    np.testing.assert_array_equal(back, y)
    assert back.dtype == y.dtype
    np.testing.assert_array_equal(encoder.classes, np.unique(y))


@UNHURRIED
@given(y=hnp.arrays(np.float64, st.integers(2, 9), elements=st.floats(-1e100, 1e100)))
@pytest.mark.parametrize("reload", [lambda encoder: encoder, through_json], ids=["fresh", "reloaded"])
def test_numbers_there_and_back(y, reload):
    encoder = reload(Encoder.fit(table_of(np.arange(len(y))[:, None], y), "regression"))
    encoded = encoder.target.encode(y)
    assert (encoder.n_out, encoder.classes) == (1, None)
    assert (encoded.shape, encoded.dtype) == ((len(y), 1), np.float32)
    back = encoder.target.decode(encoded)
    assert (back.shape, back.dtype) == (y.shape, np.float64)
    np.testing.assert_allclose(back, y, rtol=0, atol=1e-6 * (encoder.target.scales[0] + np.abs(y).max()))


def test_numbers_are_standardised_as_scikit_learn_does():
    diabetes = load_bundled("diabetes")
    expected = StandardScaler().fit_transform(diabetes.y[:, np.newaxis])
    np.testing.assert_allclose(Encoder.fit(diabetes).target.encode(diabetes.y), expected, atol=1e-6)


def test_all_parts_come_back():
    encoder = Encoder.fit(load_bundled("digits"))
    again = through_json(encoder)
    assert again.to_header() == encoder.to_header()
    assert (again.columns, again.image_shape) == (encoder.columns, encoder.image_shape)
    several = words({"c": ["a", None, "b", "a"], "n": [1, 2, None, 3.5], "same": [1, 1, 1, 1]})
    encoder = Encoder.fit(several)
    assert through_json(encoder).encodings == encoder.encodings


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
    encoder = Encoder.fit(table_of(np.arange(len(trained))[:, None], trained))
    assert encoder.target.encode(given).tolist() == codes


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
    encoder = Encoder.fit(table_of([[0], [1]], trained))
    with pytest.raises(DataError) as caught:
        encoder.target.encode(np.array(given))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("table", "task", "message"),
    [
        (table_of([[1], [2]], ["a", "a"]), None, "t.csv: the target 'y' has one class only: 'a'"),
        (table_of([[1], [2]], [3, 3]), None, "t.csv: the target 'y' has one class only: 3"),
        (table_of([[1]], ["a"]), None, "t.csv: at least 2 rows are needed to learn from, not 1 (rows held"),
        (table_of([[1], [2]], ["3", "a"]), "regression", "t.csv: target 'y': regression needs numbers, not 'a'"),
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
    assert (encoder.target.centers, encoder.target.scales) == ((2.0,), (1.0,))


def test_a_constant_number_can_be_learned():
    y = np.full(3, 0.1)
    encoder = Encoder.fit(table_of([[0], [1], [2]], y))
    assert encoder.target.encode(y).tolist() == [[0.0]] * 3
    assert encoder.target.decode(np.zeros((3, 1), np.float32)).tolist() == y.tolist()

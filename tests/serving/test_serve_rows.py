"""Rows of JSON to a table: what a data frame of the same rows would give, and one line for each that is wrong."""

import datetime
import json
import math
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import MODELS, houses

from fallline.errors import DataError
from fallline.model import Model
from fallline.serving.answers import answers
from fallline.serving.contract import example
from fallline.serving.rows import table_of


def as_json(frame):
    """Rows of a frame as they come out of a request."""
    return json.loads(frame.write_json())


@pytest.mark.parametrize("name", ["numbers", "quantiles"])
def test_rows_are_what_a_data_frame_of_them_is(models, name):
    model, frame = models(name), houses().with_columns(town=pl.lit("Paris"))
    frame = pl.concat([houses(), frame])
    A = model.outputs(table_of(as_json(frame), model.encoder))
    np.testing.assert_array_equal(A, model.outputs(frame))
    assert len(np.unique(A)) > 100


@pytest.mark.parametrize("name", MODELS)
def test_the_answers_are_the_model_s(models, name):
    model = models(name)
    rng = np.random.default_rng(2)
    rows = [example(model.encoder) | {"a": rng.normal(), "b": rng.normal(), "rooms": i, "r3c3": i} for i in range(5)]
    table = table_of(rows, model.encoder)
    found = answers(model, table)
    assert len(np.unique(model.outputs(table))) > 1
    assert next(iter(found)) == "predictions"
    predictions = found["predictions"]
    if name in ("several", "labels"):
        assert [list(one) for one in predictions] == [model.encoder.target.answer_names] * 5
        predictions = [list(one.values()) for one in predictions]
    assert predictions == model.predict(table).tolist()
    if model.task == "classification":
        P = [list(one.values()) for one in found["probabilities"]]
        assert model.predict_proba(table).tolist() == P
    if name == "quantiles":
        assert list(found["quantiles"][0]) == ["0.1", "0.5", "0.9"]
        assert [list(one.values()) for one in found["quantiles"]] == model.predict_quantiles(table).tolist()


def test_labels_are_the_names_of_their_probabilities(models):
    names = {"classes": ["setosa", "versicolor", "virginica"], "yes or no": ["False", "True"]}
    for name, labels in (names | {"whole numbers": ["3", "4"], "labels": ["y 1", "y 2", "y 3"]}).items():
        model = models(name)
        assert list(answers(model, table_of([example(model.encoder)], model.encoder))["probabilities"][0]) == labels


def test_no_rows_no_answers(models):
    for name in MODELS:
        model = models(name)
        found = answers(model, table_of([], model.encoder))
        assert set(map(tuple, found.values())) == {()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2024-02-29", datetime.datetime(2024, 2, 29)),
        ("2024-02-29T12:30:00", datetime.datetime(2024, 2, 29, 12, 30)),
        ("2024-02-29 12:30", datetime.datetime(2024, 2, 29, 12, 30)),
        ("2024-02-29T12:30:00.250Z", datetime.datetime(2024, 2, 29, 12, 30, 0, 250_000)),
        ("2024-02-29t12:30:00.2509999999z", datetime.datetime(2024, 2, 29, 12, 30, 0, 250_000)),
        ("2024-02-29T01:30:00+02:30", datetime.datetime(2024, 2, 28, 23, 0)),
        ("1999-12-31T23:00:00-01:00", datetime.datetime(2000, 1, 1)),
        ("0001-01-01", datetime.datetime(1, 1, 1)),
    ],
)
def test_dates(models, text, says):
    encoder = models("numbers").encoder
    table = table_of([example(encoder) | {"sold": sold} for sold in (text, None)], encoder)
    days = table.X[:, table.columns.index("sold")]
    assert days[0] == np.float32((says - datetime.datetime(2000, 1, 1)) / datetime.timedelta(days=1))
    assert math.isnan(days[1])


def test_labels_as_they_come(models):
    """Numbers and texts of one look are one label, as in files; space around a text is none of it."""
    encoder = models("numbers").encoder
    codes = [" 101 ", 101, 101.0, "NA", None, True, 1, 0.5, 1e300, 10**60]
    table = table_of([example(encoder) | {"zip": value} for value in codes], encoder)
    labels = table.labels["zip"]
    found = [None if math.isnan(c) else labels[int(c)] for c in table.X[:, table.columns.index("zip")]]
    assert found == ["101", "101", "101", None, None, "1", "1", "0.5", found[8], "1" + "0" * 60]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("area", "12.5", "row 2, column 'area': '12.5' is not a number"),
        ("area", "", "row 2, column 'area': '' is not a number"),
        ("area", [1], "row 2, column 'area': a list is not a number"),
        ("rooms", {}, "row 2, column 'rooms': an object is not a number"),
        ("area", 1e39, "row 2, column 'area': 1e+39 is too large for float32"),
        ("area", -math.inf, "row 2, column 'area': -Infinity is too large for float32"),
        ("area", 10**400, "row 2, column 'area': a number of many digits is too large for float32"),
        ("town", ["Rome"], "row 2, column 'town': a list is not a label"),
        ("town", "\ud800", r"row 2, column 'town': '\ud800' is not Unicode"),
        ("sold", "31.12.2024", "'31.12.2024' is not a date, such as 2024-12-31 or 2024-12-31T23:59:59Z"),
        ("sold", "2024-02-30", "'2024-02-30' is no day of the calendar, or no time of a day"),
        ("sold", "2024-02-20T25:00", "is no day of the calendar, or no time of a day"),
        ("sold", "2024-02-20T23:00:00+24:00", "is not a date"),
        ("sold", "٢٠٢٤-٠١-٠١", "is not a date"),
        ("sold", 20240101, "row 2, column 'sold': 20240101 is not a date"),
        ("sold", True, "row 2, column 'sold': true is not a date"),
        ("sold", "x" * 10_000, f"row 2, column 'sold': '{'x' * 40}...' is not a date"),
    ],
)
def test_what_a_column_does_not_hold(models, column, value, says):
    encoder = models("numbers").encoder
    rows = [example(encoder), example(encoder) | {column: value}, example(encoder)]
    with pytest.raises(DataError) as caught:
        table_of(rows, encoder)
    assert says in str(caught.value)


def test_what_is_left_out(models):
    encoder = models("numbers").encoder
    rows = [example(encoder), {("Area" if name == "area" else name): 1 for name in example(encoder)}]
    with pytest.raises(DataError, match=r"^row 2: column 'area' is left out, did you mean 'Area'.; write null where"):
        table_of(rows, encoder)
    with pytest.raises(DataError, match=r"^row 1: 7 is not an object"):
        table_of([7, rows[0]], encoder)
    pixels = models("pixels").encoder
    with pytest.raises(DataError, match=r"^row 1: column 'r0c0' is left out$"):
        table_of([{}], pixels)
    with pytest.raises(DataError, match="null is not a number, and a pixel cannot be missing"):
        table_of([example(pixels) | {"r1c1": None}], pixels)


def test_a_prediction_that_is_no_number_is_refused(models):
    trained = models("logarithm")
    encoder = replace(trained.encoder, target=replace(trained.encoder.target, centers=(800.0,), scales=(1.0,)))
    model = Model(encoder, trained.networks)
    with pytest.raises(DataError, match="row 1: no finite prediction"):
        answers(model, table_of([{"a": 0, "b": 0}], encoder))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["2024-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_json_is_a_table_or_a_complaint(models, data):
    model = models("numbers")
    used = list(example(model.encoder))
    changed = st.dictionaries(st.sampled_from(used), JSON, max_size=2)
    rows = [example(model.encoder) | row for row in data.draw(st.lists(changed, max_size=3))]
    try:
        table = table_of(rows, model.encoder)
    except DataError as error:
        said = str(error)
    else:
        said = f"row {len(answers(model, table)['predictions'])}"
        assert said == f"row {len(rows)}"
    assert re.match(r"row \d", said)
    assert "\n" not in said

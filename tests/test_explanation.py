"""An explanation's numbers, recomputed by hand from the model's weights and biases, are the model's own answer."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, softmax

from fallline.fit import fit
from fallline.table import Table, load_bundled
from fallline.table.frames import table_from_frame

SMALL = {"epochs": 3, "starts": 3, "hidden": (12, 7)}
LAW = {
    "relu": lambda z: np.maximum(z, 0),
    "silu": lambda z: z * expit(z),
    "tanh": np.tanh,
    "identity": lambda z: z,
    "sigmoid": expit,
    "softmax": softmax,
}


def people(n=400, seed=0):
    """Numbers, yes and no, a date, few labels, many labels, missing values."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n).astype(float)
    age[::9] = np.nan
    frame = pl.DataFrame(
        {
            "age": age,
            "hours": rng.integers(10, 60, n).astype(float),
            "owner": rng.integers(0, 2, n),
            "since": np.datetime64("2015-03-01") + rng.integers(0, 2000, n).astype("timedelta64[D]"),
            "sex": rng.choice(["f", "m"], n),
            "work": [None if i % 11 == 0 else f"kind {i % 4}" for i in range(n)],
            "country": [f"land {i}" for i in rng.integers(0, 70, n)],
        },
        nan_to_null=True,
    )
    rich = np.where(np.nan_to_num(age, nan=40) + 10 * rng.normal(size=n) > 45, "rich", "poor")
    frame = frame.with_columns(income=pl.Series(rich))
    return table_from_frame(frame, "people", lambda row: f"row {row + 1}", "income")


@pytest.fixture(scope="module")
def cases():
    digits, iris = load_bundled("digits"), load_bundled("iris")
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 4)).astype(np.float32)
    numbers = np.stack([X @ [1, 2, 0, 1], X @ [0, -1, 3, 0]], axis=1) + rng.normal(size=(300, 2))
    names = ("p", "q", "r", "s")
    tables = {
        "digits": (digits, SMALL),
        "iris": (iris, SMALL | {"epochs": 30}),
        "people": (people(), SMALL),
        "log": (Table("t", X, np.exp(3 + numbers[:, 0]), names, "price"), SMALL | {"target_transform": "log"}),
        "numbers": (Table("t", X, numbers, names, "wind"), SMALL),
        "labels": (Table("t", X, (numbers > 0).astype(np.int64), names, "tags"), SMALL),
        "quantiles": (
            Table("t", X, numbers[:, 0], names, "price"),
            SMALL | {"loss": "quantile", "quantiles": (0.9, 0.1, 0.5)},
        ),
        "linear": (Table("t", X, numbers[:, 0], names, "price"), SMALL | {"hidden": ()}),
        "one linear": (iris, {"epochs": 20, "starts": 1, "hidden": (), "validation": 0.2}),
    }
    return {name: (table, fit(table, settings).model) for name, (table, settings) in tables.items()}


NAMES = ["digits", "iris", "people", "log", "numbers", "labels", "quantiles", "linear", "one linear"]


def own_answer(model, row):
    """Numbers in the user's units, or probabilities, as the model gives them."""
    if model.task == "classification":
        return model.predict_proba(row)[0]
    return (model.predict_quantiles(row) if model.encoder.target.quantiles else model.predict(row))[0]


def by_hand(model, told):
    """From the values of the first layer's inputs that are told, and W and b, to the answer."""
    outputs = []
    for k, network in enumerate(model.networks):
        a = np.array([x for column in told[k]["inputs"].values() for x in column.values()])
        for W, b, name in zip(network.W, network.b, [*network.activation, network.output], strict=True):
            a = LAW[name](a @ W.astype(float) + b.astype(float))
        outputs.append(a)
    A = np.average(outputs, axis=0, weights=model.shares)
    target = model.encoder.target
    if target.classes is not None:
        return softmax(model.sharpness * np.log(A))
    if model.task == "classification":
        return expit(model.sharpness * (np.log(A) - np.log1p(-A)))
    if target.quantiles:
        A[np.argsort(target.quantiles)] = np.sort(A)
    y = A * np.repeat(target.scales, max(1, len(target.quantiles))) + np.repeat(
        target.centers, max(1, len(target.quantiles))
    )
    return np.exp(y) if target.log else y


@pytest.mark.parametrize("name", NAMES)
def test_json_recomputed_by_hand_is_the_model_s_own_answer(cases, name):
    table, model = cases[name]
    for i in (0, 9, 11):
        told = [
            json.loads(json.dumps(model.explain(table, i, network=k).to_dict())) for k in range(len(model.networks))
        ]
        own, answer = own_answer(model, table.rows(np.array([i]))), told[0]["answer"]
        np.testing.assert_allclose(by_hand(model, told), own, rtol=1e-6, atol=1e-6)
        said = answer["probabilities"] if model.task == "classification" else answer["numbers"]
        np.testing.assert_allclose(said, own, rtol=1e-6, atol=1e-6)
        predicted = np.ravel(model.predict(table.rows(np.array([i])))).tolist()
        assert answer["answer"] == (predicted if model.task == "classification" else pytest.approx(predicted))


@pytest.mark.parametrize("name", NAMES)
def test_contributions_add_up(cases, name):
    table, model = cases[name]
    c = model.explain(table, 3).contributions
    assert c.complete
    assert sum(c.columns.values()) == pytest.approx(c.total)
    assert c.total == pytest.approx(c.answer - c.baseline, rel=1e-4)

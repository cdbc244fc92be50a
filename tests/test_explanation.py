"""An explanation's numbers, recomputed by hand from the model's weights and biases, are the model's own answer."""

import json
import math
import re

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, softmax

import fallline as fl
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
    numbers = np.stack([3 * abs(X[:, 0]) + X[:, 1], X[:, 2] ** 2 - X[:, 3]], axis=1) + 0.3 * rng.normal(size=(300, 2))
    names = ("p", "q", "r", "s")
    tables = {
        "digits": (digits, SMALL),
        "iris": (iris, SMALL | {"epochs": 30}),
        "people": (people(), SMALL),
        "log": (Table("t", X, np.exp(3 + numbers[:, 0]), names, "price"), SMALL | {"target_transform": "log"}),
        "numbers": (Table("t", X, numbers, names, "wind"), SMALL),
        "labels": (Table("t", X, (numbers > 2).astype(np.int64), names, "tags"), SMALL),
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
        a = np.array([each["x"] for each in told[k]["inputs"]])
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
        if model.task == "regression":
            predicted = pytest.approx(predicted, rel=1e-6, abs=1e-6)
        assert answer["answer"] == predicted


@pytest.mark.parametrize("name", NAMES)
def test_contributions_add_up(cases, name):
    table, model = cases[name]
    c = model.explain(table, 3).contributions
    assert c.complete
    assert sum(c.columns.values()) == pytest.approx(c.total)
    assert c.total == pytest.approx(c.answer - c.baseline, rel=1e-4)


def section(text, title):
    """The lines below a title, up to the next one."""
    (found,) = re.findall(rf"^{title}[^\n]*\n-+\n(.*?)(?:\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return found.splitlines()


def last_number(line):
    return float(re.findall(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?", line.rstrip("."))[-1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("neuron", [None, (0, 0)])
def test_the_printed_neuron_adds_up(cases, name, neuron):
    """Products, bias, sum and activation, from the text alone; and they are those of W and b."""
    table, model = cases[name]
    explained = model.explain(table, 5, neuron=neuron)
    step, lines = explained.neuron, section(str(explained), "Neuron ")
    products = [line for line in lines if " * " in line]
    for line in products:
        x, w, product = map(float, re.search(r"(-?[\d.]+) +\* +(-?[\d.]+) += +(-?[\d.]+)$", line).groups())
        assert x * w == pytest.approx(product, abs=1e-6)
    others = [last_number(line) for line in lines if "together" in line]
    b, z = (next(last_number(line) for line in lines if line.startswith(f"{sign} ")) for sign in "+=")
    total = sum(map(last_number, products)) + sum(others) + b
    assert total == pytest.approx(z, abs=2e-6)
    net = model.network
    assert b == pytest.approx(net.b[step.layer][step.neuron], abs=1e-6)
    assert z == pytest.approx(step.x @ net.W[step.layer][:, step.neuron] + b, abs=1e-6)
    a, law = last_number(lines[-1]), explained.layers[step.layer].activation
    if law == "softmax":
        assert np.exp(z - last_number(lines[-2])) == pytest.approx(a, abs=1e-6)
    else:
        assert LAW[law](z) == pytest.approx(a, abs=1e-6)
    assert a == pytest.approx(explained.layers[step.layer].a[step.neuron], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_printed_outputs_come_to_the_model_s_own_answer(cases, name):
    table, model = cases[name]
    text = str(model.explain(table, 5))
    lines = [re.split(r"  +", line) for line in section(text, "From the network")]
    of_network = np.array([line[1:] for line in lines if re.match(r"network|the other|\d+ linear", line[0])], float)
    shares, outputs = of_network[:, 0], of_network[:, 1:]
    average = shares @ outputs
    own = own_answer(model, table.rows(np.array([5])))
    if model.task == "classification":
        (header,) = [line for line in lines if "share" in line]
        names = [str(label) for label in (model.classes if model.classes is not None else ["tags 1", "tags 2"])]
        own = own[[names.index(name) for name in header[2:]]]
        if model.sharpness != 1:
            power = float(re.search(r"to the power ([\d.]+),", text)[1])
            assert power == pytest.approx(model.sharpness)
            (last,) = [line[1:] for line in lines if line[0].startswith("made s")]
            np.testing.assert_allclose(np.array(last, float), own, atol=1e-6)
            if len(own) == len(names) and model.classes is not None:
                np.testing.assert_allclose(softmax(power * np.log(average)), own, atol=2e-6)
        else:
            np.testing.assert_allclose(average, own, atol=1e-6)
        return
    for t, line in enumerate(line for line in lines if "*" in line):
        z, scale, center = (float(line[i]) for i in (1, 3, 5))
        y = z * scale + center
        assert (math.exp(y) if model.encoder.target.log else y) == pytest.approx(own.ravel()[t], rel=1e-6, abs=1e-6)
        if not model.encoder.target.quantiles:
            assert z == pytest.approx(average[t], abs=1e-6)


def test_without_a_bias_nothing_fits(cases):
    """What the tests above would see if a bias were forgotten."""
    table, model = cases["people"]
    row = table.rows(np.array([5]))
    told = [model.explain(table, 5, network=k).to_dict() for k in range(len(model.networks))]
    with_bias = by_hand(model, told)
    bare = [network.copy() for network in model.networks]
    for network in bare:
        network.b[-1] = 0
    without = fl.Model(model.encoder, bare, shares=model.shares, sharpness=model.sharpness)
    np.testing.assert_allclose(with_bias, own_answer(model, row), atol=1e-6)
    assert abs(by_hand(without, told) - own_answer(model, row)).max() > 1e-4


def test_columns_as_they_were_written(cases):
    table, model = cases["people"]
    columns = {column.name: column for column in model.explain(table, 0).columns}
    age, work, country, sex = (columns[name] for name in ("age", "work", "country", "sex"))
    assert (age.value, age.becomes) == (None, {"age": 0.0, "age is missing": 1.0})
    assert work.value is None
    assert [name for name, x in work.becomes.items() if x] == ["work is missing"]
    assert country.value.startswith("land ")
    encoding = model.encoder.encodings[table.columns.index("country")]
    assert country.becomes == {"country": encoding.labels.index(country.value) + 1}
    assert sex.becomes == {"sex is 'm'": 1.0 if sex.value == "m" else -1.0}
    hours = {column.name: column for column in model.explain(table, 1).columns}["hours"]
    z = (hours.value - hours.center) * hours.scale
    assert hours.becomes["hours"] == pytest.approx(z / math.sqrt(1 + (z / 3) ** 2))
    days = table.X[0, table.columns.index("since")]
    assert columns["since"].value == str(np.datetime64("2000-01-01") + int(days))


def test_a_label_that_training_did_not_have(cases):
    _, model = cases["people"]
    frame = pl.DataFrame({"age": [30.0], "hours": [20.0], "owner": [1], "sex": ["m"]}).with_columns(
        since=pl.date(2016, 1, 1), work=pl.lit("none of these"), country=pl.lit("Atlantis")
    )
    explained = model.explain(frame)
    columns = {column.name: column for column in explained.columns}
    assert columns["country"].value == "Atlantis"
    assert columns["country"].how == "row 0 of its learned table (a label that has no place of its own)"
    assert "all its indicators are 0" in columns["work"].how
    assert explained.contributions.complete


def test_contributions_of_a_linear_model_are_what_each_column_alone_changes(cases):
    table, model = cases["linear"]
    c = model.explain(table, 2).contributions
    assert (c.method, c.points) == ("exact", 0)
    answer = model.predict(table.X[[2]])[0]
    assert c.answer == pytest.approx(answer, rel=1e-6)
    for j, column in enumerate(model.encoder.encodings):
        without = table.X[[2]].copy()
        without[0, j] = column.center
        assert c.columns[column.name] == pytest.approx(answer - model.predict(without)[0], rel=1e-4, abs=1e-5)
    assert max(map(abs, c.columns.values())) > 0.1


def test_contributions_of_one_linear_network_are_to_the_log_odds(cases):
    iris, trained = cases["one linear"]
    model = fl.Model(trained.encoder, trained.networks[:1], sharpness=2.0)
    p = np.log(own_answer(model, iris.rows(np.array([70]))).astype(float))
    first, second = np.argsort(-p)[:2]
    c = model.explain(iris, 70).contributions
    assert c.of == f"log-odds of {model.classes[first]} against {model.classes[second]}"
    assert (c.method, c.answer) == ("exact", pytest.approx(p[first] - p[second], abs=1e-4))
    assert c.total == pytest.approx(c.answer - c.baseline)


@pytest.mark.parametrize("name", ["people", "log", "labels", "quantiles", "digits"])
def test_gradients_by_finite_differences(cases, name):
    """Of the whole answer, averaging and sharpness included, for what each first layer takes."""
    from fallline.explanation.answer import Answer
    from fallline.explanation.contributions import Exactly, mean_output
    from fallline.explanation.first_layer import first_layer

    table, model = cases[name]
    encoded = model.encoder.encode_inputs(model.encoder.rows_of(table.rows(np.array([4]))))
    networks, F = [Exactly(net) for net in model.networks], [first_layer(net, encoded) for net in model.networks]
    answer = Answer(model.encoder.target, 1.7, model.encoder.n_out - 1)

    def value(F):
        outputs = [net.forward(x) for net, x in zip(networks, F, strict=True)]
        return answer.value(mean_output(model.shares, outputs))[0], outputs

    _, outputs = value(F)
    dA = answer.gradient(mean_output(model.shares, outputs))
    rng, h = np.random.default_rng(0), 1e-6
    for k, net in enumerate(networks):
        dF = net.backward(outputs[k], model.shares[k] * dA)
        u = rng.normal(size=dF.shape)
        ahead, behind = ([*F[:k], F[k] + side * h * u, *F[k + 1 :]] for side in (1, -1))
        slope = (value(ahead)[0] - value(behind)[0]) / (2 * h)
        assert (dF * u).sum() == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_integrated_gradients_of_a_product():
    """Of x1 x2 from the origin each factor has half: made of two neurons that square, known in closed form."""
    from fallline.explanation.answer import Answer
    from fallline.explanation.contributions import Exactly, contributions
    from fallline.table import Target

    # softplus(z) + softplus(-z) is even; far enough in the middle x1 x2 = ((x1 + x2)^2 - (x1 - x2)^2) / 4
    h = 0.01
    W0, b0 = np.array([[h, -h, h, -h], [h, -h, -h, h]]), np.zeros(4)
    W1 = np.array([[1.0], [1.0], [-1.0], [-1.0]]) / h**2  # 2 softplus''(0) / 2 = 1 / 4 of the square
    net = fl.Network([2, 4, 1], "softplus", dtype="float64")
    net.W[0], net.b[0], net.W[1], net.b[1] = W0, b0, W1, np.zeros(1)
    target = Target("regression", "area", None, (5.0,), (2.0,))
    x, origin = np.array([[0.7, -0.4]]), np.zeros((1, 2))
    c = contributions([Exactly(net)], [1.0], Answer(target, 1.0, 0), [x], [origin], [["a", "b"]])
    assert c.columns == {"a": pytest.approx(-0.28, rel=1e-3), "b": pytest.approx(-0.28, rel=1e-3)}
    assert c.baseline == pytest.approx(5.0)
    assert c.complete


def test_an_output_that_is_asked_for_is_the_one_that_is_explained(cases):
    iris, model = cases["iris"]
    explained = model.explain(iris, 0, neuron=(2, 1))
    assert (explained.neuron.name, explained.contributions.of) == ("versicolor", "probability of versicolor")
    assert explained.contributions.answer == pytest.approx(own_answer(model, iris.rows(np.array([0])))[1], abs=1e-6)


def test_arrays_frames_and_blocks_have_the_same_answer(cases):
    from dataclasses import replace

    iris, model = cases["iris"]
    frame = pl.DataFrame(iris.X, schema=list(iris.columns))
    told = [
        model.explain(X, row).to_dict()
        for X, row in ((iris, 60), (iris.X, 60), (frame, 60), (replace(iris.rows(np.arange(50, 70)), first_row=50), 10))
    ]
    for other in told[1:]:
        assert other | {"data": "iris"} == told[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"row": 150}, "row is 150; it must be from 0 to 149"),
        ({"row": -1}, "row is -1"),
        ({"network": 6}, "network is 6; the model's networks are numbered from 0 to 5"),
        ({"neuron": (3, 0)}, "there is no layer 3; the layers of network 0 are 0 to 2"),
        ({"neuron": (1, 7)}, "there is no neuron 7; those in layer 1 of network 0 are 0 to 6"),
        ({"neuron": (1,)}, "it must be a layer and a neuron in it"),
    ],
)
def test_what_is_not_there(cases, arguments, says):
    iris, model = cases["iris"]
    with pytest.raises(fl.ParameterError, match=re.escape(says)):
        model.explain(iris, **arguments)


def test_rows_are_needed(cases):
    iris, model = cases["iris"]
    for none in (iris.rows(np.arange(0)), np.empty((0, 4))):
        with pytest.raises(fl.DataError, match="there are no rows to explain"):
            model.explain(none)


def test_a_number_far_away_is_refused(cases):
    _, model = cases["iris"]
    with pytest.raises(fl.DataError, match="column 'sepal"):
        model.explain(np.full((1, 4), np.inf))


def test_names_and_labels_with_control_characters_stay_on_their_line():
    rng = np.random.default_rng(0)
    table = Table(
        "rows\x1b[31m.csv",
        np.stack([rng.normal(size=80), rng.integers(0, 3, 80)], axis=1).astype(np.float32),
        rng.choice(["no\n", "yes\x1b"], 80),
        ("width,\nin cm", "kind"),
        "y\x07",
        labels={"kind": ("a\rb", "c\td", "e")},
    )
    text = str(fit(table, SMALL | {"epochs": 1}).model.explain(table))
    assert r"width,\nin cm" in text
    assert all(line.isprintable() for line in text.split("\n"))

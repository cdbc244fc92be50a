"""Every topic on every kind of descent gives a frame that browsers can read; errors are one line, whatever is asked."""

import json
import warnings

import numpy as np
import pytest

from fallline.errors import ParameterError
from fallline.live.experiment import Experiment
from fallline.live.frames import frame
from fallline.live.topics import TOPICS
from fallline.table import Table, load_bundled

ASKED = {"cell": {"truth": 0, "answer": 1}, "drawn": {"pixels": [0.5] * 64}}
NOT_FOR_ALL = {"images": "no pictures", "drawn": "no pictures", "cell": "no classes"}


def mixed():
    """Categories, dates, missing values, a constant column."""
    rng = np.random.default_rng(0)
    X = np.stack([rng.random(60), rng.integers(0, 3, 60), 8000 + rng.integers(0, 99, 60), np.ones(60)], axis=1).astype(
        np.float32
    )
    X[::7, :3] = np.nan
    y = rng.choice(["no", "<b>yes</b>"], 60)
    return Table(
        "mixed", X, y, ("x", "kind", "day", "one"), "says", None, {"kind": ("a", "b", "c")}, frozenset(["day"])
    )


def labels():
    rng = np.random.default_rng(0)
    X = rng.random((60, 4), np.float32)
    return Table("labels", X, (X[:, :2] > 0.5).astype(np.int64), ("a", "b", "c", "d"), "both")


def a_second_time():
    experiment = Experiment(load_bundled("diabetes"), {"activation": "relu"})
    experiment.advance(40)
    experiment.apply("set", learning_rate=1e9)
    experiment.advance(1000)
    assert experiment.diverged
    return experiment


def taken(table, steps=60, **settings):
    experiment = Experiment(load_bundled(table) if isinstance(table, str) else table, settings)
    experiment.advance(steps)
    return experiment


DESCENTS = {
    "digits": lambda: taken("digits"),
    "at its start": lambda: taken("digits", steps=0),
    "numbers": lambda: taken("diabetes"),
    "no hidden layer": lambda: taken("iris", hidden=()),
    "nothing held back": lambda: taken("wine", validation=0.0),
    "mixed columns": lambda: taken(mixed()),
    "several labels": lambda: taken(labels()),
    "embedded": lambda: taken("iris", inputs="embedded", optimizer="adamw", learning_rate=0.01),
    "quantiles": lambda: taken("diabetes", loss="quantile"),
    "own error": lambda: taken("iris", loss="squared_error", hidden=(3,), activation="tanh", dropout=0.3),
    "reference engine": lambda: taken("iris", engine="reference", hidden=(4,)),
    "diverged": a_second_time,
    "gone back": lambda: (experiment := a_second_time(), experiment.apply("back"), experiment)[2],
}


@pytest.fixture(scope="module", params=DESCENTS)
def view(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the descent that diverges
        return DESCENTS[request.param]().view()


@pytest.mark.parametrize("name", TOPICS)
def test_gives_a_frame(view, name):
    encoder, asked = view.job.encoder, ASKED.get(name, {})
    lacks = encoder.classes is None if name == "cell" else encoder.image_shape is None
    if name in NOT_FOR_ALL and lacks:
        with pytest.raises(ParameterError, match=NOT_FOR_ALL[name]):
            TOPICS[name].work_out(view, asked)
        return
    data, arrays = TOPICS[name].work_out(view, asked)
    message = frame({"topic": name, "step": view.step, "data": data}, arrays)
    length = int.from_bytes(message[:4], "little")
    header = json.loads(message[4 : 4 + length])
    assert set(header["arrays"]) == set(arrays)


@pytest.mark.parametrize("name", TOPICS)
def test_whatever_is_asked(name):
    """Each known argument in turn is something else; what is not known does not matter."""
    view = DESCENTS["digits"]().view()
    known = ("n", "row", "most", "layer", "neuron", "columns", "truth", "answer", "pixels")
    strange = (
        None,
        "",
        "x" * 1000,
        -1,
        1 << 70,
        0.5,
        float("inf"),
        True,
        [],
        [[]],
        ["a", "b"],
        [0, 10**9],
        {},
        {"a": []},
    )
    said = []
    for key in known:
        for value in strange:
            try:
                TOPICS[name].work_out(view, {**ASKED.get(name, {}), key: value, "other": value})
            except ParameterError as error:
                said.append(str(error))
    assert all(len(line) < 250 and "\n" not in line for line in said)

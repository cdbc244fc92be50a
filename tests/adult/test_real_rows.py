"""What `explain` says of a row of a real table, recomputed from its JSON and the model's weights with NumPy alone."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from fallline.explanation.first_layer import typical_first_layer
from fallline.model import load

ADULT = Path(__file__).with_name("adult_200.csv")
ROW = 7


def fallline(*arguments):
    command = [sys.executable, "-m", "fallline", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("adult") / "adult.fallline"
    settings = ("--starts", 2, "--hidden", "8,6", "--epochs", 8, "--quiet")
    fallline("train", ADULT, "--target", "income", "--out", path, *settings)
    return path


@pytest.fixture(scope="module")
def told(path):
    """The JSON of each of the model's networks."""
    n = len(load(path).networks)
    return [json.loads(fallline("explain", path, ADULT, "--row", ROW, "--network", k, "--json")) for k in range(n)]


def forward(network, x):
    hidden = [(W.astype(float), b.astype(float)) for W, b in zip(network.W, network.b, strict=True)]
    for l, (W, b) in enumerate(hidden):
        x = x @ W + b
        x = softmax(x) if l == len(hidden) - 1 else np.maximum(x, 0)
    return x


def answer(model, inputs):
    outputs = [forward(network, x) for network, x in zip(model.networks, inputs, strict=True)]
    return softmax(model.sharpness * np.log(np.array(model.shares) @ outputs))


def test_the_numbers_told_come_to_the_answer(path, told):
    model = load(path)
    inputs = [np.array([each["x"] for each in one["inputs"]]) for one in told]
    said = told[0]["answer"]["probabilities"]
    np.testing.assert_allclose(answer(model, inputs), said, rtol=0, atol=1e-6)
    probabilities = fallline("predict", path, ADULT, "--proba").splitlines()[ROW].split(",")
    np.testing.assert_allclose([float(p) for p in probabilities[-2:]], said, rtol=0, atol=1e-6)


def test_the_contributions_are_the_way_from_the_typical_row(path, told):
    model, c = load(path), told[0]["contributions"]
    output = int(np.argmax(told[0]["answer"]["probabilities"]))
    typical = [np.ravel(typical_first_layer(model.encoder, network)) for network in model.networks]
    baseline = answer(model, typical)[output]
    assert c["method"] == "integrated gradients"
    assert c["baseline"] == pytest.approx(baseline, abs=1e-6)
    assert c["answer"] == pytest.approx(told[0]["answer"]["probabilities"][output], abs=1e-6)
    assert set(c["columns"]) == set(model.encoder.columns)
    moved = c["answer"] - baseline
    assert abs(moved) > 1e-3
    assert sum(c["columns"].values()) == pytest.approx(moved, rel=2e-4)

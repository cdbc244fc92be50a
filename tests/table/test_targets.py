"""Targets there and back: several numbers, their logarithms and quantiles, several labels."""

import json

import numpy as np
import pytest

from fallline.errors import DataError, ParameterError
from fallline.table import Target, guess_task

RNG = np.random.default_rng(0)
Y = RNG.normal([3.0, -200.0], [0.1, 50.0], size=(40, 2))


def through_json(target):
    return Target.from_header(json.loads(json.dumps(target.to_header())))


@pytest.mark.parametrize("reload", [lambda target: target, through_json], ids=["fresh", "reloaded"])
@pytest.mark.parametrize(
    ("y", "log"), [(Y[:, 0], False), (Y, False), (np.exp(Y[:, :1] * [1.0, 2.0]), True), (np.exp(Y[:, 0]), True)]
)
def test_numbers_there_and_back(y, log, reload):
    target = reload(Target.fit(y, "y", "regression", log))
    encoded = target.encode(y)
    assert (encoded.shape, encoded.dtype) == ((40, y.size // 40), np.float32)
    logs = np.log(y) if log else y
    np.testing.assert_allclose(encoded, ((logs - logs.mean(axis=0)) / logs.std(axis=0)).reshape(40, -1), atol=1e-5)
    np.testing.assert_allclose(target.decode(encoded), y, rtol=1e-4)
    np.testing.assert_allclose(target.truth(encoded), y.reshape(40, -1), rtol=1e-4)
    assert (target.output, target.n_out, target.n_targets) == ("identity", y.size // 40, y.size // 40)


def test_quantiles_of_several_targets_stand_together_and_are_put_in_order():
    target = through_json(Target.fit(Y, "y", "regression", quantiles=(0.9, 0.5, 0.1)))
    assert (target.n_out, target.output) == (6, "identity")
    assert target.answer_names == ["y 1 0.9", "y 1 0.5", "y 1 0.1", "y 2 0.9", "y 2 0.5", "y 2 0.1"]
    A = np.array([[-1.0, 0.0, 1.0, 2.0, 1.0, 3.0]])  # the first target's are the wrong way round
    z = np.array([[[1.0, 0.0, -1.0], [3.0, 2.0, 1.0]]])
    expected = z * Y.std(axis=0)[:, None] + Y.mean(axis=0)[:, None]
    np.testing.assert_allclose(target.numbers(A), expected)
    np.testing.assert_allclose(target.decode(A), expected[:, :, 1])


def test_several_labels():
    labels = RNG.integers(0, 2, (40, 3))
    for y in (labels, labels.astype(bool), labels.astype(float)):
        target = through_json(Target.fit(y, "y"))
        assert (target.task, target.output, target.n_out, target.classes) == ("classification", "sigmoid", 3, None)
        np.testing.assert_array_equal(target.encode(y), labels)
        np.testing.assert_array_equal(target.decode(0.2 + 0.6 * labels), labels)
    assert target.answer_names == ["y 1", "y 2", "y 3"]


def test_the_task_that_several_columns_suggest():
    assert guess_task(np.array([[0, 1], [1, 1]])) == "classification"
    assert guess_task(np.array([[0, 2], [1, 1]])) == "regression"


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: Target.fit(Y, "y", "classification"), DataError, "'y' has 2 columns, so each must hold 0 and 1 alone"),
        (lambda: Target.fit(Y, "y", "regression", log=True), DataError, "target 'y': target_transform is 'log', but"),
        (
            lambda: Target.fit(Y, "y", "regression").encode(Y[:, 0]),
            DataError,
            r"shape \(n, 2\) are needed, not \(40,\)",
        ),
        (lambda: Target.fit(np.array(["a", "b"]), "y", log=True), ParameterError, "'log', which is for numbers"),
        (lambda: Target.fit(Y[:, 0], "y", "poetry"), ParameterError, "unknown task 'poetry'"),
    ],
)
def test_what_cannot_be(call, error, says):
    with pytest.raises(error, match=says):
        call()

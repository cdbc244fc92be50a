"""What a network says about rows: the compiled core's answer against NumPy's, however the rows are given."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import _core
from fallline.activations import HIDDEN, OUTPUTS
from fallline.engines import as_engine
from fallline.network import core_shape

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def relative_distance(A: np.ndarray, oracle: np.ndarray) -> float:
    return float(np.abs(A - oracle).max() / np.abs(oracle).max())


@pytest.mark.parametrize("n", [1, 2, 300])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", HIDDEN)
def test_it_is_numpy_s_answer(activation: str, dtype: str, n: int, instruction_set: str) -> None:
    for output in OUTPUTS:
        net = fl.Network([7, 19, 5, 3], activation, output, seed=1, dtype=dtype)
        X = np.random.default_rng(n).normal(size=(n, 7)).astype(dtype)
        A, oracle = net(X), net.forward(X).A[-1]
        assert (A.shape, A.dtype) == ((n, 3), net.dtype)
        assert relative_distance(A, oracle) < TOLERANCE[dtype]
        np.testing.assert_array_equal(A, as_engine("native").predict(net.shape, net.parameters, X))


def test_the_tolerance_rejects_a_changed_weight() -> None:
    for dtype, tolerance in TOLERANCE.items():
        net = fl.Network([7, 19, 5, 3], "tanh", seed=1, dtype=dtype)
        X = np.random.default_rng(0).normal(size=(4, 7)).astype(dtype)
        oracle = net.forward(X).A[-1]
        net.W[1][3, 2] += 100 * tolerance
        assert relative_distance(net(X), oracle) > tolerance


X = np.array([[1.0, -2.0], [3.0, 0.5], [-0.25, 4.0]])
FORMS: dict[str, Any] = {
    "float32": X.astype(np.float32),
    "float64": X.copy(),
    "a list": X.tolist(),
    "a list of rows": list(X),
    "float16": X.astype(np.float16),
    "the other byte order": X.astype(X.dtype.newbyteorder()),
    "float32 in the other byte order": X.astype(np.dtype("f4").newbyteorder()),
    "objects": X.astype(object),
    "columns first": np.asfortranarray(X.astype(np.float32)),
    "backwards": np.ascontiguousarray(X.astype(np.float32)[::-1])[::-1],
    "every other column": np.repeat(X.astype(np.float32), 2, axis=1)[:, ::2],
    "a matrix": X.astype(np.float32).view(type("Own", (np.ndarray,), {})),
    "not aligned": np.frombuffer(b"x" + X.astype("f4").tobytes(), dtype=np.uint8)[1:].view("f4").reshape(3, 2),
}  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("form", FORMS)
def test_rows_in_every_form(form: str, dtype: str) -> None:
    net = fl.Network([2, 5, 2], "tanh", "softmax", seed=1, dtype=dtype)
    A = net(FORMS[form])
    assert type(A) is np.ndarray
    np.testing.assert_array_equal(A, net(X.astype(dtype)))
    assert A.flags.c_contiguous
    assert A.flags.owndata


def test_rows_that_may_not_be_written() -> None:
    net, rows = fl.Network([2, 1], seed=1), X.astype(np.float32)
    rows.flags.writeable = False
    np.testing.assert_array_equal(net(rows), net(X))


def test_whole_numbers_and_truths() -> None:
    net = fl.Network([2, 1], seed=1)
    np.testing.assert_array_equal(net(np.array([[1, 0]])), net([[1.0, 0.0]]))
    np.testing.assert_array_equal(net(np.array([[True, False]])), net([[1.0, 0.0]]))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (0, 20), (1, 3), (1, 20)])
def test_each_number_is_looked_at(place: tuple[int, int], bad: float, dtype: str) -> None:
    """The output alone would not tell: relu makes 0 of minus infinity, and a weight of 0 hides it."""
    net = fl.Network([21, 4, 1], "relu", dtype=dtype, parameters=-np.ones(21 * 4 + 4 + 4 + 1))
    rows = np.zeros((2, 21), dtype=dtype)
    largest = np.finfo(dtype).max
    rows[1, 5], rows[0, 1] = largest, -largest
    assert np.isfinite(rows).all()
    net(rows)  # as large as numbers get, and fine
    rows[place] = bad
    with pytest.raises(fl.DataError) as raised:
        net(rows)
    assert str(raised.value) == f"X has {bad} in row {place[0]}, column {place[1]}; inputs must be finite numbers"


@pytest.mark.parametrize("n_columns", [1, 3])
def test_columns_that_do_not_fit(n_columns: int) -> None:
    with pytest.raises(fl.DataError, match=rf"X has shape \(1, {n_columns}\), but the network takes \(n, 2\)"):
        fl.Network([2, 1])(np.zeros((1, n_columns), dtype=np.float32))


def test_complex_rows_are_refused() -> None:
    with pytest.raises(fl.DataError, match="X holds complex numbers"):
        fl.Network([2, 1])(X.astype(complex))


def test_changed_parameters_count_at_once() -> None:
    net = fl.Network([2, 3, 1], seed=1)
    before = net(X)
    net.W[0][0, 0] += 1
    assert relative_distance(net(X), before) > 1e-3
    assert relative_distance(net(X), net.forward(X).A[-1]) < 1e-6
    net.parameters = np.zeros(13)
    np.testing.assert_array_equal(net(X), np.zeros((3, 1)))


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, fl.Network.copy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_copies_answer_from_their_own_parameters(copied: Any) -> None:
    net = fl.Network([2, 3, 1], seed=1)
    before = net(X)  # by now it has its predictor
    other = copied(net)
    np.testing.assert_array_equal(other(X), before)
    other.parameters[:] = 0
    np.testing.assert_array_equal(net(X), before)
    assert not other(X).any()


def test_several_threads_may_ask_at_once() -> None:
    net, rows = fl.Network([2, 30, 1], seed=1), np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    expected = net.copy()(rows)
    answers: list[np.ndarray] = []
    asking = [threading.Thread(target=lambda: answers.extend(net(rows) for _ in range(20))) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(answers) == 80
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_a_wrong_instruction_set_gets_one_line() -> None:
    code = "import fallline as fl; net = fl.Network([1, 1]); net.forward([[1.0]]); print('made'); net([[1.0]])"
    environment = os.environ | {"FALLLINE_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "made\n"
    assert done.stderr.splitlines()[-1].startswith("fallline.errors.ParameterError: FALLLINE_ISA is 'AVX2'; it must be")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(4), np.zeros((1, 2)), np.zeros((1, 1)), 1), "the block of parameters does not have the network's"),
        ((np.zeros(3), np.zeros((2, 2)), np.zeros((1, 1)), 1), r"out must have shape \(n, n_out\)"),
        ((np.zeros(3), np.zeros((1, 2)), np.zeros((1, 2)), 1), r"out must have shape \(n, n_out\)"),
        ((np.zeros(3), np.zeros((1, 2)), np.zeros((1, 1)), 0), "threads must be 1 or more"),
    ],
)
def test_the_compiled_core_does_not_trust_its_caller(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.PredictorFloat64(**core_shape(fl.Network([2, 1]).shape))(*arguments)


@pytest.mark.parametrize(
    "rows", [np.zeros((1, 3)), np.zeros((1, 2), dtype=np.float32), np.zeros(2), np.zeros((2, 2)).T[:1], [[0.0, 0.0]]]
)
def test_the_compiled_core_says_which_rows_it_does_not_take(rows: Any) -> None:
    out = np.full((1, 1), 7.0)
    assert _core.PredictorFloat64(**core_shape(fl.Network([2, 1]).shape))(np.zeros(3), rows, out, 1) is False
    assert out.item() == 7, "nothing was done"

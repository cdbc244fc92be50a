"""Metrics against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sk

from fallline.errors import ParameterError
from fallline.metrics import METRICS, accuracy, as_metrics, brier, mae, r2, rmse

DTYPES = [np.float32, np.float64]

# A new metric fails until scikit-learn's name for it stands here.
REGRESSION = {
    "rmse": lambda A, Y: sk.mean_squared_error(Y, A) ** 0.5,
    "mae": lambda A, Y: sk.mean_absolute_error(Y, A),
    "r2": lambda A, Y: sk.r2_score(Y, A),
}


def test_every_metric_has_an_oracle():
    assert set(METRICS) == {*REGRESSION, "accuracy", "brier"}


@pytest.mark.parametrize("weighted", [False, True])
def test_brier(weighted):
    rng = np.random.default_rng(0)
    A, labels = rng.dirichlet(np.ones(3), 50), rng.integers(0, 3, 50)
    w = rng.uniform(0.5, 2, 50) if weighted else None
    expected = sk.brier_score_loss(labels, A, sample_weight=w, labels=[0, 1, 2])
    assert brier(A, np.eye(3)[labels], w) == pytest.approx(expected)
    two = sk.brier_score_loss(labels == 0, A[:, 0], sample_weight=w, scale_by_half=False)
    assert brier(A[:, :1], (labels == 0)[:, None].astype(float), w) == pytest.approx(two)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("name", REGRESSION)
def test_regression(name, n_out, dtype):
    rng = np.random.default_rng(0)
    Y = rng.normal(size=(200, n_out)).astype(dtype)
    A = (Y + rng.normal(size=(200, n_out)) * [0.1, 1, 3][:n_out]).astype(dtype)
    value = METRICS[name](A, Y)
    assert isinstance(value, float)
    expected = REGRESSION[name](A.astype(np.float64), Y.astype(np.float64))
    assert value == pytest.approx(expected, rel=20 * float(np.finfo(dtype).eps))
    assert METRICS[name](Y, Y) == {"r2": 1.0}.get(name, 0.0)


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("name", REGRESSION)
def test_many_float32_rows_far_from_zero(name, n_out):
    """House prices: sums over many rows must not lose what a row can hold."""
    rng = np.random.default_rng(1)
    Y = (2e5 + 5e4 * rng.normal(size=(300_000, n_out))).astype(np.float32)
    A = (Y + 1e4 * rng.normal(size=Y.shape)).astype(np.float32)
    assert METRICS[name](A, Y) == pytest.approx(REGRESSION[name](A.astype(np.float64), Y.astype(np.float64)), rel=1e-5)


def test_r2_is_0_at_the_mean_and_may_be_negative():
    Y = np.array([[1.0], [2.0], [6.0]])
    assert r2(np.full_like(Y, 3.0), Y) == 0
    assert r2(-Y, Y) == pytest.approx(sk.r2_score(Y, -Y))
    assert r2(-Y, Y) < 0


def test_accuracy_of_classes():
    rng = np.random.default_rng(2)
    A, classes = rng.random((300, 5)), rng.integers(0, 5, 300)
    assert accuracy(A, np.eye(5)[classes]) == pytest.approx(sk.accuracy_score(classes, A.argmax(axis=1)))
    smooth = 0.9 * np.eye(5)[classes] + 0.02
    assert accuracy(A, smooth) == pytest.approx(sk.accuracy_score(classes, A.argmax(axis=1)))
    assert accuracy(np.eye(5)[classes], np.eye(5)[classes]) == 1


def test_accuracy_of_yes_or_no():
    rng = np.random.default_rng(3)
    A, answers = rng.random((300, 1)), rng.integers(0, 2, (300, 1)).astype(float)
    assert accuracy(A, answers) == pytest.approx(sk.accuracy_score(answers[:, 0] > 0, A[:, 0] > 0.5))
    assert accuracy(np.array([[0.9], [0.1], [0.2], [0.7]]), np.array([[1.0], [0], [1], [1]])) == 0.75


def test_weights_count_as_in_scikit_learn():
    rng = np.random.default_rng(4)
    Y, A, w = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), rng.uniform(0, 3, 50)
    assert rmse(A, Y, w) == pytest.approx(sk.mean_squared_error(Y, A, sample_weight=w) ** 0.5)
    assert mae(A, Y, w) == pytest.approx(sk.mean_absolute_error(Y, A, sample_weight=w))
    assert r2(A, Y, w) == pytest.approx(sk.r2_score(Y, A, sample_weight=w))
    expected = sk.accuracy_score(Y.argmax(axis=1), A.argmax(axis=1), sample_weight=w)
    assert accuracy(A, Y, w) == pytest.approx(expected)


def test_a_row_that_is_not_a_number_is_wrong():
    assert accuracy(np.full((2, 1), np.nan), np.zeros((2, 1))) == 0
    assert accuracy(np.array([[np.nan, 0.0], [1.0, 0.0]]), np.eye(2)[[0, 0]]) == 0.5


@pytest.mark.parametrize("name", ["loss", "start", "validation_loss"])
def test_a_metric_must_not_take_a_name_of_the_history(name):
    with pytest.raises(ParameterError, match="must be a function, and not named epoch"):
        as_metrics({name: mae})


def test_as_metrics():
    assert as_metrics(["rmse", "accuracy"]) == {"rmse": rmse, "accuracy": accuracy}
    assert as_metrics(()) == {}
    mine = {"worst": lambda A, Y: float(np.abs(A - Y).max()), "mine": mae}
    assert as_metrics(mine) == mine
    with pytest.raises(ParameterError) as raised:
        as_metrics(["rmse", "acuracy"])
    message = "metric 'acuracy' is unknown; did you mean 'accuracy'? choose from accuracy, brier, mae, r2, rmse, "
    message += "or {'name': function}"
    assert str(raised.value) == message


@pytest.mark.parametrize("guess", [5.0, 4.0, -1e6])
def test_r2_of_targets_that_do_not_vary(guess):
    Y = np.array([[5.0, 1.0], [5.0, 2.0], [5.0, 4.0]])
    A = np.column_stack([np.full(3, guess), Y[:, 1]])
    assert r2(A, Y) == sk.r2_score(Y, A)  # scikit-learn: such a column counts 1 where it is met, else 0

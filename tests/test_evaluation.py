"""Scores against scikit-learn's, and confidence intervals against how often they hold the truth."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.integrate import trapezoid
from scipy.stats import binom, norm

from fallline import evaluation
from fallline.evaluation import evaluate_classes, evaluate_numbers


def classes(n, K, seed=0, digits=6):
    """Probabilities that know something of the labels; few digits make ties."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, K, n)
    Z = rng.normal(size=(n, K))
    Z[np.arange(n), codes] += 1
    A = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    return A.round(digits) / A.round(digits).sum(axis=1, keepdims=True), codes


def oracle_of_classes(A, codes):
    K = A.shape[1]
    said = A.argmax(axis=1)
    rest = [k for k in range(K) if 0 < (codes == k).sum() < len(codes)]
    return {
        "accuracy": sk.accuracy_score(codes, said),
        "balanced_accuracy": sk.balanced_accuracy_score(codes, said),
        "log_loss": sk.log_loss(codes, A, labels=range(K)),
        "brier": np.square(np.eye(K)[codes] - A).sum(axis=1).mean(),
        "roc_auc": np.mean([sk.roc_auc_score(codes == k, A[:, k]) for k in ([1] if K == 2 else rest)]),
        "f1": sk.f1_score(codes, said) if K == 2 else sk.f1_score(codes, said, average="macro"),
    }


def oracle_of_numbers(predicted, actual):
    return {
        "rmse": sk.root_mean_squared_error(actual, predicted),
        "mae": sk.mean_absolute_error(actual, predicted),
        "median_absolute_error": sk.median_absolute_error(actual, predicted),
        "r2": sk.r2_score(actual, predicted),
    }


def values(evaluation):
    return {name: score.value for name, score in evaluation.scores.items()}


@pytest.mark.parametrize("digits", [6, 1])
@pytest.mark.parametrize("K", [2, 3, 12])
def test_scores_of_classes_are_scikit_learn_s(K, digits):
    A, codes = classes(300, K, digits=digits)
    result = evaluate_classes(A, codes)
    expected = oracle_of_classes(np.maximum(A, np.finfo(np.float32).tiny), codes)
    expected["log_loss"] = -np.log(np.maximum(A[np.arange(300), codes], np.finfo(np.float32).tiny)).mean()
    assert values(result) == pytest.approx(expected)
    np.testing.assert_array_equal(result.confusion, sk.confusion_matrix(codes, A.argmax(axis=1), labels=range(K)))
    assert (result.n_rows, result.n_resampled) == (300, 300)


def test_log_loss_and_brier_are_scikit_learn_s():
    A, codes = classes(200, 3)
    scores = values(evaluate_classes(A, codes))
    assert scores["log_loss"] == pytest.approx(sk.log_loss(codes, A))
    A, codes = classes(200, 2)
    assert values(evaluate_classes(A, codes))["brier"] == pytest.approx(2 * sk.brier_score_loss(codes, A[:, 1]))


@pytest.mark.parametrize("n", [2, 7, 300])
def test_scores_of_numbers_are_scikit_learn_s(n):
    rng = np.random.default_rng(n)
    actual = rng.normal(1e6, 1, n)
    predicted = actual + rng.standard_t(3, n)
    assert values(evaluate_numbers(predicted, actual)) == pytest.approx(oracle_of_numbers(predicted, actual))


@pytest.mark.parametrize("K", [0, 2, 4])
def test_a_row_that_counts_twice_is_two_rows(K):
    """The resamples go through the same formula, with rows that count 0, 1, 2 ... times; 0 stands for numbers."""
    w = evaluation._counts(np.random.default_rng(0), 20, 60)
    assert (w.sum(axis=1) == 60).all()
    if K:
        A, codes = classes(60, K, digits=2)
        A = np.maximum(A, 1e-9)
        scores, oracle, columns = evaluation._class_scores(A, codes), oracle_of_classes, (A, codes)
    else:
        columns = np.random.default_rng(1).normal(size=(2, 60))
        scores, oracle = evaluation._number_scores(*columns), oracle_of_numbers
    resampled = scores(w)
    for i, counts in enumerate(w.astype(int)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of probabilities that do not quite sum to one
            expected = oracle(*(np.repeat(column, counts, axis=0) for column in columns))
        assert {name: value[i] for name, value in resampled.items()} == pytest.approx(expected, rel=1e-6)


def covered(interval_of, truth, n_tables=600):
    """How often intervals of simulated tables hold the truth."""
    held = dict.fromkeys(truth, 0)
    for seed in range(n_tables):
        scores = interval_of(np.random.default_rng(seed))
        for name, value in truth.items():
            held[name] += scores[name].low <= value <= scores[name].high
    return {name: count / n_tables for name, count in held.items()}


def coin_or_signal(rng, n=200, shift=1.0):
    """Two classes as likely, told apart by a normal number; the probability is the true one."""
    codes = rng.integers(0, 2, n)
    x = rng.normal(size=n) + shift * codes
    p = 1 / (1 + np.exp(-(shift * x - shift**2 / 2)))
    return np.stack([1 - p, p], axis=1), codes


# What chance leaves of 600 tables with 95 %, or a little less, for percentiles are a bit too narrow on 200 rows.
LOWEST, HIGHEST = binom.ppf(1e-3, 600, 0.94) / 600, binom.ppf(1 - 1e-3, 600, 0.95) / 600


def test_intervals_of_classes_hold_the_truth_as_often_as_they_say():
    shift = 1.0
    right = norm.cdf(shift / 2)
    truth = {"accuracy": right, "balanced_accuracy": right, "roc_auc": norm.cdf(shift / np.sqrt(2)), "f1": right}
    # log loss of the true probabilities: by quadrature
    x = np.linspace(-9, 10, 200_001)
    p = 1 / (1 + np.exp(-(shift * x - shift**2 / 2)))
    density = (norm.pdf(x) + norm.pdf(x - shift)) / 2
    truth["log_loss"] = trapezoid(-(p * np.log(p) + (1 - p) * np.log(1 - p)) * density, x)
    truth["brier"] = trapezoid(2 * p * (1 - p) * density, x)
    shares = covered(lambda rng: evaluate_classes(*coin_or_signal(rng, shift=shift)).scores, truth)
    assert all(LOWEST <= share <= HIGHEST for share in shares.values()), shares


def test_intervals_of_numbers_hold_the_truth_as_often_as_they_say():
    truth = {"rmse": 1.0, "mae": np.sqrt(2 / np.pi), "median_absolute_error": norm.ppf(0.75), "r2": 0.8}

    def interval_of(rng):
        predicted = rng.normal(0, 2, 200)
        return evaluate_numbers(predicted, predicted + rng.normal(size=200)).scores

    shares = covered(interval_of, truth)
    assert all(LOWEST <= share <= HIGHEST for share in shares.values()), shares


@pytest.mark.parametrize("K", [2, 5])
def test_a_part_of_many_rows_gives_the_same_intervals(monkeypatch, K):
    A, codes = classes(8000, K)
    whole = evaluate_classes(A, codes)
    monkeypatch.setattr(evaluation, "MOST_ROWS", 1500)
    part = evaluate_classes(A, codes)
    assert (whole.n_resampled, part.n_resampled) == (8000 if K == 2 else 4000, 1500 if K == 2 else 1000)
    for name, score in whole.scores.items():
        other = part.scores[name]
        assert other.value == score.value
        assert other.low < other.value < other.high
        assert other.high - other.low == pytest.approx(score.high - score.low, rel=0.2), name


def test_accuracy_is_never_certain():
    """Where a bootstrap has nothing to resample: 20 of 20 right may be 84 %."""
    A, codes = np.tile([0.9, 0.1], (20, 1)), np.zeros(20, int)
    codes[10:], A[10:] = 1, [0.1, 0.9]
    accuracy = evaluate_classes(A, codes).scores["accuracy"]
    assert (accuracy.value, accuracy.high) == (1, 1)
    assert accuracy.low == pytest.approx(0.8389, abs=1e-4)  # Wilson by hand: 20 / (20 + 1.96^2)


def test_rows_of_one_class_have_no_curve():
    A, _ = classes(10, 3)
    scores = evaluate_classes(A, np.ones(10, int)).scores
    assert np.isnan([scores["roc_auc"].value, scores["roc_auc"].low]).all()
    assert np.isfinite(scores["balanced_accuracy"].value)
    A, codes = classes(300, 101)
    assert np.isnan(evaluate_classes(A, codes).scores["roc_auc"].value)


def test_a_target_that_never_varies():
    assert values(evaluate_numbers(np.ones(5), np.ones(5)))["r2"] == 1
    assert values(evaluate_numbers(np.zeros(5), np.ones(5)))["r2"] == 0


@pytest.mark.parametrize("K", [2, 3])
def test_the_best_constant(K):
    codes = np.random.default_rng(0).choice(K, 400, p=[0.6, 0.4] if K == 2 else [0.5, 0.3, 0.2])
    constants = {name: score.constant for name, score in evaluate_classes(classes(400, K)[0], codes).scores.items()}
    shares = np.tile(np.bincount(codes) / 400, (400, 1))
    expected = oracle_of_classes(shares, codes)
    if K == 2:
        expected["f1"] = sk.f1_score(codes, np.ones(400, int))
    assert constants == pytest.approx(expected)


def test_the_best_constant_of_numbers():
    y = np.random.default_rng(0).exponential(size=101)
    constants = {name: score.constant for name, score in evaluate_numbers(y, y).scores.items()}
    expected = oracle_of_numbers(np.full(101, np.median(y)), y) | {"rmse": y.std(), "r2": 0}
    assert constants == pytest.approx(expected)

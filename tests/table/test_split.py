"""Splits: a partition, seeded, each class in its proportion."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fallline.errors import DataError, ParameterError
from fallline.table import Table, folds, last_rows, split

UNHURRIED = settings(max_examples=100, deadline=None)
FRACTIONS = st.floats(0.01, 0.99)


def table_of(y):
    return Table("t.csv", np.zeros((len(y), 1), np.float32), np.array(y), ("x",), "y")


@UNHURRIED
@given(n=st.integers(2, 200), fraction=FRACTIONS, seed=st.integers(0, 2**32))
def test_regression_is_cut_to_the_row(n, fraction, seed):
    train, held_back = split(table_of(np.arange(n)), fraction, seed, "regression")
    assert sorted([*train, *held_back]) == list(range(n))
    assert len(held_back) == min(max(round(n * fraction), 1), n - 1)
    assert (train.dtype, held_back.dtype) == (np.int64, np.int64)
    assert (np.diff(train) > 0).all()
    assert (np.diff(held_back) > 0).all()


@UNHURRIED
@given(y=st.lists(st.sampled_from("aaaabbc"), min_size=2, max_size=200), fraction=FRACTIONS, seed=st.integers(0, 9))
def test_classification_keeps_proportions(y, fraction, seed):
    assume(any(y.count(label) > 1 for label in y))
    train, held_back = split(table_of(y), fraction, seed, "classification")
    assert sorted([*train, *held_back]) == list(range(len(y)))
    assert len(held_back) > 0
    labels = np.array(y)
    n_held = max(1, round(len(y) * fraction))
    for label in set(y):
        assert label in labels[train]
        share = min(y.count(label) * n_held / len(y), y.count(label) - 1)
        assert abs(np.sum(labels[held_back] == label) - share) <= 1


def test_classes_of_equal_size_are_cut_alike():
    y = np.arange(100) % 4
    _, held_back = split(table_of(y), 0.2, 3, "classification")
    assert np.bincount(y[held_back]).tolist() == [5, 5, 5, 5]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_seed_decides(task):
    table = table_of(np.arange(100) % 3)
    first, again, other = (split(table, 0.3, seed, task)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_row_has_its_turn():
    table = table_of(np.arange(10) % 2)
    seen = {int(row) for seed in range(60) for row in split(table, 0.2, seed, "classification")[1]}
    assert seen == set(range(10))


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1, 2, float("nan")])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ParameterError, match="must be between 0 and 1, not"):
        split(table_of([1, 2]), fraction, 0, "regression")


@pytest.mark.parametrize(("y", "task"), [([1], "regression"), (["a", "b"], "classification")])
def test_too_few_rows(y, task):
    with pytest.raises(DataError, match=r"^t.csv: too few rows"):
        split(table_of(y), 0.5, 0, task)


def test_importing_the_room_loads_neither_polars_nor_scikit_learn():
    code = "import sys, fallline.table; print({'polars', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize("n_folds", [2, 5])
def test_groups_stay_together(n_folds):
    """As scikit-learn's GroupKFold has it: no group in two folds, and folds of nearly the same size."""
    group = np.repeat(np.arange(12), [1, 9, 3, 3, 8, 2, 5, 5, 4, 6, 7, 7])
    table = Table("t", np.zeros((60, 1), np.float32), np.arange(60) % 2, ("x",), "y")
    fold = folds(table, n_folds, 0, "classification", group)
    assert all(len(set(fold[group == g])) == 1 for g in range(12))
    assert np.ptp(np.bincount(fold, minlength=n_folds)) <= 4
    alike = np.arange(60) // 5
    one, two = (folds(table, n_folds, seed, "classification", alike) for seed in (0, 1))
    assert (one != two).any()
    train, held_back = split(table, 0.3, 0, "classification", group)
    assert not set(group[train]) & set(group[held_back])
    assert sorted([*train, *held_back]) == list(range(60))
    assert 18 <= len(held_back) <= 27


def test_the_last_rows():
    table = Table("t", np.zeros((10, 1), np.float32), None, ("x",), None)
    for fraction, n_held in ((0.01, 1), (0.25, 2), (0.999, 9)):
        train, held_back = last_rows(table, fraction)
        assert [*train, *held_back] == list(range(10))
        assert len(held_back) == n_held
    with pytest.raises(DataError, match="t: too few rows"):
        last_rows(table.rows(np.array([0])), 0.5)

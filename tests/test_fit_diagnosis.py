"""What may be wrong with a fit: each finding on a table made for it, and none on one that is well."""

import numpy as np
import pytest

from fallline.fit import diagnose, fit
from fallline.listeners import EarlyStopping
from fallline.table import Table, load_bundled

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1200, 4)).astype(np.float32)
WAVE = np.sin(2 * X[:, 0]) * X[:, 1] + 0.3 * RNG.normal(size=1200)
RIGHT = np.where(WAVE > 0, "up", "down")


def table_of(y, x=X):
    return Table("t", x, y, tuple("abcdefgh"[: x.shape[1]]), "y")


def beside(*columns):
    return np.column_stack([X, *columns]).astype(np.float32)


COUNTED = np.column_stack([np.arange(1200), X[:, :2]]).astype(np.float32)
# Name of the finding, words of it, table and settings.
CASES = {
    "nearly all is right": ("leak", table_of(X[:, 0], X[:, :1]), {"epochs": 60}),
    "column 'e' alone nearly tells the target": ("leak", table_of(WAVE, beside(WAVE)), {"epochs": 2}),
    "drop it, if it is known only after the target": ("leak", table_of(WAVE, beside(np.exp(-WAVE))), {"epochs": 2}),
    "only 1 have another class": ("leak", table_of(RIGHT, beside(RNG.normal(size=1200), WAVE)), {"epochs": 2}),
    "column 'e' alone": ("leak", table_of(RIGHT, beside(np.where(RIGHT == "up", np.nan, 1.0))), {"epochs": 2}),
    "column 'a' counts the rows": ("counter", table_of(WAVE, COUNTED), {"epochs": 10}),
    "a linear model is as good": ("linear_as_good", table_of(X[:, 0] + RNG.normal(size=1200)), {"epochs": 10}),
    "no better than the same one for all rows": (
        "no_better_than_a_guess",
        table_of(RNG.normal(size=1200)),
        {"epochs": 10},
    ),
    "the time was over": ("too_little_time", table_of(WAVE), {"epochs": 100_000, "time_budget": 0.5}),
    "still got better at the end": (
        "too_few_epochs",
        table_of(np.sin(4 * X[:, 0]) + np.sin(4 * X[:, 1]) * X[:, 2]),
        {"epochs": 20, "learning_rate": 0.004},
    ),
    "rows are learned by heart": ("overfitting", table_of(RNG.normal(size=600), X[:600]), {"epochs": 150}),
    "the starts disagree": (
        "starts_disagree",
        table_of(X[:, 0] * X[:, 1], X[:, :2]),
        {"epochs": 20, "hidden": (3,), "learning_rate": 0.1, "hold_back": "last", "activation": "relu"},
    ),
    "the steps are too large": ("step_too_large", table_of(WAVE), {"epochs": 10, "learning_rate": 100.0}),
    "the steps are too small": ("step_too_small", table_of(WAVE), {"epochs": 10, "learning_rate": 1e-6}),
    "learn their logarithm": ("skewed_target", table_of(np.exp(1.5 * X[:, 0] + WAVE)), {"epochs": 10}),
    "100 rows are few": ("few_rows", table_of(WAVE[:100], X[:100]), {"epochs": 10}),
}


@pytest.mark.parametrize("words", CASES)
def test_each_finding_where_it_is_due(words):
    name, table, settings = CASES[words]
    found = diagnose(fit(table, {"starts": 4} | settings), table)
    assert any(finding.name == name and words in str(finding) for finding in found), [str(one) for one in found]


# Columns that say a good deal, and are no leak: noise beside the target, and a table sorted by its classes.
HEALTHY = {
    "a wave": table_of(WAVE),
    "a wave, and a good hint": table_of(WAVE, beside(WAVE + 0.1 * RNG.normal(size=1200))),
    "sorted by class": Table("t", X[np.argsort(RIGHT)], np.sort(RIGHT), tuple("abcd"), "y"),
    "digits": load_bundled("digits"),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_silence_where_all_is_well(case):
    table = HEALTHY[case]
    found = diagnose(fit(table, {} if table.image_shape else {"starts": 4}), table)
    assert [str(finding) for finding in found] == []


def test_time_is_not_blamed_where_patience_ended_it():
    table = table_of(RNG.normal(size=1200))
    fitted = fit(table, {"starts": 2, "epochs": 1000, "patience": 2, "time_budget": 60, "learning_rate": 0.01})
    assert fitted.run.stopped_because == EarlyStopping.stops_because
    assert "too_little_time" not in [finding.name for finding in diagnose(fitted, table)]


def test_what_is_broken_is_not_compared_with_a_linear_model():
    table = table_of(X[:, 0] + RNG.normal(size=1200))
    found = diagnose(fit(table, {"starts": 4, "epochs": 10, "learning_rate": 1e-6}), table)
    assert [finding.name for finding in found] == ["step_too_small"]

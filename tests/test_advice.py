"""What to try next: each piece of advice on a table made for it, and none of it on one that is well."""

import numpy as np
import pytest

from fallline.fit import advice, fit
from fallline.table import Table, load_bundled

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1200, 4)).astype(np.float32)
WAVE = np.sin(2 * X[:, 0]) * X[:, 1] + 0.3 * RNG.normal(size=1200)


def table_of(y, x=X):
    return Table("t", x, y, tuple("abcd"[: x.shape[1]]), "y")


COUNTED = np.column_stack([np.arange(1200), X[:, :2]]).astype(np.float32)
CASES = {
    "nearly all is right": (table_of(X[:, 0], X[:, :1]), {"epochs": 60}),
    "column 'a' counts the rows": (table_of(WAVE, COUNTED), {"epochs": 10}),
    "a linear model is as good": (table_of(X[:, 0] + RNG.normal(size=1200)), {"epochs": 10}),
    "the time was over": (table_of(WAVE), {"epochs": 100_000, "time_budget": 0.5}),
    "still got better at the end: try more epochs (20 now)": (
        table_of(np.sin(4 * X[:, 0]) + np.sin(4 * X[:, 1]) * X[:, 2]),
        {"epochs": 20, "learning_rate": 0.004},
    ),
    "rows were learned by heart": (table_of(RNG.normal(size=1200)), {"epochs": 400}),
    "the starts disagree": (
        table_of(X[:, 0] * X[:, 1], X[:, :2]),
        {"epochs": 20, "hidden": (3,), "learning_rate": 0.1, "hold_back": "last", "activation": "relu"},
    ),
    "learn their logarithm": (table_of(np.exp(1.5 * X[:, 0] + WAVE)), {"epochs": 10}),
    "100 rows are few": (table_of(WAVE[:100], X[:100]), {"epochs": 10}),
}


@pytest.mark.parametrize("words", CASES)
def test_advice_where_it_is_due(words):
    table, settings = CASES[words]
    said = advice(fit(table, {"starts": 4} | settings), table)
    assert any(words in each for each in said), said


def test_silence_where_all_is_well():
    table = table_of(WAVE)
    assert advice(fit(table, {"starts": 4}), table) == []
    digits = load_bundled("digits")  # kept at its last epoch by the recipe, which says nothing
    assert advice(fit(digits), digits) == []

"""Summaries: merged they say what one of all rows says, and encoders made of them are those made of whole columns."""

import math

import numpy as np
import pytest

from fallline.table import BUNDLED, Encoder, Summary, Table, load_bundled
from fallline.table.summary import ColumnSummary, joined, sampled


def by_hand(table, j):
    """Role, center, scale, missing, labels and timed of a column, written down from what each means."""
    x = table.X[:, j]
    present = x[~np.isnan(x)].astype(np.float64)
    missing, kind = len(present) < len(x), table.kind(table.columns[j])
    if not len(present):
        return "unused", 0.0, 1.0, False, (), False
    if kind == "category":
        names = [*table.labels[table.columns[j]], ""]
        codes = np.where(np.isnan(x), len(names) - 1, x).astype(int)
        counts = np.bincount(codes, minlength=len(names))
        known = [names[i] for i in np.flatnonzero(counts)]
        if len(known) == 1 or (len(known) == len(x) > 20):
            return "unused", 0.0, 1.0, False, (), False
        if 2 * len(known) > len(x) > 20 and np.mean([name.count(" ") for name in known]) >= 3:
            return "unused", 0.0, 1.0, False, (), False
        if len(known) > 1000:
            most = np.argsort(-counts, kind="stable")[:1000]
            known = [names[i] for i in np.sort(most[counts[most] > 1])]
        return "category", 0.0, 1.0, False, tuple(known), False
    low, high = present.min(), present.max()
    if low == high:
        return ("number", low, 0.0, True, (), False) if missing else ("unused", 0.0, 1.0, False, (), False)
    if kind == "number" and len(np.unique(present)) == 2:
        return "yes/no", (low + high) / 2, 2 / (high - low), missing, (), False
    lower, center, upper = np.percentile(present, [25, 50, 75])
    spread = upper - lower if upper > lower else np.median(np.abs(present[present != center] - center))
    timed = kind == "date" and bool((present % 1 != 0).any())
    return kind, center, min(1 / spread, np.finfo(np.float32).max), missing, (), timed


def awkward():
    rng = np.random.default_rng(0)
    n = 3000
    labels = {
        "label": ("a", "b", "c"),
        "many": tuple(f"{i:05}" for i in range(n)),
        "own": tuple(f"{i:05}" for i in range(n)),
        "text": tuple(f"{i} words in a row" for i in range(n)),
        "one": ("x",),
    }
    columns = {
        "normal": rng.normal(size=n),
        "holes": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n) * 1e6),
        "zeros": np.where(rng.random(n) < 0.9, 0, rng.normal(size=n)),
        "two": rng.choice([-1.0, 3.0], n),
        "two or missing": rng.choice([-1.0, 3.0, np.nan], n),
        "same": np.full(n, 7.0),
        "same or missing": rng.choice([7.0, np.nan], n),
        "nothing": np.full(n, np.nan),
        "tiny": rng.choice([1e-38, 2e-38, 3e-38], n),
        "label": rng.choice([0, 1, np.nan], n),
        "many": np.minimum(np.arange(n) // 2 + rng.integers(0, 2, n), n - 1),
        "own": rng.permutation(n),
        "text": rng.permutation(n),
        "one": np.zeros(n),
        "day": rng.integers(0, 9000, n),
        "moment": np.where(rng.random(n) < 0.1, np.nan, rng.uniform(0, 9000, n)),
    }
    X = np.stack(list(columns.values()), axis=1).astype(np.float32)
    y = rng.normal(size=n) * 1e3 + 1e6
    return Table("awkward", X, y, tuple(columns), "y", None, labels, frozenset({"day", "moment"}))


def parts_of(table, *ends):
    return [table.rows(np.arange(first, last)) for first, last in zip((0, *ends), (*ends, table.n_rows), strict=True)]


@pytest.mark.parametrize("name", [*BUNDLED, "awkward"])
def test_an_encoder_is_what_its_columns_say_by_hand(name):
    table = awkward() if name == "awkward" else load_bundled(name)
    encoder = Encoder.fit(table)
    if table.image_shape is None:
        for j, column in enumerate(encoder.encodings):
            found = column.role, column.center, column.scale, column.missing, column.labels, column.timed
            assert found == by_hand(table, j), column.name
    if encoder.classes is not None:
        np.testing.assert_array_equal(encoder.classes, np.unique(table.y))
    else:
        assert encoder.target.centers == (float(table.y.mean()),)
        assert encoder.target.scales == (float(table.y.astype(np.float64).std()),)


def test_merged_summaries_encode_as_one_of_all_rows_in_whichever_order():
    table = awkward()
    whole = Encoder.fit(table)
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        parts = [Summary.of(part) for part in parts_of(table, 17, 1500)]
        merged = Summary.of_parts(parts[i] for i in order)
        found = Encoder.of_summary(merged)
        assert found.encodings == whole.encodings
        assert found.target.centers == pytest.approx(whole.target.centers, rel=1e-14)
        assert found.target.scales == pytest.approx(whole.target.scales, rel=1e-12)


def test_a_summary_survives_bytes():
    table = awkward()
    known = Summary.of(table)
    back = Summary.from_bytes(known.to_bytes())
    assert back.columns == known.columns
    assert Encoder.of_summary(back).to_header() == Encoder.of_summary(known).to_header()
    assert back.sample.labels == table.labels
    assert back.sample.dates == table.dates


def test_classes_and_their_counts_add_up():
    y = np.array(["b", "a", "b", "c", "a", "b"])
    table = Table("six", np.arange(6, dtype=np.float32)[:, None], y, ("x",), "y")
    first, second = (Summary.of(part) for part in parts_of(table, 2))
    merged = first.merge(second).target
    assert dict(zip(merged.classes.tolist(), merged.counts.tolist(), strict=True)) == {"a": 2, "b": 3, "c": 1}
    assert Encoder.of_summary(first.merge(second)).classes.tolist() == ["a", "b", "c"]


def test_parts_without_rows_say_nothing():
    table = awkward()
    empty = Summary.of(table.rows(np.arange(0)))
    whole = Summary.of(table)
    for merged in (empty.merge(whole), whole.merge(empty)):
        assert Encoder.of_summary(merged).to_header() == Encoder.of_summary(whole).to_header()


def test_a_sample_does_not_depend_on_how_the_table_is_cut():
    n = 400_000
    whole = sampled(0, n, n, 40, seed=3)
    cut = [first + sampled(first, 12_345, n, 40, seed=3) for first in range(0, n - 12_345, 12_345)]
    found = np.concatenate(cut)
    np.testing.assert_array_equal(found, whole[: len(found)])
    assert 0.24 < len(whole) / n < 0.26  # 100,000 of them
    assert len(sampled(0, 500, 500, 40, seed=3)) == 500


def test_a_sample_knows_the_quartiles_well_enough():
    rng = np.random.default_rng(1)
    X = rng.normal(3, 2, (400_000, 1)).astype(np.float32)
    table = Table("long", X, X[:, 0].astype(np.float64), ("x",), "y")
    some = Summary.of(table, sampled=sampled(0, len(X), len(X), 4, seed=0))
    found, all_rows = Encoder.of_summary(some).encodings[0], Encoder.fit(table).encodings[0]
    assert found.center == pytest.approx(all_rows.center, abs=0.03)
    assert found.scale == pytest.approx(all_rows.scale, rel=0.02)


def test_joined_rows_share_their_labels():
    first = Table("t", np.array([[0], [1]], np.float32), None, ("c",), None, labels={"c": ("b", "d")})
    second = Table("t", np.array([[math.nan], [0], [1]], np.float32), None, ("c",), None, labels={"c": ("a", "d")})
    both = joined([first, second])
    assert both.labels["c"] == ("a", "b", "d")
    np.testing.assert_array_equal(both.X[:, 0], [1, 2, np.nan, 0, 2])


def test_labels_that_are_too_many_are_forgotten_but_counted(monkeypatch):
    monkeypatch.setattr("fallline.table.summary.MOST_COUNTED", 60)
    often = ColumnSummary("c", "category", 100, 0, {"often": 60} | {f"{i:02}": 1 for i in range(40)})
    other = ColumnSummary("c", "category", 40, 0, {f"{i:02}": 1 for i in range(40, 80)})
    merged = often.merge(other)
    assert len(merged.counts) == 30
    assert merged.counts["often"] == 60
    assert merged.n_forgotten == 51


def test_long_labels_are_forgotten_for_their_length(monkeypatch):
    monkeypatch.setattr("fallline.table.summary.COUNTED_BYTES", 100_000)
    X = np.arange(40, dtype=np.float32)[:, None] // 2
    pages = [f"{i:04}" + "x" * 4000 for i in range(20)]

    def part(labels):
        return Summary.of(Table("t", X, X[:, 0], ("c",), "y", labels={"c": tuple(labels)}), "regression")

    assert Summary.of_parts([part(pages), part(pages)]).columns[0].n_forgotten == 0
    merged = Summary.of_parts([part(pages), part([f"y{page}" for page in pages])]).columns[0]
    assert (len(merged.counts), merged.n_forgotten) == (12, 28)


def test_rows_to_remember_have_their_own_labels_alone():
    X = np.array([[3, 0], [1, 5], [np.nan, 7], [0, 2], [1, 1]], np.float32)
    table = Table("t", X, X[:, 1], ("c", "x"), "y", labels={"c": ("a", "b", "c", "d")})
    some = Summary.of(table, "regression", sampled=np.array([0, 1, 2, 4])).sample
    assert some.labels == {"c": ("b", "d")}
    np.testing.assert_array_equal(some.X, [[1, 0], [0, 5], [np.nan, 7], [0, 1]])
    np.testing.assert_array_equal(table.X, X)

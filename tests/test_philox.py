"""Philox against Random123's known answers; orders and masks against what chance allows."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fallline import _core
from fallline.philox import PURPOSE_DROPOUT, PURPOSE_ROWS, dropout_mask, philox, row_order, words

ONES = 0xFFFFFFFF

# Random123, tests/kat_vectors, the lines of philox4x32 with 10 rounds: counter, key, answer
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    for n in (1, 3):  # alone, and beside others
        got = philox(np.array([counter] * n, dtype=np.uint64).T, key)
        assert (got.dtype, got.shape) == (np.uint32, (4, n))
        for column in got.T:
            assert tuple(map(int, column)) == answer


def test_words_are_the_blocks_of_a_counter():
    seed, a, b, purpose = 0xA4093822_299F31D0, 5, 7, 3
    key = (0x299F31D0, 0xA4093822)  # the low half first
    blocks = [philox(np.array([[block], [a], [b], [purpose]]), key)[:, 0] for block in range(4)]
    expected = np.concatenate(blocks)
    for n in range(16):
        got = words(n, seed, a, b, purpose)
        assert got.dtype == np.uint32
        np.testing.assert_array_equal(got, expected[:n])


def test_words_are_uniform():
    draws = words(40_000, seed=3, a=0, b=0, purpose=0)
    assert stats.kstest(draws / 2.0**32, "uniform").pvalue > 1e-3
    bits = np.unpackbits(draws.view(np.uint8).reshape(-1, 4), axis=1).mean(axis=0)
    assert np.abs(bits - 0.5).max() < 5 * 0.5 / math.sqrt(40_000)


# ---- row orders


@settings(deadline=None)
@given(n=st.integers(0, 300), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**31))
def test_row_order_is_a_permutation(n, seed, epoch):
    order = row_order(n, seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, row_order(n, seed, epoch))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_all_orders_are_equally_likely(n):
    draws = 40 * math.factorial(n)
    for orders in (
        [tuple(row_order(n, 12, epoch)) for epoch in range(draws)],
        [tuple(row_order(n, seed, 3)) for seed in range(draws)],
    ):
        counts = Counter(orders)
        assert len(counts) == math.factorial(n)
        assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_every_row_comes_to_every_place():
    n, draws = 12, 1200
    places = np.array([row_order(n, 5, epoch) for epoch in range(draws)])
    counts = np.stack([np.bincount(place, minlength=n) for place in places.T])  # (place, row)
    # rows and columns sum to `draws`: (n - 1)^2 degrees of freedom
    chi_square = ((counts - draws / n) ** 2 / (draws / n)).sum()
    assert stats.chi2.sf(chi_square, (n - 1) ** 2) > 1e-3


def test_orders_differ_between_epochs_and_seeds():
    seeds = [0, 1, 2**32, 2**32 + 1, 2**63, 2**64 - 1]
    orders = {tuple(row_order(50, seed, epoch)) for seed in seeds for epoch in (0, 1, 2, 1000)}
    assert len(orders) == len(seeds) * 4


# ---- dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_mask_keeps_the_mean(rate):
    mask = dropout_mask((400, 250), rate, seed=1, step=2, layer=0, start=0)
    assert set(np.unique(mask)) == {0.0, 1 / (1 - rate)}
    dropped = (mask == 0).sum()
    assert stats.binomtest(int(dropped), mask.size, rate).pvalue > 1e-3
    # neither neurons nor rows are favoured
    for axis, n in ((0, 400), (1, 250)):
        z = ((mask == 0).mean(axis=axis) - rate) / math.sqrt(rate * (1 - rate) / n)
        assert 1e-3 < stats.chi2.cdf((z * z).sum(), len(z)) < 1 - 1e-3


def test_no_rate_drops_nothing_and_nearly_1_nearly_all():
    np.testing.assert_array_equal(dropout_mask((7, 3), 0.0, 1, 0, 0, 0), np.ones((7, 3)))
    assert dropout_mask((50, 50), np.nextafter(1, 0), 1, 0, 0, 0).max() == 0


def test_masks_are_independent_of_one_another():
    settings = [
        (seed, step, layer, start) for seed in (0, 2**40) for step in (0, 1) for layer in (0, 1) for start in (0, 1)
    ]
    kept = np.array([dropout_mask((100, 100), 0.5, *setting).ravel() > 0 for setting in settings])
    correlation = np.corrcoef(kept) - np.eye(len(settings))
    assert np.abs(correlation).max() < 5 / math.sqrt(10_000)


def test_masks_and_orders_draw_from_different_sequences():
    assert (words(8, 1, 0, 0, PURPOSE_ROWS) != words(8, 1, 0, 0, PURPOSE_DROPOUT)).all()


def test_a_shorter_batch_gets_the_beginning_of_the_same_mask():
    np.testing.assert_array_equal(dropout_mask((5, 6), 0.3, 1, 2, 3, 4), dropout_mask((9, 6), 0.3, 1, 2, 3, 4)[:5])


@pytest.mark.parametrize(("n", "seed", "epoch"), [(1, 0, 0), (2, 1, 1), (1000, 2**63 + 5, 3), (1001, 7, 2**33 + 1)])
def test_the_compiled_row_order_is_the_same(n, seed, epoch):
    order = np.empty(n, np.int64)
    _core.row_order(seed, epoch, order)
    np.testing.assert_array_equal(order, row_order(n, seed, epoch))

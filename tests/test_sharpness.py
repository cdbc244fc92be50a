"""Probabilities to a power: against the formula, and where averages of networks round beyond 1."""

import numpy as np
import pytest

from fallline.sharpness import sharpened

P = np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0], [1.0, 0.0, 0.0]])


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_a_power_and_the_sum_brought_back_to_1(sharpness: float) -> None:
    powers = P**sharpness
    np.testing.assert_allclose(sharpened(P, sharpness), powers / powers.sum(axis=1, keepdims=True), atol=1e-15)
    np.testing.assert_allclose(sharpened(P, sharpness, each=True), powers / (powers + (1 - P) ** sharpness), atol=1e-15)


@pytest.mark.filterwarnings("error")
def test_an_average_that_rounds_beyond_1_is_certain() -> None:
    """Three networks with a third each, all sure, say 1.00000003 together."""
    third = np.float32(1 / 3)
    A = np.array([[3 * np.float64(third), 0.5]])
    assert A[0, 0] > 1
    assert sharpened(A, 2.0, each=True).tolist() == [[1.0, 0.5]]

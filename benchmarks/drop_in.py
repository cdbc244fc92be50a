"""`python -m benchmarks.drop_in`: our MLPClassifier beside scikit-learn's, in turn; see `--help`."""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from benchmarks.machine import machine
from fallline.estimators import MLPClassifier

Rows = tuple[np.ndarray, np.ndarray]
EPOCHS = {"adam": 10, "sgd": 10, "lbfgs": 20}


def digits() -> Rows:
    """The bundled digits, 1797 x 64."""
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def images(dtype: str) -> Callable[[], Rows]:
    """Random rows of MNIST's width."""
    rng = np.random.default_rng(0)
    return lambda: (rng.random((10_000, 784)).astype(dtype), np.arange(10_000) % 10)


def table() -> Rows:
    """A small table, 1000 x 10, of two classes."""
    X = np.random.default_rng(0).normal(size=(1000, 10))
    return X, (X[:, 0] > 0).astype(int)


# What is timed: rows, and what share of the epochs is enough.
CASES: dict[str, tuple[Callable[[], Rows], float]] = {
    "digits, 1797 x 64": (digits, 1.0),
    "a table, 1000 x 10": (table, 3.0),
    "images, 10000 x 784": (images("float64"), 0.2),
    "images, float32": (images("float32"), 0.2),
}


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def beside(theirs: Callable[[], Any], ours: Callable[[], Any], rounds: int) -> str:
    """Medians of both and the ratio's, with its range over the rounds; one round before does not count."""
    pairs = [(seconds(theirs), seconds(ours)) for _ in range(rounds + 1)][1:]
    ratios = sorted(a / b for a, b in pairs)
    medians = [1000 * statistics.median(times) for times in zip(*pairs, strict=True)]
    middle = statistics.median(ratios)
    return f"{medians[0]:.2f} | {medians[1]:.2f} | {middle:.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}) |"


def check(theirs: Any, ours: Any, X: np.ndarray, y: np.ndarray) -> None:
    """Fit both, and make sure that they came to the same loss and the same answers."""
    for one in (theirs, ours):
        one.fit(X, y)
    tolerance = 1e-6 if X.dtype == np.float64 else 1e-2
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=tolerance)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=tolerance)


def main() -> None:
    """Time fits and predictions, and print a table."""
    parser = argparse.ArgumentParser("python -m benchmarks.drop_in", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count, default %(default)s")
    parser.add_argument("--threads", type=int, help="of both; by default each decides")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # nobody waits for convergence
    found = machine()
    print(f"{found['processor']}, {found['cores']} cores, load {found['load']:.1f}, scikit-learn {sklearn.__version__}")
    print("| | scikit-learn, ms | fallline, ms | times as fast |\n|---|---|---|---|")
    if asked.threads:
        os.environ["OMP_NUM_THREADS"] = str(asked.threads)  # ours asks for it each time
    with threadpool_limits(asked.threads):
        for name, (make, share) in CASES.items():
            X, y = make()
            for solver, epochs in EPOCHS.items():
                settings = {"solver": solver, "max_iter": max(1, round(share * epochs)), "random_state": 0}
                both = [cls(**settings) for cls in (sklearn.neural_network.MLPClassifier, MLPClassifier)]
                check(*both, X, y)
                times = beside(*(partial(one.fit, X, y) for one in both), rounds=asked.rounds)
                print(f"| {name}: {solver}, {settings['max_iter']} epochs | {times}", flush=True)
            for n in (1, len(X)):
                times = beside(*(partial(one.predict, X[:n]) for one in both), rounds=3 * asked.rounds)
                print(f"| {name}: predict {n} | {times}", flush=True)


if __name__ == "__main__":
    main()

"""784-30-10, sigmoid, batches of 10: one epoch of ours against scikit-learn's MLPClassifier."""

from __future__ import annotations

import statistics
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import fallline as fl
from benchmarks.timing import interleaved, median_ratio

N_ROWS, BATCH, RATE = 5000, 10, 0.5


def run(rounds: int = 7) -> dict[str, object]:
    """Check that both end at the same weights, then time an epoch; prints a table and gives its figures."""
    rng = np.random.default_rng(0)
    X = rng.random((N_ROWS, 784), dtype=np.float32)
    y = rng.integers(0, 10, N_ROWS)
    peer = MLPClassifier(
        (30,), activation="logistic", solver="sgd", alpha=0.0, batch_size=BATCH, learning_rate_init=RATE, momentum=0.0,
        nesterovs_momentum=False, shuffle=False, max_iter=1, tol=0.0, warm_start=True, random_state=0,
    )  # fmt: skip
    net = fl.Network([784, 30, 10], "sigmoid", "softmax", seed=1)

    def train_peer() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(X, y)

    def train_ours() -> fl.Run:
        return fl.descend(net, X, y, optimizer=fl.SGD(RATE), batch_size=BATCH, epochs=1, shuffle=False)

    train_peer()  # makes its arrays; then it starts where we start
    peer.coefs_ = [W.copy() for W in net.W]
    peer.intercepts_ = [b.copy() for b in net.b]
    train_peer()
    for ours, theirs in zip(train_ours().network.W, peer.coefs_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)

    seconds = interleaved({"scikit-learn": train_peer, "fallline": train_ours}, rounds)
    ratio = median_ratio(seconds["scikit-learn"], seconds["fallline"])
    steps = N_ROWS // BATCH
    print(f"784-30-10, sigmoid, softmax, batches of {BATCH}, {N_ROWS} rows; same weights after an epoch: checked")
    for name, times in seconds.items():
        print(f"  {name:<14}{statistics.median(times) / steps * 1e6:8.1f} microseconds a step (median of {rounds})")
    print(f"  ratio         {ratio[0]:8.1f} (from {ratio[1]:.1f} to {ratio[2]:.1f})")
    return {"workload": "784-30-10, sigmoid, SGD, batch 10", "seconds": seconds, "ratio": ratio}

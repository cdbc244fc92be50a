"""What must hold whatever the data: order of rows, weights as repetition, seeds, sizes of batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fallline as fl
from fallline.engines import ALWAYS
from fallline.losses import LOSSES, Quantile

seeds = st.integers(0, 2**63 - 1)
engines = st.sampled_from(ALWAYS)


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """A small network in float64, rows, and settings of a descent."""
    rng = np.random.default_rng(draw(seeds))
    n, n_in, n_out = draw(st.integers(2, 12)), draw(st.integers(1, 5)), draw(st.integers(2, 4))
    hidden = draw(st.lists(st.integers(1, 20), max_size=2))
    name = draw(st.sampled_from(sorted(LOSSES)))
    loss = Quantile((0.2, 0.7)[:n_out] if n_out % 2 == 0 else (0.5,)) if name == "quantile" else LOSSES[name]()
    net = fl.Network(
        [n_in, *hidden, n_out],
        draw(st.sampled_from(["tanh", "gelu", "softplus", "sigmoid"])),
        draw(st.sampled_from(["identity", "sigmoid", "softmax"])),
        seed=draw(st.integers(0, 1000)),
        dtype="float64",
    )
    n_targets = n_out // len(loss.quantiles) if isinstance(loss, Quantile) else n_out
    return {
        "net": net,
        "X": rng.normal(size=(n, n_in)),
        "y": rng.uniform(0.05, 0.95, (n, n_targets)),
        "loss": loss,
        "weight": rng.uniform(0.1, 2.0, n),
        "rng": rng,
    }


@given(problems(), engines)
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter_in_full_batch(problem: dict[str, Any], engine: str) -> None:
    order = problem["rng"].permutation(len(problem["X"]))
    X, y, w = problem["X"], problem["y"], problem["weight"]
    common: dict[str, Any] = {
        "loss": problem["loss"], "optimizer": fl.SGD(0.05), "batch_size": None, "epochs": 5, "engine": engine
    }  # fmt: skip
    a = fl.descend(problem["net"], X, y, sample_weight=w, **common)
    b = fl.descend(problem["net"], X[order], y[order], sample_weight=w[order], **common)
    np.testing.assert_allclose(a.network.parameters, b.network.parameters, rtol=1e-8, atol=1e-11)


@given(problems(), engines, st.data())
@settings(max_examples=60, deadline=None)
def test_a_whole_weight_is_a_row_repeated(problem: dict[str, Any], engine: str, data: st.DataObject) -> None:
    n = len(problem["X"])
    times = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any)))
    X, y = problem["X"], problem["y"]
    weighted = fl.gradient(problem["net"], X, y, problem["loss"], sample_weight=times, l2=0.1, engine=engine)
    repeated = fl.gradient(
        problem["net"], X.repeat(times, axis=0), y.repeat(times, axis=0), problem["loss"], l2=0.1, engine=engine
    )
    assert weighted.loss == pytest.approx(repeated.loss, rel=1e-10)
    np.testing.assert_allclose(weighted.block, repeated.block, rtol=1e-8, atol=1e-11)


@given(problems(), engines, st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_weights_count_relative_to_each_other(problem: dict[str, Any], engine: str, factor: float) -> None:
    net, X, y, w = (problem[name] for name in ("net", "X", "y", "weight"))
    a = fl.gradient(net, X, y, problem["loss"], sample_weight=w, engine=engine)
    b = fl.gradient(net, X, y, problem["loss"], sample_weight=factor * w, engine=engine)
    np.testing.assert_allclose(a.block, b.block, rtol=1e-8, atol=1e-12)


@given(problems(), engines, st.integers(0, 2**63 - 1), st.sampled_from([0.0, 0.3]))
@settings(max_examples=40, deadline=None)
def test_one_seed_one_path(problem: dict[str, Any], engine: str, seed: int, dropout: float) -> None:
    """The same seed gives the same bits; another seed visits the rows in another order."""
    X, y = problem["X"], problem["y"]

    def path(seed: int, engine: str = engine) -> np.ndarray:
        run = fl.descend(
            problem["net"], X, y, problem["loss"], fl.SGD(0.01), batch_size=1, epochs=3, seed=seed,
            dropout=dropout, engine=engine,
        )  # fmt: skip
        return run.network.parameters

    np.testing.assert_array_equal(path(seed), path(seed))
    np.testing.assert_allclose(path(seed, "native"), path(seed, "reference"), rtol=1e-7, atol=1e-10)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_another_seed_is_another_start(seed: int) -> None:
    one, same, other = (fl.Network([3, 8, 2], seed=s) for s in (seed, seed, seed + 1))
    np.testing.assert_array_equal(one.parameters, same.parameters)
    assert not np.array_equal(one.parameters, other.parameters)
    assert not np.array_equal(one.restart(1).parameters, one.parameters)


@given(st.integers(1, 9), st.integers(1, 40), engines)
@settings(max_examples=40, deadline=None)
def test_the_epoch_loss_weighs_every_row_once_whatever_the_batches(size: int, n: int, engine: str) -> None:
    rng = np.random.default_rng(n)
    X, y = rng.normal(size=(n, 2)), rng.normal(size=n)
    net = fl.Network([2, 3, 1], "tanh", dtype="float64")
    run = fl.descend(net, X, y, optimizer=fl.SGD(1e-13), batch_size=size, epochs=1, engine=engine)
    assert run.history["loss"].item() == pytest.approx(np.mean((net(X)[:, 0] - y) ** 2), rel=1e-9)


@given(st.integers(1, 600), engines)
@settings(max_examples=30, deadline=None)
def test_prediction_does_not_depend_on_the_rows_around(n: int, engine: str) -> None:
    """Each row's output is the same bits alone and among others, whatever block it falls in (native), or close."""
    from fallline.engines import as_engine

    rng = np.random.default_rng(n)
    net = fl.Network([5, 19, 3], "gelu", "softmax", seed=1)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    everything = as_engine(engine).predict(net.shape, net.parameters, X)
    row = int(rng.integers(n))
    alone = as_engine(engine).predict(net.shape, net.parameters, X[row : row + 1])
    np.testing.assert_allclose(alone[0], everything[row], rtol=0 if engine == "native" else 1e-5)

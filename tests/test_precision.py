"""precision="bf16": products of operands rounded to their upper half, or float32 with a warning."""

from __future__ import annotations

import math
import warnings

import mnist
import numpy as np
import pytest

import fallline as fl
from fallline import _core
from fallline.engines.reference import nearest_bf16

X, Y = np.random.default_rng(0).normal(size=(300, 20)), np.random.default_rng(1).integers(0, 8, 300)


def descent(engine: str, precision: str | None, **settings: object) -> fl.Run:
    net = fl.Network([20, 33, 8], "tanh", "softmax", seed=3)
    return fl.descend(net, X, Y, epochs=10, seed=3, engine=engine, precision=precision, **settings)  # type: ignore[arg-type]


def test_rounding_is_to_the_nearest_of_8_digits() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=1000), np.ldexp(rng.normal(size=1000), rng.integers(-100, 100, 1000)),
                        1 + np.arange(-512, 512) / 512, [0.0, -0.0, np.inf, -np.inf]]).astype(np.float32)  # fmt: skip
    mantissa, exponent = np.frexp(x.astype(float))
    with np.errstate(over="ignore"):
        wanted = np.where(np.isinf(x), x, np.ldexp(np.rint(mantissa * 256), exponent - 8))
    np.testing.assert_array_equal(nearest_bf16(x), wanted)
    assert np.isnan(nearest_bf16(np.array([np.nan], np.float32))).all()
    assert nearest_bf16(x[:6].reshape(2, 3).T).shape == (3, 2)


def test_the_reference_engine_goes_nearly_the_same_way() -> None:
    exact, rounded = descent("reference", None), descent("reference", "bf16")
    start = fl.Network([20, 33, 8], "tanh", "softmax", seed=3).parameters
    apart = np.linalg.norm(exact.network.parameters - rounded.network.parameters)
    assert 0 < apart < 0.05 * np.linalg.norm(exact.network.parameters - start)


def test_without_the_instructions_a_warning_says_so_and_float32_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "has_bf16", lambda: False)
    with pytest.warns(fl.PrecisionWarning, match=r"avx512_bf16, but the one in use is \w+; the") as caught:
        run = descent("native", "bf16")
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(run.network.parameters, descent("native", None).network.parameters)


@pytest.mark.skipif(not _core.has_bf16(), reason="this processor does not multiply bf16")
def test_the_native_engine_follows_the_reference() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = descent("native", "bf16")
    reference = descent("reference", "bf16").network.parameters
    exact = np.linalg.norm(descent("native", None).network.parameters - reference)
    assert np.linalg.norm(run.network.parameters - reference) < 0.3 * exact
    assert (run.network.parameters == descent("native", "bf16", threads=1).network.parameters).all()


@pytest.mark.parametrize(("n_out", "same"), [(1, True), (4, True), (5, False)])
def test_few_outputs_are_not_rounded(n_out: int, same: bool) -> None:
    net, y = fl.Network([20, n_out], seed=3), np.ones((300, n_out))
    exact, rounded = (
        fl.descend(net, X, y, epochs=2, engine="reference", precision=precision).network.parameters
        for precision in (None, "bf16")
    )
    assert (exact == rounded).all() == same


def test_what_cannot_be() -> None:
    net = fl.Network([20, 4, 8], seed=1, dtype="float64")
    with pytest.raises(fl.ParameterError, match=r"^precision is 'bf16', but .* float64; make it a float32 one$"):
        fl.descend(net, X, Y, precision="bf16")
    with pytest.raises(fl.ParameterError, match="precision 'fp16' is unknown"):
        descent("native", "fp16")


def test_digits_are_learned_as_well() -> None:
    """784-32-10 on MNIST's first 5000 digits, five seeds: the means differ by less than seeds do (in NumPy)."""
    images, labels = mnist.load("train")
    X_test, y_test = mnist.load("t10k")
    wrong = {None: [], "bf16": []}  # type: dict[str | None, list[float]]
    for seed in range(5):
        for precision, errors in wrong.items():
            net = fl.Network([784, 32, 10], output="softmax", seed=seed)
            run = fl.descend(
                net, images[:5000], labels[:5000], epochs=4, batch_size=100, seed=seed, engine="reference",
                precision=precision,
            )  # fmt: skip
            errors.append(1 - (run.network(X_test).argmax(axis=1) == y_test).mean())
    spread = math.hypot(*(np.std(errors, ddof=1) for errors in wrong.values())) / math.sqrt(5)
    means = {precision: np.mean(errors) for precision, errors in wrong.items()}
    assert means[None] < 0.12
    assert abs(means["bf16"] - means[None]) < 3 * spread

"""Losses against scikit-learn and scipy at ordinary points, against their definitions in mpmath at extreme ones."""

import math
import re
from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
import scipy.special
from mpmath import mp
from sklearn import metrics as sk

import fallline as fl
from fallline import gradient
from fallline.activations import OUTPUTS
from fallline.engines import Data, Plan
from fallline.engines.native import NativeEngine
from fallline.errors import DataError, ParameterError
from fallline.losses import (
    LOSSES,
    AbsoluteError,
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    Huber,
    Poisson,
    Quadratic,
    Quantile,
    SquaredError,
    as_loss,
    settings,
)
from fallline.network import Layer, Network, Shape
from fallline.optimizers import SGD

DTYPES = [np.float32, np.float64]
PAIRS = [(loss, output) for loss in LOSSES for output in OUTPUTS]


def evaluate(loss, Z, Y, output):
    record = OUTPUTS[output]
    return loss.value_and_gradient(Z, record.value(Z), Y, record)


def make(name):
    """A loss with settings that are not symmetric, so that a mistake shows."""
    return {"huber": Huber(0.7), "quantile": Quantile((0.2, 0.9))}.get(name) or LOSSES[name]()


def draw_targets(name, rng, n, n_out, dtype=np.float64):
    if name == "categorical_cross_entropy":
        return rng.dirichlet(np.ones(n_out), n).astype(dtype)
    if name == "binary_cross_entropy":
        return rng.integers(0, 2, (n, n_out)).astype(dtype)
    if name == "poisson":
        return rng.poisson(2.0, (n, n_out)).astype(dtype)
    return rng.normal(size=(n, n_out // 2 if name == "quantile" else n_out)).astype(dtype)


# ---- ordinary points: the weighted mean over rows is what scikit-learn's metrics say of the output


def probabilities(Z, A, output, own_link):
    return own_link(Z) if output == "identity" else A


def by_columns(metric, Y, P, w):
    return np.mean([metric(Y[:, j], P[:, j], w) for j in range(P.shape[1])])


def _poisson(Z, A, Y, w, output):
    rate = np.exp(Z) if output == "identity" else A
    deviance = by_columns(lambda y, mu, w: sk.mean_poisson_deviance(y, mu, sample_weight=w), Y, rate, w)
    return deviance / 2 - np.average((scipy.special.xlogy(Y, Y) - Y).mean(axis=1), weights=w)


def _quantile(Z, A, Y, w, output):
    alphas = make("quantile").quantiles
    return np.mean(
        [
            sk.mean_pinball_loss(Y[:, t], A[:, t * len(alphas) + q], sample_weight=w, alpha=alpha)
            for t in range(Y.shape[1])
            for q, alpha in enumerate(alphas)
        ]
    )


def _binary(Z, A, Y, w, output):
    p = probabilities(Z, A, output, scipy.special.expit)
    return by_columns(lambda y, p, w: sk.log_loss(y, p, sample_weight=w, labels=[0, 1]), Y, p, w)


def _categorical(Z, A, Y, w, output):
    if output == "sigmoid":
        p = A / A.sum(axis=1, keepdims=True)
    else:
        p = probabilities(Z, A, output, lambda Z: scipy.special.softmax(Z, axis=1))
    # log_loss takes classes: each row once for each class, weighing what the class does
    n, k = Y.shape
    classes, rows = np.tile(np.arange(k), n), np.repeat(np.arange(n), k)
    return sk.log_loss(classes, p[rows], sample_weight=w[rows] * Y.ravel())


# A new loss fails until its oracle stands here and its definition in EXACT.
ORACLES = {
    "squared_error": lambda Z, A, Y, w, output: sk.mean_squared_error(Y, A, sample_weight=w),
    "quadratic": lambda Z, A, Y, w, output: 0.5 * A.shape[1] * sk.mean_squared_error(Y, A, sample_weight=w),
    "absolute_error": lambda Z, A, Y, w, output: sk.mean_absolute_error(Y, A, sample_weight=w),
    "huber": lambda Z, A, Y, w, output: np.average(scipy.special.huber(0.7, A - Y).mean(axis=1), weights=w),
    "poisson": _poisson,
    "quantile": _quantile,
    "binary_cross_entropy": _binary,
    "categorical_cross_entropy": _categorical,
}


@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_value_is_scikit_learns(name, output):
    rng = np.random.default_rng(3)
    Z, w = 1.5 * rng.normal(size=(40, 4)), rng.uniform(0.1, 2, 40)
    Y = draw_targets(name, rng, 40, 4)
    value, dZ = evaluate(make(name), Z, Y, output)
    assert (value.shape, dZ.shape) == ((40,), (40, 4))
    expected = ORACLES[name](Z, OUTPUTS[output].value(Z), Y, w, output)
    assert np.average(value, weights=w) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_weighted_mean_over_rows(name, output, engine):
    """`gradient` returns the weighted mean; a row of weight 0 is as good as absent; the scale of weights is nothing."""
    rng = np.random.default_rng(4)
    net = Network([3, 4], output=output, start="normal", seed=2, dtype="float64")
    X, Y = rng.normal(size=(30, 3)), draw_targets(name, rng, 30, 4)
    w = rng.uniform(0.1, 2, 30)
    w[::3] = 0
    Z = net.forward(X).Z[-1]
    kept = w > 0
    expected = ORACLES[name](Z[kept], OUTPUTS[output].value(Z[kept]), Y[kept], w[kept], output)
    weighted = fl.gradient(net, X, Y, make(name), sample_weight=w, engine=engine)
    scaled = fl.gradient(net, X[kept], Y[kept], make(name), sample_weight=1000 * w[kept], engine=engine)
    assert weighted.loss == pytest.approx(expected, rel=1e-12)
    assert scaled.loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(weighted.block, scaled.block, rtol=1e-11, atol=1e-14)


# ---- extreme points: the definitions, taken literally, with 80 digits


def mp_output(z, output):
    """A, and 1 - A where A is a probability, each formed without cancellation."""
    if output == "identity":
        return list(z), None
    if output == "sigmoid":
        return [1 / (1 + mp.exp(-v)) for v in z], [1 / (1 + mp.exp(v)) for v in z]
    e = [mp.exp(v) for v in z]
    total = mp.fsum(e)
    return [v / total for v in e], [mp.fsum(e[:j] + e[j + 1 :]) / total for j in range(len(e))]


def mp_mean(terms):
    terms = list(terms)
    return mp.fsum(terms) / len(terms)


def mp_huber(e, delta):
    return e * e / 2 if abs(e) <= delta else delta * (abs(e) - delta / 2)


def mp_quantile(z, y, output):
    a, ps = mp_output(z, output)[0], [mp.mpf(p) for p in make("quantile").quantiles]
    errors = [(ps[q], y[t] - a[t * len(ps) + q]) for t in range(len(y)) for q in range(len(ps))]
    return mp_mean(max(p * e, (p - 1) * e) for p, e in errors)


def mp_binary(z, y, output):
    p, q = mp_output(z, "sigmoid" if output == "identity" else output)
    return -mp_mean(yj * mp.log(pj) + (1 - yj) * mp.log(qj) for pj, qj, yj in zip(p, q, y, strict=True))


def mp_categorical(z, y, output):
    p, _ = mp_output(z, "softmax" if output == "identity" else output)
    total = mp.fsum(p)
    return -mp.fsum(yj * mp.log(pj / total) for pj, yj in zip(p, y, strict=True))


def mp_poisson(z, y, output):
    rates = [mp.exp(v) for v in z] if output == "identity" else mp_output(z, output)[0]
    return mp_mean(rate - yj * mp.log(rate) for rate, yj in zip(rates, y, strict=True))


def mp_of_error(point, total=mp_mean):
    return lambda z, y, output: total(point(aj - yj) for aj, yj in zip(mp_output(z, output)[0], y, strict=True))


EXACT = {
    "squared_error": mp_of_error(lambda e: e * e),
    "quadratic": mp_of_error(lambda e: e * e / 2, mp.fsum),
    "absolute_error": mp_of_error(abs),
    "huber": mp_of_error(lambda e: mp_huber(e, mp.mpf(0.7))),
    "poisson": mp_poisson,
    "quantile": mp_quantile,
    "binary_cross_entropy": mp_binary,
    "categorical_cross_entropy": mp_categorical,
}

EXTREMES = [
    [1000.0, -1000, 3, 0],
    [-1000, -1000, -1000, -998],
    [1000, 1000, -1000, 999],
    [0, 0, 0, 0],
    [50, -50, 40, -30],
    [1e4, -1e4, 0, 1],
    [-1e4, -9e3, -1e4, -1e4],
]


def exactly(name, z, y, output):
    """Value and gradient of one row; the slopes are central differences with a step of 1e-30."""
    with mpmath.workdps(80):
        Z, Y = [mp.mpf(float(v)) for v in z], [mp.mpf(float(v)) for v in y]

        def value(at):
            return EXACT[name](at, Y, output)

        h = mp.mpf(10) ** -30
        slopes = []
        for j in range(len(Z)):
            up, down = list(Z), list(Z)
            up[j] += h
            down[j] -= h
            slopes.append(float((value(up) - value(down)) / (2 * h)))
        return float(value(Z)), slopes


def evaluate_native(loss, Z, Y, output):
    """The same from the native engine, whose gradient for the bias is dZ where there is one row and one layer."""
    k = Z.shape[1]
    parameters = np.concatenate([np.eye(k).ravel(), np.zeros(k)]).astype(Z.dtype)
    plan = Plan(Shape((Layer(k, k, OUTPUTS[output]),)), loss, SGD())
    data = Data(Z, Y, np.ones(1, Z.dtype))
    value, gradient = NativeEngine().gradient(plan, parameters, data)
    assert NativeEngine().loss(plan, parameters, data) == pytest.approx(value, rel=1e-14)
    return np.array([value]), gradient[None, -k:]


@pytest.mark.parametrize("z", EXTREMES, ids=str)
@pytest.mark.parametrize(("name", "output"), PAIRS)
def test_extreme_values(name, output, z):
    if name == "poisson" and output == "identity":
        z = [min(v, 80.0) for v in z]  # a rate beyond exp(88) is infinite in float32
    rng = np.random.default_rng(5)
    for dtype in DTYPES:
        Y, Z = draw_targets(name, rng, 1, 4, dtype), np.array([z], dtype)
        expected_value, expected_slopes = exactly(name, Z[0], Y[0], output)
        eps, size = np.finfo(dtype).eps, max(1.0, *np.abs(Z[0]))
        # log(1 - p) of a softmax is a difference of numbers as large as Z; no other slope loses by Z's size
        loses = size if (name, output) == ("binary_cross_entropy", "softmax") else 1
        for how in (evaluate, evaluate_native):
            value, dZ = how(make(name), Z, Y, output)
            where = f"{how.__name__}, {dtype}, {Y}"
            assert dZ.dtype == dtype
            np.testing.assert_allclose(value[0], expected_value, rtol=8 * eps, atol=8 * eps * loses, err_msg=where)
            np.testing.assert_allclose(dZ[0], expected_slopes, rtol=8 * eps, atol=8 * eps * loses, err_msg=where)


# ---- what single losses promise


def test_quantile_outputs_of_a_target_stand_together():
    quantiles = (0.1, 0.5, 0.8)
    A, Y = np.zeros((1, 6)), np.array([[1.0, -1.0]])  # target 0 lies above its three outputs, target 1 below
    value, dA = evaluate(Quantile(quantiles), A, Y, "identity")
    np.testing.assert_allclose(6 * dA, [[-0.1, -0.5, -0.8, 0.9, 0.5, 0.2]])
    np.testing.assert_allclose(6 * value, [0.1 + 0.5 + 0.8 + 0.9 + 0.5 + 0.2])


def test_quantile_is_least_at_the_samples_quantile():
    y = np.random.default_rng(6).normal(size=(1001, 1))
    for p in (0.05, 0.5, 0.9):
        best = np.quantile(y, p)
        tried = (best - 1e-3, best, best + 1e-3)
        losses = [evaluate(Quantile((p,)), np.full_like(y, a), y, "identity")[0].mean() for a in tried]
        assert losses[1] == min(losses)
        assert losses[0] > losses[1]
        assert losses[2] > losses[1]


@pytest.mark.parametrize("loss", [AbsoluteError(), Quantile((0.2,)), Huber(0.5), SquaredError(), Quadratic()])
def test_no_slope_where_output_and_target_agree(loss):
    Z = np.array([[2.0]])
    value, dZ = evaluate(loss, Z, Z, "identity")
    assert (value[0], dZ[0, 0]) == (0, 0)


def test_huber_far_and_near():
    Z, Y = np.array([[0.5], [1e6], [-1e6]]), np.zeros((3, 1))
    value, dZ = evaluate(Huber(1e9), Z, Y, "identity")
    np.testing.assert_allclose(value, 0.5 * Z[:, 0] ** 2)
    value, dZ = evaluate(Huber(2.0), Z, Y, "identity")
    np.testing.assert_allclose(value, [0.125, 2 * 1e6 - 2, 2 * 1e6 - 2])
    np.testing.assert_array_equal(dZ[:, 0], [0.5, 2, -2])


# ---- targets


def test_classes_become_one_hot():
    for dtype in (np.int64, np.int8, np.uint16):
        y = np.array([2, 0, 1, 2], dtype)
        for name in ("squared_error", "categorical_cross_entropy", "binary_cross_entropy"):
            Y = LOSSES[name]().targets(y, 3, np.float32)
            assert Y.dtype == np.float32
            np.testing.assert_array_equal(Y, np.eye(3)[y])


def test_label_smoothing_spreads_evenly():
    Y = CategoricalCrossEntropy(0.3).targets([0, 2], 3, np.float64)
    np.testing.assert_allclose(Y, [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], rtol=1e-15)
    soft = np.array([[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(
        CategoricalCrossEntropy(0.3).targets(soft, 3, np.float64), [[0.45, 0.45, 0.1]], rtol=1e-15
    )
    np.testing.assert_array_equal(soft, [[0.5, 0.5, 0.0]])  # the user's own stays


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_targets_are_a_matrix_of_the_networks_type(name, dtype):
    loss = make(name)
    n_out = 2 if name in ("quantile", "categorical_cross_entropy") else 1
    n_targets = 1 if name == "quantile" else n_out
    y = np.arange(6).reshape(-1, n_targets) % 2
    for given in (y.astype(np.float64), y.astype(np.float32), y.astype(bool), y.tolist(), np.asfortranarray(y)):
        Y = loss.targets(given, n_out, dtype)
        assert (Y.dtype, Y.shape, Y.flags.c_contiguous) == (dtype, y.shape, True)
        assert not np.shares_memory(Y, given)
        np.testing.assert_array_equal(Y, y)
    if n_targets == 1:
        np.testing.assert_array_equal(loss.targets(y[:, 0], n_out, dtype), y)


TWO_WRONG = np.array([[0.0, 1.0], [0.5, np.nan], [np.inf, 0.0]])

TARGET_ERRORS = [
    (SquaredError(), ["a", "b"], 1, "y holds <U1 values; the losses take numbers, or classes as whole numbers from 0"),
    (
        SquaredError(),
        [1 + 2j],
        1,
        "y holds complex128 values; the losses take numbers, or classes as whole numbers from 0",
    ),
    (SquaredError(), [None], 1, "y holds object values; the losses take numbers, or classes as whole numbers from 0"),
    (SquaredError(), [[1.0, 2.0]], 1, "y has shape (1, 2), but squared_error with 1 outputs takes (n, 1) or (n,)"),
    (
        Quadratic(),
        [0.0, 1.0],
        3,
        "y has shape (2,), but quadratic with 3 outputs takes (n, 3) or classes as whole numbers of shape (n,)",
    ),
    (
        CategoricalCrossEntropy(),
        [[0], [1]],
        2,
        "y has shape (2, 1), but categorical_cross_entropy with 2 outputs takes (n, 2) or classes as whole numbers of "
        "shape (n,)",
    ),
    (AbsoluteError(), 3.0, 1, "y has shape (), but absolute_error with 1 outputs takes (n, 1) or (n,)"),
    (
        SquaredError(),
        np.zeros((2, 1, 1)),
        1,
        "y has shape (2, 1, 1), but squared_error with 1 outputs takes (n, 1) or (n,)",
    ),
    (Quantile((0.1, 0.9)), [[1.0, 2.0]], 2, "y has shape (1, 2), but quantile with 2 outputs takes (n, 1) or (n,)"),
    (Huber(), [0.0, np.nan], 1, "y has nan in row 1; targets must be finite numbers"),
    (SquaredError(), TWO_WRONG, 2, "y has [0.5 nan] in row 1; targets must be finite numbers"),
    (SquaredError(), [0, 1, 3, 2], 3, "y has class 3 in row 2; 3 outputs mean classes 0 to 2"),
    (CategoricalCrossEntropy(), [0, -1], 2, "y has class -1 in row 1; 2 outputs mean classes 0 to 1"),
    (Poisson(), [1.0, -0.5], 1, "y has -0.5; the poisson loss takes counts or rates, 0 or more"),
    (BinaryCrossEntropy(), [1, 2], 1, "y has 2; binary_cross_entropy takes targets between 0 and 1"),
    (BinaryCrossEntropy(), [-1.0, 1.0], 1, "y has -1; binary_cross_entropy takes targets between 0 and 1"),
    (
        CategoricalCrossEntropy(),
        [[0.5, 1.5]],
        2,
        "y has 1.5; categorical_cross_entropy takes targets between 0 and 1",
    ),
]


@pytest.mark.parametrize(("loss", "y", "n_out", "message"), TARGET_ERRORS, ids=[row[-1] for row in TARGET_ERRORS])
def test_target_errors(loss, y, n_out, message):
    with pytest.raises(DataError) as raised:
        loss.targets(y, n_out, np.float32)
    assert str(raised.value) == message


SETTING_ERRORS = [
    (lambda: Huber(0), "huber's delta is 0; it must be positive"),
    (lambda: Huber(-1.5), "huber's delta is -1.5; it must be positive"),
    (lambda: Huber(float("nan")), "huber's delta is nan; it must be positive"),
    (lambda: Quantile(()), "quantiles are (); each must lie between 0 and 1"),
    (lambda: Quantile((0.5, 1.0)), "quantiles are (0.5, 1.0); each must lie between 0 and 1"),
    (lambda: Quantile((0,)), "quantiles are (0.0,); each must lie between 0 and 1"),
    (lambda: Quantile((float("nan"),)), "quantiles are (nan,); each must lie between 0 and 1"),
    (lambda: CategoricalCrossEntropy(1), "label_smoothing is 1; it must be at least 0 and below 1"),
    (lambda: CategoricalCrossEntropy(-0.1), "label_smoothing is -0.1; it must be at least 0 and below 1"),
    (
        lambda: Quantile((0.1, 0.5, 0.9)).targets([1.0], 4, np.float32),
        "3 quantiles need a multiple of that many outputs, not 4",
    ),
    (
        lambda: as_loss("squared_eror", "identity"),
        "loss 'squared_eror' is unknown; did you mean 'squared_error'? choose from " + ", ".join(sorted(LOSSES)),
    ),
]


@pytest.mark.parametrize(("make_it", "message"), SETTING_ERRORS, ids=[row[1][:40] for row in SETTING_ERRORS])
def test_setting_errors(make_it, message):
    with pytest.raises(ParameterError, match=re.escape(message)) as raised:
        make_it()
    assert "\n" not in str(raised.value)


@dataclass
class Weights:
    given: object
    message: str


WEIGHT_ERRORS = [
    Weights([1.0], "sample_weight has shape (1,); it must be (3,), one weight a row"),
    Weights([[1.0], [1.0], [1.0]], "sample_weight has shape (3, 1); it must be (3,), one weight a row"),
    Weights([1, -1, 1], "sample_weight must be finite numbers, 0 or more, and not all 0"),
    Weights([1, np.nan, 1], "sample_weight must be finite numbers, 0 or more, and not all 0"),
    Weights([1, np.inf, 1], "sample_weight must be finite numbers, 0 or more, and not all 0"),
    Weights([0, 0, 0], "sample_weight must be finite numbers, 0 or more, and not all 0"),
]


@pytest.mark.parametrize("case", WEIGHT_ERRORS, ids=lambda case: str(case.given))
def test_weight_errors(case):
    with pytest.raises(DataError) as raised:
        Data.of(Network([1, 1]), SquaredError(), np.zeros((3, 1)), np.zeros(3), case.given)
    assert str(raised.value) == case.message


def test_no_weights_means_ones():
    data = Data.of(Network([1, 1]), SquaredError(), np.zeros((3, 1)), np.zeros(3))
    np.testing.assert_array_equal(data.weight, np.ones(3, np.float32))
    assert data.weight.dtype == np.float32


# ---- names


def test_every_loss_has_its_oracles_and_source():
    assert set(LOSSES) == set(ORACLES) == set(EXACT)
    for name, loss in LOSSES.items():
        assert (loss.name, bool(loss.source)) == (name, True)
        assert isinstance(as_loss(name, "identity"), loss)


def test_settings_make_the_loss_again():
    for loss in [make(name) for name in LOSSES]:
        said = settings(loss)
        assert LOSSES[said.pop("name")](**said) == loss


def test_auto_follows_the_output():
    assert as_loss("auto", "identity") == SquaredError()
    assert as_loss("auto", "sigmoid") == BinaryCrossEntropy()
    assert as_loss("auto", "softmax") == CategoricalCrossEntropy()
    given = Huber(3.0)
    assert as_loss(given, "identity") is given


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("z", [8.0, 16.0, 20.0, 40.0])
def test_confident_rows_of_binary_cross_entropy_keep_their_loss(engine, z):
    """Right and sure of it: what is left is exp(-z), which a difference of large numbers would lose."""
    for sign, y in ((1, 1.0), (-1, 0.0)):
        net = Network([1, 1], output="sigmoid", parameters=[sign, 0.0])
        g = gradient(net, [[z]], [y], engine=engine)
        assert g.loss == pytest.approx(math.log1p(math.exp(-z)), rel=1e-5)
        assert g.db[0][0] == pytest.approx(-sign / (1 + math.exp(z)), rel=1e-5)

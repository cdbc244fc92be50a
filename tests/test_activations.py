"""Activations against mpmath (60 digits) and scipy: values, derivatives, start gains; both engines."""

from functools import cache

import mpmath
import numpy as np
import pytest
import scipy.special
from mpmath import mp

from fallline import activations
from fallline.activations import HIDDEN, OUTPUTS
from fallline.engines import Data, Plan
from fallline.engines.native import NativeEngine
from fallline.errors import ParameterError
from fallline.losses import AbsoluteError
from fallline.network import STARTS, Layer, Shape
from fallline.optimizers import SGD

DTYPES = [np.float32, np.float64]

# Published constants of SELU (Klambauer et al. 2017, appendix A1) to 31 digits.
SELU_ALPHA, SELU_SCALE = "1.6732632423543772848170429916717", "1.0507009873554804934193349852946"

# The definitions, naively: at 60 digits nothing cancels. A new activation fails until its definition stands here.
EXACT = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "tanh": mp.tanh,
    "relu": lambda z: max(z, mp.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else z / 100,
    "elu": lambda z: z if z > 0 else mp.expm1(z),
    "selu": lambda z: mp.mpf(SELU_SCALE) * (z if z > 0 else mp.mpf(SELU_ALPHA) * mp.expm1(z)),
    "gelu": lambda z: z * mp.ncdf(z),
    "silu": lambda z: z / (1 + mp.exp(-z)),
    "mish": lambda z: z * mp.tanh(mp.log1p(mp.exp(z))),
    "softplus": lambda z: mp.log1p(mp.exp(z)),
}

# gelu adds 1 to erf, as everyone's does, so its left tail is good to the last place of |z|, not of the tail itself.
ABSOLUTE = {"gelu": 1.0}

_MAGNITUDES = [1e3, 200.0, 100.0, 88.0, 30.0, 17.0, 9.0, 6.0, 3.0, 1.0, 0.5, 0.1, 1e-3, 1e-8, 1e-30]
POINTS = np.unique([*_MAGNITUDES, 0.0, *(-m for m in _MAGNITUDES), *np.linspace(-7.3, 7.1, 49)])


@cache
def exact(name, dtype):
    """Points of a dtype, the activation there and its left derivative, rounded to float64."""
    Z = POINTS.astype(dtype)
    with mpmath.workdps(60):
        exact_z = [mp.mpf(float(z)) for z in Z]
        values = [float(EXACT[name](z)) for z in exact_z]
        slopes = [float(mpmath.diff(EXACT[name], z, direction=-1, h=mp.mpf(10) ** -40)) for z in exact_z]
    return Z, np.array(values), np.array(slopes)


def assert_value(name, A, dtype, units=4):
    """Within some units in the last place of the value, or of z: nobody can ask for more of a rounded z."""
    Z, value, slope = exact(name, dtype)
    assert A.dtype == dtype
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    allowed = units * eps * (np.abs(value) + np.abs(Z * slope) + ABSOLUTE.get(name, 0) * np.abs(Z)) + tiny
    wrong = np.abs(A.astype(np.float64) - value) > allowed
    assert not wrong.any(), f"{name} at {Z[wrong]}: {A[wrong]}, not {value[wrong]}"


def test_every_activation_has_an_oracle():
    assert set(EXACT) == set(HIDDEN)
    assert set(OUTPUTS) == {"identity", "sigmoid", "softmax"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_value(name, dtype):
    Z = exact(name, dtype)[0]
    before = Z.copy()
    A = HIDDEN[name].value(Z)
    assert_value(name, A, dtype)
    assert not np.shares_memory(A, Z)
    np.testing.assert_array_equal(Z, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_derivative_is_the_slope_and_at_a_kink_the_left_one(name, dtype):
    Z, _, slope = exact(name, dtype)
    assert 0 in Z
    record = HIDDEN[name]
    derivative = record.derivative(Z, record.value(Z))
    assert derivative.dtype == dtype
    np.testing.assert_allclose(derivative, slope, rtol=0, atol=16 * np.finfo(dtype).eps)


def test_derivatives_at_the_kink_are_pytorchs():
    zero = np.zeros(1)
    at_zero = {name: HIDDEN[name].derivative(zero, HIDDEN[name].value(zero))[0] for name in HIDDEN}
    assert (at_zero["relu"], at_zero["leaky_relu"], at_zero["elu"]) == (0, 0.01, 1)
    assert at_zero["selu"] == pytest.approx(float(SELU_ALPHA) * float(SELU_SCALE), rel=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_native_value(name, dtype, instruction_set):
    Z = exact(name, dtype)[0]
    A = NativeEngine().predict(Shape((Layer(1, 1, HIDDEN[name]),)), np.array([1, 0], dtype), Z[:, None])
    assert_value(name, A[:, 0], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_native_derivative(name, dtype, instruction_set):
    # One row of input 1, a neuron for each point with the point as its weight, and a loss whose slope for the sum of
    # all neurons is 1: the gradient of neuron j's bias is the derivative at point j.
    Z, _, slope = exact(name, dtype)
    m = len(Z)
    shape = Shape((Layer(1, m, HIDDEN[name]), Layer(m, 1, HIDDEN["identity"])))
    parameters = np.concatenate([Z, np.zeros(m), np.ones(m), np.zeros(1)]).astype(dtype)
    one, y = np.ones((1, 1), dtype), np.full((1, 1), -1e6, dtype)
    _, gradient = NativeEngine().gradient(Plan(shape, AbsoluteError(), SGD()), parameters, Data(one, y, one[0]))
    np.testing.assert_allclose(gradient[m : 2 * m], slope, rtol=0, atol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HIDDEN)
def test_nan_comes_out_as_nan(name, dtype, instruction_set):
    nan = np.array([[np.nan]], dtype)
    with np.errstate(invalid="ignore"):
        assert np.isnan(HIDDEN[name].value(nan)).all()
    assert np.isnan(NativeEngine().predict(Shape((Layer(1, 1, HIDDEN[name]),)), np.array([1, 0], dtype), nan)).all()


def second_moment(f):
    with mpmath.workdps(20):
        return mpmath.quad(lambda z: f(z) ** 2 * mpmath.npdf(z), [-mp.inf, -4, 0, 4, mp.inf])


@pytest.mark.parametrize("name", HIDDEN)
def test_start_gain_keeps_the_second_moment(name):
    record = HIDDEN[name]
    assert record.start in STARTS
    gain = 1 / float(mpmath.sqrt(second_moment(EXACT[name]))) if record.start == "he" else 1.0
    assert record.start_gain == pytest.approx(gain, rel=1e-7)


def test_selu_needs_no_gain():
    assert float(second_moment(EXACT["selu"])) == pytest.approx(1, abs=1e-9)


ROWS = np.array(
    [
        [0.0, 0, 0, 0, 0],
        [1, 2, 3, 4, 5],
        [-0.5, 0.25, 3, -7, 1e-8],
        [1e4, -1e4, 0, 9999, 1e4],
        [-1e4, -1e4, -1e4, -1e4, -9990],
        [1e3, 0, 0, 0, 0],
    ]
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_is_scipys(dtype):
    Z = ROWS.astype(dtype)
    eps = np.finfo(dtype).eps
    wide = Z.astype(np.float64)
    P, log_P = activations.softmax(Z), activations.log_softmax(Z)
    assert (P.dtype, log_P.dtype) == (dtype, dtype)
    np.testing.assert_allclose(P, scipy.special.softmax(wide, axis=1), rtol=32 * eps, atol=np.finfo(dtype).tiny)
    np.testing.assert_allclose(log_P, scipy.special.log_softmax(wide, axis=1), rtol=4 * eps, atol=4 * eps)
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=8 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_native_softmax_is_scipys(dtype, instruction_set):
    Z = ROWS.astype(dtype)
    parameters = np.concatenate([np.eye(5).ravel(), np.zeros(5)]).astype(dtype)
    P = NativeEngine().predict(Shape((Layer(5, 5, OUTPUTS["softmax"]),)), parameters, Z)
    expected = scipy.special.softmax(Z.astype(np.float64), axis=1)
    np.testing.assert_allclose(P, expected, rtol=32 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


def test_softmax_jacobian_against_differences():
    rng = np.random.default_rng(0)
    Z, h = rng.normal(size=(7, 4)), 1e-6
    softmax = OUTPUTS["softmax"]
    J = softmax.derivative(Z, softmax.value(Z))
    assert J.shape == (7, 4, 4)
    for j in range(4):
        up, down = Z.copy(), Z.copy()
        up[:, j] += h
        down[:, j] -= h
        slope = (scipy.special.softmax(up, axis=1) - scipy.special.softmax(down, axis=1)) / (2 * h)
        np.testing.assert_allclose(J[:, :, j], slope, atol=1e-9)


@pytest.mark.parametrize("name", [*HIDDEN, "softmax"])
def test_backward_is_the_gradient_of_a_projection(name):
    rng = np.random.default_rng(1)
    record = HIDDEN.get(name) or OUTPUTS[name]
    Z, dA, h = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), 1e-6
    dZ = record.backward(dA, Z, record.value(Z))
    for j in range(3):
        step = h * np.eye(3)[j]
        slope = (dA * (record.value(Z + step) - record.value(Z - step))).sum(axis=1) / (2 * h)
        np.testing.assert_allclose(dZ[:, j], slope, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_that_losses_use(dtype):
    Z = POINTS.astype(dtype)
    wide = Z.astype(np.float64)
    # exp(-softplus(-z)): relative to the value, an error of |z| units where the value is exp(z)
    allowed = 4 * np.finfo(dtype).eps * (1 + np.abs(wide)) * scipy.special.expit(wide) + np.finfo(dtype).tiny
    assert (np.abs(activations.sigmoid(Z) - scipy.special.expit(wide)) <= allowed).all()
    np.testing.assert_allclose(
        activations.softplus(Z), -scipy.special.log_expit(-wide), rtol=1000 * np.finfo(dtype).eps, atol=1e-37
    )


@pytest.mark.parametrize(("table", "look_up"), [(HIDDEN, activations.hidden), (OUTPUTS, activations.output)])
def test_records_are_found_by_name(table, look_up):
    for name, record in table.items():
        assert look_up(name) is record
        assert record.name == name
        assert record.source
        assert record.elementwise == (name != "softmax")


def test_unknown_names():
    known = "elu, gelu, identity, leaky_relu, mish, relu, selu, sigmoid, silu, softplus, tanh"
    with pytest.raises(ParameterError) as raised:
        activations.hidden("rellu")
    assert str(raised.value) == f"activation 'rellu' is unknown; did you mean 'relu'? choose from {known}"
    with pytest.raises(ParameterError) as raised:
        activations.hidden("softmax")
    assert str(raised.value).endswith(f"choose from {known}")
    with pytest.raises(ParameterError) as raised:
        activations.output("xyz")
    assert str(raised.value) == "output 'xyz' is unknown; choose from identity, sigmoid, softmax"

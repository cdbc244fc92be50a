"""`minimize` against scipy, against step rules written out a second time, and against bowls whose bottom is known."""

import signal
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.optimize import rosen, rosen_der

from fallline.errors import DataError, ParameterError
from fallline.minimization import LineSearch, minimize
from fallline.optimizers import SGD, Adam, AdamW, RMSprop
from fallline.schedules import Cosine, Step

UNHURRIED = settings(max_examples=25, deadline=None)

H = np.array([[3.0, 1.0], [1.0, 2.0]])
BOTTOM = np.array([1.0, -2.0])


def bowl(x):
    return 0.5 * (x - BOTTOM) @ H @ (x - BOTTOM) + 7


def bowl_der(x):
    return H @ (x - BOTTOM)


# Every rule once more, as its paper writes it: (gradient, state, t) -> (step at learning rate 1, state).


def plain(g, s, t):
    return -g, s


def polyak(g, v, t):
    v = 0.9 * v + g
    return -v, v


def nesterov(g, v, t):
    v = 0.9 * v + g
    return -(g + 0.9 * v), v


def hinton(g, v, t):
    v = 0.8 * v + 0.2 * g**2
    return -g / (np.sqrt(v) + 1e-8), v


def kingma(g, s, t):
    m, v = s[0] * 0.9 + 0.1 * g, s[1] * 0.99 + 0.01 * g**2
    step = -(m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
    return step, np.array([m, v])


@pytest.mark.parametrize(
    ("rule", "by_hand", "state"),
    [
        (SGD(0.1), plain, np.zeros(2)),
        (SGD(0.1, momentum=0.9), polyak, np.zeros(2)),
        (SGD(0.1, momentum=0.9, nesterov=True), nesterov, np.zeros(2)),
        (RMSprop(0.1, rho=0.8), hinton, np.zeros(2)),
        (Adam(0.1, beta2=0.99), kingma, np.zeros((2, 2))),
        (SGD(0.1, weight_decay=0.3), plain, np.zeros(2)),
        (AdamW(0.1, beta2=0.99, weight_decay=0.3), kingma, np.zeros((2, 2))),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("schedule", "factor"),
    [
        ("constant", lambda t: 1.0),
        (Cosine(0.1), lambda t: 0.1 + 0.9 * (1 + np.cos(np.pi * t)) / 2),
        (Step(at=(0.5,)), lambda t: 0.1 if t >= 0.5 else 1.0),
    ],
    ids=["constant", "cosine", "step"],
)
def test_every_rule_walks_as_its_formula_says(rule, by_hand, state, schedule, factor):
    result = minimize(bowl, [3.0, 4.0], bowl_der, rule, schedule, steps=12, tolerance=None)
    x, path = np.array([3.0, 4.0]), [[3.0, 4.0]]
    for t in range(1, 13):
        rate = 0.1 * factor((t - 1) / 12)
        step, state = by_hand(bowl_der(x), state, t)
        x = (1 - rate * rule.weight_decay) * x + rate * step
        path.append(x)
    np.testing.assert_allclose(result.path, path, rtol=1e-12)
    np.testing.assert_allclose(result.path_fun, [bowl(x) for x in path], rtol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "steps"),
    [("line_search", 100), (LineSearch(armijo=1e-4, grow=3), 100), (SGD(0.3), 200), (SGD(0.1, momentum=0.8), 500)],
    ids=str,
)
@pytest.mark.parametrize("jac", [bowl_der, None, True], ids=["callable", "none", "true"])
def test_the_bottom_of_a_bowl_is_found(optimizer, steps, jac):
    f = (lambda x: (bowl(x), bowl_der(x))) if jac is True else bowl
    result = minimize(f, [3.0, 4.0], jac, optimizer, steps=steps)
    np.testing.assert_allclose(result.x, BOTTOM, atol=1e-5)
    assert result.fun == pytest.approx(7)
    assert (result.success, result.status, result.stop_reason) == (True, 0, "converged")
    assert np.linalg.norm(result.jac) <= 1e-5
    assert "within the tolerance" in result.message


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "line_search"])
def test_rules_go_by_name(optimizer):
    result = minimize(bowl, [3.0, 4.0], bowl_der, optimizer, steps=5)
    assert result.nit == 5
    assert result.fun < bowl(np.array([3.0, 4.0]))


def test_it_finds_what_scipy_finds():
    oracle = optimize.minimize(rosen, [-1.2, 1.0], jac=rosen_der, method="BFGS")
    result = minimize(rosen, [-1.2, 1.0], rosen_der, steps=20_000, tolerance=1e-3)
    assert result.success
    np.testing.assert_allclose(result.x, oracle.x, atol=5e-3)
    assert set(oracle) - {"hess_inv"} <= set(result)
    assert isinstance(result, optimize.OptimizeResult)


@pytest.mark.parametrize("optimizer", [LineSearch(), LineSearch(armijo=1e-4), LineSearch(1e-6, 0.3, 1.5, 0.4)], ids=str)
def test_a_line_search_meets_armijos_condition_at_every_step_and_goes_only_down(optimizer):
    result = minimize(rosen, [-1.2, 1.0, 0.5], rosen_der, optimizer, steps=300)
    assert result.nit == 300
    for x, after in zip(result.path[:-1], result.path[1:], strict=True):
        g = rosen_der(x)
        length = np.linalg.norm(after - x) / np.linalg.norm(g)
        np.testing.assert_allclose(after, x - length * g, atol=1e-12)  # straight down
        assert rosen(after) <= rosen(x) - optimizer.armijo * length * (g @ g) * (1 - 1e-9)
    assert (np.diff(result.path_fun) < 0).all()
    np.testing.assert_array_equal(result.x, result.path[-1])


def test_a_line_search_takes_the_longest_of_its_trials_and_tries_longer_ones_again():
    # On L/2 x^2 a length t brings t (1 - t L / 2) g^2: enough for Armijo's half if and only if t <= 1 / L.
    search = LineSearch()
    for L in (0.3, 1.1, 7.0, 1e5):
        found = search.search(lambda x, L=L: float(L / 2 * x @ x), np.ones(1), L / 2, np.array([L]), trial=64.0)
        assert 0.5 / L < found[0] <= 1 / L
    flat = minimize(lambda x: x[0], [0.0], lambda x: np.ones(1), steps=5, tolerance=None)
    assert flat.path[:, 0].tolist() == [0, -1, -3, -7, -15, -31]
    assert flat.nfev == 6
    far = minimize(lambda x: 1e-300 * x[0], [0.0], lambda x: [1e-300], LineSearch(1e308), "constant", 3, None)
    assert np.diff(far.path[:, 0]) == pytest.approx([-1e8, -1.797693e8, -1.797693e8])


def test_a_line_search_that_had_to_be_short_is_long_again_after():
    wall = lambda x: 1 + 5e11 * x[0] ** 2 + 5e-4 * (x[1] - 1) ** 2  # noqa: E731
    wall_der = lambda x: np.array([1e12 * x[0], 1e-3 * (x[1] - 1)])  # noqa: E731
    # The wall calls for a length of 1e-12, with which nothing could be seen to fall along y.
    result = minimize(wall, [1.0, 0.0], wall_der, LineSearch(shrink=1e-12), steps=20)
    assert result.path[1, 0] == 0
    assert wall(result.x) - 1 < 0.1 * (wall(result.path[1]) - 1)


@pytest.mark.parametrize("x", [[-1.2, 1.0], [10.0, -1e-4, 3.0], [0.0, 0.0]], ids=str)
def test_central_differences_are_the_gradient(x):
    x = np.array(x)
    result = minimize(rosen, x, steps=0)
    exact = rosen_der(x)
    np.testing.assert_allclose(result.jac, exact, rtol=1e-7, atol=1e-8 * max(1, abs(exact).max()))
    oracle = optimize.minimize(rosen, x, jac="3-point", method="BFGS", options={"maxiter": 0})
    np.testing.assert_allclose(result.jac, oracle.jac, rtol=1e-12)
    assert (result.nfev, result.njev, result.nit) == (1 + 2 * len(x), 1, 0)


@pytest.mark.parametrize("jac", [rosen_der, None, True], ids=["callable", "none", "true"])
@pytest.mark.parametrize("optimizer", [SGD(1e-4), LineSearch()], ids=str)
def test_calls_are_counted(jac, optimizer):
    calls = {"f": 0, "jac": 0}

    def f(x):
        calls["f"] += 1
        return (rosen(x), rosen_der(x)) if jac is True else rosen(x)

    def der(x):
        calls["jac"] += 1
        return rosen_der(x)

    result = minimize(f, [-1.2, 1.0], der if callable(jac) else jac, optimizer, steps=7)
    assert (result.nfev, result.njev, result.nit) == (calls["f"], 8, 7)
    assert calls["jac"] == (8 if callable(jac) else 0)
    if isinstance(optimizer, SGD):
        assert result.nfev == (8 * 5 if jac is None else 8)


@pytest.mark.parametrize(("x0", "n"), [(3.0, 1), ([3], 1), ((1, 2, 3), 3), (np.float32([1, 2]), 2)], ids=str)
@pytest.mark.parametrize("steps", [0, 4])
def test_shapes(x0, n, steps):
    seen = []
    result = minimize(lambda x: seen.append((x.shape, x.dtype)) or x @ x, x0, optimizer=SGD(0.1), steps=steps)
    assert (result.x.shape, result.jac.shape, result.path.shape) == ((n,), (n,), (steps + 1, n))
    assert (result.path_fun.shape, result.x.dtype, type(result.fun)) == ((steps + 1,), np.float64, float)
    assert set(seen) == {((n,), np.dtype(np.float64))}
    np.testing.assert_array_equal(result.path[0], np.ravel(x0))


SQUARES = [lambda x: x**2, lambda x: (x**2)[:, None], lambda x: int(4 * x[0] ** 2), lambda x: Fraction(x[0]) ** 2]
DOUBLES = [lambda x: 2 * x, lambda x: 2 * x[0], lambda x: [2 * x[0]], lambda x: np.float32(2 * x)]


@pytest.mark.parametrize("f", SQUARES)
@pytest.mark.parametrize("jac", DOUBLES)
def test_what_f_and_jac_may_return_for_one_variable(f, jac):
    assert minimize(f, 4.0, jac, SGD(0.25), steps=3).path[:, 0].tolist() == [4, 2, 1, 0.5]


def test_f_jac_and_callback_cannot_disturb_the_path():
    def f(x):
        value = x @ x
        x[:] = 99
        return value

    def jac(x):
        slope = 2 * x
        x[:] = 77
        return slope

    def callback(intermediate_result):
        intermediate_result.x[:] = 55
        intermediate_result.jac[:] = 44

    x0 = np.array([1.0, 2.0])
    for optimizer in (SGD(0.25), LineSearch(0.25, grow=1)):
        result = minimize(f, x0, jac, optimizer, steps=2, callback=callback)
        assert result.path.tolist() == [[1, 2], [0.5, 1], [0.25, 0.5]]
        assert (result.x.tolist(), result.jac.tolist(), x0.tolist()) == ([0.25, 0.5], [0.5, 1], [1, 2])


def test_without_a_tolerance_all_steps_are_taken():
    result = minimize(bowl, BOTTOM, bowl_der, SGD(0.1), steps=6, tolerance=None)
    assert (result.nit, result.success, result.status, result.stop_reason) == (6, True, 0, "finished")
    assert "tolerance" not in result.message


@pytest.mark.parametrize("tolerance", [0, 1e-9, 0.1, np.inf])
def test_it_stops_at_the_first_point_within_the_tolerance(tolerance):
    result = minimize(bowl, [3.0, 4.0], bowl_der, SGD(0.25), tolerance=tolerance, steps=500)
    norms = [np.linalg.norm(bowl_der(x)) for x in result.path]
    assert result.success == (norms[-1] <= tolerance)
    assert all(norm > tolerance for norm in norms[:-1])
    assert minimize(bowl, BOTTOM, bowl_der, SGD(0.25), tolerance=tolerance).nit == 0


def test_when_the_steps_run_out_the_lowest_point_is_returned():
    # Heavy momentum runs past the bottom and up the other side.
    shared = np.zeros(1)
    jac = lambda x: np.multiply(x, 2, out=shared)  # noqa: E731
    result = minimize(lambda x: x @ x, [1.0], jac, SGD(0.1, momentum=0.9), steps=8)
    lowest = int(np.argmin(result.path_fun))
    assert 0 < lowest < 8
    assert result.x == result.path[lowest]
    assert (result.fun, result.jac) == (result.path_fun[lowest], 2 * result.x)
    assert (result.success, result.status, result.stop_reason) == (False, 1, "finished")
    assert "take more steps" in result.message
    assert "smaller steps" in minimize(lambda x: x @ x, [1.0], None, SGD(1.01), steps=3).message


def test_within_the_tolerance_it_is_that_point_that_is_returned():
    # The step goes from a slope near the lower valley, at 0, over the ridge to the bottom of the higher one, at 2.
    valleys = lambda x: min(x[0] ** 2, (x[0] - 2) ** 2 + 0.5)  # noqa: E731
    result = minimize(valleys, [0.5], lambda x: [-1.5 if x[0] < 1 else 0.0], SGD(1.0))
    assert (result.x, result.fun, result.success) == ([2.0], 0.5, True)
    assert min(result.path_fun) == 0.25


def cliff(x):
    return x.sum() if x[0] > 0 else -np.inf


@pytest.mark.parametrize(
    ("f", "jac", "optimizer", "said"),
    [
        (lambda x: x @ x, lambda x: 2 * x, SGD(1e100), "f was inf at step 2: the learning rate 1e+100 is"),
        (lambda x: x @ x, lambda x: 2 * x, SGD(1e200), "f was inf at step 1: the learning rate 1e+200 is"),
        (lambda x: np.exp(-x @ x), lambda x: 1e308 * x, SGD(1e308), "x was no longer finite at step 1: the learning"),
        (lambda x: np.log(x).sum(), lambda x: 1 / x, SGD(10.0), "f was nan at step 1: the learning rate 10 is"),
        (lambda x: x.sum(), lambda x: np.where(x > 0, 1, np.nan), SGD(0.5), "the gradient was not finite (coord"),
        (np.sum, lambda x: np.where(x > 0, 1, np.inf), LineSearch(0.5, grow=1), "the gradient was not finite "
         "(coordinate 0 is inf) at step 3: start elsewhere"),
        (cliff, np.ones_like, SGD(0.5), "f was -inf at step 3: f seems to have no lowest value"),
        (cliff, np.ones_like, LineSearch(0.5, grow=1), "f was -inf at step 3: f seems to have no lowest value"),
    ],
)  # fmt: skip
def test_what_is_no_longer_finite_stops_it(f, jac, optimizer, said):
    result = minimize(f, [1.5, 1.7], jac, optimizer)
    assert result.message.startswith(said)
    assert "\n" not in result.message
    assert (result.success, result.status, result.stop_reason) == (False, 3, "diverged")
    assert f"at step {result.nit + 1}" in result.message
    for kept in (result.path, result.path_fun, result.x, result.fun, result.jac):
        assert np.isfinite(kept).all()
    assert result.fun == result.path_fun.min()
    assert ("try " in result.message) == ("the learning rate" in result.message)


def test_a_line_search_keeps_clear_of_where_f_is_not_finite():
    result = minimize(lambda x: x[0] - np.log(x[0]), [3.0], lambda x: 1 - 1 / x, LineSearch(10.0))
    assert result.success
    np.testing.assert_allclose(result.x, [1.0], atol=1e-5)


def test_a_line_search_with_a_gradient_that_is_none_says_so():
    result = minimize(bowl, [3.0, 4.0], lambda x: -bowl_der(x))
    assert (result.success, result.status, result.stop_reason, result.nit) == (False, 2, "stalled", 0)
    assert "jac is not the gradient of f" in result.message
    assert result.nfev < 200


def test_floating_point_warnings_are_silent_unless_asked_for():
    f = lambda x: np.log(x).sum()  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert minimize(f, [1.5, 1.7], lambda x: 1 / x, SGD(10.0)).stop_reason == "diverged"
    with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
        minimize(f, [1.5, 1.7], lambda x: 1 / x, SGD(10.0))


@pytest.mark.parametrize("stop_in", ["f", "callback"])
def test_ctrl_c_ends_it_at_once_and_the_path_is_kept(stop_in):
    calls = []

    def f(x):
        calls.append(x)
        if stop_in == "f" and len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
            calls.append("not reached")
        return x @ x

    def callback(x):
        if stop_in == "callback" and len(calls) == 5:
            signal.raise_signal(signal.SIGINT)

    result = minimize(f, [1.0, 2.0], lambda x: 2 * x, SGD(0.25), callback=callback)
    assert (result.nit, result.path.shape, len(calls)) == (4, (5, 2), 6 if stop_in == "f" else 5)
    assert (result.success, result.status, result.stop_reason) == (False, 4, "interrupted")
    assert "4 steps" in result.message
    np.testing.assert_array_equal(result.x, result.path[-1])


def test_ctrl_c_before_the_first_point_is_known_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        minimize(lambda x: signal.raise_signal(signal.SIGINT), [1.0])


@pytest.mark.parametrize("style", ["x", "result", "builtin"])
def test_a_callback_hears_of_every_step_as_in_scipy(style):
    heard = []
    callback = {
        "x": lambda x: heard.append(x),
        "result": lambda intermediate_result: heard.append(intermediate_result),
        "builtin": heard.append,
    }[style]
    result = minimize(bowl, [3.0, 4.0], bowl_der, SGD(0.1), steps=4, callback=callback)
    if style == "result":
        assert [step.nit for step in heard] == [1, 2, 3, 4]
        assert [step.fun for step in heard] == result.path_fun[1:].tolist()
        np.testing.assert_array_equal([step.jac for step in heard], [bowl_der(x) for x in result.path[1:]])
        heard = [step.x for step in heard]
    np.testing.assert_array_equal(heard, result.path[1:])


def test_a_callback_may_stop_it():
    def callback(x):
        if x @ x < 0.1:
            raise StopIteration

    result = minimize(lambda x: x @ x, [1.0, 2.0], lambda x: 2 * x, SGD(0.25), callback=callback)
    oracle = optimize.minimize(lambda x: x @ x, [1.0, 2.0], callback=callback)
    assert minimize(bowl, [1.0, 2.0], steps=1, callback=min).nit == 1  # inspect.signature(min) is a ValueError
    assert (result.success, result.status, result.stop_reason) == (False, oracle.status, "stopped")
    assert result.path_fun.tolist() == [5, 1.25, 0.3125, 0.078125]


def test_what_f_raises_comes_through():
    with pytest.raises(ZeroDivisionError):
        minimize(lambda x: 1 // 0, [1.0])
    with pytest.raises(StopIteration):
        minimize(lambda x: next(iter([])), [1.0])


GOOD = {"f": bowl, "x0": [3.0, 4.0]}


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"x0": [1.0, np.nan]}, DataError, "x0 is not finite (coordinate 1 is nan)"),
        ({"x0": [[1.0, 2.0]]}, DataError, "x0 has shape (1, 2)"),
        ({"x0": []}, DataError, "x0 has shape (0,)"),
        ({"x0": ["1", "2"]}, DataError, "x0 is ['1', '2']"),
        ({"x0": [1j]}, DataError, "x0 is [1j]"),
        ({"x0": [1, [2, 3]]}, DataError, "x0 is [1, [2, 3]]"),
        ({"x0": None}, DataError, "x0 is None"),
        ({"f": 3}, ParameterError, "f is 3; it must be callable"),
        ({"f": lambda x: x}, ParameterError, "f returned of shape (2,): array([3., 4.]); it must return one"),
        ({"f": lambda x: None}, ParameterError, "f returned None"),
        ({"f": lambda x: "3"}, ParameterError, "f returned '3'"),
        ({"f": lambda x: 1 + 2j}, ParameterError, "f returned (1+2j)"),
        ({"f": lambda x: (1.0, x)}, ParameterError, "pass jac=True"),
        ({"f": lambda x: np.inf}, DataError, "f is inf at x0"),
        ({"jac": True}, ParameterError, "with jac=True it must return two things"),
        ({"f": lambda x: (1.0, x[:1]), "jac": True}, ParameterError, "the gradient from f is of shape (1,): "),
        ({"jac": "2-point"}, ParameterError, "jac is '2-point'; it must be callable, True or None"),
        ({"jac": lambda x: x[:1]}, ParameterError, "it must be 2 real numbers, shape (2,)"),
        ({"jac": lambda x: x[None]}, ParameterError, "the gradient from jac is of shape (1, 2)"),
        ({"jac": lambda x: 1.0}, ParameterError, "the gradient from jac is 1.0"),
        ({"jac": lambda x: None}, ParameterError, "the gradient from jac is None"),
        ({"jac": lambda x: x * np.nan}, DataError, "the gradient at x0 is not finite (coordinate 0 is nan)"),
        ({"jac": lambda x: 2 * bowl_der(x), "check_gradient": True}, ParameterError, "0 is 24, and"),
        ({"steps": -1}, ParameterError, "steps is -1; it must be a whole number, 0 or more"),
        ({"steps": 1.5}, ParameterError, "steps is 1.5"),
        ({"steps": True}, ParameterError, "steps is True"),
        ({"tolerance": -1e-3}, ParameterError, "tolerance is -0.001; it must be 0 or more, or None"),
        ({"tolerance": np.nan}, ParameterError, "tolerance is nan"),
        ({"tolerance": "small"}, ParameterError, "tolerance is 'small'"),
        ({"callback": 3}, ParameterError, "callback is 3; it must be callable"),
        ({"optimizer": "linesearch"}, ParameterError, "did you mean 'line_search'?"),
        ({"optimizer": 0.1}, ParameterError, "optimizer 0.1 is unknown"),
        ({"optimizer": [1]}, ParameterError, "optimizer [1] is unknown"),
        ({"schedule": "cosine"}, ParameterError, "constant with a line search"),
        ({"schedule": "cosin", "optimizer": "sgd"}, ParameterError, "did you mean 'cosine'?"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(changed, error, said):
    with pytest.raises(error) as caught:
        minimize(**(GOOD | changed))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG = {"first_step": (0, np.inf), "shrink": (0, 1), "grow": (0.9, np.inf), "armijo": (0, 1)}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_line_search_checks_its_settings(name, value):
    with pytest.raises(ParameterError, match=f"line_search's {name} is"):
        LineSearch(**{name: value})


@pytest.mark.parametrize("x0", [[3.0, 4.0], [-1.2, 1.0], [1.0, 1.0], [1e3, -50.0]], ids=str)
def test_check_gradient_lets_true_gradients_pass(x0):
    for f, der in ((rosen, rosen_der), (bowl, bowl_der)):
        result = minimize(f, x0, der, steps=0, check_gradient=True)
        assert result.nfev == 1 + 2 * 2


def test_scipy_is_imported_only_when_used():
    code = "import sys, fallline.minimization; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@st.composite
def convex_bowls(draw):
    """A quadratic bowl's matrix, bottom, and a start: n from 1 to 4, the steepest side up to 30 times the flattest."""
    n = draw(st.integers(1, 4))
    numbers = st.integers(-640, 640).map(lambda i: i / 64)  # so that a whole shift is exact
    turned, _ = np.linalg.qr(np.reshape([draw(numbers) for _ in range(n * n)], (n, n)) + 21 * np.eye(n))
    steepness = 10.0 ** draw(st.integers(-3, 3)) * np.array(draw(st.lists(st.floats(1, 30), min_size=n, max_size=n)))
    bottom, start = (np.array(draw(st.lists(numbers, min_size=n, max_size=n))) for _ in range(2))
    return turned @ np.diag(steepness) @ turned.T, bottom, start


@UNHURRIED
@given(convex_bowls())
def test_a_line_search_reaches_the_bottom_of_any_bowl(drawn):
    A, bottom, start = drawn
    scale = np.linalg.norm(A, 2)
    result = minimize(
        lambda x: 0.5 * (x - bottom) @ A @ (x - bottom), start, lambda x: A @ (x - bottom), tolerance=1e-6 * scale
    )
    assert result.success
    np.testing.assert_allclose(result.x, bottom, atol=1e-6 * 30)


# No bowl drawn above stands on the edge of this Armijo share, where rounding would choose the path.
RULES = [SGD(1e-3, momentum=0.5), RMSprop(), Adam(), LineSearch(armijo=0.31831)]


@UNHURRIED
@given(convex_bowls(), st.integers(-64, 64), st.sampled_from(RULES))
def test_a_shift_of_the_argument_shifts_the_path(drawn, shift, optimizer):
    A, bottom, start = drawn

    def path(c):
        f, der = (lambda x: 0.5 * (x - c - bottom) @ A @ (x - c - bottom)), (lambda x: A @ (x - c - bottom))
        return minimize(f, start + c, der, optimizer, steps=4, tolerance=None).path

    here, there = path(0.0), path(float(shift))
    if here.shape == there.shape:  # a line search may end sooner, where rounding hides what is left
        np.testing.assert_allclose(there - shift, here, rtol=1e-5, atol=1e-5)

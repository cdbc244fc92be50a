"""Gradient descent on any function of several variables: the same step rules as for networks, and the path down kept.

Beside the rules of `fallline.optimizers` stands one that needs the function as well as its gradient: `LineSearch` tries
how far down it can go. Where no gradient is given, central differences stand in for it.

>>> bowl = lambda x: (x[0] - 1) ** 2 + 4 * (x[1] + 2) ** 2
>>> result = minimize(bowl, [5.0, 5.0])
>>> result.x.round(4), result.success
(array([ 1., -2.]), True)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError, did_you_mean
from fallline.optimizers import RULES, StepRule, as_rule, of_one_start
from fallline.schedules import Constant, Schedule, as_schedule

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult  # type: ignore[import-untyped,import-not-found,unused-ignore]

Array = npt.NDArray[Any]
Function = Callable[[Array], Any]

# As far as scipy has numbers for these, they are the ones of its BFGS.
STATUS = {"converged": 0, "finished": 1, "stalled": 2, "diverged": 3, "interrupted": 4, "stopped": 99}


@dataclass(frozen=True)
class LineSearch:
    """Steepest descent whose every step is tried before it is taken.

    A step of length `t` (times the gradient) is good enough if it lowers f by at least `armijo * t * |g|^2`. A trial
    that is not is shortened until it is. When the first trial of a step was good enough, the next step tries a longer
    one, so the length follows the landscape both ways.

    Parameters
    ----------
    first_step : float, default 1
        Length of the very first trial, relative to the gradient; positive.
    shrink : float, default 0.5
        What a trial that was too long is multiplied by; between 0 and 1.
    grow : float, default 2
        What the length is multiplied by after a first trial that was good enough; 1 or more.
    armijo : float, default 0.5
        Share of the decrease that the slope promises which a step has to bring; between 0 and 1. Armijo's own 1/2 never
        steps past the bottom of a bowl along the gradient; smaller shares (1e-4 is common) allow it.

    References
    ----------
    Armijo 1966, Minimization of functions having Lipschitz continuous first partial derivatives.
    Nocedal & Wright 2006, Numerical Optimization, algorithm 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([3.0])
    >>> LineSearch().search(lambda x: float(x @ x), x, 9.0, 2 * x, trial=1.0)
    (0.5, array([0.]), 0.0)
    """

    first_step: float = 1.0
    shrink: float = 0.5
    grow: float = 2.0
    armijo: float = 0.5
    name = "line_search"
    source = "Armijo 1966"

    def __post_init__(self) -> None:
        _check("line_search's first_step", self.first_step, 0 < self.first_step < math.inf, "positive")
        _check("line_search's shrink", self.shrink, 0 < self.shrink < 1, "between 0 and 1")
        _check("line_search's grow", self.grow, 1 <= self.grow < math.inf, "1 or more")
        _check("line_search's armijo", self.armijo, 0 < self.armijo < 1, "between 0 and 1")

    def search(
        self, f: Callable[[Array], float], x: Array, value: float, gradient: Array, trial: float
    ) -> tuple[float, Array, float] | None:
        """Find the first of the lengths `trial, trial * shrink, ...` that is good enough.

        Parameters
        ----------
        f : callable
            From an array of shape (n,) to a number; NaN and +inf count as too far.
        x, gradient : array of shape (n,)
        value, trial : float
            f at x; the length to begin with, relative to the gradient.

        Returns
        -------
        (float, array of shape (n,), float) or None
            The length, the point it leads to and f there; None once the slope promises less than float64 can show.
        """
        while (promised := float((trial * gradient) @ gradient)) >= np.spacing(abs(value)):
            there = x - trial * gradient
            lower = f(there)
            if value - lower >= self.armijo * promised:
                return trial, there, lower
            trial *= self.shrink
        return None


def minimize(
    f: Function,
    x0: npt.ArrayLike,
    jac: Function | bool | None = None,
    optimizer: StepRule | LineSearch | str = "line_search",
    schedule: Schedule | str = "constant",
    steps: int = 1000,
    tolerance: float | None = 1e-5,
    callback: Callable[..., object] | None = None,
    check_gradient: bool = False,
) -> OptimizeResult:
    """Gradient descent on a function, from one point.

    Parameters
    ----------
    f : callable
        From a float64 array of shape (n,) to one number; with `jac=True` to the pair (number, gradient).
    x0 : array of shape (n,), or a number
        Where to start.
    jac : callable, True or None, default None
        The gradient: from an array of shape (n,) to one; True if f returns it too; None for central differences, which
        cost 2n calls of f a step.
    optimizer : StepRule, LineSearch or str, default "line_search"
        See `fallline.optimizers`: `SGD(0.1)`, "adam", ... A rule's weight decay shrinks all of x, here where nothing
        tells weights from biases, so above 0 the descent ends near the minimum of f and not at it.
    schedule : Schedule or str, default "constant"
        What the rule's learning rate is multiplied by as the steps go on; see `fallline.schedules`. `LineSearch` has no
        learning rate and takes none.
    steps : int, default 1000
        Most steps to take.
    tolerance : float or None, default 1e-5
        Stop where the Euclidean norm of the gradient is at most this, in units of f over units of x; the default is the
        one of scipy's BFGS. None: take all steps.
    callback : callable, optional
        Called after each step, as in scipy: with a copy of x, or, if its one parameter is named `intermediate_result`,
        with an `OptimizeResult` of x, fun, jac and nit. It may raise StopIteration to stop.
    check_gradient : bool, default False
        Compare jac with central differences at x0 before the first step (2n calls of f).

    Returns
    -------
    scipy.optimize.OptimizeResult
        x : array of shape (n,)
            Where the tolerance was met, or else the lowest point of the path.
        fun, jac : float, array of shape (n,)
            f and its gradient at x.
        path : array of shape (nit + 1, n)
            x0, and the point after each step.
        path_fun : array of shape (nit + 1,)
            f at each of them.
        nit, nfev, njev : int
            Steps taken, calls of f (those of central differences too), gradients asked for.
        success : bool
            The tolerance was met; or it is None and all steps were taken.
        stop_reason, status : str, int
            "converged" 0: the tolerance was met. "finished" 1 (0 without a tolerance): all steps were taken.
            "stalled" 2: `LineSearch` found nothing lower. "diverged" 3: f or its gradient was no longer finite.
            "interrupted" 4: Ctrl-C. "stopped" 99: the callback asked for it.
        message : str
            The same in words, with what to do about it.

    Raises
    ------
    DataError
        x0 is not one row of finite numbers, or f or its gradient is not finite there.
    ParameterError
        A setting is out of range; f or jac returns something else than it should; jac fails `check_gradient`.

    Notes
    -----
    The first Ctrl-C ends the descent at once, in the middle of a call of f too, and returns the path so far. While the
    descent runs, NumPy's floating-point warnings are silent, since every value is checked; what `np.seterr` has set to
    "raise" still raises.

    Examples
    --------
    >>> from fallline.optimizers import SGD
    >>> result = minimize(lambda x: x @ x, [1.0, 2.0], jac=lambda x: 2 * x, optimizer=SGD(0.25), steps=3)
    >>> result.path.tolist(), result.path_fun.tolist()
    ([[1.0, 2.0], [0.5, 1.0], [0.25, 0.5], [0.125, 0.25]], [5.0, 1.25, 0.3125, 0.078125])
    >>> result.message
    "all 3 steps were taken; the gradient's norm is 0.559, above the tolerance 1e-05: take more steps"
    """
    from scipy.optimize import OptimizeResult

    way, law = _as_way(optimizer), as_schedule(schedule)
    for name, value in (("f", f), ("jac", jac), ("callback", callback)):
        optional = name != "f" and (value is None or (name == "jac" and isinstance(value, bool)))
        _check(name, value, callable(value) or optional, "callable" if name != "jac" else "callable, True or None")
    whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool)
    _check("steps", steps, whole and steps >= 0, "a whole number, 0 or more")
    number = isinstance(tolerance, (int, float, np.integer, np.floating)) and not isinstance(tolerance, bool)
    _check("tolerance", tolerance, tolerance is None or (number and tolerance >= 0), "0 or more, or None")
    plain = isinstance(way, StepRule) or isinstance(law, Constant)
    _check("schedule", law.name, plain, "constant with a line search, which has no learning rate to multiply")

    function = _Function(f, jac)
    with _quiet():
        start = _start(function, x0)
        if check_gradient:
            _check_gradient(function, start)
        stepper = _RuleSteps(way, law, steps, start.x) if isinstance(way, StepRule) else _SearchSteps(way)
        walk = _Walk(function, stepper, start, int(steps), tolerance, _teller(callback, OptimizeResult))
        reason = walk.run()
        message = walk.message(reason)
    end = walk.here if reason == "converged" else walk.lowest
    success = reason == "converged" or (reason == "finished" and tolerance is None)
    path, path_fun = zip(*walk.trail, strict=True)
    point = {"x": end.x, "fun": end.value, "jac": end.gradient}
    trail = {"path": np.stack(path), "path_fun": np.array(path_fun)}
    counts = {"nit": walk.nit, "nfev": function.nfev, "njev": function.njev}
    why = {"status": 0 if success else STATUS[reason], "stop_reason": reason, "message": message}
    return OptimizeResult(**point, **trail, **counts, success=success, **why)


class _Point(NamedTuple):
    """A point, f there, and its gradient there."""

    x: Array
    value: float
    gradient: Array


class _Function:
    """The user's f and jac: called with copies and at finite points only, counted, and what they return is checked."""

    def __init__(self, f: Function, jac: Function | bool | None) -> None:
        self.f, self.jac = f, jac
        self.nfev = self.njev = 0
        self.latest: tuple[Array, Array] | None = None  # with jac=True: where f was last called, and the gradient there

    def value(self, x: Array) -> float:
        """Call f at x; NaN where x is not finite."""
        if not np.isfinite(x).all():
            return math.nan
        self.nfev += 1
        returned = self.f(x.copy())
        if self.jac is True:
            if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
                two = "with jac=True it must return two things: its value and its gradient"
                raise ParameterError(f"f returned {_show(returned)}; {two}")
            returned, gradient = returned
            self.latest = x, _vector(gradient, len(x), "the gradient from f")
        return _number(returned)

    def gradient(self, x: Array) -> Array:
        """Give the gradient at x, shape (n,)."""
        self.njev += 1
        if not self.jac:
            return self.differences(x)
        if callable(self.jac):
            return _vector(self.jac(x.copy()), len(x), "the gradient from jac")
        if self.latest is None or not np.array_equal(self.latest[0], x):
            self.value(x)
        assert self.latest is not None
        return self.latest[1]

    def differences(self, x: Array) -> Array:
        """Give central differences at x, shape (n,).

        The step h is `cbrt(eps) * max(1, |x_i|)`, where the error of the formula, of order h^2, meets that of rounding,
        of order eps / h; it is divided by as float64 has rounded it (Dennis & Schnabel 1983, Numerical Methods for
        Unconstrained Optimization, section 5.6; Nocedal & Wright 2006, Numerical Optimization, section 8.1).
        """
        h = np.cbrt(np.finfo(np.float64).eps) * np.maximum(1.0, np.abs(x))
        slopes = np.empty_like(x)
        for i in range(len(x)):
            above, below = x.copy(), x.copy()
            above[i], below[i] = x[i] + h[i], x[i] - h[i]
            slopes[i] = (self.value(above) - self.value(below)) / (above[i] - below[i])
        return slopes


class _RuleSteps:
    """The steps of a rule of `fallline.optimizers`, under a schedule."""

    def __init__(self, rule: StepRule, schedule: Schedule, steps: int, x: Array) -> None:
        self.rule, self.schedule, self.steps = rule, schedule, steps
        self.state = rule.init_state(x)
        rate, self.weight_decay = of_one_start(rule)
        self.learning_rate = rate
        self.remedy = f"the learning rate {rate:g} is too large here; try {rate / 10:g}, or optimizer='line_search'"

    def next(self, function: _Function, here: _Point, step: int) -> tuple[Array, float]:
        """Give the point after step number `step`, from 1, and f there."""
        rate = self.learning_rate * float(self.schedule.factor(np.array((step - 1) / self.steps)))
        x = here.x * (1 - rate * self.weight_decay)
        self.rule.update(x, here.gradient, self.state, rate, step)
        return x, function.value(x)


class _SearchSteps:
    """The steps of a line search, whose length is remembered from one to the next."""

    def __init__(self, search: LineSearch) -> None:
        self.search, self.trial = search, search.first_step
        self.remedy = "start elsewhere, or look at what f and jac return there"

    def next(self, function: _Function, here: _Point, step: int) -> tuple[Array, float] | None:
        """Give the next point and f there; None where nothing lower is found."""
        at = function.value, here.x, here.value, here.gradient
        # A length left over from a steep place may be too short to show a decrease here: begin again.
        found = self.search.search(*at, self.trial) or self.search.search(*at, self.search.first_step)
        if found is None:
            return None
        length, x, value = found
        longer = min(length * self.search.grow, float(np.finfo(np.float64).max))
        self.trial = longer if length == self.trial else length
        return x, value


@dataclass
class _Walk:
    """A descent under way: what `minimize` set up, and where it stands."""

    function: _Function
    stepper: _RuleSteps | _SearchSteps
    here: _Point
    steps: int
    tolerance: float | None
    tell: Callable[[_Point, int], bool]

    def __post_init__(self) -> None:
        self.lowest = self.ahead = self.here  # ahead: the point that the last step led to, finite or not
        self.trail = [(self.here.x, self.here.value)]

    @property
    def nit(self) -> int:
        """Steps taken."""
        return len(self.trail) - 1

    def run(self) -> str:
        """Take step after step until something ends it; say what."""
        try:
            while self.tolerance is None or np.linalg.norm(self.here.gradient) > self.tolerance:
                if self.nit == self.steps:
                    return "finished"
                found = self.stepper.next(self.function, self.here, self.nit + 1)
                if found is None:
                    return "stalled"
                x, value = found
                # Without a finite value there is no point in asking for the gradient.
                gradient = self.function.gradient(x) if math.isfinite(value) else np.full_like(x, np.nan)
                self.ahead = _Point(x, value, gradient)
                if not np.isfinite(gradient).all():
                    return "diverged"
                self.trail.append((x, value))
                self.here = self.ahead
                if value <= self.lowest.value:
                    self.lowest = self.here
                if self.tell(self.here, self.nit):
                    return "stopped"
            return "converged"
        except KeyboardInterrupt:
            return "interrupted"

    def message(self, reason: str) -> str:
        """Why it ended, in words, with what to do about it."""
        norm = f"the gradient's norm is {np.linalg.norm(self.here.gradient):.3g}"
        if reason == "converged":
            return f"{norm} after {self.nit} steps, within the tolerance"
        if reason == "finished":
            above = "" if self.tolerance is None else f", above the tolerance {self.tolerance:g}: take more steps"
            higher = "; f ended higher than it began: take smaller steps" if self.here.value > self.trail[0][1] else ""
            return f"all {self.steps} steps were taken; {norm}{above}{higher}"
        if reason == "stalled":
            return (
                f"{norm} after {self.nit} steps, but no step against it lowers f by as much as float64 can show: this "
                "is the bottom up to rounding, or jac is not the gradient of f (see check_gradient)"
            )
        if reason == "diverged":
            x, value, gradient = self.ahead
            what = "x was no longer finite" if not np.isfinite(x).all() else f"f was {value}"
            if math.isfinite(value):
                what = f"the gradient was not finite ({_first_bad(gradient)})"
            advice = "f seems to have no lowest value" if value == -math.inf else self.stepper.remedy
            return f"{what} at step {self.nit + 1}: {advice}. The path up to there is kept, x is its lowest point"
        who = "Ctrl-C" if reason == "interrupted" else "the callback"
        return f"{who} stopped the descent after {self.nit} steps; x is the lowest point so far"


def _as_way(optimizer: StepRule | LineSearch | str) -> StepRule | LineSearch:
    """Find the step rule or line search that is meant by a name, or by itself."""
    names = [*RULES, "adamw", LineSearch.name]
    if isinstance(optimizer, (StepRule, LineSearch)):
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in names:
        raise ParameterError(f"optimizer {optimizer!r} is unknown{did_you_mean(optimizer, names)}")
    return LineSearch() if optimizer == LineSearch.name else as_rule(optimizer)


def _start(function: _Function, x0: npt.ArrayLike) -> _Point:
    """Check the first point, where everything has to be finite."""
    given = _reals(x0)
    if given is None:
        raise DataError(f"x0 is {_show(x0)}; it must be one row of real numbers")
    x = np.atleast_1d(given)
    if x.ndim != 1 or not x.size:
        raise DataError(f"x0 has shape {x.shape}; it must be one row of numbers, shape (n,)")
    if not np.isfinite(x).all():
        raise DataError(f"x0 is not finite ({_first_bad(x)}); start from finite numbers")
    value = function.value(x)
    if not math.isfinite(value):
        raise DataError(f"f is {value} at x0; start where it is finite")
    gradient = function.gradient(x)
    if not np.isfinite(gradient).all():
        raise DataError(f"the gradient at x0 is not finite ({_first_bad(gradient)}); start where it is")
    return _Point(x, value, gradient)


def _check_gradient(function: _Function, start: _Point) -> None:
    """Refuse a gradient that central differences contradict."""
    numeric, given = function.differences(start.x), start.gradient
    size = max(np.abs(numeric).max(), np.abs(given).max())
    agrees = np.abs(numeric - given) <= 1e-4 * size + 1e-6 * max(1.0, abs(start.value))
    if not agrees.all():
        i = int(np.argmin(agrees))
        values = f"coordinate {i} is {given[i]:.6g}, and central differences give {numeric[i]:.6g}"
        raise ParameterError(f"jac is not the gradient of f at x0: {values}")


def _teller(callback: Callable[..., object] | None, result: Callable[..., object]) -> Callable[[_Point, int], bool]:
    """Make what tells the callback of a step, and is True if that asks to stop."""
    if callback is None:
        return lambda point, nit: False
    try:
        wants_result = [*inspect.signature(callback).parameters] == ["intermediate_result"]
    except (TypeError, ValueError):  # some builtins have no signature
        wants_result = False

    def tell(point: _Point, nit: int) -> bool:
        known = {"x": point.x.copy(), "fun": point.value, "jac": point.gradient.copy(), "nit": nit}
        try:
            callback(intermediate_result=result(**known)) if wants_result else callback(known["x"])
        except StopIteration:
            return True
        return False

    return tell


def _quiet() -> np.errstate:
    """No floating-point warnings; what the user has set to raise, call or print stays."""
    return np.errstate(**{kind: "ignore" for kind, what in np.geterr().items() if what == "warn"})  # type: ignore[arg-type]


def _reals(given: object) -> Array | None:
    """Make a float64 array of its own of what was given; None if it holds anything else than real numbers."""
    try:
        array = np.asarray(given)
        if (
            array.dtype.kind == "O"
        ):  # numbers of Python's own kinds, such as Fraction; float refuses None, astype does not
            array = np.array([float(number) for number in array.flat]).reshape(array.shape)
        return array.astype(np.float64) if array.dtype.kind in "biuf" else None
    except (TypeError, ValueError):
        return None


def _number(returned: object) -> float:
    """Read what f returned."""
    array = _reals(returned)
    if array is None or array.size != 1:
        hint = "; if that is its value and its gradient, pass jac=True" if isinstance(returned, tuple) else ""
        raise ParameterError(f"f returned {_show(returned)}; it must return one real number{hint}")
    return float(array.item())


def _vector(returned: object, n: int, who: str) -> Array:
    """Read what jac returned, shape (n,)."""
    array = _reals(returned)
    if array is None or (array.shape != (n,) and not (n == 1 and array.shape == ())):
        raise ParameterError(f"{who} is {_show(returned)}; it must be {n} real numbers, shape ({n},)")
    return array.reshape(n)


def _show(given: object) -> str:
    """Show what was given, for a message of one line."""
    shape = f"of shape {given.shape}: " if isinstance(given, np.ndarray) else ""
    return shape + shorten(" ".join(repr(given).split()), 60, placeholder=" ...")


def _first_bad(array: Array) -> str:
    i = int(np.argmin(np.isfinite(array)))
    return f"coordinate {i} is {array[i]}"


def _check(name: str, value: object, condition: bool, allowed: str) -> None:
    if not condition:
        raise ParameterError(f"{name} is {value!r}; it must be {allowed}")

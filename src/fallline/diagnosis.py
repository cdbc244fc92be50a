"""What may be wrong with a descent, in plain words: rules that look at a run, each of which finds one thing or nothing.

Losses are put on a scale that is the same for all tasks: 0 is the least that the loss can be on these rows, 1 what the
best constant answer comes to. So "0.1" in a threshold means a tenth of what there is to learn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Start, as_engine
from fallline.losses import Loss, Quantile
from fallline.network import views
from fallline.run import Run
from fallline.units import dead_units, saturated_units

Array = npt.NDArray[Any]

ROWS_FOR_UNITS = 500
ROWS_FOR_GUESS = 2000
MOST_NETWORKS = 3  # that are looked into

FEWEST_EPOCHS = 5  # whose curve says something
HIGH = 0.9  # next to nothing is learned
STILL = 0.02  # less is no movement
WORTHWHILE = 0.1
STRAIGHT, LITTLE = 0.4, 0.2  # fall for the rate in the later half over that in the first; of loss and parameters
STILL_FALLING = 0.05
LATE_SHARE = 0.2  # in the last third, of the loss that was left or of what the epochs brought in all
MANY_UNITS = 0.5  # of a layer
ENOUGH_UNITS = 32  # left in a layer: a wide one can spare the others
FADED = 1e-3  # gradient of the first weights over that of the last


@final
@dataclass(frozen=True)
class Finding:
    """One thing that a diagnosis found.

    Attributes
    ----------
    name : str
        Short, and always the same for the same thing, such as "overfitting".
    says : str
        What is the case.
    evidence : str
        The numbers that speak for it.
    advice : str
        One thing to do about it.

    Examples
    --------
    >>> print(Finding("few_rows", "there are few rows", "150", "more of them would help most"))
    there are few rows (150): more of them would help most
    """

    name: str
    says: str
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.says} ({self.evidence}): {self.advice}"


def diagnose(run: Run) -> list[Finding]:
    """Do as `Run.diagnose` does."""
    course = Course(run)
    found: dict[str, Finding] = {}
    explained: set[str] = set()
    for name, rule, explains in _RULES:
        with np.errstate(all="ignore"):
            finding = None if name in explained else rule(course)
        if finding is not None:
            found[name] = finding
            explained |= explains
    return list(found.values())


class Course:
    """How a run went, as the rules look at it; what they need is worked out when they ask.

    Of a sweep, whose starts differ in their settings, only the best start counts. Curves are medians over the starts
    that did not diverge.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.plan = run, run.plan
        loss = run.history["loss"]
        self.n_epochs = len(loss)
        K = len(run.networks)
        lost = np.ones(K, bool) if run.stop_reason == "diverged" else np.zeros(K, bool)
        self.diverged = lost | ~np.isfinite(loss[-1]) if self.n_epochs else lost
        self.is_sweep = len({replace(start, number=0) for start in run.plan.starts}) > 1
        counted = ~self.diverged & ((np.arange(K) == run.best_start) | (not self.is_sweep))
        self.starts = np.flatnonzero(counted)

    @property
    def has_curve(self) -> bool:
        """Whether there is enough of a curve to say anything about it."""
        return len(self.starts) > 0 and self.n_epochs >= FEWEST_EPOCHS and self.guess > self.least

    @cached_property
    def epochs(self) -> Array:
        """Of the history's rows, from 1; not every epoch of a long descent in hand has one."""
        return self.run.history["epoch"][:, 0].astype(np.int64)

    @property
    def learning_rate(self) -> float:
        """What the step rule was set to, of the best start."""
        return self.plan.starts[self.run.best_start].learning_rate

    @cached_property
    def _constants(self) -> tuple[float, float]:
        data = _some_rows(self.run.data, ROWS_FOR_GUESS, self.plan.seed)
        weight = data.weight if data.weight.ndim == 1 else data.weight.mean(axis=0)
        Y, weight = data.Y.astype(np.float64), weight.astype(np.float64)
        loss, output = self.plan.loss, self.plan.shape.layers[-1].activation

        def mean_loss(answers: Array) -> float:
            Z = _before_the_output(answers, loss, output.name)
            return float(np.average(loss.value_and_gradient(Z, output.value(Z), Y, output)[0], weights=weight))

        def of_constant(answer: Array) -> float:
            return mean_loss(np.tile(answer, (len(Y), 1)))

        if isinstance(loss, Quantile):
            answers = np.stack([_quantile(Y, weight, p) for p in loss.quantiles], axis=1).ravel()
            return of_constant(answers), mean_loss(np.repeat(Y, len(loss.quantiles), axis=1))
        mean, median = np.average(Y, axis=0, weights=weight), _quantile(Y, weight, 0.5)
        return min(of_constant(mean), of_constant(median)), mean_loss(Y)

    @property
    def guess(self) -> float:
        """The loss of the best constant answer on the rows trained on; of Huber's and own losses mean or median."""
        return self._constants[0]

    @property
    def least(self) -> float:
        """The least that the loss can be on them: of the right answers themselves."""
        return self._constants[1]

    def on_scale(self, losses: Array) -> Array:
        """Losses in units of what there is to learn: 1 is the best constant answer."""
        return np.asarray((losses - self.least) / (self.guess - self.least))

    def loss(self, share: np.floating[Any] | float) -> str:
        """A number on the scale as the loss that the user knows."""
        return f"{self.least + share * (self.guess - self.least):.3g}"

    def span(self, share: float) -> str:
        """A difference on the scale as one of losses."""
        return f"{share * (self.guess - self.least):.2g}"

    @cached_property
    def each(self) -> Array:
        """Training losses on the scale, shape (epochs, starts)."""
        return self.on_scale(self.run.history["loss"][:, self.starts])

    @cached_property
    def training(self) -> Array:
        """Their median over the starts, shape (epochs,)."""
        return np.asarray(np.median(self.each, axis=1))

    @cached_property
    def validation(self) -> tuple[Array, Array] | None:
        """Rows of the history that were measured, and the validation losses there on the scale, one column a start."""
        if self.run.validation is None:
            return None
        losses = self.on_scale(self.run.history["validation_loss"][:, self.starts])
        measured = np.flatnonzero(np.isfinite(losses).all(axis=1))
        return (measured, losses[measured]) if len(measured) >= FEWEST_EPOCHS else None

    @cached_property
    def looked_into(self) -> list[int]:
        """The best start and a few others."""
        best, others = self.run.best_start, [int(k) for k in self.starts if k != self.run.best_start]
        return [best, *others[:: max(1, len(others) // (MOST_NETWORKS - 1))]][:MOST_NETWORKS]

    @cached_property
    def rows(self) -> Data:
        """Some of the rows trained on."""
        return _some_rows(self.run.data, ROWS_FOR_UNITS, self.plan.seed)

    def gradient_sizes(self, k: int, parameters: Array) -> Array:
        """Root mean square of the gradient of each layer's weights, shape (layers,)."""
        plan = replace(self.plan, starts=(Start(k),), dropout=(0.0,) * len(self.plan.dropout), bf16=False)
        _, gradient = as_engine("reference").gradient(plan, parameters, self.rows.of_start(k))
        return np.array([np.sqrt(np.mean(dW.astype(np.float64) ** 2)) for dW in views(plan.shape, gradient)[0]])


def _some_rows(data: Data, most: int, seed: int) -> Data:
    n = len(data.X)
    return data if n <= most else data.rows(np.sort(np.random.default_rng(seed).choice(n, most, replace=False)))


def _quantile(Y: Array, weight: Array, p: float) -> Array:
    """The least target that a share p of the weights reaches, shape (n_targets,); NumPy 1 has none with weights."""
    order = np.argsort(Y, axis=0)
    reached = np.cumsum(weight[order], axis=0)
    at = (reached < p * reached[-1]).sum(axis=0)
    return np.asarray(np.take_along_axis(Y, np.take_along_axis(order, at[None], axis=0), axis=0)[0])


def _before_the_output(answers: Array, loss: Loss, output: str) -> Array:
    """The Z with which a network gives some answers; probabilities of 0 and 1 are approached."""
    few = np.clip(answers, 1e-9, None)
    if output == "sigmoid" or (output == "identity" and loss.name == "binary_cross_entropy"):
        few = np.minimum(few, 1 - 1e-9)
        return np.asarray(np.log(few) - np.log1p(-few))
    if output == "softmax" or loss.name in ("categorical_cross_entropy", "poisson"):
        return np.asarray(np.log(few))
    return answers


def _share_falling(losses: Array) -> float:
    return float(np.mean(np.diff(losses) < 0))


def _diverged(course: Course) -> Finding | None:
    n, K, run = int(course.diverged.sum()), len(course.diverged), course.run
    if not n:
        return None
    k = int(np.argmax(course.diverged))
    row = int(np.argmin(np.append(np.isfinite(run.history["loss"][:, k]), False)))
    epoch = course.epochs[row] if row < course.n_epochs else course.epochs.max(initial=0) + 1
    rate = course.plan.starts[k].learning_rate
    who = "the loss" if K == 1 else f"the loss of {n} of {K} starts"
    clip = "" if course.plan.clip_norm else ", or clip_norm=1"
    return Finding(
        "diverged",
        f"{who} grew beyond all numbers",
        f"learning rate {rate:g}, in epoch {epoch}",
        f"try a learning rate of {rate / 10:g}, scale the inputs{clip}",
    )


def _step_halved(course: Course) -> Finding | None:
    repairs, K = course.run.history.repairs, len(course.diverged)
    if not repairs:
        return None
    n, last = len({repair["start"] for repair in repairs}), repairs[-1]
    who = "the loss" if K == 1 else f"the loss of {n} of {K} starts"
    return Finding(
        "step_halved",
        f"{who} grew beyond all numbers, until the steps were shorter",
        f"in epoch {last['epoch']}, back to step {last['back_to']}, and on with the learning rate "
        f"{last['learning_rate']:g}",
        f"begin with a learning rate of {last['learning_rate']:g}",
    )


def _step_too_large(course: Course) -> Finding | None:
    if not course.has_curve:
        return None
    late = course.each[course.n_epochs // 2 :]
    level, rising = float(np.median(late)), 1 - float(np.median([_share_falling(losses) for losses in late.T]))
    jump = float(np.median(np.abs(np.diff(late, axis=0))))
    noise = max(WORTHWHILE / 2, len(course.run.data.X) ** -0.5 if any(course.plan.dropout) else 0.0)  # of the masks
    above, jumps = level > 1 + WORTHWHILE and rising > 0.2, jump > noise and rising > 0.25
    if not (above or jumps):
        return None
    says = "stays above that of the simplest guess" if above else "jumps up and down"
    return Finding(
        "step_too_large",
        f"the steps are too large: the training loss {says}",
        f"{course.loss(level)} in the later half, by about {course.span(jump)} from epoch to epoch; {course.guess:.3g} "
        "the guess",
        f"try a learning rate of {course.learning_rate / 10:g}",
    )


def _step_too_small(course: Course) -> Finding | None:
    if not course.has_curve or course.run.stop_reason != "finished":  # a schedule may begin with small steps
        return None
    half = course.n_epochs // 2
    first, middle, last = (float(course.training[i]) for i in (0, half, -1))
    rates = course.run.history["learning_rate"][1:, course.starts[0]]  # a schedule makes the straightest way bend
    straight = (middle - last) * rates[:half].sum() > STRAIGHT * (first - middle) * rates[half:].sum()
    if not straight or _share_falling(course.training) < 0.75 or first - last > LITTLE * first or last < 0.5:
        return None
    run, k = course.run, course.run.best_start
    begun = run.begun_at[k].astype(np.float64)
    moved = float(np.linalg.norm(run.networks[k].parameters - begun) / (np.linalg.norm(begun) or 1.0))
    if moved > LITTLE:
        return None
    return Finding(
        "step_too_small",
        "the steps are too small: the training loss hardly falls, and as slowly at the end as at the beginning",
        f"from {course.loss(first)} to {course.loss(last)} in {course.epochs[-1] - course.epochs[0] + 1} epochs; the "
        f"parameters moved by {moved:.2g} of their length",
        f"try a learning rate of {course.learning_rate * 10:g}",
    )


def _dead(course: Course) -> Finding | None:
    return _units(
        course,
        "dead_units",
        dead_units,
        ("relu",),
        "give 0 for every row and learn no more",
        "try a smaller learning rate, or activation 'leaky_relu'",
    )


def _saturated(course: Course) -> Finding | None:
    return _units(
        course,
        "saturated_units",
        saturated_units,
        ("sigmoid", "tanh"),
        "are at an end of their range for most rows and hardly learn",
        "scale the inputs to about -1 to 1, or try a smaller learning rate",
    )


def _units(
    course: Course, name: str, which: Callable[..., list[Array]], activations: tuple[str, ...], say: str, advice: str
) -> Finding | None:
    layers = course.plan.shape.layers[:-1]
    if not len(course.starts) or not any(layer.activation.name in activations for layer in layers):
        return None
    X = course.rows.X
    shares = [[units.mean() for units in which(course.run.networks[k], X)] for k in course.looked_into]
    worst = np.median(shares, axis=0)  # (hidden layers,)
    l = int(np.argmax(worst))
    if worst[l] <= MANY_UNITS or (1 - worst[l]) * layers[l].n_out >= ENOUGH_UNITS:
        return None
    where = "the hidden layer's" if len(layers) == 1 else f"hidden layer {l + 1}'s"
    n_out = layers[l].n_out
    return Finding(
        name,
        f"many of {where} neurons {say}",
        f"{round(worst[l] * n_out)} of {n_out}, {layers[l].activation.name}, asked with {len(X)} rows",
        advice,
    )


def _vanishing(course: Course) -> Finding | None:
    if not course.has_curve or len(course.plan.shape.layers) < 3 or course.training[-1] < 0.5:
        return None
    run, k = course.run, course.run.best_start
    sizes = [course.gradient_sizes(k, parameters) for parameters in (run.begun_at[k], run.networks[k].parameters)]
    start, end = (float(size[0] / size[-1]) if size[-1] else 1.0 for size in sizes)
    if start > FADED or end > FADED:
        return None
    return Finding(
        "vanishing_gradients",
        "the gradient vanishes on its way back to the first layers, which hardly learn",
        f"the first weights' is {start:.1g} of the last weights' at the start, {end:.1g} at the end",
        f"try fewer layers than {len(course.plan.shape.layers) - 1} hidden ones, or activation 'relu'",
    )


def _plateaued(course: Course) -> Finding | None:
    if not course.has_curve or course.training[-1] < HIGH:
        return None
    away = np.flatnonzero(np.abs(course.training - course.training[-1]) > STILL)
    since = int(away[-1]) + 1 if len(away) else 0
    if since + 1 > course.n_epochs / 2:
        return None
    return Finding(
        "plateaued",
        "the training loss stopped near that of the simplest guess, so next to nothing was learned",
        f"{course.loss(course.training[-1])} since epoch {course.epochs[since]} of {course.epochs[-1]}; "
        f"{course.guess:.3g} the guess",
        "check that the targets belong to these rows; then try another learning rate, or more neurons",
    )


def _overfitting(course: Course) -> Finding | None:
    if not course.has_curve or course.validation is None:
        return None
    rows, losses = course.validation
    best = losses.argmin(axis=0)
    lowest, last = losses.min(axis=0), np.median(losses[-max(1, len(losses) // 10) :], axis=0)
    then = course.each[rows[best], np.arange(len(best))]
    rise, fall = float(np.median(last - lowest)), float(np.median(then - course.each[-1]))
    if rise < WORTHWHILE or fall <= 0:
        return None
    numbers = [course.loss(np.median(losses)) for losses in (lowest, last, then, course.each[-1])]
    return Finding(
        "overfitting",
        f"overfitting since epoch {int(np.median(course.epochs[rows[best]]))}: rows are learned by heart, and others "
        "answered worse",
        "validation loss {} then, {} at the end; training loss {} then, {} at the end".format(*numbers),
        "try dropout 0.1, or more weight decay",
    )


def _too_few_epochs(course: Course) -> Finding | None:
    if not course.has_curve or course.run.stop_reason != "finished":
        return None
    rows, losses = course.validation or (np.arange(course.n_epochs), course.each)
    curve, third = np.median(losses, axis=1), round(len(losses) * 2 / 3)
    some = max(1, len(curve) // 10)
    before, end = (float(np.median(curve[i - some : i])) for i in (third, len(curve)))
    fall = before - end
    if curve[:-some].min() < end - STILL or fall < STILL_FALLING or fall < LATE_SHARE * min(before, curve[0] - end):
        return None
    which = "validation" if course.validation else "training"
    return Finding(
        "too_few_epochs",
        "the networks still got better at the end",
        f"{which} loss {course.loss(before)} at epoch {course.epochs[rows[third - 1]]}, {course.loss(end)} at epoch "
        f"{course.epochs[rows[-1]]}",
        f"try more epochs ({course.epochs[-1]} now)",
    )


def _starts_disagree(course: Course) -> Finding | None:
    n = len(course.starts)
    if n < 3 or not course.has_curve:
        return None
    ends = np.median(course.each[-max(1, course.n_epochs // 10) :], axis=0)
    worse = int((ends > ends.min() + WORTHWHILE).sum())
    if worse < WORTHWHILE * n:
        return None
    return Finding(
        "starts_disagree",
        f"the starts disagree: {worse} of {n} end in a worse valley than the best",
        f"training loss {course.loss(ends.min())} to {course.loss(ends.max())} at the end",
        f"try more than {n} starts, or more neurons",
    )


_ALL_BUT_FIRST = {"dead_units", "saturated_units", "plateaued", "overfitting", "too_few_epochs", "starts_disagree"}
# Name, rule, and what else would be said of the same cause; the most telling first.
_RULES: tuple[tuple[str, Callable[[Course], Finding | None], set[str]], ...] = (
    ("diverged", _diverged, {"step_too_large"}),
    ("step_halved", _step_halved, set()),
    ("step_too_large", _step_too_large, _ALL_BUT_FIRST),
    ("step_too_small", _step_too_small, {"vanishing_gradients", "plateaued", "too_few_epochs", "starts_disagree"}),
    ("dead_units", _dead, {"vanishing_gradients", "plateaued", "starts_disagree"}),
    ("saturated_units", _saturated, {"vanishing_gradients", "plateaued"}),
    ("vanishing_gradients", _vanishing, {"plateaued"}),
    ("plateaued", _plateaued, set()),
    ("overfitting", _overfitting, set()),
    ("too_few_epochs", _too_few_epochs, set()),
    ("starts_disagree", _starts_disagree, set()),
)

"""The native engine: hands plans and data to the compiled core, which trains without the interpreter."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline import _core
from fallline.engines.plan import Data, Engine, Plan, Session, Slice, Start, State
from fallline.errors import ParameterError, PrecisionWarning
from fallline.losses import LOSSES, BinaryCrossEntropy, CategoricalCrossEntropy, Huber, Quantile
from fallline.network import Shape, check_core, core_shape, predictor
from fallline.optimizers import SGD, Adam, RMSprop, StepRule
from fallline.threads import as_threads

Array = npt.NDArray[Any]
NOTHING = np.empty(0)


def _rule(rule: StepRule) -> dict[str, Any]:
    """The rule's name and numbers, in the core's terms."""
    if type(rule) is SGD:
        name = "nesterov" if rule.nesterov else "momentum" if rule.momentum else "sgd"
        numbers = (rule.momentum, 0.0, 0.0)
    elif type(rule) is RMSprop:
        name, numbers = "rmsprop", (0.0, rule.rho, rule.epsilon)
    elif type(rule) is Adam:
        name, numbers = "adam", (rule.beta1, rule.beta2, rule.epsilon)
    else:
        raise ParameterError(f"the native engine has no step rule {type(rule).__name__}; use engine='reference'")
    hat = isinstance(rule, Adam) and rule.epsilon_hat
    return {"rule": name, "epsilon_hat": hat} | dict(zip(("beta1", "beta2", "epsilon"), numbers, strict=True))


def _plan(plan: Plan, starts: tuple[Start, ...]) -> _core.Plan:
    """The plan in the core's terms, for some of its starts."""
    if LOSSES.get(plan.loss.name) is not type(plan.loss):
        raise ParameterError(f"the native engine has no loss {type(plan.loss).__name__}; use engine='reference'")
    ceiling = plan.loss.ceiling if isinstance(plan.loss, (BinaryCrossEntropy, CategoricalCrossEntropy)) else None
    return _core.Plan(
        **core_shape(plan.shape, plan.dropout, plan.rates),
        loss=plan.loss.name,
        delta=plan.loss.delta if isinstance(plan.loss, Huber) else 1.0,
        quantiles=list(plan.loss.quantiles) if isinstance(plan.loss, Quantile) else [],
        ceiling=math.inf if ceiling is None else ceiling,
        **_rule(plan.optimizer),
        batch_size=plan.batch_size,
        shuffle=plan.shuffle,
        seed=plan.seed,
        starts=[(start.number, start.learning_rate, start.weight_decay, start.l1, start.l2) for start in starts],
        clip_norm=plan.clip_norm,
        bf16=plan.bf16,
        penalties_per_row=plan.penalties_per_row,
    )


class NativeSession(Session):
    """K networks going down together in the compiled core."""

    def __init__(self, plan: Plan, parameters: Array, data: Data, threads: int) -> None:
        self._shape, self._dtype = parameters.shape, parameters.dtype
        self._n_moments = plan.optimizer.n_moments
        session = _core.SessionFloat32 if parameters.dtype == np.float32 else _core.SessionFloat64
        self._session = session(
            _plan(plan, plan.starts), parameters, data.X, data.Y, np.atleast_2d(data.weight), threads
        )

    def run(self, factors: Array, seconds: float, after: Slice | None = None) -> Slice:
        """Steps against the gradient; see `Session.run`."""
        sums = NOTHING if after is None else np.concatenate([after.loss_sum, after.weight_sum, after.penalty_sum])
        done = self._session.run(np.ascontiguousarray(factors, dtype=np.float64), seconds, sums)
        return Slice(
            done.n_steps,
            np.asarray(done.loss_sum),
            np.asarray(done.weight_sum),
            np.asarray(done.penalty_sum),
            np.asarray(done.gradient_norm),
            np.asarray(done.diverged_step),
        )

    def parameters(self, out: Array | None = None) -> Array:
        """A copy of the parameters, shape (K, P); see `Session.parameters`."""
        out = np.empty(self._shape, dtype=self._dtype) if out is None else out
        self._session.read_parameters(out)
        return out

    def visit(self, rows: Array) -> None:
        """Go through these rows; see `Session.visit`."""
        self._session.visit(np.ascontiguousarray(rows, dtype=np.int64))

    def state(self) -> State:
        """What it knows; see `Session.state`."""
        moments = np.empty((self._n_moments, *self._shape), dtype=self._dtype)
        step, now = self._session.read_state(moments.reshape(-1)), self.run(NOTHING, 0.0)
        return State(step, moments, now.diverged_step, now.gradient_norm)

    def resume(self, state: State) -> None:
        """Go on from there; see `Session.resume`."""
        n_starts = self._shape[0]
        diverged = np.full(n_starts, -1) if state.diverged_step is None else state.diverged_step
        norm = np.full(n_starts, np.nan) if state.gradient_norm is None else state.gradient_norm
        moments = np.ascontiguousarray(state.moments, dtype=self._dtype).reshape(-1)
        self._session.resume(state.step, moments, diverged.astype(np.int64), norm.astype(np.float64))


class NativeEngine(Engine):
    """The compiled core, float32 or float64.

    Parameters
    ----------
    threads : int, "auto" or None, default None
        How many to use; None and "auto" mean `fallline.threads.available()`. Results are the same for any number.

    Raises
    ------
    ParameterError
        FALLLINE_ISA names no instruction set, or the number of threads is out of range.
    """

    name = "native"

    def __init__(self, threads: int | str | None = None) -> None:
        self.threads = as_threads(threads)
        self._known: tuple[Plan, _core.Plan] | None = None
        check_core()

    def __reduce__(self) -> tuple[type[NativeEngine], tuple[int]]:
        return NativeEngine, (self.threads,)

    def session(self, plan: Plan, parameters: Array, data: Data) -> Session:
        """Begin a descent; see `Engine.session`."""
        if plan.bf16 and not _core.has_bf16():
            warnings.warn(
                "precision='bf16' needs the instruction set avx512_bf16, but the one in use is "
                f"{_core.instruction_set()}; the products are those of float32",
                PrecisionWarning,
                stacklevel=5,  # whoever called descend
            )
            plan = replace(plan, bf16=False)
        return NativeSession(plan, parameters, data, self.threads)

    def predict(self, shape: Shape, parameters: Array, X: Array) -> Array:
        """Forward, in blocks of rows; see `Engine.predict`."""
        out = np.empty((len(X), shape.layers[-1].n_out), dtype=parameters.dtype)
        predictor(shape, parameters.dtype)(parameters, X, out, self.threads)
        return out

    def loss(self, plan: Plan, parameters: Array, data: Data) -> float:
        """Forward to the loss; see `Engine.loss`."""
        return float(_core.mean_loss(self._of_one_start(plan), parameters, data.X, data.Y, data.weight, self.threads))

    def surface(self, plan: Plan, plane: tuple[Array, Array, Array], a: Array, b: Array, data: Data) -> Array:
        """The first layer's Z is affine in a and b, and so computed once; see `Engine.surface`."""
        losses, known = np.empty((len(a), len(b))), self._of_one_start(plan)
        _core.loss_surface(known, *plane, a, b, data.X, data.Y, data.weight, losses, self.threads)
        return losses

    def gradient(self, plan: Plan, parameters: Array, data: Data, step: int = 0) -> tuple[float, Array]:
        """Backpropagation over all rows; see `Engine.gradient`."""
        out = np.empty_like(parameters)
        loss = _core.gradient(
            self._of_one_start(plan), parameters, data.X, data.Y, data.weight, step, out, self.threads
        )
        return float(loss), out

    def _of_one_start(self, plan: Plan) -> _core.Plan:
        """The plan for its first start in the core's terms; kept, since a descent asks for the same plan many times."""
        known = self._known
        if known is None or known[0] is not plan:
            known = self._known = plan, _plan(plan, plan.starts[:1])
        return known[1]

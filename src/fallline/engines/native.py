"""The native engine: hands plans and data to the compiled core, which trains without the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fallline import _core
from fallline.engines.plan import Data, Engine, Plan, Session, Slice
from fallline.errors import ParameterError
from fallline.losses import LOSSES, Huber, Quantile
from fallline.network import Layer
from fallline.optimizers import SGD, Adam, RMSprop, StepRule

Array = npt.NDArray[Any]


def _layers(layers: tuple[Layer, ...], dropout: tuple[float, ...] = ()) -> list[tuple[int, int, str, float]]:
    rates = [*dropout, 0.0] if dropout else [0.0] * len(layers)
    return [(layer.n_in, layer.n_out, layer.activation.name, rate) for layer, rate in zip(layers, rates, strict=True)]


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
    return {"rule": name} | dict(zip(("beta1", "beta2", "epsilon"), numbers, strict=True))


def _plan(plan: Plan) -> _core.Plan:
    if LOSSES.get(plan.loss.name) is not type(plan.loss):
        raise ParameterError(f"the native engine has no loss {type(plan.loss).__name__}; use engine='reference'")
    return _core.Plan(
        layers=_layers(plan.layers, plan.dropout),
        loss=plan.loss.name,
        delta=plan.loss.delta if isinstance(plan.loss, Huber) else 1.0,
        quantiles=list(plan.loss.quantiles) if isinstance(plan.loss, Quantile) else [],
        **_rule(plan.optimizer),
        weight_decay=plan.optimizer.weight_decay,
        batch_size=plan.batch_size,
        shuffle=plan.shuffle,
        seed=plan.seed,
        starts=list(plan.starts),
        l1=plan.l1,
        l2=plan.l2,
        clip_norm=plan.clip_norm,
    )


class NativeSession(Session):
    """K networks going down together in the compiled core."""

    def __init__(self, plan: Plan, parameters: Array, data: Data) -> None:
        self._shape, self._dtype = parameters.shape, parameters.dtype
        session = _core.SessionFloat32 if parameters.dtype == np.float32 else _core.SessionFloat64
        self._session = session(_plan(plan), parameters, data.X, data.Y, data.weight)

    def run(self, learning_rates: Array, seconds: float) -> Slice:
        """Steps against the gradient; see `Session.run`."""
        done = self._session.run(np.ascontiguousarray(learning_rates, dtype=np.float64), seconds)
        return Slice(
            done.n_steps,
            np.asarray(done.loss_sum),
            done.weight_sum,
            np.asarray(done.gradient_norm),
            np.asarray(done.diverged_step),
        )

    def parameters(self, out: Array | None = None) -> Array:
        """A copy of the parameters, shape (K, P); see `Session.parameters`."""
        out = np.empty(self._shape, dtype=self._dtype) if out is None else out
        self._session.read_parameters(out)
        return out


class NativeEngine(Engine):
    """The compiled core, float32 or float64; ParameterError where FALLLINE_ISA names no instruction set."""

    name = "native"

    def __init__(self) -> None:
        try:
            _core.instruction_set()  # chosen at the first call
        except ValueError as error:
            raise ParameterError(str(error)) from None

    def session(self, plan: Plan, parameters: Array, data: Data) -> Session:
        """Begin a descent; see `Engine.session`."""
        return NativeSession(plan, parameters, data)

    def predict(self, layers: tuple[Layer, ...], parameters: Array, X: Array) -> Array:
        """Forward, in blocks of rows; see `Engine.predict`."""
        out = np.empty((len(X), layers[-1].n_out), dtype=parameters.dtype)
        _core.predict(_layers(layers), parameters, X, out)
        return out

    def loss(self, plan: Plan, parameters: Array, data: Data) -> float:
        """Forward to the loss; see `Engine.loss`."""
        return float(_core.mean_loss(_plan(plan), parameters, data.X, data.Y, data.weight))

    def gradient(self, plan: Plan, parameters: Array, data: Data, step: int = 0) -> tuple[float, Array]:
        """Backpropagation over all rows; see `Engine.gradient`."""
        out = np.empty_like(parameters)
        loss = _core.gradient(_plan(plan), parameters, data.X, data.Y, data.weight, step, out)
        return float(loss), out

"""What passes between a descent and an engine: the plan, the data, and what a slice of steps gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fallline.checkpoint import fingerprint
from fallline.errors import DataError
from fallline.losses import Loss
from fallline.network import Layer, Network, Shape
from fallline.optimizers import StepRule
from fallline.rates import EQUAL_RATES, Rates

Array = npt.NDArray[Any]

FEW_OUTPUTS = 4  # a quarter of a panel of the native engine


@dataclass(frozen=True)
class Start:
    """One start of a descent, and what may differ from start to start.

    Attributes
    ----------
    number : int
        What its dropout masks depend on.
    learning_rate : float
        Length of a step relative to the gradient; the schedule's factors multiply it.
    weight_decay : float
        Share of each weight, times the learning rate, that a step takes away.
    l1, l2 : float
        Penalties `l1 * sum |W|` and `l2 / 2 * sum W^2`, over all weights, added to the loss.
    """

    number: int = 0
    learning_rate: float = 1.0
    weight_decay: float = 0.0
    l1: float = 0.0
    l2: float = 0.0


@dataclass(frozen=True)
class Plan:
    """Everything an engine must know to train, but for the parameters, the data and the schedule's factors.

    Attributes
    ----------
    shape : Shape
    loss : Loss
    optimizer : StepRule
        Its learning rate and weight decay are the starts'.
    batch_size : int
        Rows in a batch; the last batch of an epoch takes what is left.
    shuffle : bool
        Visit the rows in a new order each epoch.
    seed : int
        Of the orders and the dropout masks.
    starts : tuple of Start
        One for each of K networks.
    dropout : tuple of float
        Share of neurons dropped after each hidden layer.
    clip_norm : float
        Longest gradient; 0 means no clipping.
    bf16 : bool
        Whether the products of a session are of operands rounded to bf16; see `rounds`.
    rates : Rates
        Of the network's parts.
    penalties_per_row : bool
        Divide the penalties by the batch's weight, as scikit-learn does, and sum them up in the slice.
    """

    shape: Shape
    loss: Loss
    optimizer: StepRule
    batch_size: int = 1
    shuffle: bool = True
    seed: int = 0
    starts: tuple[Start, ...] = (Start(),)
    dropout: tuple[float, ...] = ()
    clip_norm: float = 0.0
    bf16: bool = False
    rates: Rates = EQUAL_RATES
    penalties_per_row: bool = False

    def rounds(self, layer: Layer) -> bool:
        """Whether this layer's products are of operands rounded to bf16; few outputs are not worth it."""
        return self.bf16 and layer.n_out > FEW_OUTPUTS


@dataclass(frozen=True)
class Data:
    """Rows to train or to measure on, as engines take them: one dtype, C order.

    Attributes
    ----------
    X : array of shape (n, n_in)
    Y : array of shape (n, n_targets)
    weight : array of shape (n,) or (K, n)
        Of each row, 0 or more, for all starts or for each; ones where the user gave none.
    """

    X: Array
    Y: Array
    weight: Array

    @classmethod
    def of(
        cls,
        network: Network,
        loss: Loss,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        n_starts: int = 1,
    ) -> Data:
        """Check what a user gave and convert it for these networks and loss; DataError says what does not fit."""
        rows = network.checked_rows(X)
        Y = loss.targets(y, network.layer_sizes[-1], network.dtype)
        if len(rows) != len(Y):
            raise DataError(f"X has {len(rows)} rows, but y has {len(Y)}")
        if not len(rows):
            raise DataError("there are no rows; give at least one")
        if weight is None:
            return cls(rows, Y, np.ones(len(rows), dtype=network.dtype))
        try:
            with np.errstate(over="ignore"):  # beyond the dtype is infinite, and found below
                w = np.ascontiguousarray(weight, dtype=network.dtype)
        except (TypeError, ValueError):
            raise DataError("sample_weight must be numbers, one a row") from None
        if w.shape not in ((len(rows),), (n_starts, len(rows))):
            several = f", or ({n_starts}, {len(rows)}), a row of them for each start" if n_starts > 1 else ""
            raise DataError(f"sample_weight has shape {w.shape}; it must be ({len(rows)},), one weight a row{several}")
        if not np.isfinite(w).all() or (w < 0).any() or not (w > 0).any(axis=-1).all():
            raise DataError("sample_weight must be finite numbers, 0 or more, and not all 0")
        return cls(rows, Y, w)

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.X)

    @property
    def at_hand(self) -> Data:
        """The rows that are in memory: all of them."""
        return self

    @property
    def fingerprint(self) -> str:
        """The same for the same rows, and for no others."""
        return fingerprint(self.X, self.Y, self.weight)

    def rows(self, which: Array | slice) -> Data:
        """Some of the rows."""
        return Data(self.X[which], self.Y[which], self.weight[..., which])

    def of_start(self, k: int) -> Data:
        """The same rows with the weights that start number k gives them, shape (n,)."""
        return self if self.weight.ndim == 1 else Data(self.X, self.Y, self.weight[k])


@dataclass(frozen=True)
class Share(Data):
    """Those of the rows that this process owns, where a group of processes has them all; see `Engine.share`.

    Attributes
    ----------
    n_all : int
        Rows of all processes.
    some : Data
        Some of the rows of all, the same for every process, for what needs no more.
    prints : str
        The same for the same rows, however they are shared, and for no others.
    """

    n_all: int
    some: Data
    prints: str

    @property
    def n(self) -> int:
        """Number of rows of all processes."""
        return self.n_all

    @property
    def at_hand(self) -> Data:
        """Some of the rows."""
        return self.some

    @property
    def fingerprint(self) -> str:
        """Of the rows of all processes."""
        return self.prints

    def of_start(self, k: int) -> Share:
        """The same rows: all starts give them the same weight."""
        return self


@dataclass(frozen=True)
class Slice:
    """What some steps gave, for each of K starts.

    Attributes
    ----------
    n_steps : int
        Steps that were taken.
    loss_sum : array of shape (K,)
        Sum over the steps of the batch's weight times its loss, penalties left out; this sum and the next two go on
        from those of an earlier slice, where one was given.
    weight_sum : array of shape (K,)
        Sum of those batches' weights; `loss_sum / weight_sum` is the mean loss.
    penalty_sum : array of shape (K,)
        Sum over the steps of the penalties, undivided; zeros unless the plan has penalties per row.
    gradient_norm : array of shape (K,)
        Norm of the gradient, penalties included, before clipping, in the last step of the last epoch that was
        completed; NaN before.
    diverged_step : array of shape (K,)
        Number, from 0, of the step whose loss was not finite, after which the start stands still; -1 if none.
    waits : bool
        Whether it ended early between two steps, as the next rows are not there yet.
    """

    n_steps: int
    loss_sum: Array
    weight_sum: Array
    penalty_sum: Array
    gradient_norm: Array
    diverged_step: Array
    waits: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class State:
    """What a session knows of K descents, beside their parameters.

    Attributes
    ----------
    step : int
        Steps that were taken; row orders and dropout masks follow from it.
    moments : array of shape (n_moments, K, P)
        What the step rule remembers.
    diverged_step, gradient_norm : array of shape (K,), optional
        As in `Slice`; None: no start has diverged, no epoch was completed.
    """

    step: int
    moments: Array
    diverged_step: Array | None = None
    gradient_norm: Array | None = None


class Session(ABC):
    """A descent under way in an engine: K networks' parameters, the rule's state, and the data."""

    @abstractmethod
    def run(self, factors: Array, seconds: float, after: Slice | None = None) -> Slice:
        """Take one step for each factor, or as many as fit in some seconds; each start's own learning rate times it.

        A step that many rows make long may be left half done, even the first; the next call, given its factor again,
        goes on with it. None is where as many steps were taken as there are factors.

        Parameters
        ----------
        factors : array of float64, shape (n_steps,)
            What the schedule multiplies the learning rates by.
        seconds : float
        after : Slice, optional
            Whose sums go on: so the sums over an epoch do not depend on where its slices ended.
        """

    @abstractmethod
    def parameters(self, out: Array | None = None) -> Array:
        """A copy of the parameters, shape `(K, P)`, into `out` if it is given."""

    @abstractmethod
    def visit(self, rows: Array) -> None:
        """From the next step on go through these rows of the data, in this order, epoch after epoch.

        Parameters
        ----------
        rows : array of int64, any length but 0
        """

    @abstractmethod
    def state(self) -> State:
        """A copy of what it knows; no step may be half done."""

    @abstractmethod
    def resume(self, state: State) -> None:
        """Go on from there, as a session that took those steps would."""


class Engine(ABC):
    """What computes; each subclass is final.

    Some go down in a group of processes, each of which does and decides the same; what this class says of groups is of
    a process that is alone. Where a process asks for what all say, all must ask.
    """

    name: ClassVar[str]

    @property
    def group(self) -> tuple[int, int]:
        """Number of this process, and of all."""
        return 0, 1

    def share(self, n: int) -> slice:
        """Which of n rows this process owns; see `Share`."""
        return slice(0, n)

    def gather(self, values: Array) -> Array:
        """Numbers that each process has, float64 of shape (n_processes, *shape)."""
        return np.asarray(values, np.float64)[None]

    def exchange(self, data: bytes) -> list[bytes]:
        """What each process has."""
        return [data]

    @abstractmethod
    def session(self, plan: Plan, parameters: Array, data: Data) -> Session:
        """Begin a descent from parameters of shape `(K, P)`, which are copied."""

    @abstractmethod
    def predict(self, shape: Shape, parameters: Array, X: Array) -> Array:
        """Output of shape `(n, n_out)` for rows X of shape `(n, n_in)`, parameters of shape `(P,)`."""

    @abstractmethod
    def loss(self, plan: Plan, parameters: Array, data: Data) -> float:
        """Weighted mean loss, without penalties and dropout, of parameters of shape `(P,)`."""

    @abstractmethod
    def surface(self, plan: Plan, plane: tuple[Array, Array, Array], a: Array, b: Array, data: Data) -> Array:
        """Losses as from `loss` at `origin + a[i] u + b[j] v`, of shape `(len(a), len(b))`.

        `plane` has origin, u and v, each of shape `(P,)` and of the data's dtype; a and b are float64.
        """

    @abstractmethod
    def gradient(self, plan: Plan, parameters: Array, data: Data, step: int = 0) -> tuple[float, Array]:
        """Loss, penalties included, and its gradient of shape `(P,)`, all rows in one batch.

        Where the plan has dropout the masks are those of step `step` and of the plan's first start.
        """

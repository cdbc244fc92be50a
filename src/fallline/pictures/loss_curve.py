"""The loss as the epochs go by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.listeners import History
from fallline.model import Model
from fallline.pictures.numbers import number
from fallline.pictures.style import INK, NEGATIVE, POSITIVE, WIDE, axes_for, halo, log_scale, quiet, title
from fallline.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

# Why a descent ended, of a model that kept the word alone; a run has a sentence of its own.
REASONS = {
    "finished": "all epochs were done",
    "stopped": "stopped early by a listener",
    "interrupted": "interrupted",
    "diverged": "the loss was no longer a finite number",
}


@final
class LossCurveDisplay:
    """Training and validation loss by epoch; of several starts thin lines, with their median.

    The training loss of an epoch is the mean over its batches, so it is about parameters that changed on the way, and
    where there is dropout it is that of a thinned network: it may lie above the validation loss.

    Parameters
    ----------
    loss : array of shape (n_epochs, n_starts)
        Training loss.
    validation_loss : array of shape (n_epochs, n_starts) or None
        NaN where it was not measured.
    kept_epochs : sequence of int
        Of each start the epoch whose parameters were kept, counted from 1; none if it is not known.
    why : str
        Why the descent ended.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
    lines_ : dict of str to list of matplotlib Line2D
        "training" and "validation": of each start.
    medians_ : dict of str to matplotlib Line2D
        Of several starts.
    kept_ : matplotlib Line2D or None

    Examples
    --------
    >>> import numpy as np
    >>> import fallline as fl
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> run = fl.descend(fl.Network([1, 8, 1]), x, x[:, 0] ** 2, starts=3, epochs=20)
    >>> display = LossCurveDisplay.from_run(run)
    >>> display.loss.shape, display.why
    ((20, 3), 'all 20 epochs were done')
    """

    def __init__(
        self,
        *,
        loss: Array,
        validation_loss: Array | None = None,
        kept_epochs: Sequence[int] = (),
        why: str = "",
    ) -> None:
        self.loss, self.validation_loss, self.kept_epochs, self.why = loss, validation_loss, kept_epochs, why

    @classmethod
    def from_run(cls, run: Run, *, ax: Axes | None = None) -> LossCurveDisplay:
        """Draw the losses of a run.

        Parameters
        ----------
        run : Run
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ParameterError
            It has no epochs.
        """
        return cls.from_history(run.history, kept_epochs=run.kept_epochs, why=run.message, ax=ax)

    @classmethod
    def from_history(
        cls, history: History, *, kept_epochs: Sequence[int] = (), why: str = "", ax: Axes | None = None
    ) -> LossCurveDisplay:
        """Draw a history; what was kept, and why the descent ended, it does not know itself.

        Parameters
        ----------
        history : History
        kept_epochs : sequence of int, default ()
            Of each start the epoch whose parameters were kept, counted from 1.
        why : str, default ""
            Why the descent ended.
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ParameterError
            It has no epochs.
        """
        loss = history["loss"]
        if not len(loss):
            raise ParameterError("the history has no epochs")
        validated = "validation_loss" in next(iter(history))
        validation_loss = history["validation_loss"].astype(np.float64) if validated else None
        made = cls(loss=loss.astype(np.float64), validation_loss=validation_loss, kept_epochs=kept_epochs, why=why)
        return made.plot(ax)

    @classmethod
    def from_model(cls, model: Model, *, ax: Axes | None = None) -> LossCurveDisplay:
        """Draw what a model remembers of its training.

        Parameters
        ----------
        model : Model
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ParameterError
            It remembers none.
        """
        training = model.training
        if not training.get("history"):
            raise ParameterError("the model has no history of its training")
        history, kept = History(training["history"]), training.get("kept_epochs", ())
        kept = kept if len(kept) == history["loss"].shape[1] else ()
        why = REASONS.get(training.get("stop_reason", ""), "")
        return cls.from_history(history, kept_epochs=kept, why=why, ax=ax)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> LossCurveDisplay:
        """Draw the losses of a fitted estimator: one of fallline's, or a perceptron with scikit-learn's `loss_curve_`.

        Parameters
        ----------
        estimator : fitted estimator
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        ParameterError
            It has neither; it may not be fitted.
        """
        if hasattr(estimator, "model_"):
            return cls.from_model(estimator.model_, ax=ax)
        if not hasattr(estimator, "loss_curve_"):
            raise ParameterError(f"{type(estimator).__name__} has no history of its training; fit it first")
        return cls(loss=np.array(estimator.loss_curve_)[:, None]).plot(ax)

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        ways = []
        for name, losses in (("training", self.loss), ("validation", self.validation_loss)):
            if losses is not None and np.isfinite(losses).any():
                median = _medians(losses)[1]
                ways.append(f"{name} loss from {number(median[0])} to {number(median[-1])}")
        n_epochs, n_starts = self.loss.shape
        several = f", medians of {n_starts} starts" if n_starts > 1 else ""
        kept = f" The parameters of epoch {self.kept_epochs[0]} were kept." if len(self.kept_epochs) == 1 else ""
        why = f" {self._ended}." if self.why else ""
        return f"{' and '.join(ways) or 'No finite loss'} over {n_epochs:,} epochs{several}.".capitalize() + kept + why

    @property
    def _ended(self) -> str:
        return f"{self.why[:1].upper()}{self.why[1:]}"

    def plot(self, ax: Axes | None = None) -> LossCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        LossCurveDisplay
        """
        self.ax_ = ax = axes_for(ax, 8.0, 4.6)
        self.figure_ = ax.figure
        self.lines_: dict[str, list[Any]] = {}
        self.medians_: dict[str, Any] = {}
        curves: dict[str, tuple[Array, str, Any]] = {"training": (self.loss, POSITIVE, "-")}
        if self.validation_loss is not None:
            curves["validation"] = (self.validation_loss, NEGATIVE, (0, (5, 1.6)))
        for name, (losses, color, dash) in curves.items():
            self._draw(name, losses, color, dash)
        self._mark_kept()
        values = np.concatenate([losses[np.isfinite(losses)] for losses, _, _ in curves.values()])
        if len(values) and values.min() > 0 and values.max() > WIDE * values.min():
            log_scale(ax, values.min(), values.max())
        ax.set(xlabel="epoch", ylabel="loss", xlim=(0.5 if len(self.loss) < 20 else 0, 1.02 * len(self.loss) + 0.5))
        ax.locator_params(axis="x", integer=True)
        ax.legend(frameon=False)
        quiet(ax)
        n_starts = self.loss.shape[1]
        several = f"{n_starts} starts, thin, and their median. " if n_starts > 1 else ""
        title(ax, "Loss by epoch", f"{several}{self._ended}")
        return self

    def _draw(self, name: str, losses: Array, color: str, dash: Any) -> None:
        epochs, n_starts = np.arange(1, len(losses) + 1), losses.shape[1]
        style = {"color": color, "linestyle": dash, "solid_capstyle": "round"}
        several = {"linewidth": 0.8, "alpha": max(0.15, 0.5 - n_starts / 100)}
        one = {"linewidth": 2.2, "label": name}
        self.lines_[name] = []
        for of_start in losses.T:
            measured = np.isfinite(of_start)
            self.lines_[name] += self.ax_.plot(
                epochs[measured], of_start[measured], **style | (several if n_starts > 1 else one)
            )
        if n_starts > 1:
            (self.medians_[name],) = self.ax_.plot(*_medians(losses), **style | one)

    def _mark_kept(self) -> None:
        """Where each start's kept parameters stand on its curve."""
        self.kept_ = None
        losses = self.loss if self.validation_loss is None else self.validation_loss
        kept = [(epoch, losses[epoch - 1, k]) for k, epoch in enumerate(self.kept_epochs) if epoch > 0]
        kept = [(epoch, loss) for epoch, loss in kept if np.isfinite(loss)]
        if not kept:
            return
        label = f"kept: epoch {kept[0][0]}" if len(self.kept_epochs) == 1 else "kept, of each start"
        size = 15 if len(self.kept_epochs) == 1 else 7
        (self.kept_,) = self.ax_.plot(
            *np.array(kept).T, "*" if size > 10 else "o", color=INK, markersize=size, markeredgecolor="white",
            markeredgewidth=1, linestyle="none", label=label, path_effects=halo(2), zorder=5,
        )  # fmt: skip


def _medians(losses: Array) -> tuple[Array, Array]:
    """Epochs in which a loss was measured, and its median over the starts."""
    measured = np.flatnonzero(np.isfinite(losses).any(axis=1))
    return measured + 1, np.nanmedian(losses[measured], axis=1)

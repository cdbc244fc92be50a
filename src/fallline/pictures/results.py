"""How good the answers are, in scikit-learn's own Displays: what each needs, taken from a model and a table.

Fallline's estimators are scikit-learn's kind, so their pictures come straight from its Displays, for example
`RocCurveDisplay.from_estimator(classifier, X, y)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.model import Model
from fallline.pictures.style import CYCLE, INK, POSITIVE, axes_for, quiet, title
from fallline.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]


def confusion_matrix(model: Model, table: Table, ax: Axes | None = None, outputs: Array | None = None) -> Any:
    """How many rows of each class were taken for each.

    Parameters
    ----------
    model : Model
        Of classes.
    table : Table
        With targets.
    ax : matplotlib Axes, optional
    outputs : array of shape (n, n_out), optional
        What the model says of the rows, where it is known: `Fit.judgement.outputs`, of rows not learned from.

    Returns
    -------
    sklearn.metrics.ConfusionMatrixDisplay
        Its `confusion_matrix` has the true classes down, the predicted ones across.

    Raises
    ------
    DataError, ParameterError
        The table has no targets or does not fit the model; the model is not of classes.

    Examples
    --------
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> iris = load_bundled("iris")
    >>> model = fit(iris, {"epochs": 30, "engine": "reference", "starts": 1}).model
    >>> confusion_matrix(model, iris).confusion_matrix.sum(axis=1).tolist()
    [50, 50, 50]
    """
    from sklearn.metrics import ConfusionMatrixDisplay  # type: ignore[import-untyped]

    codes, P, names = _chances(model, table, outputs)
    if model.classes is None:
        raise ParameterError("each row has several labels, so no row was taken for another class")
    ax = axes_for(ax, 7.0, 6.2)
    display = ConfusionMatrixDisplay.from_predictions(
        codes, P.argmax(axis=1), labels=np.arange(len(names)), display_labels=names, cmap="Blues", colorbar=False, ax=ax
    )
    if max(map(len, names)) * len(names) > 50:
        ax.tick_params(axis="x", rotation=45)
    ax.set(xlabel=f"predicted {model.encoder.target.name}", ylabel=f"true {model.encoder.target.name}")
    for text in display.text_.ravel():
        text.set_alpha(0.35 if text.get_text() == "0" else 1)
    right = int(np.trace(display.confusion_matrix))
    title(ax, f"{right:,} of {len(codes):,} right", "rows by their true and their predicted class")
    return display


def roc(model: Model, table: Table, ax: Axes | None = None, outputs: Array | None = None) -> list[Any]:
    """The ROC curve of each class against the rest; of two classes that of the second.

    Parameters
    ----------
    model, table, ax, outputs
        As in `confusion_matrix`.

    Returns
    -------
    list of sklearn.metrics.RocCurveDisplay

    Raises
    ------
    DataError, ParameterError
        As from `confusion_matrix`; or the table has rows of one class only.
    """
    from sklearn.metrics import RocCurveDisplay

    return _curves(
        model, table, ax, outputs, RocCurveDisplay.from_predictions, "How well the classes are told apart",
        ("false alarms, of all other rows", "found, of the rows of the class"), [[0, 1], [0, 1]],
    )  # fmt: skip


def precision_recall(model: Model, table: Table, ax: Axes | None = None, outputs: Array | None = None) -> list[Any]:
    """Precision over recall of each class against the rest; of two classes that of the second.

    Parameters
    ----------
    model, table, ax, outputs
        As in `confusion_matrix`.

    Returns
    -------
    list of sklearn.metrics.PrecisionRecallDisplay

    Raises
    ------
    DataError, ParameterError
        As from `roc`.
    """
    from sklearn.metrics import PrecisionRecallDisplay

    return _curves(
        model, table, ax, outputs, PrecisionRecallDisplay.from_predictions,
        "How much of each class is found, and how purely",
        ("recall: found, of the rows of the class", "precision: right, of the rows named"), None,
    )  # fmt: skip


def calibration(
    model: Model, table: Table, ax: Axes | None = None, n_bins: int = 10, outputs: Array | None = None
) -> Any:
    """How often the model is right, over how sure it is (Guo et al. 2017).

    Of two classes: how often the second came true, over the probability that it was given. Several labels of a row are
    counted together.

    Parameters
    ----------
    model, table, ax, outputs
        As in `confusion_matrix`.
    n_bins : int, default 10
        Parts of as many rows each.

    Returns
    -------
    sklearn.calibration.CalibrationDisplay

    Raises
    ------
    DataError, ParameterError
        As from `confusion_matrix`.
    """
    from sklearn.calibration import CalibrationDisplay  # type: ignore[import-untyped]

    codes, P, names = _chances(model, table, outputs)
    if codes.ndim > 1:
        came_true, p, labels = codes.ravel(), P.ravel(), ("probability of a label", "share of them that hold")
    elif len(names) == 2:
        came_true, p, labels = codes, P[:, 1], (f"probability of {names[1]}", f"share of the rows that are {names[1]}")
    else:
        came_true, p = codes == P.argmax(axis=1), P.max(axis=1)
        labels = ("probability of the class that was predicted", "share of the rows that are of it")
    display = CalibrationDisplay.from_predictions(
        came_true.astype(int), np.clip(p, 0, 1), n_bins=n_bins, strategy="quantile", ax=axes_for(ax, 7.0, 6.2),
        ref_line=False, color=POSITIVE, linewidth=2,
    )  # fmt: skip
    ax = axes_for(display.ax_)
    ax.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
    ax.set(xlabel=labels[0], ylabel=labels[1], aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    display.ax_.get_legend().remove()
    quiet(ax)
    title(
        ax,
        "Is it as sure as it should be?",
        "above the dotted line it came true more often than the model said, below it less often",
    )
    return display


def predictions(
    model: Model, table: Table, ax: Axes | None = None, target: int = 0, outputs: Array | None = None
) -> Any:
    """True numbers over predicted ones.

    Parameters
    ----------
    model : Model
        Of numbers.
    table : Table
        With targets.
    ax : matplotlib Axes, optional
    target : int, default 0
        Which, of several.
    outputs : array of shape (n, n_out), optional
        What the model says of the rows, where it is known: `Fit.judgement.outputs`, of rows not learned from.

    Returns
    -------
    sklearn.metrics.PredictionErrorDisplay

    Raises
    ------
    DataError, ParameterError
        The table has no targets or does not fit the model; the model is not of numbers.
    """
    return _errors(model, table, ax, target, outputs, "actual_vs_predicted")


def residuals(model: Model, table: Table, ax: Axes | None = None, target: int = 0, outputs: Array | None = None) -> Any:
    """How far each row is from what was predicted, over the prediction.

    Parameters
    ----------
    model, table, ax, target, outputs
        As in `predictions`.

    Returns
    -------
    sklearn.metrics.PredictionErrorDisplay

    Raises
    ------
    DataError, ParameterError
        As from `predictions`.
    """
    return _errors(model, table, ax, target, outputs, "residual_vs_predicted")


def _truth(table: Table) -> Array:
    if table.y is None:
        raise DataError(f"{table.name}: there is no target to compare with")
    return table.y


def _chances(model: Model, table: Table, outputs: Array | None) -> tuple[Array, Array, list[str]]:
    """True classes as columns of P, or labels as 0 and 1; their probabilities P; their names."""
    if model.task != "classification":
        raise ParameterError(f"this model predicts numbers ({model.encoder.target.name}); only classes can be drawn so")
    target, y = model.encoder.target, _truth(table)
    names = (
        list(map(str, target.classes))
        if target.classes is not None
        else [f"{target.name} {t + 1}" for t in range(target.n_targets)]
    )
    return target.encode(y), model.predict_proba(table) if outputs is None else outputs, names


def _curves(
    model: Model,
    table: Table,
    ax: Axes | None,
    outputs: Array | None,
    draw: Any,
    words: str,
    labels: tuple[str, str],
    diagonal: Any,
) -> list[Any]:
    """A curve for each class against the rest, on the same axes."""
    codes, P, names = _chances(model, table, outputs)
    ax = axes_for(ax, 7.0, 6.2)
    ax.set_prop_cycle(color=CYCLE, linewidth=[2.2] * len(CYCLE))
    if diagonal:
        ax.plot(*diagonal, color=INK, linewidth=1, linestyle=":")
    displays = []
    for k, name in enumerate(names):
        if len(names) == 2 and k == 0 and codes.ndim == 1:
            continue
        is_class = codes == k if codes.ndim == 1 else codes[:, k] == 1
        if is_class.all() or not is_class.any():
            raise DataError(f"{table.name}: {'all' if is_class.all() else 'no'} rows are {name!r}, so it has no curve")
        displays.append(draw(is_class.astype(int), P[:, k], name=name, ax=ax))
    ax.set(xlabel=labels[0], ylabel=labels[1], aspect="equal", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.legend(frameon=False, fontsize=9)
    quiet(ax)
    rest = "each class against the rest" if len(displays) > 1 else f"{names[-1]} against {names[0]}"
    title(ax, words, rest)
    return displays


def _errors(model: Model, table: Table, ax: Axes | None, t: int, outputs: Array | None, kind: str) -> Any:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter
    from sklearn.metrics import PredictionErrorDisplay

    if model.task != "regression":
        raise ParameterError("this model predicts classes; only numbers can be drawn so")
    y = _truth(table).astype(np.float64).reshape(table.n_rows, -1)
    if not 0 <= t < y.shape[1]:
        raise ParameterError(f"target is {t}; there are {y.shape[1]}, from 0")
    target = model.encoder.target
    predicted = target.decode(model.outputs(table) if outputs is None else outputs).reshape(table.n_rows, -1)[:, t]
    display = PredictionErrorDisplay.from_predictions(
        y[:, t], predicted, kind=kind, subsample=1000, random_state=0, ax=axes_for(ax, 7.0, 6.2),
        scatter_kwargs={"color": CYCLE[0], "alpha": 0.6, "s": 28, "edgecolor": "white", "linewidth": 0.5},
        line_kwargs={"color": INK, "linewidth": 1, "linestyle": "--"},
    )  # fmt: skip
    for axis in (display.ax_.xaxis, display.ax_.yaxis):  # scikit-learn's ticks are at no round numbers
        axis.set_major_locator(MaxNLocator(6))
        axis.set_major_formatter(ScalarFormatter())
    name = model.encoder.target.name
    display.ax_.set(xlabel=f"predicted {name}")
    if kind == "residual_vs_predicted":
        display.ax_.set(ylabel="true minus predicted")
        title(display.ax_, "What is left over", "a shape in this cloud is something the model has not learned")
    else:
        display.ax_.set(ylabel=f"true {name}")
        off = np.abs(y[:, t] - predicted)
        title(display.ax_, "True and predicted", f"half of the rows are within {np.median(off):.3g} of the dashed line")
    quiet(display.ax_)
    return display

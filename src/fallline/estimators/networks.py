"""`NetworkClassifier` and `NetworkRegressor`: a table in, a model out, in a scikit-learn pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
from sklearn.utils import check_random_state  # type: ignore[import-untyped]
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
from sklearn.utils.validation import (  # type: ignore[import-untyped]
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from fallline.errors import DataError
from fallline.fit import fit
from fallline.listeners import Listener
from fallline.model import Model
from fallline.table import Table, table_from_any

Array = npt.NDArray[Any]

# Settings of `fallline.params` by their own names; the others have scikit-learn's.
_SAME = (
    "activation",
    "starts",
    "combine",
    "validation",
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "schedule",
    "weight_decay",
    "l1",
    "l2",
    "dropout",
    "label_smoothing",
    "clip_norm",
    "patience",
    "threads",
    "engine",
)


class _NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share."""

    _task: str

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | str = "auto",
        *,
        activation: str = "auto",
        starts: int | str = "auto",
        combine: str = "average",
        validation: float | str = "auto",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        optimizer: str = "adamw",
        learning_rate: float | str = "auto",
        schedule: str = "auto",
        weight_decay: float | str = "auto",
        l1: float = 0.0,
        l2: float = 0.0,
        dropout: float = 0.0,
        label_smoothing: float | str = "auto",
        clip_norm: float | None = None,
        patience: int | None = None,
        threads: int | str = "auto",
        engine: str = "native",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.starts = starts
        self.combine = combine
        self.validation = validation
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.l1 = l1
        self.l2 = l2
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm
        self.patience = patience
        self.threads = threads
        self.engine = engine
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        eval_set: tuple[Any, npt.ArrayLike] | None = None,
        callbacks: Listener | Sequence[Listener] = (),
    ) -> Any:
        """Train on a table.

        Parameters
        ----------
        X : data frame or array of shape (n, n_columns)
            A frame's columns may hold numbers, text, categories and dates, and values may be missing; an array has
            numbers, NaN where one is missing.
        y : array of shape (n,)
        sample_weight : array of shape (n,), optional
            Weight of each row, in the loss and in what is measured.
        eval_set : (X, y), optional
            Rows to measure on, in place of those that are held back.
        callbacks : Listener or sequence of Listener
            Hear of the descent.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, DataError
            Both are ValueErrors: a setting is out of range, or rows do not fit.
        """
        table = self._table(X, self._targets(y, reset=True), reset=True)
        if table.n_rows < 4:
            raise DataError(f"there are too few rows (n_samples={table.n_rows}); at least 4 are needed")
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, table.X, dtype=np.float32, ensure_non_negative=True)
        measured = None if eval_set is None else self._table(eval_set[0], self._targets(eval_set[1]))
        settings = {name: getattr(self, name) for name in _SAME} | {
            "hidden": self.hidden_layer_sizes,
            "task": self._task,
            "seed": int(check_random_state(self.random_state).randint(2**31)),
        }
        listeners = (callbacks,) if isinstance(callbacks, Listener) else tuple(callbacks)
        fitted = fit(table, settings, listeners, measured, weight)
        self.model_: Model = fitted.model
        self.history_ = fitted.run.history
        self.scores_, self.beside_ = fitted.scores, fitted.beside
        self.n_iter_ = max(fitted.run.kept_epochs[k] for k in fitted.starts)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _targets(self, y: npt.ArrayLike, reset: bool = False) -> Array:
        """Targets as a table has them."""
        raise NotImplementedError

    def _table(self, X: Any, y: Array | None = None, reset: bool = False) -> Table:
        """Rows as a table; what scikit-learn asks of them is checked by scikit-learn."""
        target = None if y is None else "y"
        if _is_frame(X):
            _check_feature_names(self, X, reset=reset)
            _check_n_features(self, X, reset=reset)
            columns = [str(name) for name in X.columns]
            kinds = {} if reset else self.model_.encoder.kinds
            table = table_from_any(X, columns, kinds)
            if y is not None and len(y) != table.n_rows:
                raise ValueError(f"X has {table.n_rows} rows, but y has {len(y)}")
            return Table("X", table.X, y, table.columns, target, None, table.labels, table.dates)
        if y is None:
            rows = validate_data(self, X, reset=reset, dtype=np.float32, ensure_all_finite="allow-nan")
        else:
            rows, y = validate_data(
                self, X, y, reset=reset, dtype=np.float32, ensure_all_finite="allow-nan", y_numeric=False
            )
        names = getattr(self, "feature_names_in_", None)
        columns = [f"x{j}" for j in range(rows.shape[1])] if names is None else [str(name) for name in names]
        return Table("X", np.ascontiguousarray(rows), y, tuple(columns), target)


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):  # type: ignore[misc]
    """Networks that tell classes apart.

    Several random starts go down together, each of which holds back other rows; see `fallline.fit.fit`.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int or "auto", default "auto"
    activation, starts, combine, validation, epochs, batch_size, optimizer, learning_rate, schedule, weight_decay, l1, \
l2, dropout, label_smoothing, clip_norm, patience, threads, engine
        As in `fallline.params`; "auto" leaves it to the recipe.
    random_state : int, RandomState or None, default None
        The same number gives the same model.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    model_ : Model
        To be saved, and used without scikit-learn.
    scores_ : dict of str to float
        On rows that the networks did not learn from.
    beside_ : dict of str to dict
        The same of a linear model and of the simplest guess.
    history_ : History
    n_features_in_, feature_names_in_, n_iter_
        As usual.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NetworkClassifier(epochs=20, starts=2, random_state=0).fit(X, y)
    >>> classifier.predict(X[:2]).tolist(), classifier.predict_proba(X).shape
    ([0, 0], (150, 3))
    """

    _task = "classification"

    def predict(self, X: Any) -> Array:
        """Give the likeliest class of each row, shape (n,)."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[likeliest])

    def predict_proba(self, X: Any) -> Array:
        """Give the probability of each class, shape (n, n_classes), in the order of `classes_`."""
        check_is_fitted(self)
        A = self.model_.outputs(self._table(X)).astype(np.float64)
        return np.asarray(A / A.sum(axis=1, keepdims=True))

    def _targets(self, y: npt.ArrayLike, reset: bool = False) -> Array:
        """Labels as a table has them: numbers, bool or text."""
        labels: Array = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        if reset:
            self.classes_ = np.unique(labels)
            if len(self.classes_) < 2:
                raise ValueError(f"classes are told apart, but y has one class only: {self.classes_.tolist()}")
        return labels.astype(np.str_) if labels.dtype.kind == "O" else labels


class NetworkRegressor(RegressorMixin, _NetworkEstimator):  # type: ignore[misc]
    """Networks that predict a number.

    Several random starts go down together, each of which holds back other rows; see `fallline.fit.fit`.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int or "auto", default "auto"
    activation, starts, combine, validation, epochs, batch_size, optimizer, learning_rate, schedule, weight_decay, l1, \
l2, dropout, label_smoothing, clip_norm, patience, threads, engine
        As in `fallline.params`; "auto" leaves it to the recipe.
    random_state : int, RandomState or None, default None
        The same number gives the same model.

    Attributes
    ----------
    model_, scores_, beside_, history_, n_features_in_, feature_names_in_, n_iter_
        As in `NetworkClassifier`.

    Examples
    --------
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> regressor = NetworkRegressor(epochs=40, starts=2, random_state=0).fit(X, np.sin(3 * X[:, 0]))
    >>> bool(regressor.score(X, np.sin(3 * X[:, 0])) > 0.95)
    True
    """

    _task = "regression"

    def predict(self, X: Any) -> Array:
        """Give a number for each row, shape (n,)."""
        check_is_fitted(self)
        return self.model_.predict(self._table(X))

    def _targets(self, y: npt.ArrayLike, reset: bool = False) -> Array:
        """Numbers."""
        return np.asarray(column_or_1d(y, warn=True), dtype=np.float64)


def _is_frame(X: Any) -> bool:
    """Whether it has columns with names, and types of their own; numbers are no names to scikit-learn."""
    return hasattr(X, "columns") and hasattr(X, "shape") and all(isinstance(name, str) for name in X.columns)

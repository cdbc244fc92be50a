"""What classifier and regressor share: from what scikit-learn hands over to a table, a fit, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator  # type: ignore[import-untyped]
from sklearn.utils import check_random_state  # type: ignore[import-untyped]
from sklearn.utils.validation import (  # type: ignore[import-untyped]
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from fallline.errors import DataError, ParameterError
from fallline.estimators.scoring import as_score
from fallline.fit import fit
from fallline.listeners import Listener
from fallline.losses import OwnLoss
from fallline.model import Model
from fallline.params import check
from fallline.recipes import RECIPES
from fallline.table import Kind, Table, table_from_any

Array = npt.NDArray[Any]

# Settings of `fallline.params` by their own names; the others have scikit-learn's.
_SAME = (
    "hold_back",
    "activation",
    "inputs",
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
    "time_budget",
    "threads",
    "engine",
)
# What the messages of the settings are to say in place of their names.
_RENAMED = {"hidden": "hidden_layer_sizes", "seed": "random_state"}


class NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share."""

    _task: str

    def fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        eval_set: tuple[Any, npt.ArrayLike] | None = None,
        callbacks: Listener | Sequence[Listener] = (),
        groups: npt.ArrayLike | None = None,
    ) -> Any:
        """Train on a table.

        Parameters
        ----------
        X : data frame or array of shape (n, n_columns)
            A frame's columns may hold numbers, text, categories and dates, and values may be missing; an array has
            numbers, NaN where one is missing.
        y : array of shape (n,) or (n, n_targets)
            Several columns are several numbers; for the classifier several labels, each 1 where it holds, else 0.
        sample_weight : array of shape (n,), optional
            Weight of each row, in the loss and in what is measured.
        eval_set : (X, y), optional
            Rows to measure on, in place of those that are held back.
        callbacks : Listener or sequence of Listener
            Hear of the descent.
        groups : array of shape (n,), optional
            Rows of one group are held back together, or not at all.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, DataError
            Both are ValueErrors: a setting is out of range, or rows do not fit.
        """
        begin = getattr(self, "model_", None) if self.warm_start else None
        table = self._table(X, self._targets(y, reset=begin is None), reset=begin is None)
        if begin is not None and begin.encoder.columns != table.columns:
            raise ValueError(f"warm_start: the columns are {table.columns}, not {begin.encoder.columns} as before")
        if table.n_rows < 4:
            raise DataError(f"there are too few rows (n_samples={table.n_rows}); at least 4 are needed")
        measured = None if eval_set is None else self._table(eval_set[0], self._targets(eval_set[1]))
        if groups is not None:
            groups = column_or_1d(groups)
            check_consistent_length(table.X, groups)
            groups = np.unique(groups, return_inverse=True)[1]
        listeners = (callbacks,) if isinstance(callbacks, Listener) else tuple(callbacks)
        return self._trained(table, {}, sample_weight, listeners, measured, groups, begin)

    def _partially_fitted(
        self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None, classes: Array | None
    ) -> Any:
        begin = getattr(self, "model_", None)
        table = self._table(X, self._targets(y, reset=begin is None, classes=classes), reset=begin is None)
        settings: dict[str, Any] = {"validation": 0.0, "epochs": 1, "schedule": "constant"}
        if self.learning_rate == "auto":
            chosen = RECIPES["table"].settle(check({"optimizer": self.optimizer}), self._task, table.n_rows)
            settings["learning_rate"] = chosen["learning_rate"] / 4
        known = None if begin is not None or self._task == "regression" else self._classes_as_known()
        return self._trained(table, settings, sample_weight, begin=begin, classes=known)

    def _trained(
        self,
        table: Table,
        settings: Mapping[str, Any],
        sample_weight: npt.ArrayLike | None,
        callbacks: Sequence[Listener] = (),
        measured: Table | None = None,
        groups: Array | None = None,
        begin: Model | None = None,
        classes: Array | None = None,
    ) -> Any:
        """Fit and remember."""
        asked = {name: getattr(self, name) for name in _SAME} | {
            "hidden": self.hidden_layer_sizes,
            "task": self._task,
            "seed": int(check_random_state(self.random_state).randint(2**31)),
            **self._own_settings(),
            **settings,
        }
        own = OwnLoss(asked.pop("loss")) if callable(asked["loss"]) else None
        monitor = None if self.scoring is None else as_score(self.scoring)
        weight = self._weights(table, sample_weight)
        try:
            fitted = fit(table, asked, callbacks, measured, weight, groups, monitor, own, begin, classes)
        except ParameterError as error:
            message = str(error)
            for name, ours in _RENAMED.items():
                if message.startswith(f"{name} "):
                    raise ParameterError(ours + message.removeprefix(name)) from None
            raise
        self.model_: Model = fitted.model
        self.history_ = fitted.run.history
        self.scores_, self.beside_ = fitted.scores, fitted.beside
        self.n_iter_ = max(fitted.run.kept_epochs[k] for k in fitted.starts)
        self.n_outputs_ = fitted.model.encoder.n_out
        return self

    def _weights(self, table: Table, sample_weight: npt.ArrayLike | None) -> Array | None:
        """Of the rows, or None."""
        if sample_weight is None:
            return None
        weight: Array = _check_sample_weight(sample_weight, table.X, dtype=np.float32, ensure_non_negative=True)
        return weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _own_settings(self) -> dict[str, Any]:
        """Settings that only one of the two has."""
        raise NotImplementedError

    def _classes_as_known(self) -> Array | None:
        """All classes as a table has them; None where there are none."""
        raise NotImplementedError

    def _targets(self, y: npt.ArrayLike, reset: bool = False, classes: Array | None = None) -> Array:
        """Targets as a table has them."""
        raise NotImplementedError

    def _table(self, X: Any, y: Array | None = None, reset: bool = False) -> Table:
        """Rows as a table; what scikit-learn asks of them is checked by scikit-learn."""
        target = None if y is None else "y"
        if _is_frame(X):
            _check_feature_names(self, X, reset=reset)
            _check_n_features(self, X, reset=reset)
            columns = [str(name) for name in X.columns]
            kinds = self._kinds(columns) if reset else self.model_.encoder.kinds
            table = table_from_any(X, columns, kinds)
            if y is not None and len(y) != table.n_rows:
                raise ValueError(f"X has {table.n_rows} rows, but y has {len(y)}")
            return Table("X", table.X, y, table.columns, target, None, table.labels, table.dates)
        if y is None:
            rows = validate_data(self, X, reset=reset, dtype=np.float32, ensure_all_finite="allow-nan")
        else:
            rows, y = validate_data(
                self,
                X,
                y,
                reset=reset,
                dtype=np.float32,
                ensure_all_finite="allow-nan",
                y_numeric=False,
                multi_output=y.ndim > 1,
            )
        if reset and self.column_kinds:
            raise ValueError("column_kinds names columns of a data frame, but X is an array; its columns are numbers")
        names = getattr(self, "feature_names_in_", None)
        columns = [f"x{j}" for j in range(rows.shape[1])] if names is None else [str(name) for name in names]
        return Table("X", np.ascontiguousarray(rows), y, tuple(columns), target)

    def _kinds(self, columns: Sequence[str]) -> dict[str, Kind]:
        """What `column_kinds` says, checked."""
        kinds = dict(self.column_kinds or {})
        for name, kind in kinds.items():
            if name not in columns:
                raise ValueError(f"column_kinds names {name!r}, but X has no such column (columns: {columns})")
            if kind not in ("number", "category", "date"):
                raise ValueError(f"column_kinds has {kind!r} for {name!r}; it must be 'number', 'category' or 'date'")
        return kinds


def _is_frame(X: Any) -> bool:
    """Whether it has columns with names, and types of their own; numbers are no names to scikit-learn."""
    return hasattr(X, "columns") and hasattr(X, "shape") and all(isinstance(name, str) for name in X.columns)

"""`NetworkClassifier`: classes, or several labels, in a scikit-learn pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse  # type: ignore[import-untyped]
from sklearn.base import ClassifierMixin  # type: ignore[import-untyped]
from sklearn.utils.class_weight import compute_sample_weight  # type: ignore[import-untyped]
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d  # type: ignore[import-untyped]

from fallline.estimators.base import NetworkEstimator
from fallline.table import Kind, Table

Array = npt.NDArray[Any]


class NetworkClassifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """Networks that tell classes apart, or which of several labels a row has.

    Several random starts go down together, each of which holds back other rows; see `fallline.fit.fit`.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int or "auto", default "auto"
    loss : str or callable, default "auto"
        As in `fallline.params`; or `(A, Y) -> (value, dA)` of probabilities and targets, see `fallline.losses.OwnLoss`.
    class_weight : dict, "balanced" or None, default None
        Weights of the classes, by which those of their rows are multiplied; see scikit-learn.
    activation, inputs, starts, combine, validation, hold_back, epochs, batch_size, optimizer, learning_rate, \
schedule, weight_decay, l1, l2, dropout, label_smoothing, clip_norm, patience, time_budget, threads, engine
        As in `fallline.params`; "auto" leaves it to the recipe.
    scoring : str, callable or None, default None
        What says which epoch is best on the rows held back: a scorer of scikit-learn, "roc_auc" for example, or a
        callable `(estimator, X, y)` like one, which may ask for `predict` and `predict_proba`. None: the Brier score.
    column_kinds : mapping from str to {"number", "category", "date"}, optional
        What columns of a data frame hold, where it should not be guessed.
    warm_start : bool, default False
        Whether `fit` goes on from the networks of the last one.
    random_state : int, RandomState or None, default None
        The same number gives the same model.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Of several labels their numbers.
    model_ : Model
        To be saved, and used without scikit-learn.
    scores_ : dict of str to float
        On rows that the networks did not learn from.
    beside_ : dict of str to dict
        The same of a linear model and of the simplest guess.
    history_ : History
    n_features_in_, feature_names_in_, n_iter_, n_outputs_
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

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | str = "auto",
        *,
        loss: str | Callable[[Array, Array], tuple[Array, Array]] = "auto",
        class_weight: Mapping[Any, float] | str | None = None,
        hold_back: str = "random",
        activation: str = "auto",
        inputs: str = "embedded",
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
        time_budget: float | None = None,
        scoring: str | Callable[..., float] | None = None,
        column_kinds: Mapping[str, Kind] | None = None,
        warm_start: bool = False,
        threads: int | str = "auto",
        engine: str = "native",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.loss = loss
        self.class_weight = class_weight
        self.hold_back = hold_back
        self.activation = activation
        self.inputs = inputs
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
        self.time_budget = time_budget
        self.scoring = scoring
        self.column_kinds = column_kinds
        self.warm_start = warm_start
        self.threads = threads
        self.engine = engine
        self.random_state = random_state

    def partial_fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> NetworkClassifier:
        """Take one pass over some rows, from where the last one ended; what is known of columns is of the first rows.

        No rows are held back, all starts learn from all of them, and the learning rate stays at a quarter of the
        recipe's.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array of shape (n_classes,), optional
            All that will come, at the first call; otherwise those of y.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, DataError
            As in `fit`.
        """
        known = None if classes is None else np.unique(np.asarray(classes))
        fitted: NetworkClassifier = self._partially_fitted(X, y, sample_weight, known)
        return fitted

    def predict(self, X: Any) -> Array:
        """Give the likeliest class of each row, shape (n,); or 0 and 1 for several labels, shape (n, n_labels)."""
        P = self.predict_proba(X)
        if self.model_.classes is None:
            return np.asarray(P > 0.5, dtype=np.int64)
        return np.asarray(self.classes_[P.argmax(axis=1)])

    def predict_proba(self, X: Any) -> Array:
        """Give the probability of each class, shape (n, n_classes), in the order of `classes_`; or of each label."""
        check_is_fitted(self)
        A = self.model_.outputs(self._table(X)).astype(np.float64)
        return A if self.model_.classes is None else np.asarray(A / A.sum(axis=1, keepdims=True))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _own_settings(self) -> dict[str, Any]:
        return {"loss": self.loss}

    def _classes_as_known(self) -> Array | None:
        return None if self._has_labels else _as_labels(self.classes_)

    def _weights(self, table: Table, sample_weight: npt.ArrayLike | None) -> Array | None:
        weight = super()._weights(table, sample_weight)
        if self.class_weight is None:
            return weight
        y = table.y
        if y is not None and isinstance(self.class_weight, Mapping) and y.dtype.kind == "U":
            of_classes = compute_sample_weight({str(label): w for label, w in self.class_weight.items()}, y)
        else:
            of_classes = compute_sample_weight(self.class_weight, y)
        of_classes = of_classes.astype(np.float32)
        return np.asarray(of_classes if weight is None else weight * of_classes)

    def _targets(self, y: Any, reset: bool = False, classes: Array | None = None) -> Array:
        """Labels as a table has them: numbers, bool or text; several of them as 0 and 1."""
        y = y.toarray() if issparse(y) else np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            several: Array = check_array(y, dtype=None)
            if not np.isin(several, (0, 1)).all():
                raise ValueError(f"y has {several.shape[1]} columns, so each must hold 0 and 1 alone: a label each")
            if reset:
                self._has_labels, self.classes_ = True, np.arange(several.shape[1])
            return several.astype(np.int64)
        labels: Array = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        if reset:
            self._has_labels, self.classes_ = False, np.unique(labels) if classes is None else classes
            if len(self.classes_) < 2:
                raise ValueError(f"classes are told apart, but y has one class only: {self.classes_.tolist()}")
        return _as_labels(labels)


def _as_labels(labels: Array) -> Array:
    """Labels as a table has them."""
    return labels.astype(np.str_) if labels.dtype.kind == "O" else labels

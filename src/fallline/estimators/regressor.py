"""`NetworkRegressor`: numbers, their quantiles and intervals, in a scikit-learn pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin  # type: ignore[import-untyped]
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d  # type: ignore[import-untyped]

from fallline.estimators.base import NetworkEstimator
from fallline.table import Kind

Array = npt.NDArray[Any]


class NetworkRegressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """Networks that predict a number, or several.

    Several random starts go down together, each of which holds back other rows; see `fallline.fit.fit`.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int or "auto", default "auto"
    loss : str or callable, default "auto"
        As in `fallline.params`; or `(A, Y) -> (value, dA)` of standardised answers and targets, see
        `fallline.losses.OwnLoss`.
    quantiles : sequence of float, default (0.05, 0.5, 0.95)
        With the loss "quantile", those that are learned; `predict` gives the one nearest the middle.
    target_transform : "log" or None, default None
        Whether the logarithm of y is learned.
    activation, inputs, starts, combine, validation, hold_back, epochs, batch_size, optimizer, learning_rate, \
schedule, weight_decay, l1, l2, dropout, label_smoothing, clip_norm, patience, time_budget, threads, engine
        As in `fallline.params`; "auto" leaves it to the recipe.
    scoring : str, callable or None, default None
        What says which epoch is best on the rows held back: a scorer of scikit-learn, "neg_mean_absolute_error" for
        example, or a callable `(estimator, X, y)` like one, which may ask for `predict`. None: the loss.
    column_kinds : mapping from str to {"number", "category", "date"}, optional
        What columns of a data frame hold, where it should not be guessed.
    warm_start : bool, default False
        Whether `fit` goes on from the networks of the last one.
    random_state : int, RandomState or None, default None
        The same number gives the same model.

    Attributes
    ----------
    model_, scores_, beside_, history_, n_features_in_, feature_names_in_, n_iter_, n_outputs_
        As in `NetworkClassifier`.

    Examples
    --------
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> regressor = NetworkRegressor(epochs=40, starts=2, random_state=0).fit(X, np.sin(3 * X[:, 0]))
    >>> bool(regressor.score(X, np.sin(3 * X[:, 0])) > 0.95)
    True
    """

    _task = "regression"

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | str = "auto",
        *,
        loss: str | Callable[[Array, Array], tuple[Array, Array]] = "auto",
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        target_transform: str | None = None,
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
        self.quantiles = quantiles
        self.target_transform = target_transform
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

    def partial_fit(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> NetworkRegressor:
        """Take one pass over some rows, from where the last one ended; what is known of columns is of the first rows.

        No rows are held back, all starts learn from all of them, and the learning rate stays at a quarter of the
        recipe's.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ParameterError, DataError
            As in `fit`.
        """
        fitted: NetworkRegressor = self._partially_fitted(X, y, sample_weight, None)
        return fitted

    def predict(self, X: Any) -> Array:
        """Give a number for each row, shape (n,), or several, shape (n, n_targets)."""
        check_is_fitted(self)
        return self.model_.predict(self._table(X))

    def predict_quantiles(self, X: Any) -> Array:
        """Give the quantiles of each row, shape (n, n_quantiles); the loss must have been "quantile"."""
        check_is_fitted(self)
        return self.model_.predict_quantiles(self._table(X))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Give bounds that hold the truth for such a share of rows, shape (n, 2); see `Model.predict_interval`."""
        check_is_fitted(self)
        return self.model_.predict_interval(self._table(X), coverage)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _own_settings(self) -> dict[str, Any]:
        return {"loss": self.loss, "quantiles": self.quantiles, "target_transform": self.target_transform}

    def _classes_as_known(self) -> Array | None:
        return None

    def _targets(self, y: npt.ArrayLike, reset: bool = False, classes: Array | None = None) -> Array:
        """Numbers."""
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            return np.asarray(check_array(y, dtype=np.float64))
        return np.asarray(column_or_1d(y, warn=True), dtype=np.float64)

"""`MLPClassifier` and `MLPRegressor`: scikit-learn's own, parameter for parameter, trained and asked by our engine.

They are subclasses. scikit-learn checks parameters and rows, encodes labels, draws the start, and keeps its attributes;
four of its methods are replaced, those that compute: the epochs of sgd and adam, loss and gradient for lbfgs (and the
rows it gets), and the forward pass. Every random number is drawn as there, so both go the same way, up to rounding.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse  # type: ignore[import-untyped]
import sklearn.neural_network  # type: ignore[import-untyped]
from sklearn.base import is_classifier  # type: ignore[import-untyped]
from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer  # type: ignore[import-untyped]
from sklearn.utils.validation import validate_data  # type: ignore[import-untyped]

from fallline.engines import Data, Plan
from fallline.engines.native import NativeEngine
from fallline.estimators.epochs import Epochs, Objective, block_of, dense_blocks, shape_of, total_weight
from fallline.network import Shape, predictor, views
from fallline.optimizers import SGD
from fallline.threads import available

Array = npt.NDArray[Any]

WORTH_THREADS = 8e6  # operations for which it pays to ask how many threads there are
MANY_ROWS, MANY_COLUMNS = 1000, 256  # of float64: a product so large is BLAS's business (docs/design/drop-in.md)

# scikit-learn's methods hand weights of rows on since 1.7.
_TAKES_WEIGHTS = "sample_weight" in inspect.signature(sklearn.neural_network.MLPClassifier._fit_stochastic).parameters


@functools.lru_cache(maxsize=64)
def _predictor(shape: Shape, dtype: np.dtype[Any]) -> Callable[[Array, Array, Array, int], bool]:
    return predictor(shape, dtype)


def _threads(operations: float) -> int:
    return available() if operations >= WORTH_THREADS else 1


def _suits_blas(X: Any, dtype: np.dtype[Any]) -> bool:
    """Whether all rows at once are little but one large product of float64, for which scikit-learn's way is as fast."""
    large = X.shape[0] >= MANY_ROWS and X.shape[1] >= MANY_COLUMNS
    return large and dtype == np.float64 and not scipy.sparse.issparse(X)


class _Perceptron:
    """The methods of scikit-learn's that compute."""

    coefs_: list[Array]
    intercepts_: list[Array]

    def _shape(self) -> Shape:
        sizes = (self.coefs_[0].shape[0], *(W.shape[1] for W in self.coefs_))
        return shape_of(sizes, self.activation, self.out_activation_)  # type: ignore[attr-defined]

    def _dtype(self, X: Any) -> np.dtype[Any]:
        """What products of rows and weights have: float32 where both are."""
        return np.dtype(np.float32 if np.result_type(X.dtype, self.coefs_[0].dtype) == np.float32 else np.float64)

    def _block(self, dtype: npt.DTypeLike) -> Array:
        return block_of(self.coefs_, self.intercepts_, dtype)

    def _forward_pass_fast(self, X: Any, check_input: bool = True) -> Array:
        if check_input:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        shape, dtype = self._shape(), self._dtype(X)
        if _suits_blas(X, dtype):
            return super()._forward_pass_fast(X, check_input=False)  # type: ignore[misc, no-any-return]
        theta, threads = self._block(dtype), _threads(2.0 * X.shape[0] * shape.n_parameters)
        A, predict = np.empty((X.shape[0], shape.layers[-1].n_out), dtype), _predictor(shape, dtype)
        for rows, block in dense_blocks(X, dtype):
            if not predict(theta, block, A[rows], threads):  # rows that are not finite, which it was told to assume
                return super()._forward_pass_fast(X, check_input=False)  # type: ignore[misc, no-any-return]
        return np.exp(A, out=A) if self.out_activation_ == "exp" else A  # type: ignore[attr-defined]

    def _fit_lbfgs(self, X: Any, y: Array, *rest: Any) -> None:
        # once, and not at each evaluation
        X = X if scipy.sparse.issparse(X) else np.ascontiguousarray(X)
        super()._fit_lbfgs(X, np.ascontiguousarray(y, dtype=X.dtype), *rest)  # type: ignore[misc]

    def _backprop(self, X: Any, y: Array, *rest: Any) -> tuple[float, list[Array], list[Array]]:
        """Loss and gradient of all rows, penalty included."""
        shape, dtype = self._shape(), self._dtype(X)
        if _suits_blas(X, dtype):
            return super()._backprop(X, y, *rest)  # type: ignore[misc, no-any-return]
        objective = Objective.of(self.out_activation_, shape.layers[-1].n_out, dtype)  # type: ignore[attr-defined]
        plan, theta, Y = Plan(shape, objective.loss, SGD()), self._block(dtype), np.ascontiguousarray(y, dtype)
        given = rest[0] if _TAKES_WEIGHTS else None
        weight = np.ones(X.shape[0], dtype) if given is None else np.asarray(given, dtype)
        weight_sum = total_weight(weight)
        engine = NativeEngine(_threads(6.0 * X.shape[0] * len(theta)))
        loss, gradient = 0.0, np.zeros_like(theta)
        for rows, block in dense_blocks(X, dtype):
            share = float(weight[rows].sum(dtype=np.float64)) / weight_sum
            its_loss, its_gradient = engine.gradient(plan, theta, Data(block, Y[rows], weight[rows]))
            loss += share * objective.value * its_loss
            gradient += share * objective.slope * its_gradient
        constants = objective.constants(Y)
        if constants is not None:
            loss += float(weight @ constants) / weight_sum
        l2 = self.alpha / weight_sum  # type: ignore[attr-defined]
        coef_grads, intercept_grads = views(shape, gradient)
        for W, dW in zip(self.coefs_, coef_grads, strict=True):
            loss += 0.5 * l2 * float(np.vdot(W, W))
            dW += l2 * W
        return loss, coef_grads, intercept_grads

    def _fit_stochastic(self: Any, X: Any, y: Array, *rest: Any) -> None:
        weight, incremental = rest[0] if _TAKES_WEIGHTS else None, rest[-1]
        if not incremental or not hasattr(self, "_optimizer"):
            self._optimizer = self._new_optimizer()
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        train, held_out = self._split(X, y, weight) if self.early_stopping else ((X, y, weight), (None, None, None))
        n = train[0].shape[0]
        descent = self._descent(*train, self._checked_batch_size(n))
        order = np.arange(n)
        try:
            self.n_iter_ = 0
            while self.n_iter_ < self.max_iter:
                if self.shuffle:
                    order = _shuffled(order, self._random_state)
                self.loss_ = descent.epoch(order if self.shuffle else None)
                self.n_iter_ += 1
                self.t_ += n
                self.loss_curve_.append(self.loss_)
                if self.verbose:
                    print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
                if self.early_stopping:
                    self._take(descent)
                self._update_no_improvement_count(self.early_stopping, *held_out[: 3 if _TAKES_WEIGHTS else 2])
                self._optimizer.iteration_ends(self.t_)
                if self._no_improvement_count > self.n_iter_no_change:
                    if self._optimizer.trigger_stopping(self._why_it_stops(), self.verbose):
                        break
                    self._no_improvement_count = 0
                if incremental:
                    break
                if self.n_iter_ == self.max_iter:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization "
                        "hasn't converged yet.",
                        ConvergenceWarning,
                        stacklevel=1,
                    )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=1)
        finally:
            self._take(descent)
            descent.save()
        if self.early_stopping:
            self.coefs_, self.intercepts_ = self._best_coefs, self._best_intercepts

    def _new_optimizer(self: Any) -> Any:
        """scikit-learn's own optimizer, which keeps settings and moments from call to call, in a pickle as well."""
        params = self.coefs_ + self.intercepts_
        if self.solver == "adam":
            return AdamOptimizer(params, self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        schedule = self.learning_rate, self.momentum, self.nesterovs_momentum, self.power_t
        return SGDOptimizer(params, self.learning_rate_init, *schedule)

    def _split(self: Any, X: Any, y: Array, weight: Array | None) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Rows, targets and weights to train on, and those that are held out to decide when to stop."""
        arrays = [X, y] if weight is None else [X, y, weight]
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        parts = train_test_split(
            *arrays, random_state=self._random_state, test_size=self.validation_fraction, stratify=stratify
        )
        parts += [None, None] if weight is None else []
        X_held_out, y_held_out, weight_held_out = parts[1::2]
        if X_held_out.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        if is_classifier(self):
            y_held_out = self._label_binarizer.inverse_transform(y_held_out)
        return tuple(parts[::2]), (X_held_out, y_held_out, weight_held_out)

    def _checked_batch_size(self: Any, n: int) -> int:
        if self.batch_size == "auto":
            return min(200, n)
        if self.batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=1
            )
        return min(int(self.batch_size), n)

    def _descent(self: Any, X: Any, y: Array, weight: Array | None, batch_size: int) -> Epochs:
        shape, dtype = self._shape(), self._dtype(X)
        objective = Objective.of(self.out_activation_, shape.layers[-1].n_out, dtype)
        return Epochs(shape, objective, self.alpha, self._optimizer, self._block(dtype), X, y, weight, batch_size)

    def _take(self, descent: Epochs) -> None:
        """Weights and biases are what the descent has come to, in the arrays that they were in."""
        W, b = views(self._shape(), descent.block())
        for mine, its in zip(self.coefs_ + self.intercepts_, W + b, strict=True):
            mine[...] = its

    def _why_it_stops(self: Any) -> str:
        what = "Validation score" if self.early_stopping else "Training loss"
        return f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} consecutive epochs."


def _shuffled(order: Array, random_state: np.random.RandomState) -> Array:
    """As `sklearn.utils.shuffle` draws it, without its checks, which take longer than many an epoch."""
    draw = np.arange(len(order))
    random_state.shuffle(draw)
    return order[draw]


class MLPClassifier(_Perceptron, sklearn.neural_network.MLPClassifier):  # type: ignore[misc]
    """scikit-learn's `MLPClassifier`, faster.

    Parameters, attributes, methods, warnings and errors are those of `sklearn.neural_network.MLPClassifier`, whose
    subclass this is. With the same data and `random_state` it goes the same way, up to rounding.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier(max_iter=500, random_state=0).fit(X, y)
    >>> classifier.predict(X[:2]).tolist(), classifier.predict_proba(X).shape
    ([0, 0], (150, 3))
    """


class MLPRegressor(_Perceptron, sklearn.neural_network.MLPRegressor):  # type: ignore[misc]
    """scikit-learn's `MLPRegressor`, faster.

    Parameters, attributes, methods, warnings and errors are those of `sklearn.neural_network.MLPRegressor`, whose
    subclass this is. With the same data and `random_state` it goes the same way, up to rounding.

    Examples
    --------
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> regressor = MLPRegressor(solver="lbfgs", random_state=0).fit(X, np.sin(3 * X[:, 0]))
    >>> bool(regressor.score(X, np.sin(3 * X[:, 0])) > 0.95)
    True
    """

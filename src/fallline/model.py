"""A trained model: what was learned about a table's columns, networks that answer together, and how they came about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from os import PathLike
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.engines import Engine, as_engine
from fallline.errors import DataError, ParameterError
from fallline.explanation import Explanation, explain
from fallline.files import model_file
from fallline.files.export import export
from fallline.network import Network
from fallline.sharpness import sharpened
from fallline.table import Encoder, Table, table_from_any
from fallline.table.names import listed
from fallline.table.score import score

Array = npt.NDArray[Any]

BLOCK_NUMBERS = 1 << 22  # values of the widest layer in a block of rows: 16 MiB in float32


@final
class Model:
    """A table's encoding and networks trained on it, whose answers are averaged.

    Parameters
    ----------
    encoder : Encoder
    networks : sequence of Network
    training : dict
        How the model came about, JSON-serialisable: recipe, settings, loss, optimizer, rows, scores, history, versions.
    engine : {"native", "reference"}, default "native"
        What computes predictions.
    threads : int, "auto" or None, default None
        How many the compiled core uses; None and "auto" mean as many as the process may use. The result is the same.
    sharpness : float, default 1
        Of the probabilities: each is raised to this power, and their sum brought back to 1. One over the temperature of
        Guo et al. 2017.
    shares : sequence of float, optional
        What each network has in the answer, together 1; equal if nothing is said.
    errors : array of shape (n_targets, n_levels), optional
        Of each number that is learned, as the networks say it, how far answers were from the truth on rows that they
        had not seen: quantiles, in even steps from the smallest to the largest.

    Examples
    --------
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> iris = load_bundled("iris")
    >>> model = fit(iris, {"epochs": 30, "engine": "reference"}).model
    >>> model.predict(iris.rows(np.arange(2))).tolist()
    ['setosa', 'setosa']
    """

    def __init__(
        self,
        encoder: Encoder,
        networks: Sequence[Network],
        training: dict[str, Any] | None = None,
        engine: str = "native",
        threads: int | str | None = None,
        sharpness: float = 1.0,
        shares: Sequence[float] | None = None,
        errors: Array | None = None,
    ) -> None:
        self.encoder, self.networks, self.engine, self.threads = encoder, list(networks), engine, threads
        self.shares = [1 / len(self.networks)] * len(self.networks) if shares is None else list(shares)
        self.sharpness, self.errors = sharpness, errors
        self.training: dict[str, Any] = {} if training is None else training

    @property
    def network(self) -> Network:
        """The first of the networks."""
        return self.networks[0]

    @property
    def task(self) -> str:
        """Task: "classification" or "regression"."""
        return self.encoder.task

    @property
    def classes(self) -> Array | None:
        """Labels in the order of `predict_proba`'s columns; None for numbers, and for several labels of a row."""
        return self.encoder.classes

    def predict(self, X: Table | npt.ArrayLike) -> Array:
        """Labels or numbers, in the user's units.

        Parameters
        ----------
        X : Table, data frame or array of shape (n, n_columns)
            Columns are found by name; an array's are those of `encoder.columns`, in that order, all numbers.

        Returns
        -------
        array of shape (n,) or (n, n_targets)
            Labels of the type they had; 0 or 1 for several labels of a row; or float64.

        Raises
        ------
        DataError
            A column is missing, or holds what it did not hold in training.
        """
        return self.encoder.target.decode(self.outputs(X))

    def predict_proba(self, X: Table | npt.ArrayLike) -> Array:
        """Probability of each class, or of each of several labels.

        Parameters
        ----------
        X : Table, data frame or array of shape (n, n_columns)
            As in `predict`.

        Returns
        -------
        array of shape (n, n_classes) or (n, n_targets)
            Columns as in `classes`, rows sum to one; or those of the labels, each from 0 to 1.

        Raises
        ------
        DataError
            As in `predict`.
        ParameterError
            The model predicts numbers.
        """
        if self.task == "regression":
            raise ParameterError(
                f"this model predicts numbers ({self.encoder.target.name}); only classes have probabilities"
            )
        return self.outputs(X)

    def predict_quantiles(self, X: Table | npt.ArrayLike) -> Array:
        """Quantiles of a number, of a model that was trained for them.

        Parameters
        ----------
        X : Table, data frame or array of shape (n, n_columns)
            As in `predict`.

        Returns
        -------
        array of shape (n, n_quantiles) or (n, n_targets, n_quantiles)
            In the order of `encoder.target.quantiles`.

        Raises
        ------
        DataError
            As in `predict`.
        ParameterError
            The model was not trained for quantiles.
        """
        target = self.encoder.target
        if not target.quantiles:
            raise ParameterError("this model was not trained for quantiles; train it with loss='quantile'")
        numbers = target.numbers(self.outputs(X))
        return numbers[:, 0] if target.n_targets == 1 else numbers

    def predict_interval(self, X: Table | npt.ArrayLike, coverage: float = 0.9) -> Array:
        """Bounds between which the truth lies for a given share of rows like those trained on.

        Of a model for quantiles these are two of them. Otherwise as far to both sides of the answer as such a share of
        the answers was from the truth on rows that the networks had not seen: as wide for all rows (split conformal
        prediction, Lei et al. 2018; of folds, Vovk 2015).

        Parameters
        ----------
        X : Table, data frame or array of shape (n, n_columns)
            As in `predict`.
        coverage : float, default 0.9
            The share, above 0 and below 1.

        Returns
        -------
        array of shape (n, 2) or (n, n_targets, 2)

        Raises
        ------
        DataError
            As in `predict`.
        ParameterError
            The coverage is out of range, the model has no such quantiles, predicts classes, or held back no rows.
        """
        target = self.encoder.target
        if self.task != "regression":
            raise ParameterError("this model predicts classes; only numbers have intervals")
        if not 0 < coverage < 1:
            raise ParameterError(f"coverage is {coverage}; it must be above 0 and below 1")
        A = self.outputs(X)
        if target.quantiles:
            numbers = target.numbers(A)
            bounds = np.stack([numbers[:, :, _place(target.quantiles, coverage, side)] for side in (-1, 1)], axis=2)
        else:
            if self.errors is None:
                raise ParameterError("no rows were held back, so nothing is known of the errors; train with some")
            levels = np.linspace(0, 1, self.errors.shape[1])
            width = np.array([np.interp(coverage, levels, of_target) for of_target in self.errors])
            bounds = np.concatenate([target.numbers(A - width), target.numbers(A + width)], axis=2)
        return bounds[:, 0] if target.n_targets == 1 else bounds

    def evaluate(self, table: Table) -> dict[str, float]:
        """How good the predictions for a table are, in the user's units.

        Parameters
        ----------
        table : Table
            With targets.

        Returns
        -------
        dict of str to float
            accuracy and log_loss (nats; a probability of 0 counts as the smallest float32) for classes; rmse, mae and
            r2 for numbers. Of several labels of a row, accuracy is the share of rows of which all are right, log_loss
            the mean over the labels.

        Raises
        ------
        DataError
            As in `predict`; or there are no targets, or one is a label that the training rows did not have.
        """
        if table.y is None:
            raise DataError(f"{table.name}: there is no target {self.encoder.target.name!r} to compare with")
        if not table.n_rows:
            raise DataError(f"{table.name}: there are no rows to compare with")
        return score(self.encoder.target, self.outputs(table), table.y)

    def explain(
        self, X: Table | npt.ArrayLike, row: int = 0, network: int = 0, neuron: tuple[int, int] | None = None
    ) -> Explanation:
        """Follow one row through the model: all the arithmetic, and which inputs moved the answer.

        Parameters
        ----------
        X : Table, data frame or array of shape (n, n_columns)
            As in `predict`.
        row : int, default 0
            Which of its rows.
        network : int, default 0
            Which of `networks` to show.
        neuron : (int, int), optional
            Layer and neuron to show in full, as in `network.W[l][:, j]`; the predicted class's output if nothing is
            said. If it is an output, the contributions are to its answer.

        Returns
        -------
        Explanation
            `print` it.

        Raises
        ------
        DataError
            As in `predict`; or there are no rows.
        ParameterError
            There is no such row, network or neuron.

        Examples
        --------
        >>> from fallline.fit import fit
        >>> from fallline.table import load_bundled
        >>> iris = load_bundled("iris")
        >>> model = fit(iris, {"epochs": 1, "hidden": (4,), "starts": 2}).model
        >>> explanation = model.explain(iris, row=60, neuron=(0, 3))
        >>> x, w, b = explanation.neuron.x, explanation.neuron.w, explanation.neuron.b
        >>> bool(abs(x @ w + b - explanation.neuron.z) < 1e-9), explanation.contributions.complete
        (True, True)
        """
        X = self._as_table(X)
        n = X.n_rows if isinstance(X, Table) else len(np.atleast_2d(X))
        if not n:
            raise DataError("there are no rows to explain; give at least one")
        if not 0 <= row < n:
            raise ParameterError(f"row is {row}; it must be from 0 to {n - 1}")
        table, number = None, row + 1
        if isinstance(X, Table):
            number += X.first_row
            X = table = replace(X.rows(np.array([row])), first_row=number - 1)
        else:
            X = np.atleast_2d(X)[[row]]
        self.outputs(X)  # for its complaints
        rows = self._rows(X)
        return explain(self.encoder, self.networks, self.shares, self.sharpness, rows, table, network, neuron, number)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model to one file, atomically: an older file stays whole until the new one is complete.

        Parameters
        ----------
        path : str or path
            By custom it ends in `.fallline`.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        model_file.write(path, self.encoder, self.networks, self.shares, self.sharpness, self.errors, self.training)

    def export(self, path: str | PathLike[str], format: str | None = None) -> None:
        """Write the model for other programs, what becomes of its columns included, atomically.

        Parameters
        ----------
        path : str or path
            By custom it ends in `.onnx`, `.c` (beside which a header `.h` is written) or `.py`.
        format : {"onnx", "c", "numpy"} or None
            None goes by that ending.

        Raises
        ------
        ParameterError
            The format is unknown or cannot have this model, or the package `onnx` is missing.
        DataError
            A label cannot be written in the format.
        OSError
            The file cannot be written.
        """
        export(path, self.encoder, self.networks, self.shares, self.sharpness, format)

    @cached_property
    def _engine(self) -> Engine:
        return as_engine(self.engine, self.threads)

    def outputs(self, X: Table | npt.ArrayLike) -> Array:
        """Give what the networks say on average, in their own units, block by block, so that memory stays bounded.

        Parameters
        ----------
        X : Table, data frame or array of shape (n, n_columns)
            As in `predict`.

        Returns
        -------
        array of shape (n, n_out)
            Probabilities, or standardised numbers.

        Raises
        ------
        DataError
            As in `predict`.
        """
        rows = self._rows(X)
        A = np.empty((len(rows), self.network.layer_sizes[-1]), dtype=self.network.dtype)
        step = max(1, BLOCK_NUMBERS // max(self.network.layer_sizes))
        for first in range(0, len(A), step):
            block = slice(first, first + step)
            A[block] = self._mean_output(self._encoded(rows[block]))
        finite = np.isfinite(A).all(axis=1)
        if not finite.all():
            row, name = int(np.argmin(finite)) + 1, ""
            if isinstance(X, Table):
                row, name = X.first_row + row, f"{X.name}, "
            raise DataError(f"{name}row {row}: no finite prediction; its numbers are far beyond those trained on")
        return A

    def encoded(self, X: Table | npt.ArrayLike) -> Array:
        """Give the rows as the networks take them.

        Parameters
        ----------
        X : Table, data frame or array of shape (n, n_columns)
            As in `predict`.

        Returns
        -------
        array of shape (n, n_in)

        Raises
        ------
        DataError
            As in `predict`.
        """
        return self._encoded(self._rows(X))

    def _encoded(self, rows: Array) -> Array:
        """Checked rows as the networks take them."""
        return self.encoder.encode_inputs(rows).astype(self.network.dtype, copy=False)

    def _mean_output(self, encoded: Array) -> Array:
        """Of encoded rows, shape (n, n_out)."""
        A = np.zeros((len(encoded), self.encoder.n_out))
        with np.errstate(invalid="ignore"):  # infinite outputs are found later
            for network, share in zip(self.networks, self.shares, strict=True):
                A += share * self._engine.predict(network.shape, network.parameters, encoded)
        return A if self.task == "regression" else sharpened(A, self.sharpness, self.classes is None)

    def _as_table(self, X: Table | npt.ArrayLike) -> Table | npt.ArrayLike:
        """A data frame as a table; anything else as it is."""
        if isinstance(X, Table) or not hasattr(X, "columns"):
            return X
        return table_from_any(X, self.encoder.columns, self.encoder.kinds)

    def _rows(self, X: Table | npt.ArrayLike) -> Array:
        """Columns of whatever holds them in the encoder's order, as `Encoder.rows_of` gives them."""
        encoder, X = self.encoder, self._as_table(X)
        if isinstance(X, Table):
            rows, name, first_row = encoder.rows_of(X), f"{X.name}, ", X.first_row + 1
        else:
            words = [column.name for column in encoder.encodings if column.role in ("category", "date")]
            if words:
                raise DataError(f"the model takes categories or dates ({listed(words)}); give a table or a data frame")
            rows, name, first_row = np.asarray(X), "", 0
            if rows.dtype.kind not in "biuf":
                raise DataError(f"inputs must be numbers, not {rows.dtype}")
            if rows.ndim != 2 or rows.shape[1] != len(encoder.columns):
                raise DataError(f"inputs of shape (n, {len(encoder.columns)}) are needed, not {rows.shape}")
        self._check_finite(rows, name, first_row)
        return rows

    def _check_finite(self, rows: Array, name: str, first_row: int) -> None:
        """Numbers may be missing, but not infinite; and not missing where the training rows had them all."""
        with np.errstate(over="ignore"):
            rows = rows.astype(np.float32, copy=False)
        total = rows.sum(dtype=np.float64)
        if math.isfinite(total):
            return
        for j, column in enumerate(self.encoder.encodings):
            bad = np.isinf(rows[:, j]) if column.role != "pixel" else ~np.isfinite(rows[:, j])
            if column.role != "unused" and bad.any():
                row = int(bad.argmax())
                raise DataError(
                    f"{name}row {first_row + row}, column {column.name!r}: the value is infinite or too large for "
                    "float32"
                )

    def _repr_html_(self) -> str:
        """Show a notebook the scores and the loss curve; by its name, since the report stands above this room."""
        return str(import_module("fallline.report").html_of_model(self))

    def __repr__(self) -> str:
        several = f"{len(self.networks)} times " if len(self.networks) > 1 else ""
        return (
            f"Model({self.task} of {self.encoder.target.name!r} from {len(self.encoder.columns)} columns, "
            f"{several}{self.network!r})"
        )


def load(path: str | PathLike[str], engine: str = "native", threads: int | str | None = None) -> Model:
    """Read a model file; no code in it is run.

    Parameters
    ----------
    path : str or path
    engine : {"native", "reference"}, default "native"
        What computes predictions.
    threads : int, "auto" or None, default None
        As in `Model`.

    Returns
    -------
    Model

    Raises
    ------
    ModelFileError
        The file is missing, truncated, damaged, of a newer format, or no model file at all.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "iris.fallline")
    ...     fit(load_bundled("iris"), {"epochs": 1, "engine": "reference"}).model.save(path)
    ...     load(path).encoder.target.name
    'species'
    """
    return Model(**model_file.read(path), engine=engine, threads=threads)


def _place(quantiles: Sequence[float], coverage: float, side: int) -> int:
    """Where the lower (side -1) or upper quantile stands that bounds such a share of the rows."""
    wanted = 0.5 + side * coverage / 2
    place = int(np.argmin(np.abs(np.subtract(quantiles, wanted))))
    if abs(quantiles[place] - wanted) > 1e-6:
        known = listed(map(str, quantiles))
        raise ParameterError(f"coverage {coverage:g} needs the quantile {wanted:.4g}; the model has {known}")
    return place

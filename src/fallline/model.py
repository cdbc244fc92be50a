"""A trained model: what was learned about a table's columns, a network, and how it came about."""

from __future__ import annotations

from functools import cached_property
from os import PathLike
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline import metrics
from fallline.engines import Engine, as_engine
from fallline.errors import DataError, ParameterError
from fallline.files import model_file
from fallline.network import Network
from fallline.table import Encoder, Table
from fallline.table.names import listed

Array = npt.NDArray[Any]

BLOCK_NUMBERS = 1 << 22  # values of the widest layer in a block of rows: 16 MiB in float32


@final
class Model:
    """A table's encoding and a network trained on it.

    Parameters
    ----------
    encoder : Encoder
    network : Network
    training : dict
        How the model came about, JSON-serialisable: recipe, settings, loss, optimizer, rows, scores, history, versions.
    engine : {"native", "reference"}, default "native"
        What computes predictions.
    threads : int, "auto" or None, default None
        How many the compiled core uses; None and "auto" mean as many as the process may use. The result is the same.

    Examples
    --------
    >>> from fallline.fit import fit
    >>> from fallline.table import load_bundled
    >>> iris = load_bundled("iris")
    >>> model = fit(iris, {"epochs": 30, "engine": "reference"}).model
    >>> model.predict(iris.X[:2]).tolist()
    ['setosa', 'setosa']
    """

    def __init__(
        self,
        encoder: Encoder,
        network: Network,
        training: dict[str, Any] | None = None,
        engine: str = "native",
        threads: int | str | None = None,
    ) -> None:
        self.encoder, self.network, self.engine, self.threads = encoder, network, engine, threads
        self.training: dict[str, Any] = {} if training is None else training

    @property
    def task(self) -> str:
        """Task: "classification" or "regression"."""
        return self.encoder.task

    @property
    def classes(self) -> Array | None:
        """Labels in the order of `predict_proba`'s columns; None for a regression."""
        return self.encoder.classes

    def predict(self, X: Table | npt.ArrayLike) -> Array:
        """Labels or numbers, in the user's units.

        Parameters
        ----------
        X : Table or array of shape (n, n_in)
            A table's columns are found by name; an array's are those of `encoder.columns`, in that order.

        Returns
        -------
        array of shape (n,)
            Labels of the type they had, or float64.

        Raises
        ------
        DataError
            A column is missing or a value is not finite.
        """
        return self.encoder.decode_target(self._outputs(X))

    def predict_proba(self, X: Table | npt.ArrayLike) -> Array:
        """Probability of each class.

        Parameters
        ----------
        X : Table or array of shape (n, n_in)
            As in `predict`.

        Returns
        -------
        array of shape (n, n_classes)
            Columns as in `classes`; rows sum to one.

        Raises
        ------
        DataError
            As in `predict`.
        ParameterError
            The model predicts numbers.
        """
        if self.classes is None:
            raise ParameterError(
                f"this model predicts numbers ({self.encoder.target}); only classes have probabilities"
            )
        return self._outputs(X)

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
            r2 for numbers.

        Raises
        ------
        DataError
            As in `predict`; or there are no targets, or one is a label that the training rows did not have.
        """
        if table.y is None:
            raise DataError(f"{table.name}: there is no target {self.encoder.target!r} to compare with")
        if not table.n_rows:
            raise DataError(f"{table.name}: there are no rows to compare with")
        target = self.encoder.encode_target(table.y)
        A = self._outputs(table)
        if self.classes is None:
            predicted, actual = self.encoder.decode_target(A)[:, None], table.y.astype(np.float64)[:, None]
            scores = {"rmse": metrics.rmse, "mae": metrics.mae, "r2": metrics.r2}
            return {name: score(predicted, actual) for name, score in scores.items()}
        right = A[np.arange(len(A)), target].astype(np.float64)
        log_loss = -np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()
        return {"accuracy": float((A.argmax(axis=1) == target).mean()), "log_loss": float(log_loss)}

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
        model_file.write(path, self.encoder, self.network, self.training)

    @cached_property
    def _engine(self) -> Engine:
        return as_engine(self.engine, self.threads)

    def _outputs(self, X: Table | npt.ArrayLike) -> Array:
        """Compute the network's output `(n, n_out)`, block by block, so that memory stays bounded."""
        rows = inputs_of(X, self.encoder) if isinstance(X, Table) else np.asarray(_by_name(X, self.encoder))
        if rows.dtype.kind not in "biuf":
            raise DataError(f"inputs must be numbers, not {rows.dtype}")
        network = self.network
        A = np.empty((len(rows) if rows.ndim else 0, network.layer_sizes[-1]), dtype=network.dtype)
        step = max(1, BLOCK_NUMBERS // max(network.layer_sizes))
        for first in range(0, max(1, len(A)), step):
            block = slice(first, first + step)
            with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is refused just below
                encoded = self.encoder.encode_inputs(rows[block] if rows.ndim else rows)
            self._check_finite(encoded, first)
            A[block] = self._engine.predict(
                network.shape, network.parameters, encoded.astype(network.dtype, copy=False)
            )
        finite = np.isfinite(A).all(axis=1)
        if not finite.all():
            row, name = int(np.argmin(finite)) + 1, f"{X.name}, " if isinstance(X, Table) else ""
            raise DataError(f"{name}row {row}: no finite prediction; its numbers are far beyond those trained on")
        return A

    def _check_finite(self, encoded: Array, first: int) -> None:
        bad = ~np.isfinite(encoded)
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            name = self.encoder.columns[column]
            raise DataError(
                f"row {first + row}, column {name!r}: the value is missing, infinite or too large for float32"
            )

    def __repr__(self) -> str:
        return f"Model({self.task} of {self.encoder.target!r} from {self.encoder.n_in} inputs, {self.network!r})"


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
    ...     load(path).encoder.target
    'species'
    """
    return Model(*model_file.read(path), engine=engine, threads=threads)


def _by_name(X: Any, encoder: Encoder) -> Any:
    """Put a data frame's columns in the encoder's order; anything without named columns stays as it is."""
    names = getattr(X, "columns", None)
    if names is None:
        return X
    missing = [name for name in encoder.columns if name not in list(names)]
    if missing:
        raise DataError(f"missing column {listed(missing)} (columns: {listed(list(map(str, names)))})")
    return X[list(encoder.columns)]


def inputs_of(table: Table, encoder: Encoder) -> npt.NDArray[np.float32]:
    """Put a table's columns in the encoder's order, `(n, n_in)`; DataError names those that are missing."""
    if table.columns == encoder.columns:
        return table.X
    place = {name: j for j, name in enumerate(table.columns)}
    missing = [name for name in encoder.columns if name not in place]
    if missing:
        raise DataError(f"{table.name}: missing column {listed(missing)} (columns: {listed(table.columns)})")
    return table.X[:, [place[name] for name in encoder.columns]]

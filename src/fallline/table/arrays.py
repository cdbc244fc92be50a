"""NPZ archives of NumPy arrays to a table."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.table.names import listed
from fallline.table.table import Table, Targets

# What NumPy, zipfile and zlib raise for bytes that are not theirs.
BROKEN = (ValueError, EOFError, LookupError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_npz(path: Path) -> Table:
    """Read the arrays `X` (or the only matrix, whatever its name) and `y` of an NPZ file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Table
        Its columns are called x0, x1, ..., its target y.

    Raises
    ------
    DataError
        For a file that is no NPZ, and for arrays that are missing, do not fit together or are no finite numbers.
    """
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            alone = isinstance(loaded, np.ndarray)
            arrays = {"X": loaded} if alone else {name: loaded[name] for name in loaded.files}
    except BROKEN as error:
        raise DataError(f"{path}: cannot be read as NPZ ({str(error).splitlines()[0]})") from None
    X = _matrix(arrays, path)
    if "y" not in arrays:
        return Table(str(path), X, None, _names(X), None)
    return Table(str(path), X, _targets(arrays["y"], len(X), path), _names(X), "y")


def _names(X: npt.NDArray[Any]) -> tuple[str, ...]:
    return tuple(f"x{j}" for j in range(X.shape[1]))


def _matrix(arrays: dict[str, npt.NDArray[Any]], path: Path) -> npt.NDArray[np.float32]:
    matrices = ["X"] if "X" in arrays else [name for name in arrays if name != "y" and arrays[name].ndim == 2]
    if len(matrices) != 1:
        raise DataError(f"{path}: it needs a matrix 'X' and an array 'y' (arrays: {listed(arrays)})")
    name = matrices[0]
    raw = arrays[name]
    if raw.ndim != 2 or 0 in raw.shape or raw.dtype.kind not in "biuf":
        raise DataError(f"{path}, array {name!r}: rows and columns of numbers are needed, not {_kind(raw)}")
    with np.errstate(over="ignore"):  # an overflow becomes inf, which is refused just below
        X = np.ascontiguousarray(raw, dtype=np.float32)
    bad = ~np.isfinite(X)
    if bad.any():
        row, column = divmod(int(bad.argmax()), X.shape[1])
        raise DataError(f"{path}, {name}[{row}, {column}]: {raw[row, column]} is not a finite float32")
    return X


def _targets(raw: npt.NDArray[Any], n: int, path: Path) -> Targets:
    if raw.shape not in ((n,), (n, 1)) or raw.dtype.kind not in "biufU":
        raise DataError(f"{path}, array 'y': {n} numbers or labels are needed, not {_kind(raw)}")
    y = raw.ravel()
    if y.dtype.kind in "iu":
        return y.astype(np.int64)
    if y.dtype.kind == "f":
        y = y.astype(np.float64)
        if not np.isfinite(y).all():
            row = int(np.isfinite(y).argmin())
            raise DataError(f"{path}, y[{row}]: {y[row]} is not a finite number")
    return y


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype.name} of shape {array.shape}"

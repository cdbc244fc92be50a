"""NPZ archives of NumPy arrays to a table."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.table.names import listed
from fallline.table.table import Table, Targets


def read_npz(path: Path, with_targets: bool = True) -> Table:
    """Read the arrays `X` (or the only matrix, whatever its name) and `y` of an NPZ file.

    Parameters
    ----------
    path : Path
    with_targets : bool
        Whether to read `y`, where it is.

    Returns
    -------
    Table
        Its columns are called x0, x1, ..., its target y.

    Raises
    ------
    DataError
        For a file that is no NPZ, and for arrays that are missing, do not fit together or are no finite numbers.
    """
    with path.open("rb") as file:
        try:
            arrays = _load(file)
        except MemoryError:
            raise
        except Exception as error:  # NumPy and the modules under it raise nearly anything for bytes not theirs
            raise DataError(f"{path}: cannot be read as NPZ ({_reason(error)})") from None
    X = _matrix(arrays, path)
    if "y" not in arrays or not with_targets:
        return Table(str(path), X, None, _names(X), None)
    return Table(str(path), X, _targets(arrays["y"], len(X), path), _names(X), "y")


def _load(file: IO[bytes]) -> dict[str, npt.NDArray[Any]]:
    """Load the arrays X and y, or all where there is no X."""
    loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"X": loaded}
    wanted = [name for name in loaded.files if name in ("X", "y") or "X" not in loaded.files]
    return {name: array for name in wanted if isinstance(array := loaded[name], np.ndarray)}


def _reason(error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "plain arrays of numbers or text are needed" if "pickle" in reason else reason


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
    bad = np.isinf(X)  # NaN is missing
    if bad.any():
        row, column = divmod(int(bad.argmax()), X.shape[1])
        raise DataError(f"{path}, {name}[{row}, {column}]: {raw[row, column]} is not a finite float32")
    return X


def _targets(raw: npt.NDArray[Any], n: int, path: Path) -> Targets:
    if raw.shape not in ((n,), (n, 1)) or raw.dtype.kind not in "biufU":
        raise DataError(f"{path}, array 'y': {n} numbers or labels are needed, not {_kind(raw)}")
    y = raw.ravel()
    if y.dtype.kind in "iu":
        whole = y.astype(np.int64)
        wrapped = (y > 0) & (whole < 0)
        if wrapped.any():
            row = int(wrapped.argmax())
            raise DataError(f"{path}, y[{row}]: {y[row]} does not fit into 64 bits with a sign")
        return whole
    if y.dtype.kind == "f":
        y = y.astype(np.float64)
        if not np.isfinite(y).all():
            row = int(np.isfinite(y).argmin())
            raise DataError(f"{path}, y[{row}]: {y[row]} is not a finite number")
    if y.dtype.kind == "U":
        row = next((row for row in range(n) if not _is_text(y, row)), n)
        if row < n:
            raise DataError(f"{path}, y[{row}]: the label has a character that no text file can hold; replace it")
    return y


def _is_text(y: npt.NDArray[Any], row: int) -> bool:
    """Whether a label is free of NUL, of half a surrogate pair and of what is beyond Unicode."""
    try:
        return b"\0" not in str(y[row]).encode()
    except ValueError:
        return False


def _kind(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype.name} of shape {array.shape}"

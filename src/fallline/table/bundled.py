"""The data sets that are there without a download: those that scikit-learn installs, and one that a formula makes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import numpy as np

from fallline.errors import DataError
from fallline.table.names import listed, suggestion
from fallline.table.table import Table, Task, pixel_names


@final
@dataclass(frozen=True)
class BundledSet:
    """What a bundled set is about.

    Parameters
    ----------
    description : str
        One line.
    rows, inputs : int
    task : {"classification", "regression"}
    target : str
    """

    description: str
    rows: int
    inputs: int
    task: Task
    target: str


BUNDLED: Mapping[str, BundledSet] = MappingProxyType(
    {
        "digits": BundledSet("handwritten digits, 8 by 8 pixels", 1797, 64, "classification", "digit"),
        "iris": BundledSet("three species of iris by the size of their petals", 150, 4, "classification", "species"),
        "wine": BundledSet("three cultivars of wine by chemical analysis", 178, 13, "classification", "cultivar"),
        "breast_cancer": BundledSet(
            "tumours, benign or malignant, by the shape of their cells", 569, 30, "classification", "diagnosis"
        ),
        "diabetes": BundledSet("progress of diabetes after a year", 442, 10, "regression", "progression"),
        "xor": BundledSet("1 where two inputs differ, else 0; made, with noise", 200, 2, "classification", "differ"),
    }
)


def load_bundled(name: str) -> Table:
    """Load a bundled set.

    Parameters
    ----------
    name : str
        One of `BUNDLED`.

    Returns
    -------
    Table
        Classes are their names, digits are 0 to 9; the pixels of digits go from 0 to 1. Row i of `xor` lies around the
        corner (i // 2 % 2, i % 2) of the unit square, with normal noise of deviation 0.15 in both directions; its
        target is 1 where one of the corner's coordinates is 1 and the other 0, else 0.

    Raises
    ------
    DataError
        For an unknown name.

    Examples
    --------
    >>> iris = load_bundled("iris")
    >>> iris.X.shape, str(iris.y[0])
    ((150, 4), 'setosa')
    """
    if name not in BUNDLED:
        raise DataError(f"no bundled set {name!r}{suggestion(name, BUNDLED)} (bundled: {listed(BUNDLED)})")
    if name == "xor":
        return _xor()
    with warnings.catch_warnings():  # joblib, which it imports, complains of machines without shared memory
        warnings.filterwarnings("ignore", ".*joblib will operate in serial mode", UserWarning)
        from sklearn import datasets  # type: ignore[import-untyped]

    raw = datasets.load_diabetes(scaled=False) if name == "diabetes" else getattr(datasets, f"load_{name}")()
    X = np.ascontiguousarray(raw.data, dtype=np.float32)
    target = BUNDLED[name].target
    if name == "digits":
        return Table(name, X / np.float32(16), raw.target.astype(np.int64), pixel_names((8, 8)), target, (8, 8))
    y = raw.target if name == "diabetes" else raw.target_names.astype(np.str_)[raw.target]
    return Table(name, X, y, tuple(map(str, raw.feature_names)), target)


def _xor() -> Table:
    i = np.arange(BUNDLED["xor"].rows)
    corner = np.stack([i // 2 % 2, i % 2], axis=1)
    noise = np.random.RandomState(0).standard_normal(corner.shape)  # the same in every NumPy
    X, y = (corner + 0.15 * noise).astype(np.float32), corner[:, 0] ^ corner[:, 1]
    return Table("xor", X, y, ("x1", "x2"), BUNDLED["xor"].target)

"""What topics measure with: some of the rows, evenly spread, and the loss alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Plan
from fallline.live.view import View
from fallline.optimizers import SGD
from fallline.pictures.yardstick import Yardstick

Array = npt.NDArray[Any]


def some(n: int, most: int) -> Array:
    """Numbers of `most` of n rows at most, evenly spread.

    Examples
    --------
    >>> some(10, 4).tolist(), some(3, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2])
    """
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)


def some_rows(data: Data, most: int) -> Data:
    """The same of rows."""
    return data if len(data.X) <= most else data.rows(some(len(data.X), most))


def ruler(view: View, most: int) -> Yardstick:
    """What measures the loss, without penalties and dropout, on so many of the training rows at most."""
    return Yardstick(Plan(view.plan.shape, view.plan.loss, SGD()), some_rows(view.data, most), view.engine, "")


def outputs(view: View, X: Array) -> Array:
    """What the network says of encoded rows, shape (n, n_out): probabilities, or standardised numbers."""
    A = view.engine.predict(view.plan.shape, view.network.parameters, X)
    return view.plan.loss.predictions(A, view.plan.shape.layers[-1].activation)

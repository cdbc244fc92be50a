"""Dense layers one after another, as every source gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.activations import HIDDEN, OUTPUTS
from fallline.errors import ModelFileError, ParameterError
from fallline.network import Network

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Chain:
    """Layers and what comes after each.

    Attributes
    ----------
    name : str
        Of the source, for messages.
    layers : list of (W, b)
        Of shapes `(n_in, n_out)` and `(n_out,)`.
    hidden : list of str
        Activations of all but the last.
    output : str
    """

    name: str
    layers: list[tuple[Array, Array]]
    hidden: list[str]
    output: str

    def network(self) -> Network:
        """Give the network; ModelFileError where the layers do not fit, ParameterError for unknown activations."""
        if not self.layers:
            raise ModelFileError(f"{self.name}: there is no layer of weights")
        for name, known in [*((name, HIDDEN) for name in self.hidden), (self.output, OUTPUTS)]:
            if name not in known:
                raise ParameterError(f"{self.name}: the activation {name!r} has no equal here ({', '.join(known)})")
        sizes = [len(self.layers[0][0])]
        for l, (W, b) in enumerate(self.layers):
            if W.ndim != 2 or b.shape != W.shape[1:] or len(W) != sizes[-1]:
                raise ModelFileError(
                    f"{self.name}: layer {l} has weights of shape {W.shape} (in, out) and a bias of shape {b.shape}, "
                    f"which do not fit {sizes[-1]} inputs"
                )
            if W.dtype.kind not in "fiu" or not (np.isfinite(W).all() and np.isfinite(b).all()):
                raise ModelFileError(f"{self.name}: layer {l} has weights that are no finite numbers")
            sizes.append(W.shape[1])
        double = all(array.dtype == np.float64 for layer in self.layers for array in layer)
        block = np.concatenate([array.ravel() for layer in self.layers for array in layer])
        return Network(sizes, self.hidden, self.output, dtype="float64" if double else "float32", parameters=block)

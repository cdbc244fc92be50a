"""Learning rates of the parts of a network, relative to the descent's."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from fallline.errors import ParameterError


@dataclass(frozen=True)
class Rates:
    """What the learning rate is multiplied by for each part of a network. Weight decay goes by the rate as it is.

    Parameters
    ----------
    fan_in : float, default 0
        Weights of a layer of `n_in` inputs: `n_in ** -fan_in`. With a rule such as Adam, whose steps do not grow with
        the gradient, 0.5 moves a layer's sums by as much whatever its width, as in the neural tangent parametrisation
        (Jacot, Gabriel & Hongler 2018); 0 is the usual rule.
    bias : float, default 1
    scale : float, default 1
        Of inputs; see `fallline.inputs.Inputs`.
    embedding : float, default 1
        All else that inputs learn.

    Raises
    ------
    ParameterError
        A number is negative or not finite.

    Examples
    --------
    >>> Rates(fan_in=0.5).weights(256)
    0.0625
    """

    fan_in: float = 0.0
    bias: float = 1.0
    scale: float = 1.0
    embedding: float = 1.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
                raise ParameterError(f"rates: {part.name} is {value!r}; it must be a number, 0 or more")

    def weights(self, n_in: int) -> float:
        """Factor for the weights of a layer of `n_in` inputs."""
        return float(n_in**-self.fan_in)


EQUAL_RATES = Rates()

"""How numbers read in a picture: in about three digits, with a true minus."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fallline import wording

MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Write a single number.

    Examples
    --------
    >>> number(-0.03456), number(2.0, signed=True), number(1234567.0), number(1e-7)
    ('−0.0346', '+2', '1,234,567', '1e−7')
    """
    text = wording.number(value, digits).replace("-", MINUS)
    return f"+{text}" if signed and value > 0 else text


def numbers(values: npt.ArrayLike, digits: int = 3, signed: bool = False) -> list[str]:
    """Write a column of numbers, all with as many decimals as give the largest so many digits; below 100 two or more.

    Examples
    --------
    >>> numbers([-0.03456, 0.0, 2.5])
    ['−0.03', '0.00', '2.50']
    """
    column = np.asarray(values, dtype=np.float64)
    largest = float(np.abs(column).max(initial=0.0))
    decimals = digits - 1 - int(np.floor(np.log10(largest))) if 0 < largest < np.inf else 2
    form = f".{max(2 if largest < 100 else 0, decimals)}f" if -4 < decimals < 7 else f".{digits - 1}e"
    zero, sign = f"{0:{form}}", "+" if signed else ""  # zero has no sign
    texts = [f"{value:{sign}{form}}" for value in column]
    return [zero if text[1:] == zero else text.replace("-", MINUS) for text in texts]

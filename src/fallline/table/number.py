"""Which text is a number: as Polars has it, not as Python does."""

from __future__ import annotations


def as_number(text: str) -> float | None:
    """Read a number; unlike `float` this takes neither underscores nor digits of other scripts.

    Parameters
    ----------
    text : str

    Returns
    -------
    float or None
        None for text that is no number; "nan" and "inf" are.

    Examples
    --------
    >>> as_number("1e3"), as_number("1_000"), as_number("red")
    (1000.0, None, None)
    """
    try:
        return float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None

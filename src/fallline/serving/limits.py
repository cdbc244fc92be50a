"""How much one request may ask, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is refused beyond.

    Parameters
    ----------
    rows : int
        Of one request.
    bytes : int
        Of one request's body.
    seconds : float
        From a request's first byte to its answer.
    requests : int
        That are received or computed at the same time.
    """

    rows: int = 10_000
    bytes: int = 8_000_000
    seconds: float = 30.0
    requests: int = 128

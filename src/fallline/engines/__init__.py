"""Engines: what computes. `reference` is NumPy to be read, `native` is the compiled core to be used."""

from __future__ import annotations

from fallline.engines.plan import Data, Engine, Plan, Session, Slice
from fallline.errors import ParameterError, did_you_mean

__all__ = ["ENGINES", "Data", "Engine", "Plan", "Session", "Slice", "as_engine"]

ENGINES = ("native", "reference")


def as_engine(engine: Engine | str) -> Engine:
    """The engine meant by a name ("native", "reference") or by an `Engine`."""
    if isinstance(engine, Engine):
        return engine
    if engine == "native":
        from fallline.engines.native import NativeEngine

        return NativeEngine()
    if engine == "reference":
        from fallline.engines.reference import ReferenceEngine

        return ReferenceEngine()
    raise ParameterError(f"engine {engine!r} is unknown{did_you_mean(engine, ENGINES)}")

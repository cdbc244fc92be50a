"""Engines: what computes.

`reference` is NumPy to be read, `native` is the compiled core to be used, `xla` is JAX for GPUs and TPUs.
"""

from __future__ import annotations

from fallline.engines.plan import Data, Engine, Plan, Session, Share, Slice, Start, State
from fallline.engines.stream import Blocks, Stream, session_of
from fallline.errors import ParameterError, did_you_mean
from fallline.params import PARAMS

__all__ = [
    "ALWAYS",
    "ENGINES",
    "Blocks",
    "Data",
    "Engine",
    "Plan",
    "Session",
    "Share",
    "Slice",
    "Start",
    "State",
    "Stream",
    "as_engine",
    "session_of",
]

ALWAYS = ("native", "reference")  # need nothing else
ENGINES = (*ALWAYS, "xla")


def as_engine(engine: Engine | str, threads: int | str | None = None) -> Engine:
    """The engine meant by a name or by an `Engine`.

    Parameters
    ----------
    engine : {"native", "reference", "xla", "auto"} or Engine
        "auto" is "native" here; whoever knows how much there is to do asks `choice.suited` before.
    threads : int, "auto" or None, default None
        For the native engine to use: so many, or `fallline.threads.available()`. An `Engine` has a number of its own,
        and what the others use NumPy and JAX decide.

    Returns
    -------
    Engine

    Raises
    ------
    ParameterError
        The engine is unknown, or the number is out of range or not for this engine.
    """
    if threads is not None:
        PARAMS["threads"].check(threads)
    if isinstance(engine, Engine):
        if threads not in (None, "auto"):
            raise ParameterError(f"threads is {threads}, but the engine is made already: {engine!r}; leave one out")
        return engine
    if engine in ("native", "auto"):
        from fallline.engines.native import NativeEngine

        return NativeEngine(threads)
    if engine == "reference":
        from fallline.engines.reference import ReferenceEngine

        return ReferenceEngine()
    if engine == "xla":
        try:
            from fallline.engines.xla import XlaEngine
        except ImportError as error:
            raise ParameterError(
                f"engine 'xla' needs the package {error.name}; install it with: pip install 'fallline[jax]'"
            ) from None
        return XlaEngine()
    raise ParameterError(f"engine {engine!r} is unknown{did_you_mean(engine, (*ENGINES, 'auto'))}")

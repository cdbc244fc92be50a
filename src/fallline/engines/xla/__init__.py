"""The xla engine: the same descent through JAX, on a processor, a GPU or a TPU."""

from fallline.engines.xla.engine import XlaEngine

__all__ = ["XlaEngine"]

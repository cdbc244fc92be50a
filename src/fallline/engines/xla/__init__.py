"""The xla engine: the same descent through JAX, on processors, GPUs or TPUs, of one machine or many."""

from fallline.engines.xla.engine import XlaEngine
from fallline.engines.xla.hosts import joined

__all__ = ["XlaEngine", "joined"]

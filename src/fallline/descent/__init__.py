"""The loop: start, gradient, step, repeat."""

from fallline.descent.again import resume
from fallline.descent.call import descend

__all__ = ["descend", "resume"]

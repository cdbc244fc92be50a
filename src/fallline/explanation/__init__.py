"""One row's whole way through a model: what becomes of it, layer by layer, and which inputs moved the answer."""

from fallline.explanation.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]

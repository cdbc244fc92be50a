"""The real handwritten digits, for tests: they lie beside the repository, not in it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "data" / "mnist"


def load(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `(n, 784)` in 0..1 and labels `(n,)` of "train" or "t10k"; skips the test where they are absent."""
    if not FOLDER.is_dir():
        pytest.skip(f"MNIST is not at {FOLDER}")
    with gzip.open(FOLDER / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), dtype=np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(FOLDER / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), dtype=np.uint8, offset=8)
    return images.astype(np.float32) / 255, labels.astype(np.int64)

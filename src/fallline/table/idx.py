"""IDX pairs, the files that MNIST and its relatives come in, to a table of pixels."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError
from fallline.table.table import Table, pixel_names

IDX_NAME = re.compile(r"idx\d[-.]ubyte(\.gz)?$")
MOST_EXPANSION = 1032  # deflate makes nothing smaller than by this factor


def read_idx(path: Path) -> Table:
    """Read a file of images, and the labels from the file beside it.

    Parameters
    ----------
    path : Path
        Such as ``train-images-idx3-ubyte.gz``; its labels are in ``train-labels-idx1-ubyte``, zipped or not.

    Returns
    -------
    Table
        Pixels from 0 to 1 called r0c0, r0c1, ...; the target is called label, None without a labels file.

    Raises
    ------
    DataError
        For files that are cut short, hold something else or do not fit together.
    """
    images = _read_array(path, ("n", "height", "width"))
    n, height, width = images.shape
    X = np.divide(images.reshape(n, -1), np.float32(255), dtype=np.float32)
    columns = pixel_names((height, width))
    labels_path = _labels_beside(path)
    if labels_path is None:
        return Table(str(path), X, None, columns, None, (height, width))
    labels = _read_array(labels_path, ("n",))
    if labels.shape != (n,):
        raise DataError(f"{labels_path}: {n} labels are needed, one an image, not an array of shape {labels.shape}")
    return Table(str(path), X, labels.astype(np.int64), columns, "label", (height, width))


def images_in(folder: Path) -> Path:
    """Find the file of images in a folder, that of the training set first.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Path

    Raises
    ------
    DataError
        Where the folder has none.
    """
    found = [path for path in folder.iterdir() if "images" in path.name and IDX_NAME.search(path.name)]
    if not found:
        raise DataError(f"{folder}: a folder without IDX images (such as train-images-idx3-ubyte); name a file in it")
    return min(found, key=lambda path: ("train" not in path.name, path.name))


def _labels_beside(path: Path) -> Path | None:
    stem = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    candidates = (path.with_name(stem), path.with_name(stem + ".gz"))
    return next((candidate for candidate in candidates if candidate.exists() and candidate != path), None)


def _read_array(path: Path, axes: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Read one array: 0, 0, type, number of axes; the axes as big-endian uint32; then the bytes."""
    with path.open("rb") as raw:
        zipped = raw.peek(2)[:2] == b"\x1f\x8b"
        most = path.stat().st_size * (MOST_EXPANSION if zipped else 1)
        try:
            return _unpack(gzip.GzipFile(fileobj=raw) if zipped else raw, path, axes, most)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path}: the gzip file is broken ({error})") from None


def _unpack(file: BufferedIOBase, path: Path, axes: tuple[str, ...], most: int) -> npt.NDArray[np.uint8]:
    """Take no more bytes from the file than its header announces, and one."""
    head = file.read(4)
    if head[:3] != b"\x00\x00\x08" or len(head) < 4:
        raise DataError(f"{path}: not an IDX file of unsigned bytes")
    if head[3] != len(axes):
        raise DataError(f"{path}: an array of {len(axes)} axes ({', '.join(axes)}) is needed, not of {head[3]}")
    sizes = file.read(4 * len(axes))
    if len(sizes) < 4 * len(axes):
        raise DataError(f"{path}: not an IDX file of unsigned bytes")
    shape = struct.unpack(f">{len(axes)}I", sizes)
    size = math.prod(shape)
    if size == 0:
        raise DataError(f"{path}: it is empty, its shape is {shape}")
    data = file.read(size + 1) if size <= most else b""
    if len(data) != size:
        has = "more" if len(data) > size else "fewer"
        raise DataError(f"{path}: {size} bytes are needed for shape {shape}, it has {has}")
    return np.frombuffer(data, np.uint8).reshape(shape)

"""Models written for other programs: as an ONNX graph, as C99, and as a Python module that needs NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path

from fallline.errors import ParameterError, did_you_mean
from fallline.files.export.description import describe
from fallline.network import Network
from fallline.table import Encoder

FORMATS = {"onnx": (".onnx", "onnx"), "c": (".c", "c99"), "numpy": (".py", "numpy_module")}


def export(
    path: str | PathLike[str],
    encoder: Encoder,
    networks: Sequence[Network],
    shares: Sequence[float],
    sharpness: float,
    format: str | None = None,
) -> None:
    """Write a model for other programs, what becomes of its columns included.

    Parameters
    ----------
    path : str or path
    encoder : Encoder
    networks : sequence of Network
    shares : sequence of float
        What each has in the answer.
    sharpness : float
    format : {"onnx", "c", "numpy"} or None
        None goes by the ending of the path: .onnx, .c, .py.

    Raises
    ------
    ParameterError
        The format is unknown, or cannot have this model.
    DataError
        A name or a label cannot be written in the format.
    OSError
        The file cannot be written.
    """
    write = import_module(f"fallline.files.export.{FORMATS[format_of(path, format)][1]}").write
    write(path, describe(encoder, networks, shares, sharpness), encoder.target)


def format_of(path: str | PathLike[str], format: str | None = None) -> str:
    """Which format is asked for; ParameterError where that is none of them.

    Examples
    --------
    >>> format_of("model.c"), format_of("model.bin", "onnx")
    ('c', 'onnx')
    """
    if format is None:
        by_ending = {ending: name for name, (ending, _) in FORMATS.items()}
        if Path(path).suffix not in by_ending:
            raise ParameterError(f"{fspath(path)}: the name must end in .onnx, .c or .py, or the format be said")
        return by_ending[Path(path).suffix]
    if format not in FORMATS:
        raise ParameterError(f"format {format!r} is unknown{did_you_mean(format, FORMATS)}")
    return format

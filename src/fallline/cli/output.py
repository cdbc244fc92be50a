"""How the commands speak: results to standard output, one line to standard error for what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from fallline.errors import ParameterError


def complain(message: str, status: int = 2) -> int:
    """Write one line to standard error, whatever the message holds.

    Parameters
    ----------
    message : str
    status : int

    Returns
    -------
    int
        The status.
    """
    print("fallline:", " ".join(message.split()), file=sys.stderr)
    return status


def tell_what_is_logged() -> None:
    """Write what the library takes note of to standard error, a line each, from now on."""
    import logging

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            complain(record.getMessage())

    logger = logging.getLogger("fallline")
    logger.setLevel(logging.INFO)
    logger.handlers = [Lines()]


def check_writable(option: str, path: Path, endings: tuple[str, ...] = ()) -> None:
    """Make sure, before the work begins, that a file can be written when it is over.

    Parameters
    ----------
    option : str
        The option that named the file.
    path : Path
    endings : tuple of str
        The endings it may have; any if there are none.

    Raises
    ------
    ParameterError
        It is a directory, its directory is not there or cannot be written to, or it ends otherwise.
    """
    import tempfile

    if endings and path.suffix not in endings:
        raise ParameterError(f"{option} {path}: the name must end in {' or '.join(endings)}")
    try:
        if path.is_dir():
            raise ParameterError(f"{option} {path}: a directory; name a file")
        if path.exists() and not path.is_file():
            raise ParameterError(f"{option} {path}: a device or a pipe; name a file")
        if not path.parent.is_dir():
            raise ParameterError(f"{option} {path}: there is no folder {str(path.parent)!r}")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            with path.open("ab"):
                pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = getattr(error, "strerror", None) or error
        raise ParameterError(f"{option} {path}: cannot be written ({why})") from None


def check_different(paths: Mapping[str, str | Path | None]) -> None:
    """Refuse to write a file over one that is read, or over another.

    Parameters
    ----------
    paths : mapping from what the user calls it to a path
        None where it is not given.

    Raises
    ------
    ParameterError
        Two of them are the same file.
    """
    seen: dict[Path, str] = {}
    for name, path in paths.items():
        if path is not None and (other := seen.setdefault(Path(path).resolve(), name)) != name:
            raise ParameterError(f"{other} and {name} are the same file {str(path)!r}")


def aligned(rows: list[list[str]]) -> str:
    """Set lines of left-aligned columns, two spaces apart.

    Examples
    --------
    >>> print(aligned([["rows", "150"], ["accuracy", "0.97"]]))
    rows      150
    accuracy  0.97
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

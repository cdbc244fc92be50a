"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any


@contextmanager
def whole_file(path: str | PathLike[str], binary: bool = False) -> Iterator[IO[Any]]:
    """Open a file to write that takes its name only when the block is over: until then an older one stays as it is.

    Parameters
    ----------
    path : str or path
        A link is followed.
    binary : bool, default False
        Otherwise text, in UTF-8, lines ending as they are written.

    Raises
    ------
    OSError
        The file cannot be written; the error names it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "a.txt")) as file:
    ...         _ = file.write("whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    final = Path(os.path.realpath(path))
    # beside it, for only within a file system is a rename atomic; a short name, for a long one may be too long
    part = final.with_name(f".fallline-{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") if binary else part.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(final)
        _keep_name(final.parent)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def _keep_name(folder: Path) -> None:
    """Have a folder's new names survive a power cut, where the system knows how."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some file systems have nothing to do for a folder, and say so
        pass
    finally:
        os.close(handle)

"""How much memory a training may take: what `--memory` says, and when to advise it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fallline.cli.output import complain
from fallline.errors import ParameterError

if TYPE_CHECKING:
    from fallline.table import Kind, Source

UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
LEAST = 100 * 10**6
SMALL = 50 * 10**6  # bytes of files that nobody need look into
BYTES_PER_CELL, BYTES_PER_BYTE = 40, 6  # that reading and encoding take, of typed cells and of text


def as_bytes(text: str) -> int:
    """Read a size.

    Parameters
    ----------
    text : str
        Such as ``"500MB"`` or ``"1.5 GB"``.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        It is none, or too small.

    Examples
    --------
    >>> as_bytes("1.5GB")
    1500000000
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]+)", text.strip())
    unit = UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None:
        raise ParameterError(f"--memory is {text!r}; it must be a number with MB or GB, such as 2GB")
    n = float(found[1]) * unit
    if n < LEAST:
        raise ParameterError(f"--memory is {text}; it must be {LEAST // 10**6}MB or more")
    return int(min(n, sys.maxsize))


def source_of(data: str, *, target: str | None, drop: list[str], kinds: dict[str, Kind], **refused: bool) -> Source:
    """The table that is to be streamed; ParameterError for options that need it at hand, by their names."""
    from fallline.table import Source

    for option in (name for name, given in refused.items() if given):
        raise ParameterError(f"--{option} needs the table in memory; leave it out, or --memory")
    return Source.of(data, target, drop, kinds)


def advise(data: str) -> None:
    """Say in a line that `--memory` would help, where the table will likely take more than there is."""
    needed, there = _needed(data), available()
    if there is not None and needed > there:
        complain(
            f"{data} may take about {needed / 1e9:.0f} GB in memory, and {there / 1e9:.0f} GB are free; --memory 2GB "
            "streams Parquet and Arrow files through so much"
        )


def _needed(data: str) -> float:
    """About how many bytes a table takes in memory; 0 where it is small, or nobody knows."""
    from fallline.errors import DataError
    from fallline.table.bundled import BUNDLED
    from fallline.table.files import Files, columnar_files

    if data in BUNDLED or data == "-":
        return 0.0
    try:
        paths = columnar_files(data)
        n_bytes = sum(path.stat().st_size for path in (paths or [Path(data)]))
        if n_bytes < SMALL:
            return 0.0
        if paths is None:
            return float(n_bytes * BYTES_PER_BYTE) if Path(data).suffix.lower() in (".csv", ".tsv", ".txt") else 0.0
        files = Files.of(paths, data)
    except (OSError, DataError):
        return 0.0  # whoever reads it says what is wrong
    return float(files.n_rows * len(files.schema) * BYTES_PER_CELL)


def available() -> int | None:
    """Bytes of memory that a program may still take; None where nobody says."""
    free = None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8"))
        return limit if free is None else min(free, limit)
    except (OSError, ValueError):
        return free

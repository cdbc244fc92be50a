"""How much memory a training may take: what `--memory` says, and when to advise it."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fallline.cli.output import complain
from fallline.control_groups import folders, words
from fallline.errors import ParameterError
from fallline.wording import in_mb

if TYPE_CHECKING:
    from fallline.table import Kind, Source

UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
LEAST = 100 * 10**6
SMALL = 50 * 10**6  # bytes of files that nobody need look into
MEMINFO = Path("/proc/meminfo")  # what the system has, on Linux
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
    needed, there = _needed(data, SMALL), available()
    if there is not None and needed > there:
        complain(
            f"{data} may take about {needed / 1e9:.0f} GB in memory, and {there / 1e9:.0f} GB are free; --memory 2GB "
            "streams Parquet and Arrow files through so much"
        )


def check_validation(data: str, memory: int) -> None:
    """ParameterError where rows to measure on, which are held at once, would likely take more than half of it."""
    needed = _needed(data, small=0)
    if needed > memory / 2:
        raise ParameterError(
            f"--validation: {data} may take about {in_mb(needed)} in memory, and --memory has {in_mb(memory / 2)} "
            f"for it; give fewer rows, or --memory {in_mb(2 * needed)}"
        )


def _needed(data: str, small: int) -> float:
    """About how many bytes a table takes in memory; 0 where its files are smaller than `small`, or nobody knows."""
    from fallline.errors import DataError
    from fallline.table.bundled import BUNDLED
    from fallline.table.files import Files, columnar_files

    if data in BUNDLED or data == "-":
        return 0.0
    try:
        paths = columnar_files(data)
        n_bytes = sum(path.stat().st_size for path in (paths or [Path(data)]))
        if n_bytes < small:
            return 0.0
        if paths is None:
            return float(n_bytes * BYTES_PER_BYTE) if Path(data).suffix.lower() in (".csv", ".tsv", ".txt") else 0.0
        files = Files.of(paths, data)
    except (OSError, DataError):
        return 0.0  # whoever reads it says what is wrong
    return float(files.n_rows * len(files.schema) * BYTES_PER_CELL)


def available() -> int | None:
    """Bytes of memory that a program may still take; None where nobody says.

    The least of what the system has and of what each control group has left that the process is in: its limit less what
    it uses, but for files that are kept in memory only until it is needed.
    """
    return min([left for left in (_left(), *map(_left_in, folders("memory"))) if left is not None], default=None)


def _left() -> int | None:
    """Bytes that the system has left."""
    try:
        lines = MEMINFO.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _left_in(group: Path) -> int | None:
    """Bytes that a control group has left; None where it has no limit, or is not seen from within a container."""
    for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        try:
            left = int(words(group / limit)[0]) - int(words(group / used)[0])
        except (IndexError, ValueError):
            continue
        told = words(group / "memory.stat")
        stat = dict(zip(told[::2], told[1::2], strict=True))
        whole = "total_" if "total_inactive_file" in stat else ""  # version 1: with the groups within
        return max(0, left + sum(int(stat.get(f"{whole}{kind}_file", 0)) for kind in ("inactive", "active")))
    return None

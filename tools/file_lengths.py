"""Fail where a source file is longer than a reader can hold: 500 lines of Python, 700 of C++, JavaScript or CSS."""

from __future__ import annotations

import sys
from pathlib import Path

LIMITS = {".py": 500, ".cpp": 700, ".hpp": 700, ".js": 700, ".css": 700}
FOLDERS = ("src", "native", "tests", "benchmarks", "examples", "tools")

# Path from the root of the repository: why this file may be longer.
EXCEPTIONS: dict[str, str] = {}

ROOT = Path(__file__).resolve().parent.parent


def complaints(root: Path) -> list[str]:
    """Return one line for each file below ``root`` that is too long, and for each exception without a need."""
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.suffix in LIMITS]
    lengths = {path.relative_to(root).as_posix(): len(path.read_bytes().splitlines()) for path in files}
    limits = {name: LIMITS[Path(name).suffix] for name in lengths}
    long = {name for name in lengths if lengths[name] > limits[name]}
    return [
        *(
            f"{name}: {lengths[name]} lines, over the {limits[name]} allowed"
            for name in sorted(long - EXCEPTIONS.keys())
        ),
        *(f"{name}: needs no exception in tools/file_lengths.py" for name in sorted(EXCEPTIONS.keys() - long)),
    ]


if __name__ == "__main__":
    found = complaints(ROOT)
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    sys.exit(bool(found))

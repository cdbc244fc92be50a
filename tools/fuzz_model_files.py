"""Open model files whose bytes were changed at random: each must be refused as a model file, or be one.

``python tools/fuzz_model_files.py 100000`` prints how each ended and the most memory that opening one took. Of half of
the files the checksum is put right afterwards, so that what stands behind it is reached. The same seed makes the same
files; where one ends otherwise, it is kept and its name printed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fallline.errors import FalllineError, ModelFileError
from fallline.files.model_file import KEY, NO_SUM, SUM_FOLLOWS
from fallline.fit import fit
from fallline.model import load
from fallline.table import Table

MOST_TIMES = 10  # the file's size in memory
NOISE = 1 << 20  # bytes by which a process grows now and then, whatever it does
# What a value of a header becomes.
ODD: list[Any] = [None, True, 0, -1, 1, 2**31, 2**63, 10**30, 1e308, 0.5, float("nan"), "", "x", "\0", "\ud83d\ude00"]
ODD += [
    "x" * 5000,
    [],
    {},
    [[]],
    [0] * 3000,
    [[[[[[]]]]]],
    {"x": {"x": []}},
    [2**40, 2**40],
    "F64",
    "float64",
    "category",
]


def models() -> Iterator[bytes]:
    """Small models with columns of every kind."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3)).astype(np.float32)
    X[:, 1], X[:, 2] = np.arange(80) % 3, np.arange(80)
    X[::7, 0] = np.nan
    labels, targets = {"town": ("Bonn", "Oslo", "Rome")}, [rng.normal(size=80), np.where(X[:, 1] > 0, "yes", "no")]
    with tempfile.TemporaryDirectory() as folder:
        for y in targets:
            table = Table("rows", X, y, ("area", "town", "sold"), "y", labels=labels, dates=frozenset({"sold"}))
            path = Path(folder, "m.fallline")
            fit(table, {"epochs": 1, "starts": 2, "hidden": (4,), "engine": "reference"}).model.save(path)
            yield path.read_bytes()


def changed(raw: bytes, rng: random.Random) -> bytes:
    """A file like this one, with one to three things changed."""
    for _ in range(rng.randint(1, 3)):
        raw = rng.choice((_bytes_changed, _bytes_changed, _header_changed, _header_changed, _tensors_changed))(raw, rng)
    return _sum_put_right(raw) if rng.random() < 0.5 else raw


def _bytes_changed(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw) + 1) if rng.random() < 0.7 else rng.randrange(min(len(raw), 100) + 1)
    n = rng.choice((1, 1, 2, 8, 64, 1000))
    kind = rng.randrange(6)
    if kind == 0:
        return raw[:at]
    if kind == 1:
        return raw[:at] + raw[at + n :]
    if kind == 2:
        return raw[:at] + rng.randbytes(n) + raw[at:]
    if kind == 3:
        return raw[:at] + rng.randbytes(n) + raw[at + n :]
    if kind == 4:
        return raw[:at] + bytes(n) + raw[at + n :]
    return rng.choice((0, 1, 2**24, 2**31, 2**63, len(raw), rng.randrange(2**64))).to_bytes(8, "little") + raw[8:]


def _header_changed(raw: bytes, rng: random.Random) -> bytes:
    """A value of fallline's own header."""

    def change(outer: Any) -> None:
        inner = json.loads(outer["__metadata__"][KEY])
        _value_changed(inner, rng)
        outer["__metadata__"][KEY] = json.dumps(inner)

    return _with_outer(raw, change)


def _tensors_changed(raw: bytes, rng: random.Random) -> bytes:
    """A value of safetensors' header: dtype, shape, place in the file."""
    return _with_outer(raw, lambda outer: _value_changed(outer, rng))


def _with_outer(raw: bytes, change: Any) -> bytes:
    n = int.from_bytes(raw[:8], "little")
    try:
        outer = json.loads(raw[8 : 8 + n])
        change(outer)
        header = json.dumps(outer).encode("utf-8", "surrogatepass")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return raw  # it was changed before, so that there is no header to find
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + raw[8 + n :]


def _value_changed(tree: Any, rng: random.Random) -> None:
    """Somewhere in a tree of lists and objects: another value, none, or the same twice."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(tree[key], (dict, list)) and tree[key] and rng.random() < 0.85:
            tree = tree[key]
            continue
        kind = rng.randrange(4)
        if kind == 0:
            del tree[key]
        elif kind == 1 and isinstance(tree, list):
            tree.insert(key, tree[key])
        elif kind == 2 and type(tree[key]) in (int, float):
            tree[key] = rng.choice((tree[key] + 1, -tree[key], tree[key] * 2, str(tree[key])))
        else:
            tree[key] = rng.choice(ODD)
        return


def _sum_put_right(raw: bytes) -> bytes:
    at = raw.find(SUM_FOLLOWS)
    if at < 0:
        return raw
    at += len(SUM_FOLLOWS)
    sum_of = hashlib.sha256(raw[:at] + NO_SUM.encode() + raw[at + len(NO_SUM) :]).hexdigest()
    return raw[:at] + sum_of.encode() + raw[at + len(NO_SUM) :]


def end_of(path: Path) -> str:
    """How opening a file ends: read, refused, or what must not be."""
    try:
        model = load(path, engine="reference")
        if model.network.layer_sizes[0] != model.encoder.n_in:
            return "a model that does not fit its columns"
    except ModelFileError as error:
        return "refused" if "\n" not in str(error) and len(str(error)) < 1000 else "a complaint of several lines"
    except FalllineError as error:
        return f"another error of ours: {error!r}"
    except BaseException as error:  # a panic of Rust's is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}"
    return "read"


def _peak(begin: bool) -> int:
    """Bytes of memory: those now, from where the most is counted anew, or the most since then. Linux alone knows."""
    if begin:
        Path("/proc/self/clear_refs").write_text("5")
    word = "VmRSS:" if begin else "VmHWM:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(word))


def main() -> int:
    """Change, open, count."""
    parser = argparse.ArgumentParser("python tools/fuzz_model_files.py", description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("files", type=int, nargs="?", default=2000, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default %(default)s")
    asked = parser.parse_args()
    originals, ends, rng = list(models()), Counter[str](), random.Random(asked.seed)
    measured, most, times = Path("/proc/self/clear_refs").exists(), 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "changed.fallline")
        for n in range(asked.files):
            raw = changed(rng.choice(originals), rng)
            path.write_bytes(raw)
            before = _peak(begin=True) if measured else 0
            end = end_of(path)
            grown = _peak(begin=False) - before if measured else 0
            if n >= 100:  # the first ones load modules
                most, times = max(most, grown), max(times, (grown - NOISE) / max(1, len(raw)))
            if n >= 100 and grown > MOST_TIMES * len(raw) + NOISE:
                end = f"took {grown:,} bytes of memory for a file of {len(raw):,}"
            ends[end] += 1
            if end not in ("read", "refused"):
                kept = Path(tempfile.gettempdir(), f"fuzz-{asked.seed}-{n}.fallline")
                kept.write_bytes(raw)
                print(f"{kept}: {end}")
    sizes = ", ".join(f"{len(raw):,}" for raw in originals)
    print(f"{asked.files:,} files changed from ones of {sizes} bytes: {dict(ends.most_common())}")
    if measured:
        print(f"the most that opening one added to the process: {most:,} bytes")
    return int(bool(set(ends) - {"read", "refused"}))


if __name__ == "__main__":
    sys.exit(main())

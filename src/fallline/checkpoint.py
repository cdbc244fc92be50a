"""Checkpoints: files in a folder, each of which holds all that a descent knows. docs/design/checkpoints.md says what.

A checkpoint is a safetensors file with two metadata entries: `fallline_checkpoint`, a JSON header whose `format` is 1,
and `checksum`, of the header and the tensors. It is written whole or not at all, and the one before it stays until the
next: so whenever a process is killed, there is a good one.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline.atomic import whole_file
from fallline.errors import CheckpointError, CheckpointWarning, ParameterError

Array = npt.NDArray[Any]

FORMAT = 1
KEY, CHECKSUM = "fallline_checkpoint", "checksum"
KEPT = 2  # the last ones


@final
@dataclass(frozen=True)
class Checkpoint:
    """Where a descent is kept, and how often.

    Parameters
    ----------
    folder : str or path
        For this descent alone; it is made if it is not there. What an earlier one left there goes as this one's come.
    seconds : float, default 30
        A checkpoint is written after every so many, and at the end; less often where writing takes longer than a
        twentieth of that.
    resume : bool, default False
        Go on from the last good checkpoint in the folder, if there is one: the descent must be the same, on the same
        rows, and ends at the same bits as one that was left alone.
    name : str, default "descent"
        What the files' names begin with; several descents may share a folder.
    after : float, default 0
        Seconds before the first checkpoint. With 0 there is one before the first step.
    about : dict
        What else the header is to hold, as JSON can.

    Raises
    ------
    ParameterError
        A number of seconds is out of range.

    Examples
    --------
    >>> Checkpoint("run1", seconds=60)
    Checkpoint(folder='run1', seconds=60, resume=False)
    """

    folder: str | PathLike[str]
    seconds: float = 30.0
    resume: bool = False
    name: str = field(default="descent", repr=False)
    after: float = field(default=0.0, repr=False)
    about: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in ("seconds", "after"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise ParameterError(f"checkpoint: {name} is {value!r}; it must be a number of seconds, 0 or more")

    def named(self, name: str) -> Checkpoint:
        """The same folder for another descent."""
        return replace(self, name=name)

    @property
    def files(self) -> list[Path]:
        """Those of this descent that are there, the latest first."""
        return sorted(Path(self.folder).glob(f"{self.name}-*.checkpoint"), reverse=True)

    def last(self) -> Contents | None:
        """What the last good checkpoint holds; None where there is none.

        Raises
        ------
        CheckpointError
            There are some, but none is good.

        Warns
        -----
        CheckpointWarning
            The last one is not good, and an older one is used.
        """
        wrong: list[str] = []
        for path in self.files:
            try:
                found = read(path)
            except CheckpointError as error:
                wrong.append(str(error))
                continue
            for message in wrong:
                warnings.warn(f"{message}; going on from {path.name}, the one before", CheckpointWarning, stacklevel=2)
            return found
        if wrong:
            raise CheckpointError(f"{wrong[0]}; there is no other, so begin anew without resuming")
        return None

    def write(self, header: Mapping[str, Any], tensors: Mapping[str, Array]) -> Path:
        """Add a checkpoint, and remove those before the last two; gives its file.

        Raises
        ------
        OSError
            It cannot be written; the older ones are as they were.
        """
        folder, older = Path(self.folder), self.files
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + (int(older[0].stem.rpartition("-")[2]) if older else 0)
        self._sweep()
        data = _packed({**header, "about": self.about}, tensors)
        path = folder / f"{self.name}-{number:08d}.checkpoint"
        with whole_file(path, binary=True) as file:
            file.write(data)
        for old in older[KEPT - 1 :]:
            old.unlink(missing_ok=True)
        return path

    def remove(self) -> None:
        """Remove the checkpoints of this name, and the folder if nothing else is in it."""
        folder = Path(self.folder)
        self._sweep()
        for path in self.files:
            path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def _sweep(self) -> None:
        """Remove what a process that was killed had begun to write."""
        for path in Path(self.folder).glob(".fallline-*.part"):
            path.unlink(missing_ok=True)


@final
@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds.

    Attributes
    ----------
    path : Path
    header : dict
    tensors : dict of str to array
        In the order in which they were given.
    """

    path: Path
    header: dict[str, Any]
    tensors: dict[str, Array]

    def under(self, prefix: str) -> dict[str, Array]:
        """The tensors whose names begin so, by the rest of their names."""
        return {name.removeprefix(prefix): array for name, array in self.tensors.items() if name.startswith(prefix)}


def as_checkpoint(checkpoint: Checkpoint | str | PathLike[str] | None) -> Checkpoint | None:
    """A folder as a `Checkpoint`; anything else as it is."""
    return Checkpoint(checkpoint) if isinstance(checkpoint, (str, PathLike)) else checkpoint


def read(path: Path) -> Contents:
    """Read one checkpoint, and check it; CheckpointError where it is cut short, damaged, foreign or newer."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a fallline checkpoint, or cut short ({error})") from None
    text = metadata.get(KEY)
    if text is None:
        raise CheckpointError(f"{path}: a safetensors file, but not a fallline checkpoint")
    try:
        header = json.loads(text)
        number = header["format"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise CheckpointError(f"{path}: damaged (its header is not ours)") from None
    if number != FORMAT:
        raise CheckpointError(f"{path}: of format {number}, but this fallline reads format {FORMAT}; update fallline")
    if metadata.get(CHECKSUM) != _checksum(text, {name: fingerprint(array) for name, array in tensors.items()}):
        raise CheckpointError(f"{path}: damaged (its checksum is another)")
    tensors |= {name: tensors[other].copy() for name, other in header["same"].items()}
    return Contents(path, header, {name: tensors[name] for name in header["names"]})


def contents(data: bytes, folder: Path) -> Contents:
    """What the bytes of a checkpoint hold that is in some process's folder; `CheckpointError` as from `read`."""
    with TemporaryDirectory() as own:
        path = Path(own) / "copy.checkpoint"
        path.write_bytes(data)
        return replace(read(path), path=folder / path.name)


def fingerprint(*arrays: Array) -> str:
    """A text that is the same for the same numbers in arrays of the same shapes and types, and for no others.

    Examples
    --------
    >>> fingerprint(np.zeros(3)) == fingerprint(np.zeros(3)), fingerprint(np.zeros(3)) == fingerprint(np.ones(3))
    (True, False)
    """
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        if array.size:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _packed(header: dict[str, Any], tensors: Mapping[str, Array]) -> bytes:
    """The file's bytes; tensors that are the same are written once."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in tensors.items()}
    prints = {name: fingerprint(array) for name, array in arrays.items()}
    first = {one: name for name, one in reversed(prints.items())}
    same = {name: first[one] for name, one in prints.items() if first[one] != name}
    text = json.dumps({"format": FORMAT, **header, "names": list(arrays), "same": same}, allow_nan=False)
    written = {name: array for name, array in arrays.items() if name not in same}
    return save(written, {KEY: text, CHECKSUM: _checksum(text, {name: prints[name] for name in written})})


def _checksum(text: str, prints: Mapping[str, str]) -> str:
    each = [f"{name} {prints[name]}" for name in sorted(prints)]
    return hashlib.blake2b("\n".join([text, *each]).encode(), digest_size=16).hexdigest()

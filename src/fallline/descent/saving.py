"""When a descent is kept, and what must be the same where it goes on."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline import losses, optimizers, schedules
from fallline.checkpoint import Checkpoint, Contents, contents, fingerprint
from fallline.descent.measurement import Measurement
from fallline.engines import Data, Engine, Plan, Stream
from fallline.errors import CheckpointWarning, ParameterError
from fallline.listeners import Listener
from fallline.network import Network
from fallline.schedules import Schedule

Array = npt.NDArray[Any]

MOST_OF_THE_TIME = 1 / 20  # that writing may take

# What is called by a fingerprint, in words.
_ROWS = {
    "rows": "the rows to train on are others, or in another order,",
    "validation_rows": "the validation rows are others",
    "begun_at": "the networks begin at other parameters",
}


@final
class Saver:
    """Writes checkpoints when it is time; in a group of processes the first one does.

    Parameters
    ----------
    checkpoint : Checkpoint
    identity : callable
        Gives what must be the same, as from `identity`; asked once, as rows may be many.
    engine : Engine
    """

    def __init__(self, checkpoint: Checkpoint, identity: Callable[[], dict[str, Any]], engine: Engine) -> None:
        self.checkpoint, self._identity, self._engine = checkpoint, identity, engine
        self._known: dict[str, Any] | None = None
        self._next = time.perf_counter() + checkpoint.after
        self._is_begun = False

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next."""
        return self._engine.group[0] == 0 and time.perf_counter() >= self._next

    @property
    def is_begun(self) -> bool:
        """Whether there is a checkpoint of this descent, or should be."""
        return self._is_begun or self.is_due

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same where the descent goes on."""
        if self._known is None:
            self._known = json.loads(json.dumps(self._identity()))
        return self._known

    def write(self, numbers: Mapping[str, Any], tensors: Mapping[str, Array]) -> Path | None:
        """Keep the descent as it stands, and give the file; where that cannot be done warn, and give None."""
        began, path = time.perf_counter(), None
        try:
            path = self.checkpoint.write({"descent": self.identity, **numbers}, tensors)
        except OSError as error:
            warnings.warn(
                f"no checkpoint was written in {self.checkpoint.folder} ({error.strerror or error}); the training goes "
                "on, and the checkpoint before stays",
                CheckpointWarning,
                stacklevel=2,
            )
        self._is_begun = True
        now = time.perf_counter()
        self._next = now + max(self.checkpoint.seconds, (now - began) / MOST_OF_THE_TIME)
        return path

    def last(self) -> Contents | None:
        """What there is to go on from, if that was asked for; ParameterError where it is of another descent."""
        found = last(self.checkpoint, self._engine)
        if found is None:
            return None
        was = found.header["descent"]
        for name, now in self.identity.items():
            if was.get(name) != now:
                what = _ROWS.get(name, f"{name} is {_brief(now)}, was {_brief(was.get(name))},")
                raise ParameterError(
                    f"{what} so the checkpoint in {self.checkpoint.folder} is of another descent; give the same again, "
                    "or another folder"
                )
        self._is_begun = self._engine.group[0] == 0
        self._next = time.perf_counter() + self.checkpoint.seconds
        return found


def last(checkpoint: Checkpoint, engine: Engine) -> Contents | None:
    """What there is to go on from, if that was asked for; in a group of processes what the first one has."""
    if not checkpoint.resume:
        return None
    process, n_processes = engine.group
    found = checkpoint.last() if process == 0 else None
    if n_processes == 1:
        return found
    data = engine.exchange(b"" if found is None else found.path.read_bytes())[0]
    return contents(data, Path(checkpoint.folder)) if data else None


def remember(listeners: Sequence[Listener]) -> tuple[list[str], dict[str, Array]]:
    """Those that have something to remember, by the names of their classes, and what."""
    having = _having(listeners)
    states = {f"listener.{i}.{name}": each for i, one in enumerate(having) for name, each in one.state().items()}
    return [type(one).__name__ for one in having], {name: np.asarray(each) for name, each in states.items()}


def remind(listeners: Sequence[Listener], kept: Contents) -> None:
    """Hand them what they remembered; ParameterError where they are others."""
    having, known = _having(listeners), kept.header["listeners"]
    names = [type(one).__name__ for one in having]
    if names != known:
        raise ParameterError(
            f"the callbacks that remember something are {', '.join(names) or 'none'}, but those of the checkpoint in "
            f"{kept.path.parent} were {', '.join(known) or 'none'}; give the same again"
        )
    for i, one in enumerate(having):
        one.resume(kept.under(f"listener.{i}."))


def _having(listeners: Sequence[Listener]) -> list[Listener]:
    return [one for one in listeners if type(one).state is not Listener.state]


def identity(
    plan: Plan,
    networks: list[Network],
    data: Data | Stream,
    schedule: Schedule,
    epochs: int,
    measurement: Measurement,
    engine: Engine,
    **others: Any,
) -> dict[str, Any]:
    """Everything that the bits of a descent follow from, as JSON can hold it."""
    return {
        "network": networks[0].settings(),
        "loss": losses.settings(plan.loss),
        "optimizer": optimizers.settings(plan.optimizer),
        "schedule": schedules.settings(schedule),
        "batch_size": plan.batch_size,
        "epochs": epochs,
        "metrics": list(measurement.metrics),
        "starts": len(networks),
        "seed": plan.seed,
        "l1": [start.l1 for start in plan.starts],
        "l2": [start.l2 for start in plan.starts],
        "dropout": plan.dropout,
        "clip_norm": plan.clip_norm or None,
        "shuffle": plan.shuffle,
        "monitor": measurement.monitor,
        "engine": engine.name,
        "precision": "bf16" if plan.bf16 else None,
        "rates": asdict(plan.rates),
        **others,
        "rows": data.fingerprint,
        "validation_rows": fingerprint(*_arrays(measurement.rows)),
        "begun_at": fingerprint(*(network.parameters for network in networks)),
    }


def _arrays(rows: list[Data] | None) -> list[Array]:
    """Those of all the starts' rows, which may be the same ones for all."""
    different = {id(some): some for some in rows or ()}
    return [array for some in different.values() for array in (some.X, some.Y, some.weight)]


def _brief(value: Any) -> str:
    """A setting in a message."""
    return ", ".join(f"{name} {each}" for name, each in value.items()) if isinstance(value, dict) else repr(value)

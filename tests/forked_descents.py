"""A process that forks descents, so that a test may kill many of them without waiting for Python each time.

Each line on standard input is a JSON object of what `descend_here` takes; a child is forked that does it, its number is
printed when it is about to take its first step, and how it ended when it has.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import fallline as fl
from fallline import atomic, checkpoint
from fallline.descent import saving

RULES = {"sgd": fl.SGD(0.05, momentum=0.9), "adam": fl.Adam(3e-3)}


def settings(rule: str, epochs: int) -> dict[str, Any]:
    """A small descent with much to remember."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    y = np.sin(X[:, 0]) + 0.3 * rng.normal(size=80)
    return {
        "net": fl.Network([3, 8, 1], "tanh", seed=2), "X": X[:50], "y": y[:50], "validation": (X[50:], y[50:]),
        "optimizer": RULES[rule], "epochs": epochs, "batch_size": 16, "starts": 3, "dropout": 0.1,
        "schedule": "one_cycle", "callbacks": [fl.EarlyStopping(epochs // 2), fl.Recorder()],
    }  # fmt: skip


class Say(fl.Listener):
    """That it is about to begin."""

    def on_begin(self, progress: Any) -> None:
        print(os.getpid(), flush=True)


def descend_here(folder: str, rule: str = "adam", epochs: int = 12, dies: list[Any] | None = None) -> fl.Run:
    """Go on from what is in the folder, with a checkpoint after every step; `dies` says where, and when it is there."""
    saving.MOST_OF_THE_TIME = float("inf")  # type: ignore[assignment]
    if dies is not None:
        die_in_a_write(*dies)
    told = settings(rule, epochs)
    told["callbacks"] += [Say()]
    return fl.descend(**told, checkpoint=fl.Checkpoint(folder, seconds=0, resume=True))


def die_in_a_write(place: str, times: int) -> None:
    """Let this process be killed in a certain place of a checkpoint's writing, when it comes there so many times."""
    left, unlink = [times], Path.unlink

    def die() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(function: Any) -> Any:
        def called(path: Path, *arguments: Any, **options: Any) -> Any:
            if path.suffix != ".part" or function is not unlink:
                die()
            return function(path, *arguments, **options)

        return called

    if place == "half":
        whole_file = checkpoint.whole_file

        @contextmanager
        def half_file(path: Path, binary: bool = False) -> Iterator[Any]:
            with whole_file(path, binary) as file:
                write = file.write

                class Half:
                    def write(self, data: bytes) -> None:
                        write(data[: len(data) // 2])
                        file.flush()
                        die()
                        write(data[len(data) // 2 :])

                yield Half()

        checkpoint.whole_file = half_file
    elif place == "unnamed":  # all is written
        Path.replace = before(Path.replace)  # type: ignore[method-assign]
    elif place == "named":
        atomic._keep_name = before(atomic._keep_name)
    elif place == "too many":  # those before the last two are still there
        Path.unlink = before(Path.unlink)  # type: ignore[method-assign]
    else:
        raise ValueError(place)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            descend_here(**json.loads(line))
            os._exit(0)
        print("ended", os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()

"""A group of processes, on one machine or many, that train together: it begins, it is watched over, and it ends."""

from __future__ import annotations

import atexit
import inspect
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from fallline import _core
from fallline.engines.xla import mesh
from fallline.engines.xla.watch import FAREWELL, meet
from fallline.errors import FalllineError, ParameterError

WAIT = 300.0  # seconds that the processes have to come together
EXIT_STATUS = 1  # of a process that lost another
# Later than the watch notices anything: JAX aborts the process.
HEARTBEAT, SHUTDOWN = 100, 30
_LEFT = "fallline: this process left its group by an error, and ends with it\n"


@contextmanager
def joined(
    coordinator: str,
    n_processes: int | None = None,
    process: int | None = None,
    settings: Mapping[str, Any] | None = None,
    leads_on: Callable[[], str] = str,
    seconds: float = WAIT,
) -> Iterator[tuple[int, int]]:
    """Within it this process is one of a group, and `engine="xla"` trains on the devices of all of them.

    Begin it before JAX computes anything. All processes must do the same within it. Where one is lost the others end:
    each says which in a line on standard error, and exits with status 1. So do they where one leaves by an error; it
    raises that, and has the status 1 too in the end.

    Parameters
    ----------
    coordinator : str
        HOST:PORT, the machine of process 0 and a free port there; or "auto": Slurm, Open MPI, Kubernetes or a TPU pod
        say it, and the two numbers.
    n_processes, process : int, optional
        How many there are, and which this is, from 0.
    settings : mapping, optional
        What must be the same for all, by name.
    leads_on : callable, optional
        Gives what else to say where a process was lost.
    seconds : float, default 300
        That the processes have to come together.

    Yields
    ------
    (int, int)
        Which process this is, and of how many.

    Raises
    ------
    ParameterError
        The processes did not come together, or have other settings; JAX does not begin in one.

    Examples
    --------
    Of two machines the other one says `process=1`. A group of one is as good as none:

    >>> from fallline import Network, descend
    >>> with joined("10.0.0.1:29400", n_processes=1, process=0):
    ...     run = descend(Network([1, 1], seed=0), [[0.0], [1.0]], [0.0, 1.0], epochs=3, engine="xla")
    >>> len(run.history)
    3
    """
    devices = None
    if not 0 <= seconds < math.inf:
        raise ParameterError(f"the time to wait is {seconds} seconds; it must be a number, 0 or more")
    if coordinator == "auto":
        coordinator, n_processes, process, devices = _detected(seconds)
    if n_processes is None or process is None:
        raise ParameterError("a coordinator needs the number of processes, and which of them this one is")
    if n_processes < 1 or not 0 <= process < n_processes:
        raise ParameterError(f"process is {process} of {n_processes}; it must be from 0 to {n_processes - 1}")
    if n_processes == 1:
        yield 0, 1
        return
    watch, port = meet(coordinator, n_processes, process, dict(settings or {}), seconds)
    with _apart() as log:

        def lost(what: str) -> None:
            print(f"fallline: {_line(what, leads_on)}", file=sys.stderr, flush=True)
            log.unlink(missing_ok=True)
            os._exit(EXIT_STATUS)

        watch.begin(lost, lambda: _leave_last_words(n_processes, leads_on))
        address = f"{coordinator.rpartition(':')[0]}:{port}"
        is_begun = is_done = False
        try:
            _begin(address, n_processes, process, devices)
            is_begun = True
            yield process, n_processes
            _end()
            is_done = True
        except FalllineError:
            raise
        except Exception as error:
            time.sleep(FAREWELL / 2)  # if it is because another was lost, the watch says so, and this ends here
            if is_begun:
                raise
            why = str(error).partition("\n")[0]
            raise ParameterError(
                f"JAX does not begin in process {process}, with process 0 at {address} ({why}); the machines must let "
                "processes connect to each other on any port"
            ) from None
        finally:
            _core.last_words("" if is_done else _LEFT, sys.stderr.fileno(), EXIT_STATUS)
            if not is_done:
                atexit.register(_exit_at_once)
            watch.end(is_done)


def _detected(seconds: float) -> tuple[str, int, int, list[int] | None]:
    """What the environment says of the group: coordinator, processes, this process, its devices."""
    try:
        from jax._src.clusters import ClusterEnv  # JAX asks these too, but tells nobody what they say

        detect: Any = ClusterEnv.auto_detect_unset_distributed_params
        coordinator, n_processes, process, devices = detect(None, None, None, None, None, int(seconds))
    except Exception as error:  # of whatever asks there
        raise ParameterError(f"coordinator is auto, but the environment does not say who ({error})") from None
    if None in (coordinator, n_processes, process):
        raise ParameterError(
            "coordinator is auto, but neither Slurm, Open MPI, Kubernetes nor a TPU pod says which processes there "
            "are; give HOST:PORT, the number of processes, and which of them each is"
        )
    return coordinator, n_processes, process, devices


def _begin(address: str, n_processes: int, process: int, devices: list[int] | None) -> None:
    import jax

    settings: Any = jax.config
    with suppress(AttributeError):  # it would take SIGTERM for itself
        settings.update("jax_enable_preemption_service", False)
    told: dict[str, Any] = {
        "initialization_timeout": int(WAIT),
        "heartbeat_timeout_seconds": HEARTBEAT,
        "shutdown_timeout_seconds": SHUTDOWN,
        "cluster_detection_method": "deactivate",
    }
    known = inspect.signature(jax.distributed.initialize).parameters
    jax.distributed.initialize(
        address, n_processes, process, devices, **{name: value for name, value in told.items() if name in known}
    )
    here, there = jax.local_device_count(), jax.device_count()
    if here * n_processes != there:
        raise ParameterError(
            f"process {process} has {here} of {there} devices, but all {n_processes} processes must have as many"
        )


def _exit_at_once() -> None:
    """Where JAX would wait for the others, and then abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_STATUS)


def _end() -> None:
    import jax

    mesh.gather(np.zeros(1))  # wait until all have come as far: JAX waits but for a while
    shutdown: Callable[[], None] = jax.distributed.shutdown
    shutdown()


def _line(what: str, leads_on: Callable[[], str]) -> str:
    on = leads_on()
    return f"{what}, so this one ends too{on and '; '}{on}"


def _leave_last_words(n_processes: int, leads_on: Callable[[], str]) -> None:
    """What is said if JAX aborts this process, which it does where process 0 is lost, maybe before the watch knows."""
    line = _line(f"process 0 of {n_processes} is gone", leads_on)
    _core.last_words(f"fallline: {line}\n", sys.stderr.fileno(), EXIT_STATUS)


@contextmanager
def _apart() -> Iterator[Path]:
    """Keep what libraries write to standard output and error by themselves in a file, and out of Python's."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    python = sys.stdout, sys.stderr
    with NamedTemporaryFile("w", prefix="fallline-", suffix=".log", delete=False) as log:
        pass
    file = os.open(log.name, os.O_WRONLY | os.O_APPEND)
    try:
        sys.stdout, sys.stderr = (
            open(number, "w", buffering, stream.encoding, "backslashreplace", closefd=False)  # noqa: SIM115
            for number, buffering, stream in zip(kept, (-1, 1), python, strict=True)  # errors line by line
        )
        os.dup2(file, 1)
        os.dup2(file, 2)
        yield Path(log.name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = python
        for number, original in zip((1, 2), kept, strict=True):
            os.dup2(original, number)
        os.close(kept[0])  # the other stays open for the last words, as JAX may abort this process yet
        os.close(file)
        Path(log.name).unlink(missing_ok=True)

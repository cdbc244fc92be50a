"""`fallline train` as one of several processes that train together."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline import __version__
from fallline.errors import ParameterError

if TYPE_CHECKING:
    from fallline.checkpoint import Checkpoint

PANEL = "Several machines"
_is_left = False  # before all was done
Coordinator = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Train with other processes, of which the first waits for the others there; needs --engine xla. auto: "
        "Slurm, Open MPI, Kubernetes or a TPU pod say where, and how many.",
        rich_help_panel=PANEL,
    ),
]
Processes = Annotated[
    int | None, typer.Option(metavar="N", help="How many processes there are.", rich_help_panel=PANEL)
]
Process = Annotated[
    int | None, typer.Option(metavar="I", help="Which of them this one is, from 0.", rich_help_panel=PANEL)
]
Wait = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="Time that the processes have to come together.", rich_help_panel=PANEL
    ),
]
# What each process may have of its own.
OWN = ("coordinator", "processes", "process", "wait", "out", "history", "report", "quiet", "as_json",
       "checkpoint", "checkpoint_every", "threads")  # fmt: skip


def check_group(
    coordinator: str | None, processes: int | None, process: int | None, engine: str, data: str, memory: str | None
) -> None:
    """ParameterError where what is said of a group does not fit together."""
    if coordinator is None:
        if processes is not None or process is not None:
            raise ParameterError("--processes and --process need --coordinator HOST:PORT")
        return
    if engine != "xla":
        raise ParameterError(f"--coordinator needs --engine xla; the engine is {engine}")
    if memory is not None:
        raise ParameterError("--memory is for one process; several hold their rows in memory, each its share")
    if data == "-":
        raise ParameterError("--coordinator: several processes cannot read one standard input; give a file")
    if coordinator == "auto":
        if processes is not None or process is not None:
            raise ParameterError("--coordinator auto: the environment says --processes and --process; leave them out")
    elif processes is None or process is None:
        raise ParameterError("--coordinator needs --processes N and --process I, which of them this one is, from 0")


def is_shared(data: str, group: str | None, studio: bool) -> bool:
    """Whether each process can read its share of the rows alone: of Parquet and Arrow files."""
    from fallline.table.bundled import BUNDLED
    from fallline.table.files import columnar_files

    if data in BUNDLED or group is not None or studio:
        return False
    return columnar_files(data) is not None


@contextmanager
def group_of(
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    wait: float,
    typed: Mapping[str, Any],
    kept: Checkpoint | None,
) -> Iterator[int]:
    """Within it this process is one of the group that was asked for, if one was; gives its number.

    SIGTERM ends the training as Ctrl-C does, and all but process 0 are quiet.

    Parameters
    ----------
    coordinator, processes, process, wait
        As typed.
    typed : mapping
        All that was typed.
    kept : Checkpoint or None
    """
    if coordinator is None:
        yield 0
        return
    try:
        from fallline.engines.xla.hosts import joined
    except ImportError as error:
        raise ParameterError(
            f"--coordinator needs the package {error.name}; install it with: pip install 'fallline[jax]'"
        ) from None
    same = {f"--{name.replace('_', '-')}": str(value) for name, value in typed.items() if name not in OWN}
    same["--report"] = str(typed["report"] is not None)  # wherever it is written, what listens for it is in checkpoints
    same |= {"--data": Path(typed["data"]).name, "fallline": __version__, "Python": sys.version.split()[0]}
    global _is_left
    _is_left = True
    with joined(coordinator, processes, process, same, _leads_on(kept), wait) as (number, _), _terminable():
        if number:
            warnings.simplefilter("ignore")  # process 0 says it
        yield number
    _is_left = False


def ended(status: int) -> int:
    """The exit status; where the group was left by an error this exits with it, as JAX would wait for the others."""
    if _is_left:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _leads_on(kept: Checkpoint | None) -> Callable[[], str]:
    """What to say of the checkpoints where a process was lost."""

    def say() -> str:
        if kept is None:
            return "nothing was kept of the training"
        where = f"the checkpoint in {kept.folder}"
        how = "leads on: the same command with --resume, with as many processes as there are"
        return f"{where} {how}" if kept.files else f"if it had begun, {where} of process 0 {how}"

    return say


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, also where a shell has the process ignore that."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    if before[1] is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])

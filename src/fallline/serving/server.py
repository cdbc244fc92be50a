"""The service at a port: bound before anybody is told of it, and ended so that nobody is cut off."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import final

import uvicorn

from fallline.model import Model
from fallline.ports import bound
from fallline.serving.limits import Limits
from fallline.serving.service import app

LOOPBACK = ("127.0.0.1", "::1", "localhost")
BACKLOG = 1024
MOST_CONNECTIONS = 900  # below the usual limit of open files


@final
class Server:
    """A model's service, bound to a port and ready to run.

    Parameters
    ----------
    model : Model
    name : str
        For people.
    host : str, default "127.0.0.1"
    port : int, default 0
        0: any that is free.
    limits : Limits
    threads : int, default 1
        How many requests are computed at a time.
    allowed : sequence of str
        Names by which it may be asked, beside the loopback ones; on another host than loopback none means any.

    Attributes
    ----------
    url : str

    Raises
    ------
    ParameterError
        The port is taken, or the host is not this machine's.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        threads: int = 1,
        allowed: Sequence[str] = (),
    ) -> None:
        limits = limits or Limits()
        self._socket, self.url = bound(host, port, BACKLOG)
        self.port = int(self._socket.getsockname()[1])
        hosts = (*LOOPBACK, "[::1]", *allowed) if host in LOOPBACK or allowed else None
        served, self._pool = app(model, name, limits, threads, hosts)
        config = uvicorn.Config(
            served,
            http="httptools",
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            limit_concurrency=max(MOST_CONNECTIONS, limits.requests),
            timeout_graceful_shutdown=int(limits.seconds) + 1,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until SIGTERM, Ctrl-C, or `stop` from another thread; what is being asked is answered first."""
        try:
            with _sigterm_ends_quietly(), contextlib.suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Have `run` end."""
        self._server.should_exit = True


@contextlib.contextmanager
def _sigterm_ends_quietly() -> Iterator[None]:
    """uvicorn, when it has ended, raises the signal again that ended it: it should find nobody to kill."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def name_of(path: Path) -> str:
    """A model file as a name for people."""
    return path.name.encode("utf-8", "backslashreplace").decode()

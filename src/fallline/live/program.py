"""`fl.studio()`: the descents of a program, on a page while they go."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from fallline.errors import ParameterError
from fallline.fit import Job
from fallline.fit.watchers import WATCHERS
from fallline.listeners import Listener
from fallline.table import Table

if TYPE_CHECKING:
    from fallline.live.server import Server
    from fallline.live.watched import Watched

FIRST_TAB_SECONDS = 10.0  # for a browser to begin
LOOK_SECONDS = 0.2


@contextmanager
def studio(paused: bool = False, browser: bool = True, host: str = "127.0.0.1", port: int = 0) -> Iterator[Program]:
    """Show every descent that begins within the block on a page in the browser: watch it, pause it, step it.

    The page is served from the first descent on, and its address printed to standard error. It shows the first network
    where several go down at once. At the end of the block it stays for as long as somebody has it open; Ctrl-C goes on.
    Training comes to the same bits as without it.

    Parameters
    ----------
    paused : bool, default False
        Wait at each random start until *Run* or a step is asked for on the page.
    browser : bool, default True
        Open the page.
    host : str, default "127.0.0.1"
        Where to serve; others can reach it if not loopback.
    port : int, default 0
        0: any that is free.

    Yields
    ------
    Program
        Its `url` is the page's address, "" before the first descent.

    Raises
    ------
    ParameterError
        The extra `fallline[studio]` is not installed; the port is taken.

    Examples
    --------
    >>> import fallline as fl
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> with fl.studio(browser=False):
    ...     classifier = fl.NetworkClassifier(epochs=5, starts=1, random_state=0).fit(X, y)
    """
    needs_extra()
    program = Program(paused, browser, host, port)
    WATCHERS.append(program.watch)
    try:
        yield program
        program.stay()
    finally:
        WATCHERS.remove(program.watch)
        program.close()


def needs_extra() -> None:
    """Raise ParameterError, with what to do, where the packages of the studio are not installed."""
    try:
        import fallline.live.server  # noqa: F401
    except ImportError as error:
        raise ParameterError(
            f"the studio needs the package {error.name}; install it with: pip install 'fallline[studio]'"
        ) from None


@final
class Program:
    """A studio of a program's descents.

    Attributes
    ----------
    url : str
        The page's address with its token; "" before the first descent.
    """

    def __init__(self, paused: bool, browser: bool, host: str, port: int) -> None:
        self._paused, self._browser, self._where = paused, browser, (host, port)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self._control: Watched | None = None
        self._one_at_a_time = threading.Lock()
        self._shown: Path | None = None
        self.url = ""

    def watch(self, table: Table, settings: Mapping[str, Any], job: Job) -> Listener:
        """Show a descent that is about to begin; while another is under way in another thread, it is not shown."""
        from fallline.live.watched import Watched

        with self._one_at_a_time:
            before = self._control
            if before is not None and not before.is_over:
                return Listener()
            version = 0 if before is None else before.version + 1
            self._control = Watched(table, settings, job, self._paused, version)
            self._serve(self._control)
            return self._control

    def _serve(self, control: Watched) -> None:
        """From the first descent on; then the page shows the next."""
        from fallline.live.server import Server, open_browser
        from fallline.live.studio import Studio

        if self._server is not None:
            self._server.studio.control = control
            return
        self._server = Server(Studio(control), *self._where)
        self._thread = threading.Thread(target=self._server.run, name="fallline-studio", daemon=True)
        self._thread.start()
        self.url = self._server.url
        print(f"studio  {self.url}", file=sys.stderr, flush=True)
        if self._browser:
            self._shown = open_browser(self.url)

    def stay(self) -> None:
        """Wait while somebody has the page open, at first for the browser that is to open it."""
        if self._server is None:
            return
        studio, deadline = self._server.studio, time.monotonic() + FIRST_TAB_SECONDS
        with contextlib.suppress(KeyboardInterrupt):
            while self._browser and not studio.n_tabs_ever and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
            if studio.n_tabs:
                print("studio  close the page, or press Ctrl-C, to go on", file=sys.stderr, flush=True)
            while studio.n_tabs:
                time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """End the server."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
        if self._shown is not None:
            self._shown.unlink(missing_ok=True)

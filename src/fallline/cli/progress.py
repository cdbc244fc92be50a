"""How far a table has been worked through, on a terminal's standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

SILENT_SECONDS = 1.0  # what is over by then needs no bar


class RowsBar:
    """Count rows, and show which share of the file they are, how fast they come, and the time left.

    Nothing is shown where standard error is no terminal, nor in the first second.

    Parameters
    ----------
    done : str
        What happens to the rows, such as "predicted".
    shown : bool
        False keeps it silent: on a terminal that has the results as well, they say enough.

    Examples
    --------
    >>> with RowsBar("read") as bar:
    ...     bar.advance(1000, 0.5)
    """

    def __init__(self, done: str, shown: bool = True) -> None:
        self._done, self._shown = done, shown and sys.stderr.isatty()
        self._begun, self._rows = time.monotonic(), 0
        self._bar: Progress | None = None

    def __enter__(self) -> RowsBar:
        return self

    def advance(self, rows: int, share: float | None) -> None:
        """So many rows more are done, and with them this share of all; None where nobody knows how many there are."""
        self._rows += rows
        seconds = time.monotonic() - self._begun
        if not self._shown or seconds < SILENT_SECONDS:
            return
        if self._bar is None:
            self._begin()
        assert self._bar is not None
        speed = f"{self._rows:,} rows {self._done}, {self._rows / seconds:,.0f} a second"
        self._bar.update(self._task, completed=share or 0, total=None if share is None else 1, speed=speed)
        self._bar.refresh()
        if share == 1:
            self.close()

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._bar = Progress(
            BarColumn(bar_width=12),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[speed]}", table_column=Column(no_wrap=True, ratio=1)),
            expand=True,
            console=Console(stderr=True),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=1, speed="")
        self._bar.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

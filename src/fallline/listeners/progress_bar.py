"""A progress bar on a terminal's standard error; elsewhere silence, for the history says more to a program."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline.listeners.listener import Epoch, Listener, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

REDRAW_SECONDS = 0.1


class ProgressBar(Listener):
    """Show a descent as it goes: losses and measures of the last epoch, learning rate, speed, time left.

    Of several starts the one with the lowest loss is shown. Nothing is shown where standard error is no terminal.

    Parameters
    ----------
    n_rows : int, optional
        Of the table, if the speed is to be shown in rows a second: of epochs that take long.

    Examples
    --------
    >>> bar = ProgressBar()
    >>> bar.close()
    """

    def __init__(self, n_rows: int | None = None) -> None:
        self._n_rows = n_rows
        self._bar: RichProgress | None = None
        self._measured = ""
        self._drawn = 0.0

    def on_begin(self, progress: Progress) -> None:
        """Draw an empty bar."""
        self.close()
        self._measured, self._drawn = "", 0.0
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        self._bar = RichProgress(
            # a narrow terminal cuts the last column, the measures, and keeps what says how far it is
            TextColumn("epoch {task.fields[epoch]}/{task.fields[n_epochs]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[measured]}", table_column=Column(no_wrap=True, ratio=1)),
            expand=True,
            console=Console(stderr=True),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=progress.n_steps, epoch=0, n_epochs=progress.n_epochs, measured="")
        self._bar.start()

    def on_progress(self, progress: Progress) -> None:
        """Move on, ten times a second at most."""
        now = time.monotonic()
        if self._bar is not None and (now - self._drawn >= REDRAW_SECONDS or progress.step == progress.n_steps):
            self._drawn = now
            self._draw(progress)

    def on_epoch(self, epoch: Epoch) -> None:
        """Take over the epoch's measures."""
        if self._bar is None:
            return
        losses = epoch.columns.get("validation_loss", epoch.columns["loss"])
        self._measured = describe(epoch.rows[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))])
        if epoch.progress.epoch == epoch.progress.n_epochs:
            self._draw(epoch.progress)

    def on_end(self, stop_reason: str) -> None:
        """Leave the bar as it stands."""
        self.close()

    def say(self, line: str) -> None:
        """Put a line above the bar; or on standard error, where none is shown."""
        if self._bar is None:
            print(line, file=sys.stderr)
        else:
            self._bar.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _draw(self, progress: Progress) -> None:
        assert self._bar is not None
        rate = progress.step / progress.n_steps * progress.n_epochs / max(progress.seconds, 1e-9)
        speed = f"{rate:.3g} epochs/s" if progress.epoch else ""
        if self._n_rows is not None:
            speed = f"{rate * self._n_rows:,.0f} rows/s"
        self._bar.update(
            self._task,
            completed=progress.step,
            epoch=progress.epoch,
            measured=", ".join(part for part in (self._measured, speed) if part),
        )
        self._bar.refresh()


def describe(row: dict[str, Any]) -> str:
    """Put a history row into a few words: what was measured, and the learning rate.

    Examples
    --------
    >>> describe({"epoch": 1, "step": 9, "start": 0, "loss": 0.5, "accuracy": 0.9, "learning_rate": 1e-3})
    'loss 0.5, accuracy 0.9, rate 0.001'
    """
    left_out = ("epoch", "step", "start", "gradient_norm", "seconds")
    short = {"validation_loss": "held back", "learning_rate": "rate"}
    return ", ".join(f"{short.get(name, name)} {value:.3g}" for name, value in row.items() if name not in left_out)

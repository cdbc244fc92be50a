"""Ctrl-C that ends a long computation gently."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SOON = 0.5  # seconds

last_pressed = -math.inf  # when Ctrl-C ended something gently, as `time.monotonic` counts


def pass_on() -> None:
    """Have whoever is around a block hear of the Ctrl-C that ended it, as of the first one that it is."""
    global last_pressed
    last_pressed = -math.inf
    signal.raise_signal(signal.SIGINT)


@contextmanager
def ctrl_c() -> Iterator[threading.Event]:
    """Within the block the first Ctrl-C sets the event that this gives; the second raises KeyboardInterrupt.

    So does the first one if another has just ended a block before: whoever presses twice means the loop around them,
    such as a search.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, None):  # a process that is not to hear of it (nohup); a handler that is not Python's
        yield interrupted
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        global last_pressed
        signal.signal(signal.SIGINT, before)
        if time.monotonic() - last_pressed < SOON:
            signal.raise_signal(signal.SIGINT)
        else:
            last_pressed = time.monotonic()
            interrupted.set()

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)

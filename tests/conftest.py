"""Fixtures that several test files share."""

import math
import os
import signal
import sys

import pytest

from fallline import _core, interrupt

os.environ["MPLBACKEND"] = "Agg"  # no windows


@pytest.fixture(autouse=True)
def figures_are_closed():
    """Of what a test or a docstring example draws with pyplot."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works():
    """Shells start what runs in the background with SIGINT ignored; then the tests of Ctrl-C would wait for ever."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def ctrl_c_was_not_pressed(monkeypatch):
    """In the test before, just now, which would make it the second time."""
    monkeypatch.setattr(interrupt, "last_pressed", -math.inf)


@pytest.fixture(params=_core.instruction_sets())
def instruction_set(request):
    """The name of each instruction set that this processor runs, while the native engine uses it."""
    before = _core.instruction_set()
    _core.use_instruction_set(request.param)
    yield request.param
    _core.use_instruction_set(before)


@pytest.fixture(params=["reference", "native"])
def engine(request):
    return request.param

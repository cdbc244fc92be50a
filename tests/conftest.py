"""Fixtures that several test files share."""

import pytest

from fallline import _core


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

"""The room: its names are loaded when they are first used, and nothing but drawing needs matplotlib."""

import inspect
import subprocess
import sys

import pytest

from fallline import pictures


def test_names_load_without_matplotlib_and_scikit_learn():
    code = (
        "import sys; from fallline import pictures; names = [getattr(pictures, name) for name in pictures.__all__]; "
        "print(len(names), 'matplotlib' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(pictures.__all__)), "False", "False"]


def test_what_begins_with_from_draws_on_axes_that_may_be_given():
    for name in pictures.__all__:
        kind = getattr(pictures, name)
        if isinstance(kind, type):
            makers = [getattr(kind, member) for member in dir(kind) if member.startswith("from_")]
            assert makers
            for maker in makers:
                ax = inspect.signature(maker).parameters["ax"]
                assert (ax.kind, ax.default) == (ax.KEYWORD_ONLY, None), maker


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="has no attribute 'LossCurve'"):
        pictures.LossCurve  # noqa: B018
    assert dir(pictures) == pictures.__all__

"""What can go wrong, as types: every message is one line that says what, where, and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches


class FalllineError(Exception):
    """Base of every error that fallline raises on purpose."""


class DataError(FalllineError, ValueError):
    """The data cannot be used as they are; the message names the place (file, line, column, value)."""


class ParameterError(FalllineError, ValueError):
    """A setting is outside its range or unknown; the message names it, its value and what is allowed."""


class ModelFileError(FalllineError, ValueError):
    """A model file is truncated, changed, foreign or of another format."""


class CheckpointError(FalllineError, ValueError):
    """A checkpoint is truncated, foreign, damaged or of a newer format."""


class DivergenceError(FalllineError, ArithmeticError):
    """The loss of a start was no longer a finite number, and `repair` was switched off."""


class DivergenceWarning(UserWarning):
    """The loss of a start was no longer a finite number: it was set back, or its last good parameters were kept."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or not be read; an older one is good."""


class PrecisionWarning(UserWarning):
    """The processor lacks what a precision asks for; the training goes on in float32."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, and all that are known."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{hint} choose from {', '.join(names)}"

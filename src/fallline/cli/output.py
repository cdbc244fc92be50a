"""How the commands speak: results to standard output, one line to standard error for what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from fallline.errors import ParameterError

SCORE_NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
    "brier": "Brier score",
    "roc_auc": "ROC AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "median_absolute_error": "median absolute error",
    "r2": "R2",
}


def complain(message: str, status: int = 2) -> int:
    """Write one line to standard error, whatever the message holds.

    Parameters
    ----------
    message : str
    status : int

    Returns
    -------
    int
        The status.
    """
    print("fallline:", " ".join(message.split()), file=sys.stderr)
    return status


def check_writable(option: str, path: Path, endings: tuple[str, ...] = ()) -> None:
    """Make sure, before the work begins, that a file can be written when it is over.

    Parameters
    ----------
    option : str
        The option that named the file.
    path : Path
    endings : tuple of str
        The endings it may have; any if there are none.

    Raises
    ------
    ParameterError
        It is a directory, its directory is not there or cannot be written to, or it ends otherwise.
    """
    import tempfile

    if endings and path.suffix not in endings:
        raise ParameterError(f"{option} {path}: the name must end in {' or '.join(endings)}")
    try:
        if path.is_dir():
            raise ParameterError(f"{option} {path}: a directory; name a file")
        if path.exists() and not path.is_file():
            raise ParameterError(f"{option} {path}: a device or a pipe; name a file")
        if not path.parent.is_dir():
            raise ParameterError(f"{option} {path}: there is no folder {str(path.parent)!r}")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.exists():
            with path.open("ab"):
                pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        why = getattr(error, "strerror", None) or error
        raise ParameterError(f"{option} {path}: cannot be written ({why})") from None


def check_different(paths: Mapping[str, str | Path | None]) -> None:
    """Refuse to write a file over one that is read, or over another.

    Parameters
    ----------
    paths : mapping from what the user calls it to a path
        None where it is not given.

    Raises
    ------
    ParameterError
        Two of them are the same file.
    """
    seen: dict[Path, str] = {}
    for name, path in paths.items():
        if path is not None and (other := seen.setdefault(Path(path).resolve(), name)) != name:
            raise ParameterError(f"{other} and {name} are the same file {str(path)!r}")


def aligned(rows: list[list[str]]) -> str:
    """Set lines of left-aligned columns, two spaces apart.

    Examples
    --------
    >>> print(aligned([["rows", "150"], ["accuracy", "0.97"]]))
    rows      150
    accuracy  0.97
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def listed_briefly(names: Iterable[object], most: int = 5) -> str:
    """Give the first few names, and how many more there are.

    Examples
    --------
    >>> listed_briefly("abcdefgh")
    'a, b, c, d, e and 3 more'
    """
    words = [str(name) for name in names]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def number(value: float) -> str:
    """Write a number as people do: four digits that count, no exponent where it can be helped.

    Examples
    --------
    >>> number(302612.4), number(0.0812345), number(12.0)
    ('302,612', '0.08123', '12')
    """
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def score(name: str, value: float) -> str:
    """Write a score: shares of right answers in per cent, a dash where it is not defined.

    Examples
    --------
    >>> score("accuracy", 0.97772), score("rmse", 12377.9)
    ('97.77 %', '12,378')
    """
    if value != value:
        return "-"
    return f"{100 * value:.2f} %" if name in ("accuracy", "balanced_accuracy") else number(value)


def score_text(scores: Mapping[str, float]) -> str:
    """Put scores into a few words.

    Examples
    --------
    >>> score_text({"accuracy": 0.97772, "log_loss": 0.0812345})
    'accuracy 97.77 %, log loss 0.08123'
    """
    return ", ".join(f"{SCORE_NAMES.get(name, name)} {score(name, value)}" for name, value in scores.items())

"""Numbers, scores and lists of names as people write them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

SCORE_NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
    "brier": "Brier score",
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "rmse": "RMSE",
    "mae": "MAE",
    "median_absolute_error": "median absolute error",
    "r2": "R2",
}


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


def in_mb(n_bytes: float) -> str:
    """Bytes as `--memory` takes them.

    Examples
    --------
    >>> in_mb(610_000_001)
    '611MB'
    """
    return f"{math.ceil(n_bytes / 1e6)}MB"


def printable(words: str) -> str:
    r"""Give words that stay on their line and leave the terminal as it is: control characters as escapes.

    Examples
    --------
    >>> print(printable("width,\nin cm"))
    width,\nin cm
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda match: repr(match[0])[1:-1], words)


def number(value: float, digits: int = 4) -> str:
    """Write a number as people do: so many digits that count, no exponent where it can be helped.

    Examples
    --------
    >>> number(302612.4), number(0.0812345), number(12.0), number(2.5e-7, digits=1)
    ('302,612', '0.08123', '12', '2e-7')
    """
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < 1e12:
        return f"{value:,.0f}"
    return text.replace("e+", "e").replace("e-0", "e-")


def shortened(name: str, width: int, lines: int = 1) -> str:
    """Give a name in so many lines of so many letters at most.

    Examples
    --------
    >>> shortened("mean of the radius", 9), shortened("mean of the radius", 12, lines=2).splitlines()
    ('mean of…', ['mean of the', 'radius'])
    """
    if len(name) <= width:
        return name
    if lines == 1:
        return name[: width - 1].rstrip() + "…"
    at = name.rfind(", ", width // 2, width) + 1 or name.rfind(" ", width // 2, width + 1)
    at = width if at < 0 else at
    return name[:at] + "\n" + shortened(name[at:].lstrip(), width, lines - 1)


def score(name: str, value: float) -> str:
    """Write a score: shares of right answers in per cent, R2 to four places, a dash where it is not defined.

    Examples
    --------
    >>> score("accuracy", 0.97772), score("rmse", 12377.9), score("r2", -2e-16)
    ('97.77 %', '12,378', '0')
    """
    if value != value:
        return "-"
    if name == "r2":  # of the mean it is 0, but for rounding
        value = round(value, 4) + 0.0
    return f"{100 * value:.2f} %" if name in ("accuracy", "balanced_accuracy") else number(value)


def score_text(scores: Mapping[str, float]) -> str:
    """Put scores into a few words.

    Examples
    --------
    >>> score_text({"accuracy": 0.97772, "log_loss": 0.0812345})
    'accuracy 97.77 %, log loss 0.08123'
    """
    return ", ".join(f"{SCORE_NAMES.get(name, name)} {score(name, value)}" for name, value in scores.items())

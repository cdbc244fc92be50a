"""How messages speak of names: quoted lists that stay short, and what a misspelling may have meant."""

import os
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from fallline.errors import DataError


def listed(names: Iterable[str], limit: int | None = 20) -> str:
    """Quote names, separated by commas.

    Parameters
    ----------
    names : iterable of str
    limit : int or None
        How many to show before counting the rest; None shows all.

    Returns
    -------
    str
    """
    quoted = [repr(name) for name in names]
    if limit is None or len(quoted) <= limit:
        return ", ".join(quoted)
    return f"{', '.join(quoted[:limit])} and {len(quoted) - limit} more"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Offer the known name that is closest, as a clause to put into a message.

    Parameters
    ----------
    name : str
        A name that is not known.
    known : iterable of str

    Returns
    -------
    str
        ``", did you mean 'price'?"``, or nothing where no name is close.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f", did you mean {by_lower[close[0]]!r}?" if close else ""


def beside(path: str | os.PathLike[str]) -> list[str]:
    """List what is in the folder of a file, which may not be there itself.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of str
        Paths that begin as the given one does; none where there is no such folder.
    """
    folder = Path(path).parent
    return [str(file) for file in folder.glob("*")] if folder.is_dir() else []


def check_known(name: str, columns: Collection[str], label: str) -> None:
    """Refuse a column that a file does not have.

    Parameters
    ----------
    name : str
    columns : collection of str
        The columns of the file.
    label : str
        What to call the file.

    Raises
    ------
    DataError
        With the nearest name and the list of columns.
    """
    if name not in columns:
        raise DataError(f"{label}: no column {name!r}{suggestion(name, columns)} (columns: {listed(columns)})")


def choose_inputs(
    available: Sequence[str], target: str | None, wanted: Sequence[str] | None, drop: Sequence[str], label: str
) -> tuple[str, ...]:
    """Decide which columns are inputs: those wanted, or all but the target and the dropped ones.

    Parameters
    ----------
    available : sequence of str
        The columns of the file.
    target : str or None
    wanted : sequence of str or None
    drop : sequence of str
    label : str
        What to call the file.

    Returns
    -------
    tuple of str

    Raises
    ------
    DataError
        For columns that are not there, and where no input is left.
    """
    for name in drop:
        check_known(name, available, label)
    if wanted is None:
        inputs = tuple(name for name in available if name != target and name not in drop)
    else:
        inputs = tuple(name for name in wanted if name not in drop)
        there = set(available)
        missing = [name for name in inputs if name not in there]
        if missing:
            noun = "column" if len(missing) == 1 else f"{len(missing)} columns"
            raise DataError(f"{label}: missing {noun} {listed(missing, None)} (columns: {listed(available)})")
    if not inputs:
        raise DataError(f"{label}: no input column is left (columns: {listed(available)})")
    return inputs

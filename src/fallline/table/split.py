"""Hold back some rows, once or in folds: those that say how good a network is on rows it has not seen."""

from __future__ import annotations

import numpy as np

from fallline.errors import DataError, ParameterError
from fallline.table.table import Indices, Table, Task


def split(
    table: Table, fraction: float, seed: int, task: Task, groups: Indices | None = None
) -> tuple[Indices, Indices]:
    """Part the rows of a table at random; for classes, each class in the same proportion.

    Every class keeps a row to learn from, so a class of one row is never held back.

    Parameters
    ----------
    table : Table
        With `n` rows.
    fraction : float
        The part to hold back, between 0 and 1; each part gets one row at least.
    seed : int
        The same seed gives the same rows.
    task : {"classification", "regression"}
    groups : ndarray of int64, shape (n,), optional
        Rows of one group stay together; then classes are not looked at.

    Returns
    -------
    train_rows, held_back_rows : ndarray of int64
        Increasing; together each of the `n` rows once.

    Raises
    ------
    ParameterError
        For a fraction out of range.
    DataError
        For a table too small to part.

    Examples
    --------
    >>> import numpy as np
    >>> table = Table("ten", np.zeros((10, 1), np.float32), np.repeat(["a", "b"], 5), ("x",), "y")
    >>> train, held_back = split(table, 0.4, seed=0, task="classification")
    >>> table.y[held_back].tolist()
    ['a', 'a', 'b', 'b']
    """
    if not 0 < fraction < 1:
        raise ParameterError(f"the fraction of rows to hold back must be between 0 and 1, not {fraction}")
    n = table.n_rows
    if groups is not None:
        _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
        _check_several(table, counts)
        order = np.random.default_rng(seed).permutation(len(counts))
        n_held = np.searchsorted(np.cumsum(counts[order]), n * fraction) + 1
        held = np.isin(group, order[: min(n_held, len(counts) - 1)])
        return np.flatnonzero(~held), np.flatnonzero(held)
    group, counts = _groups(table, task)
    if counts.max() < 2:
        raise DataError(
            f"{table.name}: too few rows ({n}) to hold one back; hold back none (validation 0), or use a file"
        )

    # Rounding the running total, not each class, keeps the sum right and every class within a row of its share.
    n_held = max(1.0, round(n * fraction))
    total = np.floor(np.cumsum(counts) * (n_held / n) + 0.5)
    quota = np.minimum(np.diff(total, prepend=0), counts - 1).astype(np.int64)
    if quota.sum() == 0:
        quota[counts.argmax()] = 1

    shuffled = np.random.default_rng(seed).permutation(n)
    grouped = shuffled[np.argsort(group[shuffled], kind="stable")]
    rank = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)  # the place of a row within its class
    held = rank < np.repeat(quota, counts)
    return np.sort(grouped[~held]), np.sort(grouped[held])


def last_rows(table: Table, fraction: float) -> tuple[Indices, Indices]:
    """Part the last rows of a table from those before: of rows in the order of time, those that lie ahead.

    Parameters
    ----------
    table : Table
        With `n` rows.
    fraction : float
        The part to hold back, between 0 and 1; each part gets one row at least.

    Returns
    -------
    train_rows, held_back_rows : ndarray of int64

    Raises
    ------
    DataError
        For a table of one row.

    Examples
    --------
    >>> import numpy as np
    >>> last_rows(Table("ten", np.zeros((10, 1), np.float32), None, ("x",), None), 0.2)[1].tolist()
    [8, 9]
    """
    n = table.n_rows
    if n < 2:
        raise DataError(f"{table.name}: too few rows ({n}) to hold one back; hold back none (validation 0)")
    first = n - min(n - 1, max(1, round(n * fraction)))
    return np.arange(first), np.arange(first, n)


def folds(table: Table, n_folds: int, seed: int, task: Task, groups: Indices | None = None) -> Indices:
    """Give each row a fold at random, all of nearly the same size; for classes, each class spread evenly.

    Parameters
    ----------
    table : Table
        With `n` rows and their targets.
    n_folds : int
        From 2 to n.
    seed : int
        The same seed gives the same folds.
    task : {"classification", "regression"}
    groups : ndarray of int64, shape (n,), optional
        Rows of one group get the same fold; then classes are not looked at.

    Returns
    -------
    ndarray of int64, shape (n,)
        Folds from 0 to `n_folds` - 1.

    Raises
    ------
    ParameterError
        For a number out of range.
    DataError
        Where every row is of a class of its own.

    Examples
    --------
    >>> import numpy as np
    >>> table = Table("twelve", np.zeros((12, 1), np.float32), np.repeat(["a", "b"], 6), ("x",), "y")
    >>> fold = folds(table, 3, seed=0, task="classification")
    >>> [np.bincount(fold[:6]).tolist(), np.bincount(fold[6:]).tolist()]
    [[2, 2, 2], [2, 2, 2]]
    """
    n = table.n_rows
    if not 2 <= n_folds <= n:
        raise ParameterError(f"there are {n_folds} folds; there must be 2 or more, and at most as many as rows ({n})")
    if groups is not None:
        return _folds_of_groups(table, groups, n_folds, seed)
    group, _ = _groups(table, task)
    shuffled = np.random.default_rng(seed).permutation(n)
    shuffled = shuffled[np.argsort(group[shuffled], kind="stable")]
    fold = np.empty(n, np.int64)
    fold[shuffled] = np.arange(n) % n_folds  # row after row of a class to the next fold
    return fold


def _folds_of_groups(table: Table, groups: Indices, n_folds: int, seed: int) -> Indices:
    """The largest groups first, each to the fold that has the fewest rows by then."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    _check_several(table, counts)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order], kind="stable")]
    of_group, n_rows = np.empty(len(counts), np.int64), np.zeros(n_folds, np.int64)
    for g in order:
        of_group[g] = n_rows.argmin()
        n_rows[of_group[g]] += counts[g]
    return np.asarray(of_group[group])


def _check_several(table: Table, counts: Indices) -> None:
    if len(counts) < 2:
        raise DataError(f"{table.name}: all rows are of one group; there must be two or more, to hold one back")


def _groups(table: Table, task: Task) -> tuple[Indices, Indices]:
    """The class of each row and how many rows it has; one for all where numbers are learned."""
    n = table.n_rows
    if task != "classification" or table.y is None or table.y.ndim > 1:
        return np.zeros(n, np.int64), np.array([n])
    _, group, counts = np.unique(table.y, return_inverse=True, return_counts=True)
    if counts.max() < 2 and n > 3:
        raise DataError(
            f"{table.name}: target {table.target!r} has {n} different values in {n} rows, too many for classes"
        )
    return group, counts

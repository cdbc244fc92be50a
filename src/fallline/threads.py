"""How many threads the machine lends us: what the process may use, not what was built in."""

from __future__ import annotations

import math
import os
import sys

from fallline.control_groups import folders, words
from fallline.params import PARAMS


def as_threads(threads: int | str | None) -> int:
    """The number meant: one that is given, 1 or more, or for None and "auto" what is `available()`."""
    given = "auto" if threads is None else PARAMS["threads"].check(threads)
    return available() if given == "auto" else int(given)


def available() -> int:
    """Threads to use where nobody says how many: the least of `limits()`.

    Examples
    --------
    >>> available() >= 1
    True
    """
    return min(limits().values())


def limits() -> dict[str, int]:
    """What limits the number of threads, each limit 1 or more.

    Returns
    -------
    dict of str to int
        "affinity": processors that the process may run on. "cgroup": the CPU time that a container or a service is
        allowed, rounded up to whole processors. "OMP_NUM_THREADS": the environment's own; joblib, Dask and Ray tell
        their processes their part by it. "dask": within a task of a Dask worker, its part of the processors. All but
        the first only where there are such limits.
    """
    affinity, cgroup = _affinity(), _cgroup()
    processors = affinity if cgroup is None else min(affinity, cgroup)
    found = {"affinity": affinity, "cgroup": cgroup, "OMP_NUM_THREADS": _environment(), "dask": _dask(processors)}
    return {name: n for name, n in found.items() if n is not None}


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _environment() -> int | None:
    """First number of a list such as `4,2`, which is for nested teams; None where it is none, or below 1."""
    try:
        n = int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])
    except ValueError:
        return None
    return n if n > 0 else None


def _dask(processors: int) -> int | None:
    """What there is for one task where a Dask worker runs several at a time; None where this is no such task."""
    dask = sys.modules.get("distributed")  # loaded already, where it is one
    try:
        return None if dask is None else max(1, processors // dask.get_worker().state.nthreads)
    except (AttributeError, ValueError):
        return None


def _cgroup() -> int | None:
    """The least CPU limit of the process's control groups and of those above them; None where there is none."""
    least = math.inf
    for folder in folders("cpu"):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):  # version 2, version 1
            least = min(least, _share([word for name in names for word in words(folder / name)]))
    return max(1, math.ceil(least)) if least < math.inf else None


def _share(quota_and_period: list[str]) -> float:
    """Processors that quota and period come to; infinite where there is no limit, as in `max 100000` or `-1 100000`."""
    try:
        quota, period = map(int, quota_and_period)
    except ValueError:
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf

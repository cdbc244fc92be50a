"""The control groups (cgroups) of Linux that a process is in: what a container or a service lends it."""

from __future__ import annotations

from pathlib import Path

PROCESS_GROUPS = Path("/proc/self/cgroup")  # which they are
GROUPS = Path("/sys/fs/cgroup")  # a folder for each: what it is limited to, and what it uses


def folders(controller: str) -> list[Path]:
    """Folders of the groups, of version 1 or 2, that count what this process uses, each with those above it.

    Parameters
    ----------
    controller : str
        What is counted: "cpu" or "memory".

    Returns
    -------
    list of Path
        Some need not exist: a container does not see what is around it.
    """
    try:
        lines = PROCESS_GROUPS.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:  # number:controllers:path, where version 2 has no controllers
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        roots = {GROUPS} if not controllers else set()
        if controller in controllers.split(","):
            roots = {GROUPS / controller, GROUPS / controllers}
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        found += [root.joinpath(*parts[:n]) for root in roots for n in range(len(parts), -1, -1)]
    return found


def words(file: Path) -> list[str]:
    """What a file of a group says; nothing where it is not there.

    Parameters
    ----------
    file : Path

    Returns
    -------
    list of str
    """
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []

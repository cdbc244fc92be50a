"""Who wants to see every descent that `fit` begins: the studio, while a program runs within `fl.studio()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fallline.fit.job import Job
from fallline.listeners import Listener
from fallline.table import Table

# Each is told of a table, the settings asked for and the job, before the descent begins, and gives what listens to it.
WATCHERS: list[Callable[[Table, Mapping[str, Any], Job], Listener]] = []

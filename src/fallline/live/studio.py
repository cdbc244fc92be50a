"""What all tabs share: the descent in hand or a program's, a race, files that were uploaded."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from fallline.errors import DataError, FalllineError, ParameterError
from fallline.live.control import Control
from fallline.live.experiment import Experiment
from fallline.live.race import Race
from fallline.live.trainer import Trainer
from fallline.live.view import View
from fallline.table import BUNDLED, Table, read
from fallline.table.read import SEPARATORS, read_columns
from fallline.table.typed import FRAMES

MOST_UPLOADS = 8
SUFFIXES = (*SEPARATORS, *FRAMES)


@final
class Studio:
    """What all tabs share: a descent's control, a race, and files that were uploaded.

    Parameters
    ----------
    control : Control

    Attributes
    ----------
    control : Control
        Of the descent that is shown.
    n_tabs : int
        That are open.
    n_tabs_ever : int
        That have been opened so far.
    """

    def __init__(self, control: Control) -> None:
        self.control = control
        self.n_tabs = self.n_tabs_ever = 0
        self.race: Race | None = None
        self._n_races = 0
        self._folder = tempfile.TemporaryDirectory(prefix="fallline-")
        self._uploads: dict[str, tuple[Path, str]] = {}

    @property
    def own(self) -> bool:
        """Whether pages may change the descent; not where it belongs to a program."""
        return isinstance(self.control, Trainer)

    def shown(self, state: dict[str, Any]) -> dict[str, Any]:
        """A descent's state with its control's."""
        control = self.control
        return state | {
            "running": control.is_running,
            "steps_per_second": control.steps_per_second,
            "own": self.own,
            "message": control.message,
            "version": control.version,
        }

    def keep(self, name: str, content: bytes) -> dict[str, Any]:
        """Take a file in, and say what is in it.

        Raises
        ------
        DataError
            It is no table that can be read.
        """
        suffix = Path(name).suffix.lower()
        if suffix not in SUFFIXES:
            raise DataError(f"{name}: not a table; files that can be read end in {', '.join(SUFFIXES)}")
        if len(self._uploads) >= MOST_UPLOADS:
            oldest = next(iter(self._uploads))
            self._uploads.pop(oldest)[0].unlink(missing_ok=True)
        key = secrets.token_hex(8)
        path = Path(self._folder.name, key + suffix)  # the name that was sent is never a path
        path.write_bytes(content)
        try:
            table = self._read(read_columns, path, name)
        except FalllineError:
            path.unlink()
            raise
        self._uploads[key] = path, name
        kinds = {column: table.kind(column) for column in table.columns}
        return {"upload": key, "name": name, "rows": table.n_rows, "columns": list(table.columns), "kinds": kinds}

    def open(
        self,
        name: str | None = None,
        upload: str | None = None,
        target: str | None = None,
        drop: Sequence[str] = (),
        kinds: Any = None,
    ) -> None:
        """Go on with other rows: a bundled set, or a file that was uploaded.

        Raises
        ------
        ParameterError, DataError
            There is no such set or upload; its rows cannot be learned from.
        """
        if (name is None) == (upload is None):
            raise ParameterError("open needs the name of a bundled set, or an upload")
        if upload is not None:
            if upload not in self._uploads:
                raise ParameterError("that upload is gone; drop the file once more")
            path, called = self._uploads[upload]
            if target is None:
                raise ParameterError(f"{called}: name the column to learn as target")
            table = self._read(read, path, called, target=target, drop=drop, kinds=kinds)
        elif name is not None and name in BUNDLED:
            table = read(name, target, drop=drop, kinds=kinds)
        else:
            raise ParameterError(f"there is no bundled set {name!r:.40}; choose from {', '.join(BUNDLED)}")
        if not isinstance(self.control, Trainer):
            raise ParameterError("this descent belongs to a program, and so do its rows")
        said = {"target": target, "drop": list(drop), "kinds": dict(kinds or {})}
        experiment = Experiment(table, reading={name: value for name, value in said.items() if value})
        self.end_race()
        self.race = None
        self._n_races += 1
        self.control.replace(experiment).result()

    def _read(self, how: Callable[..., Table], path: Path, called: str, **options: Any) -> Table:
        """Read an upload; what is wrong with it is said of the name it came with."""
        try:
            return replace(how(path, **options), name=called)
        except FalllineError as error:
            raise type(error)(str(error).replace(str(path), called)) from None

    @property
    def race_version(self) -> tuple[int, int]:
        """Changes whenever something happens to a race."""
        return self._n_races, 0 if self.race is None else self.race.version

    def begin_race(self, view: View, starts: int, epochs: int) -> None:
        """Send many starts down, in place of those of an earlier race."""
        self.end_race()
        self.race = Race(view, starts, epochs)
        self._n_races += 1

    def end_race(self) -> None:
        """Stop the race, if there is one; what it has come to stays."""
        if self.race is not None:
            self.race.stop()

    def close(self) -> None:
        """End the descent and the race, and forget the uploads."""
        self.end_race()
        self.control.close()
        self._folder.cleanup()

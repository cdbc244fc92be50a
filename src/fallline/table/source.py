"""A table that stays in its files: any of its rows can be read, and all are never held at once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from fallline.errors import DataError
from fallline.table.bundled import BUNDLED
from fallline.table.files import ENDINGS, Files, columnar_files, is_text
from fallline.table.frames import Notation, table_from_frame, with_nulls
from fallline.table.names import check_known, choose_inputs, listed
from fallline.table.read import reading
from fallline.table.table import Kind, Table
from fallline.table.targets import guess_task

if TYPE_CHECKING:
    import polars as pl

HEAD, HEAD_BYTES = 10_000, 1 << 25  # rows that show how text is to be read, and how long it is


@final
@dataclass(frozen=True, eq=False)
class Source:
    """Parquet or Arrow files as one table, of which any rows can be read.

    Parameters
    ----------
    files : Files
    columns : tuple of str
        The inputs.
    target : str
    kinds : mapping from str to {"number", "category", "date"}
        What the inputs hold, and the target if it is text: the same for all rows, whichever are read.
    notation : Notation
        How text writes numbers and dates, as the first rows show.
    text_bytes : int
        What the text in a row takes, on average of the first rows.
    n_classes : int
        How many targets the first rows have, where they look like classes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import polars as pl
    >>> with TemporaryDirectory() as folder:
    ...     for i in range(2):
    ...         pl.DataFrame({"x": [0.5, i], "y": [1, 2]}).write_parquet(Path(folder, f"{i}.parquet"))
    ...     source = Source.of(folder, "y")
    ...     source.n_rows, source.rows(1, 3).X.tolist()
    (4, [[0.0], [0.5]])
    """

    files: Files
    columns: tuple[str, ...]
    target: str
    kinds: Mapping[str, Kind]
    notation: Notation
    text_bytes: int
    n_classes: int

    @classmethod
    def of(
        cls,
        source: str | os.PathLike[str],
        target: str | None,
        drop: Sequence[str] = (),
        kinds: Mapping[str, Kind] | None = None,
    ) -> Source:
        """Look at the files' own accounts and at their first rows.

        Parameters
        ----------
        source : str or path
            A Parquet, Arrow or Feather file, a folder of them, or a pattern such as ``"2024-*.parquet"``.
        target, drop, kinds
            As in `read`.

        Returns
        -------
        Source

        Raises
        ------
        DataError
            It is something else, files do not fit together, or a column is not there.
        """
        label = str(source)
        if label in ("", "-", *BUNDLED):
            raise DataError(f"DATA is {label!r}, which cannot be streamed; name Parquet or Arrow files")
        with reading(source):
            paths = columnar_files(source)
            if paths is None:
                Path(source).stat()
                raise DataError(
                    f"{label}: only files that end in {ENDINGS}, folders of them and patterns can be streamed; write "
                    "the table as Parquet, or leave out --memory"
                )
            files = Files.of(paths, label)
        if target is None:
            raise DataError(f"{label}: say which column is the target (columns: {listed(files.schema)})")
        names, kinds = list(files.schema), dict(kinds or {})
        check_known(target, names, label)
        inputs = choose_inputs(names, target, None, drop, label)
        for name in kinds:
            check_known(name, names, label)
        if not files.n_rows:
            raise DataError(f"{label}: it has column names but no rows")
        wanted, notation = [*inputs, target], Notation()
        frame, where = files.frame(0, min(100, files.n_rows), wanted)
        n_head = min(HEAD, HEAD_BYTES * frame.height // max(1, int(frame.estimated_size())), files.n_rows)
        if n_head > frame.height:
            frame, where = files.frame(0, n_head, wanted)
        if is_text(files.schema[target]):
            kinds.setdefault(target, "category")
        for name in inputs:  # text of which nothing is known is no date
            if is_text(files.schema[name]) and with_nulls(frame[name]).null_count() == frame.height:
                kinds.setdefault(name, "category")
        head = table_from_frame(frame, label, where, target, inputs, (), _of(kinds, wanted), True, notation)
        kinds |= {name: head.kind(name) for name in inputs}
        text_bytes = -(-_text_bytes(frame) // frame.height)
        n_classes = len(np.unique(head.y)) if head.y is not None and guess_task(head.y) == "classification" else 0
        return cls(files, inputs, target, _of(kinds, wanted), notation, text_bytes, n_classes)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.files.name

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.files.n_rows

    @property
    def fingerprint(self) -> str:
        """The same for files of the same names, sizes and numbers of rows, and the same columns."""
        stats = [(path.name, path.stat().st_size) for path in self.files.paths]
        known = [stats, self.files.sizes, self.columns, self.target, dict(self.kinds)]
        return blake2b(json.dumps(known).encode(), digest_size=16).hexdigest()

    def rows(self, first: int, last: int, most_text: float = math.inf) -> Table:
        """Read some rows.

        Parameters
        ----------
        first, last : int
            From the row `first` to the one before `last`.
        most_text : float, optional
            Bytes that their text may take.

        Returns
        -------
        Table
            Its labels are those of these rows; its `first_row` is `first`.

        Raises
        ------
        DataError
            A cell is not what its column holds, or a file cannot be read; with its file, row and column. Or their
            text takes more.
        """
        wanted = [*self.columns, self.target]
        with reading(self.name):
            frame, where = self.files.frame(first, last, wanted)
        if _text_bytes(frame) > most_text:
            longest = max(frame.columns, key=lambda name: _text_bytes(frame.select(name)))
            raise DataError(
                f"{self.name}, {where(0)} and the {last - first - 1} after it: they hold {_text_bytes(frame) >> 20} MB "
                f"of text, much more than the first rows let expect; give more memory, or drop column {longest!r}"
            )
        table = table_from_frame(
            frame, self.name, where, self.target, self.columns, (), self.kinds, True, deepcopy(self.notation)
        )
        y = table.y
        if y is not None and self.kinds.get(self.target) == "number":
            y = y.astype(np.float64)  # whole numbers in some rows, others in others
        return replace(table, y=y, first_row=first)


def _text_bytes(frame: pl.DataFrame) -> int:
    return sum(int(frame[name].estimated_size()) for name, dtype in frame.schema.items() if is_text(dtype))


def _of(kinds: Mapping[str, Kind], names: Sequence[str]) -> dict[str, Kind]:
    return {name: kinds[name] for name in names if name in kinds}

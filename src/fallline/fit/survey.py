"""A table that stays in its files: how it is cut, which rows are held back, and what one pass over it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from fallline import philox
from fallline.engines import Engine
from fallline.errors import DataError, ParameterError
from fallline.recipes import RECIPES
from fallline.table import Source, Summary, Table
from fallline.table.columns import MOST_ONE_HOT
from fallline.table.summary import joined, sampled
from fallline.table.table import Indices
from fallline.table.target_summary import MOST_CLASSES
from fallline.table.targets import task_of
from fallline.wording import in_mb

MOST_HELD_BACK = 50_000  # rows; more would say nothing new
SHARE_HELD_BACK = 0.2  # where the recipe would part the rows in folds, which takes all of them at hand
MEMORY, LEAST_MEMORY = 10**9, 64 << 20
MOST_ROWS = 1 << 17  # of a block
BLOCK_SHARE, BUFFER_SHARE, SOME_SHARE = 0.12, 0.28, 0.06  # of the memory: there are two buffers, and copies of a block
# What a cell takes while it is read and encoded: float64 once, float32 several times over, and what becomes of it.
CELL_BYTES = {"number": 28, "date": 28 + 7 * 12, "category": 28 + MOST_ONE_HOT * 8}
TEXT_COPIES = 4  # of a block's text at once
MOST_LONGER, LEAST_TEXT = 2, 1 << 24  # times longer than the first rows let expect, and bytes: what is let pass

Heard = Callable[[int, float], None]  # so many rows were read, and with them this share of those of this process


@final
@dataclass(frozen=True)
class Cut:
    """A table's rows in blocks of consecutive ones, from each of which as many are held back.

    Parameters
    ----------
    n_rows : int
        Of the table, or of its part that is cut.
    size : int
        Rows of a block; the last may be shorter.
    held : int
        Rows of each block that are held back; of the last the same share.
    seed : int

    Examples
    --------
    >>> cut = Cut(n_rows=25, size=10, held=2, seed=0)
    >>> len(cut), cut.span(2), cut.held_back(2).shape, cut.n_learned
    (3, (20, 25), (1,), 20)
    """

    n_rows: int
    size: int
    held: int
    seed: int

    @classmethod
    def of(cls, n_rows: int, row_bytes: int, batch: int, share: float, seed: int, memory: int) -> Cut:
        """Cut so that a block leaves whole batches to learn from, and takes its share of the memory.

        Parameters
        ----------
        n_rows : int
        row_bytes : int
            What a row takes while it is read and encoded.
        batch : int
            Rows of a batch.
        share : float
            Of the rows to hold back, of many no more than `MOST_HELD_BACK`.
        seed : int
        memory : int
            Bytes.

        Raises
        ------
        ParameterError
            It is too little for a batch.
        """
        room, needed = int(BLOCK_SHARE * memory), min(batch, n_rows) * row_bytes
        if needed > room:
            raise ParameterError(
                f"memory is {in_mb(memory)}, of which {in_mb(room)} are for a batch while it is read; one of "
                f"{min(batch, n_rows)} rows takes {in_mb(needed)}, so give {in_mb(needed / BLOCK_SHARE)} or more, or a "
                "smaller batch_size"
            )
        most = min(MOST_ROWS, room // row_bytes)
        learned = max(1, most // batch) * batch
        share = min(share, MOST_HELD_BACK / n_rows, max(1, SOME_SHARE * memory / row_bytes) / n_rows)
        held = max(1, int(learned * share / (1 - share))) if share else 0
        return cls(n_rows, learned + held, held, seed)

    def __len__(self) -> int:
        return -(-self.n_rows // self.size)

    def span(self, block: int) -> tuple[int, int]:
        """The first row of a block, and the one after its last."""
        return block * self.size, min(self.n_rows, (block + 1) * self.size)

    def n_held(self, block: int) -> int:
        """How many rows of a block are held back; one at least is learned from."""
        first, last = self.span(block)
        if last - first == self.size:
            return self.held
        share = self.held * (last - first) / self.size
        return min(max(round(share), int(self.held > 0 and len(self) == 1)), last - first - 1)

    def held_back(self, block: int) -> Indices:
        """Which rows of a block are held back, counted from its first."""
        first, last = self.span(block)
        order = philox.shuffled(last - first, self.seed, block, 0, philox.PURPOSE_HELD_BACK)
        return np.sort(order[: self.n_held(block)])

    @property
    def n_learned(self) -> int:
        """Rows to learn from."""
        return self.n_rows - sum(map(self.n_held, range(len(self))))


@final
@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over a table says.

    Attributes
    ----------
    source : Source
    checked : dict
        The settings as they were given, and the task.
    cut : Cut
        Of the rows that may be learned from.
    known : Summary
        Of the rows to learn from.
    held_back : Table or None
        The rows that are held back.
    held_back_rows : ndarray of int64
        Their numbers.
    sample_rows : ndarray of int64
        The numbers of the summary's sample.
    memory : int
        Bytes that the rows may take.
    """

    source: Source
    checked: dict[str, Any]
    cut: Cut
    known: Summary
    held_back: Table | None
    held_back_rows: Indices
    sample_rows: Indices
    memory: int

    @classmethod
    def of(
        cls,
        source: Source,
        checked: Mapping[str, Any],
        memory: int | None,
        holds_back: bool = True,
        heard: Heard | None = None,
        engine: Engine | None = None,
    ) -> Survey:
        """Read all rows once; each process of a group reads some of them, and they tell each other what these say.

        Parameters
        ----------
        source : Source
        checked : mapping
            As `fallline.params.check` gives them.
        memory : int or None
            Bytes. None: the rows to learn from are held at once, so that there must be room for a batch.
        holds_back : bool
            False: there are other rows to measure on.
        heard : callable, optional
            Hears of the rows that were read, so many and up to which share of this process's.
        engine : Engine, optional
            Of the group.

        Raises
        ------
        DataError
            A cell is not what its column holds; there are too few rows, or no classes.
        ParameterError
            The memory is too small.
        """
        n, seed = source.n_rows, checked["seed"]
        if memory is not None and memory < LEAST_MEMORY:
            raise ParameterError(f"memory is {memory >> 20} MB; it must be {LEAST_MEMORY >> 20} MB or more")
        # the batch and the share do not depend on the task, which nobody knows before the rows are read
        settled = RECIPES["table"].settle(checked, "regression", n)
        share = settled["validation"] if holds_back else 0.0
        share = SHARE_HELD_BACK if share == "auto" else share
        row_bytes = sum(CELL_BYTES[source.kinds[name]] for name in source.columns) + TEXT_COPIES * source.text_bytes
        row_bytes += 8 * source.n_classes if checked["task"] != "regression" else 0  # an indicator of each, twice
        if memory is None:
            memory = max(MEMORY, math.ceil(min(settled["batch_size"], n) * row_bytes / BLOCK_SHARE) + 1)
        n_last = 0
        if share and checked["hold_back"] == "last":
            most = min(MOST_HELD_BACK, max(1, int(SOME_SHARE * memory) // row_bytes), n - 1)
            n_last, share = min(most, max(1, round(n * share))), 0.0
        cut = Cut.of(n - n_last, row_bytes, settled["batch_size"], share, seed, memory)
        every = -(-len(cut) * cut.held * row_bytes // max(row_bytes, int(2 * SOME_SHARE * memory)))
        most_text = MOST_LONGER * cut.size * source.text_bytes + LEAST_TEXT
        held: list[tuple[Table, Indices]] = []
        numbers: list[Indices] = []
        process, n_processes = (0, 1) if engine is None else engine.group
        mine = np.array_split(np.arange(len(cut)), n_processes)[process].tolist()
        prints = [] if engine is None else engine.exchange(source.fingerprint.encode())
        for i, other in enumerate(prints):
            if other != prints[0]:
                raise DataError(f"{source.name}: process {i} has other files than process 0; give all the same")
        task, log = None if checked["task"] == "auto" else checked["task"], checked["target_transform"] == "log"

        def parts() -> Iterator[Summary]:
            for block, table in _read_ahead(source, cut, mine, most_text):
                first, last = cut.span(block)
                out = cut.held_back(block)
                some = sampled(first, last - first, cut.n_rows, 4 * table.n_in + source.text_bytes, seed)
                keep, some = np.delete(np.arange(last - first), out), np.setdiff1d(some, out)
                if len(out) and block % every == 0:  # one row of each block may be more than there is room for
                    held.append((table.rows(out).with_own_labels(), first + out))
                numbers.append(first + some)
                try:
                    yield Summary.of(table.rows(keep), task, log, np.searchsorted(keep, some))
                except DataError as error:
                    raise DataError(f"{source.name}: {error}") from None
                if heard is not None:
                    heard(last - first, (block + 1 - mine[0]) / len(mine))

        if engine is None or n_processes == 1:
            known = Summary.of_parts(parts())
        else:
            told = _of_all(engine, [part.to_bytes() for part in parts()])
            known = Summary.of_parts(map(Summary.from_bytes, told))  # block after block, whoever read it
            tables = _of_all(engine, [Summary.of(table, task, log).to_bytes() for table, _ in held])
            of_held = _of_all(engine, [rows.tobytes() for _, rows in held])
            held = [
                (Summary.from_bytes(table).sample, np.frombuffer(rows, np.int64))
                for table, rows in zip(tables, of_held, strict=True)
            ]
            numbers = [np.frombuffer(rows, np.int64) for rows in _of_all(engine, [rows.tobytes() for rows in numbers])]
        if n_last:
            held.append((source.rows(n - n_last, n), np.arange(n - n_last, n)))
        task = task or task_of(known.target)
        n_classes = len(known.target.classes)
        if task == "classification" and (n_classes >= MOST_CLASSES or n_classes == known.n_rows > 3):
            raise DataError(
                f"{source.name}: target {source.target!r} has {n_classes} different values in {known.n_rows} rows, too "
                "many for classes"
            )
        held_back = joined([table for table, _ in held]) if held else None
        rows = np.concatenate([np.arange(0), *(rows for _, rows in held)])
        found = dict(checked) | {"task": task, "batch_size": settled["batch_size"]}
        return cls(source, found, cut, known, held_back, rows, np.concatenate(numbers), memory)


def _of_all(engine: Engine, own: list[bytes]) -> list[bytes]:
    """What all processes of a group have, those of the first one first."""
    sizes = np.array([len(one) for one in own], np.int64)
    found = []
    for each, data in zip(engine.exchange(sizes.tobytes()), engine.exchange(b"".join(own)), strict=True):
        n_bytes = np.frombuffer(each, np.int64)
        ends = np.cumsum(n_bytes)
        found += [data[first:last] for first, last in zip(ends - n_bytes, ends, strict=True)]
    return found


def _read_ahead(source: Source, cut: Cut, blocks: Iterable[int], most_text: int) -> Iterator[tuple[int, Table]]:
    """Blocks and their rows, while the next is read already."""
    with ThreadPoolExecutor(1, "fallline-reader") as reader:
        before: tuple[int, Future[Table]] | None = None
        for block in blocks:
            now = block, reader.submit(source.rows, *cut.span(block), most_text)
            if before is not None:
                yield before[0], before[1].result()
            before = now
        if before is not None:
            yield before[0], before[1].result()

"""Rows that do not fit into memory: blocks of a table, shuffled through a buffer while the last one is learned.

The rows to learn from are cut into blocks of as many rows, a multiple of the batch; the rest makes a last, shorter one.
An epoch visits the blocks in an order of its own, the last one last. So many of them together make a buffer, whose rows
are shuffled. A batch never crosses two buffers, so an epoch has as many steps as it has of rows in memory.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt

from fallline import philox
from fallline.engines.plan import Data, Engine, Plan, Session, Slice, State
from fallline.errors import ParameterError

Array = npt.NDArray[Any]


@final
@dataclass(frozen=True)
class Blocks:
    """How rows are cut, and the order in which they are visited.

    Parameters
    ----------
    size : int
        Rows of a block.
    n_full : int
        Number of blocks of that size.
    rest : int
        Rows of the last, shorter block; 0: there is none.
    per_buffer : int
        Blocks of a buffer, at most.

    Examples
    --------
    >>> blocks = Blocks(size=4, n_full=3, rest=2, per_buffer=2)
    >>> blocks.n, len(blocks), blocks.buffers(seed=0, epoch=0)
    (14, 4, [[2, 0], [1, 3]])
    """

    size: int
    n_full: int
    rest: int
    per_buffer: int

    def __len__(self) -> int:
        return self.n_full + (self.rest > 0)

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.size * self.n_full + self.rest

    def rows_of(self, block: int) -> int:
        """Rows of a block."""
        return self.size if block < self.n_full else self.rest

    def buffers(self, seed: int, epoch: int, shuffle: bool = True) -> list[list[int]]:
        """The blocks of each buffer of an epoch, as many in each as can be."""
        order = np.arange(len(self))
        if shuffle:
            order[: self.n_full] = philox.shuffled(self.n_full, seed, epoch, 0, philox.PURPOSE_BLOCKS)
        return [part.tolist() for part in np.array_split(order, -(-len(order) // self.per_buffer))]

    def order(self, seed: int, epoch: int, buffer: int, n: int, shuffle: bool = True) -> Array:
        """The order in which the `n` rows of a buffer are visited, counted from its first block's first row."""
        if not shuffle:
            return np.arange(n)
        return philox.shuffled(n, seed, epoch, buffer + 1, philox.PURPOSE_BLOCKS)


@dataclass(frozen=True)
class Part:
    """A buffer of an epoch: what says which rows it has, and in which order."""

    seed: int
    epoch: int
    buffer: int
    shuffle: bool


@final
class Stream:
    """Rows to train on that stand where `Data` stand, and are not in memory.

    Parameters
    ----------
    blocks : Blocks
    read : callable
        Gives the rows of a block, by its number, as `Data` of shape (n,) weights.
    at_hand : Data
        Some of the rows, for what needs no more.
    fingerprint : str
        The same for the same rows cut in the same way; of files, as far as names, sizes and numbers of rows tell.

    Attributes
    ----------
    seconds_per_row : float
        What the last buffer took to be filled; 0 before.
    """

    def __init__(self, blocks: Blocks, read: Callable[[int], Data], at_hand: Data, fingerprint: str) -> None:
        self.blocks, self.read, self.at_hand, self.fingerprint = blocks, read, at_hand, fingerprint
        self.seconds_per_row = 0.0
        self._reader = ThreadPoolExecutor(1, "fallline-reader")
        self._ahead: dict[Part, Future[Data]] = {}
        self._closed = threading.Event()

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.blocks.n

    def of_start(self, k: int) -> Stream:
        """The same rows: all starts give them the same weight."""
        return self

    def buffer(self, part: Part, then: Part, seconds: float) -> Data | None:
        """The rows of a buffer in the order in which they are visited, while the next is read already.

        Parameters
        ----------
        part, then : Part
            This one and the next.
        seconds : float
            How long to wait for it.

        Returns
        -------
        Data or None
            None where it is not there yet.

        Raises
        ------
        DataError
            The rows cannot be read.
        """
        for other in set(self._ahead) - {part, then}:
            self._ahead.pop(other).cancel()
        if part not in self._ahead:
            self._ahead[part] = self._reader.submit(self._filled, part)
        try:
            data = self._ahead[part].result(seconds)
        except NotYet:
            return None
        del self._ahead[part]
        self._ahead[then] = self._reader.submit(self._filled, then)
        return data

    def close(self) -> None:
        """Read no further."""
        self._closed.set()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _filled(self, part: Part) -> Data:
        numbers = self.blocks.buffers(part.seed, part.epoch, part.shuffle)[part.buffer]
        n = sum(map(self.blocks.rows_of, numbers))
        place = np.empty(n, np.int64)
        place[self.blocks.order(part.seed, part.epoch, part.buffer, n, part.shuffle)] = np.arange(n)
        filled, begin, began = None, 0, time.perf_counter()
        for number in numbers:
            if self._closed.is_set():
                break
            rows = self.read(number)
            if filled is None:
                filled = Data(*(np.empty((n, *each.shape[1:]), each.dtype) for each in (rows.X, rows.Y, rows.weight)))
            there = place[begin : begin + rows.n]
            for to, each in zip((filled.X, filled.Y, filled.weight), (rows.X, rows.Y, rows.weight), strict=True):
                to[there] = each
            begin += rows.n
            self.seconds_per_row = (time.perf_counter() - began) / begin
        return filled or self.at_hand


@final
class StreamedSession(Session):
    """A descent over a stream: a session of its engine for each buffer, which takes over from the one before."""

    def __init__(self, engine: Engine, plan: Plan, parameters: Array, stream: Stream) -> None:
        blocks, size = stream.blocks, plan.batch_size
        if blocks.size % size and blocks.n_full:
            raise ParameterError(f"blocks of {blocks.size} rows cannot be cut into batches of {size}")
        self._engine, self._plan, self._stream = engine, plan, stream
        moments = np.zeros((plan.optimizer.n_moments, *parameters.shape), parameters.dtype)
        n_starts = len(parameters)
        self._theta = parameters.copy()
        self._state = State(0, moments, np.full(n_starts, -1), np.full(n_starts, np.nan))
        self._step = 0
        self._inner: Session | None = None  # while it is within a buffer
        self._steps_per_epoch = -(-stream.n // size)
        self._end = 0  # the step at which the buffer under way ends

    def run(self, factors: Array, seconds: float, after: Slice | None = None) -> Slice:
        """Steps against the gradient, for as many buffers as they reach into; see `Session.run`.

        Where the next rows are not there yet it gives back what there is when the time is over.
        """
        deadline, n_steps, sums, waits = time.perf_counter() + seconds, 0, after, False
        while n_steps < len(factors):
            left = max(0.0, deadline - time.perf_counter())
            if self._inner is None and not self._begin(left):
                waits = True
                break
            assert self._inner is not None
            sums = self._inner.run(factors[n_steps:][: self._end - self._step], left, sums)
            n_steps += sums.n_steps
            self._step += sums.n_steps
            is_whole = self._step == self._end
            if is_whole:
                self._theta, self._state = self._inner.parameters(), self._inner.state()
                self._inner = None  # and with it the rows
            if time.perf_counter() > deadline or not is_whole:
                break
        if sums is None:
            zero, state = np.zeros(len(self._theta)), self.state()
            assert state.diverged_step is not None
            assert state.gradient_norm is not None
            return Slice(0, zero, zero, zero, state.gradient_norm, state.diverged_step, waits=waits)
        return replace(sums, n_steps=n_steps, waits=waits)

    def parameters(self, out: Array | None = None) -> Array:
        """A copy of the parameters, shape (K, P); see `Session.parameters`."""
        if self._inner is not None:
            return self._inner.parameters(out)
        out = np.empty_like(self._theta) if out is None else out
        np.copyto(out, self._theta)
        return out

    def visit(self, rows: Array) -> None:
        """Refused: a stream has an order of its own."""
        raise ParameterError("rows that are streamed have an order of their own; give them as arrays")

    def state(self) -> State:
        """What it knows; see `Session.state`."""
        return copy.deepcopy(self._state) if self._inner is None else self._inner.state()

    def resume(self, state: State) -> None:
        """Go on from there, be it within a buffer; see `Session.resume`."""
        n_starts = len(self._theta)
        diverged = np.full(n_starts, -1) if state.diverged_step is None else state.diverged_step
        norm = np.full(n_starts, np.nan) if state.gradient_norm is None else state.gradient_norm
        self._state = State(state.step, state.moments, diverged, norm)
        self._step, self._inner = state.step, None

    def _begin(self, seconds: float) -> bool:
        """Take the rows that come next, and go on with them; False where they are not there yet."""
        plan, blocks = self._plan, self._stream.blocks
        epoch, place = divmod(self._step, self._steps_per_epoch)
        buffers = blocks.buffers(plan.seed, epoch, plan.shuffle)
        ends = np.cumsum([-(-sum(map(blocks.rows_of, numbers)) // plan.batch_size) for numbers in buffers])
        b = int(np.searchsorted(ends, place, side="right"))
        now, last = Part(plan.seed, epoch, b, plan.shuffle), b + 1 == len(buffers)
        then = replace(now, epoch=epoch + 1, buffer=0) if last else replace(now, buffer=b + 1)
        data = self._stream.buffer(now, then, seconds)
        if data is None:
            return False
        done = (place - (int(ends[b - 1]) if b else 0)) * plan.batch_size
        data = data.rows(slice(done, None))
        self._inner = self._engine.session(plan, self._theta, data)
        self._inner.resume(self._state)
        self._inner.visit(np.arange(data.n))
        self._end = self._step - place + int(ends[b])
        return True


def session_of(engine: Engine, plan: Plan, parameters: Array, data: Data | Stream) -> Session:
    """Begin a descent over rows in memory or over a stream; parameters as of `Engine.session`."""
    if isinstance(data, Stream):
        return StreamedSession(engine, plan, parameters, data)
    return engine.session(plan, parameters, data)

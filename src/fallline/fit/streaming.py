"""A job whose rows stay in their files: what it learns from is read, encoded and shuffled as it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fallline.checkpoint import fingerprint
from fallline.engines import Blocks, Data, Engine, Share, Stream
from fallline.errors import ParameterError
from fallline.fit.job import Job, encoded, loss_of, network_for, told_of_target
from fallline.fit.rows import Array, Rows
from fallline.fit.survey import BUFFER_SHARE, SOME_SHARE, Survey
from fallline.losses import Loss
from fallline.network import Network
from fallline.recipes import RECIPES
from fallline.table import Encoder, Table
from fallline.table.table import Indices


def streamed_job(
    survey: Survey, checked: Mapping[str, Any], validation_table: Table | None = None, engine: Engine | None = None
) -> Job:
    """Settle what is left to settle, and stand ready to read.

    Parameters
    ----------
    survey : Survey
    checked : mapping
        The survey's settings, or others that leave its cut as it is.
    validation_table : Table, optional
        Rows to measure on.
    engine : Engine, optional
        The rows are not streamed, but this process holds its share of them.

    Returns
    -------
    Job
        All starts measure on the same rows.

    Raises
    ------
    ParameterError
        Settings do not go together.
    DataError
        There is nothing to learn.
    """
    recipe, known, cut = RECIPES["table"], survey.known, survey.cut
    settled = recipe.settle(checked, checked["task"], cut.n_learned)
    held_back, held_back_rows = survey.held_back, survey.held_back_rows
    if validation_table is not None:
        held_back, held_back_rows = validation_table, np.arange(validation_table.n_rows)
    if settled["patience"] and held_back is None:
        raise ParameterError("patience needs rows to measure on; set validation above 0")
    told = told_of_target(settled)
    classes = known.target.classes
    if survey.held_back is not None and survey.held_back.y is not None and checked["task"] == "classification":
        classes = np.union1d(classes, survey.held_back.y)
    encoder = Encoder.of_summary(known, checked["task"], told["quantiles"], classes)
    network, loss = network_for(encoder, settled), loss_of(settled, encoder.target)

    most = max(1000, int(SOME_SHARE * survey.memory) // (4 * encoder.n_in))
    sample, sample_rows = _some(known.sample, survey.sample_rows, most)
    at_hand = encoded(sample, encoder)
    validation: tuple[Array, ...] | None = None
    if held_back is not None:
        if validation_table is None:
            held_back, held_back_rows = _some(held_back, held_back_rows, most)
        validation = encoded(held_back, encoder)
    if cut.n_learned > sample.n_rows:
        sample = replace(sample, name=f"{sample.name} ({sample.n_rows:,} of {cut.n_learned:,} rows)")
    rows = Rows(sample, held_back, sample_rows, held_back_rows, np.arange(0), n_streamed=cut.n_learned)
    whole = _stream(survey, encoder, network, loss, Data.of(network, loss, *at_hand))
    stream = whole if engine is None else _share(whole, engine.share(whole.n))
    return Job.put_together(rows, settled, recipe, encoder, [network], at_hand, validation, stream=stream)


def _share(stream: Stream, mine: slice) -> Share:
    """Some consecutive rows of a stream, in its own order, read at once."""
    if mine.start == mine.stop:
        raise ParameterError(f"{stream.n} rows are too few for so many processes; start fewer")
    size, parts = stream.blocks.size, []
    for block in range(mine.start // size, -(-mine.stop // size)):
        first = block * size
        parts.append(stream.read(block).rows(slice(max(0, mine.start - first), mine.stop - first)))
    X, Y, weight = (
        np.concatenate(each) for each in zip(*((part.X, part.Y, part.weight) for part in parts), strict=True)
    )
    stream.close()
    return Share(X, Y, weight, stream.n, stream.at_hand, stream.fingerprint)


def _some(table: Table, numbers: Indices, most: int) -> tuple[Table, Indices]:
    """No more rows than so many, evenly spread, and their numbers."""
    if table.n_rows <= most:
        return table, numbers
    some = np.linspace(0, table.n_rows - 1, most).astype(np.int64)
    return table.rows(some), numbers[some]


def _stream(survey: Survey, encoder: Encoder, network: Network, loss: Loss, at_hand: Data) -> Stream:
    cut, source = survey.cut, survey.source
    learned = cut.size - cut.held
    row_bytes = 4 * (encoder.n_in + at_hand.Y.shape[1] + 1)
    n_full = cut.n_rows // cut.size
    rest = cut.n_learned - n_full * learned
    per_buffer = max(1, int(BUFFER_SHARE * survey.memory) // (row_bytes * learned))
    blocks = Blocks(learned, n_full, rest, per_buffer)
    kept: dict[int, Indices] = {}  # the rows of each block that are held back are few

    def read(block: int) -> Data:
        first, last = cut.span(block)
        table = source.rows(first, last)
        if cut.held:
            if block not in kept:
                kept[block] = cut.held_back(block)
            table = table.rows(np.delete(np.arange(last - first), kept[block]))
        return Data.of(network, loss, *encoded(table, encoder))

    known = json.dumps([source.fingerprint, encoder.to_header(), repr(blocks), repr(cut)])
    return Stream(blocks, read, at_hand, fingerprint(np.frombuffer(known.encode(), np.uint8)))

"""Rows that are streamed: the same steps on the same rows as in memory, to the last bit."""

import signal
import threading
import time

import numpy as np
import pytest

from fallline import SGD, Adam, Network
from fallline.checkpoint import Checkpoint
from fallline.descent import descend
from fallline.engines import Blocks, Data, Plan, Start, State, Stream, as_engine, session_of
from fallline.errors import DivergenceWarning, ParameterError
from fallline.losses import SquaredError

BATCH, SIZE = 8, 24


class Fault(Exception):
    pass


def rows_of(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    Y = (X[:, :1] * X[:, 1:2] + X[:, 2:3]).astype(np.float32)
    return Data(X, Y, np.ones(n, np.float32))


def stream_of(data, per_buffer, size=SIZE, fail_at=None, wait_at=None, gate=None):
    blocks = Blocks(size, data.n // size, data.n % size, per_buffer)
    firsts = [i * size for i in range(len(blocks))]

    def read(i):
        if i == fail_at:
            raise Fault("a broken block")
        if i == wait_at:
            gate()
        return data.rows(slice(firsts[i], firsts[i] + blocks.rows_of(i)))

    return Stream(blocks, read, data.rows(slice(0, 16)), "these rows")


def plan_of(net, n_starts=2, dropout=0.2, shuffle=True):
    starts = tuple(Start(k, 0.01 * (k + 1), weight_decay=0.01) for k in range(n_starts))
    rates = (dropout,) * (len(net.shape.layers) - 1)
    return Plan(net.shape, SquaredError(), Adam(), BATCH, shuffle, 3, starts, rates)


def visited(stream, plan, epoch):
    """The rows of an epoch, in the order of their visit."""
    blocks, order = stream.blocks, []
    for b, numbers in enumerate(blocks.buffers(plan.seed, epoch, plan.shuffle)):
        rows = np.concatenate([i * blocks.size + np.arange(blocks.rows_of(i)) for i in numbers])
        order.append(rows[blocks.order(plan.seed, epoch, b, len(rows), plan.shuffle)])
    return np.concatenate(order)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(("n", "per_buffer"), [(240, 3), (247, 4), (250, 1), (17, 2), (24, 2), (247, 100)])
def test_a_stream_takes_the_steps_of_its_twin_in_memory(engine, n, per_buffer):
    data, net = rows_of(n), Network([5, 12, 7, 1], "relu", seed=1)
    plan, parameters = plan_of(net), np.stack([Network([5, 12, 7, 1], "relu", seed=s).parameters for s in (1, 2)])
    stream, inner = stream_of(data, per_buffer), as_engine(engine)
    streamed, twin = (session_of(inner, plan, parameters, rows) for rows in (stream, data))
    steps = -(-n // BATCH)
    for epoch in range(3):
        order = visited(stream, plan, epoch)
        assert sorted(order.tolist()) == list(range(n))
        twin.visit(order)
        factors = np.linspace(1, 0.5, steps)
        ours, theirs = steps_of(streamed, factors), steps_of(twin, factors)
        for name in ("loss_sum", "weight_sum", "gradient_norm", "diverged_step"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        np.testing.assert_array_equal(streamed.parameters(), twin.parameters())
        np.testing.assert_array_equal(streamed.state().moments, twin.state().moments)
    stream.close()


def test_the_engine_xla_takes_the_steps_of_its_twin_too():
    """Buffers of one size, as each is compiled; the sums of a batch may be rounded otherwise."""
    data, net = rows_of(96), Network([5, 6, 1], "relu", seed=1)
    plan, parameters = plan_of(net), np.stack([net.parameters, net.parameters * 0.5])
    stream, inner = stream_of(data, 2), as_engine("xla")
    streamed, twin = (session_of(inner, plan, parameters, rows) for rows in (stream, data))
    for epoch in range(2):
        twin.visit(visited(stream, plan, epoch))
        ours, theirs = steps_of(streamed, np.ones(12)), steps_of(twin, np.ones(12))
        np.testing.assert_allclose(ours.loss_sum, theirs.loss_sum, rtol=1e-5)
        np.testing.assert_allclose(streamed.parameters(), twin.parameters(), atol=1e-5)
    assert np.abs(streamed.parameters() - parameters).max() > 0.1
    stream.close()


def steps_of(session, factors, slice_seconds=1.0):
    sums, taken = None, 0
    while taken < len(factors):
        sums = session.run(factors[taken:], slice_seconds, sums)
        taken += sums.n_steps
    return sums


def test_a_session_resumes_at_any_step():
    data, net = rows_of(247), Network([5, 12, 1], "relu", seed=1)
    plan, parameters = plan_of(net), np.stack([net.parameters, net.parameters * 0.5])
    engine, steps = as_engine("native"), 31

    def session(parameters):
        return session_of(engine, plan, parameters, stream_of(data, 3))

    for cut in (0, 1, 8, 9, 12, 30, 31, 40):
        whole = session(parameters)
        steps_of(whole, np.ones(2 * steps))
        first = session(parameters)
        steps_of(first, np.ones(cut))
        state = first.state()
        assert state.step == cut
        second = session(first.parameters())
        second.resume(State(cut, state.moments, state.diverged_step, state.gradient_norm))
        steps_of(second, np.ones(2 * steps - cut))
        np.testing.assert_array_equal(second.parameters(), whole.parameters())


def test_a_descent_over_a_stream_is_that_over_its_rows():
    """All rows in one batch, whichever order they have: no shuffle, one step an epoch."""
    data, net = rows_of(40), Network([5, 6, 1], "tanh", seed=2)
    stream = stream_of(data, 2, size=40)
    told = {"batch_size": 40, "epochs": 20, "validation": (data.X, data.Y), "seed": 4, "starts": 2}
    ours, theirs = descend(net, stream, **told), descend(net, data.X, data.Y, **told)
    np.testing.assert_array_equal(ours.network.parameters, theirs.network.parameters)
    np.testing.assert_array_equal(ours.history["loss"], theirs.history["loss"])
    assert ours.data.n == 16  # at hand


def test_a_stream_learns():
    data, net = rows_of(2000), Network([5, 32, 1], "relu", seed=2)
    run = descend(net, stream_of(data, 5, size=80), batch_size=BATCH, epochs=30, validation=(data.X, data.Y))
    assert run.history["validation_loss"][-1, 0] < 0.05 * float(data.Y.var())


def test_a_fault_in_the_reader_is_the_descent_s():
    net = Network([5, 6, 1], "tanh", seed=2)
    with pytest.raises(Fault, match="a broken block"):
        descend(net, stream_of(rows_of(240), 2, fail_at=7), batch_size=BATCH, epochs=2)


def test_ctrl_c_while_rows_are_read_ends_it_at_once_and_it_goes_on(tmp_path):
    """With a checkpoint that is due all the time, so that the loop asks for a step at a time."""
    data, net = rows_of(240), Network([5, 6, 1], "tanh", seed=2)
    told = {"batch_size": BATCH, "epochs": 2, "shuffle": False}
    go_on = threading.Event()

    def slow():
        signal.raise_signal(signal.SIGINT)  # heard by the main thread
        go_on.wait(30)

    began = time.perf_counter()
    stream = stream_of(data, 2, wait_at=6, gate=slow)
    cut = descend(net, stream, checkpoint=Checkpoint(tmp_path, 0), **told)
    assert time.perf_counter() - began < 10
    go_on.set()
    stream.close()
    assert cut.stop_reason == "interrupted"
    assert 12 <= cut.kept_steps[0] <= 18  # in the buffer before the one that is read, or at its end
    again = descend(net, stream_of(data, 2), checkpoint=Checkpoint(tmp_path, 0, resume=True), **told)
    whole = descend(net, stream_of(data, 2), **told)
    np.testing.assert_array_equal(again.network.parameters, whole.network.parameters)


def test_no_batch_crosses_buffers():
    with pytest.raises(ParameterError, match="blocks of 24 rows cannot be cut into batches of 10"):
        descend(Network([5, 1]), stream_of(rows_of(240), 2), batch_size=10)


def test_a_start_that_diverges_is_mended_from_the_stream():
    data, net = rows_of(240), Network([5, 6, 1], "relu", seed=2)
    told = {"batch_size": BATCH, "epochs": 4, "seed": 1}
    with pytest.warns(DivergenceWarning, match="went back to step 0"):
        mended = descend([net, net], stream_of(data, 2), optimizer=SGD([0.01, 1.0]), **told)
    wanted = descend([net, net], stream_of(data, 2), optimizer=SGD([0.01, 0.5]), **told)
    for k in range(2):
        np.testing.assert_array_equal(mended.networks[k].parameters, wanted.networks[k].parameters)


def test_epochs_differ_and_follow_from_the_seed():
    blocks = Blocks(8, 20, 3, 4)
    assert blocks.buffers(1, 0) == blocks.buffers(1, 0)
    assert blocks.buffers(1, 0) != blocks.buffers(1, 1)
    assert blocks.buffers(1, 0) != blocks.buffers(2, 0)
    for epoch in range(5):
        found = [i for numbers in blocks.buffers(1, epoch) for i in numbers]
        assert sorted(found) == list(range(21))
        assert found[-1] == 20
        assert max(map(len, blocks.buffers(1, epoch))) <= 4
    assert blocks.order(1, 0, 0, 30).tolist() != blocks.order(1, 0, 1, 30).tolist()

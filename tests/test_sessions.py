"""What a caller may tell a session, in both engines: rows to visit, moments to go on from, penalties by the row."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engines import ALWAYS, Data, Plan, Start, State, as_engine
from fallline.losses import BinaryCrossEntropy, CategoricalCrossEntropy, Quadratic
from fallline.optimizers import SGD, Adam, RMSprop

RULES = [SGD(), SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True), RMSprop(), Adam()]
FOREVER = 1e9


def problem(n: int = 30, **settings: Any) -> tuple[Plan, np.ndarray, Data]:
    """Two starts that drop neurons, over weighted rows."""
    rng = np.random.default_rng(0)
    net = fl.Network([4, 9, 3], "tanh", "softmax", dtype="float64")
    data = Data.of(net, CategoricalCrossEntropy(), rng.normal(size=(n, 4)), np.arange(n) % 3, rng.uniform(0.5, 2, n))
    plan = Plan(net.shape, CategoricalCrossEntropy(), SGD(), batch_size=8, starts=(Start(0, 0.1), Start(1, 0.2)))
    plan = dataclasses.replace(plan, **({"dropout": (0.2,)} | settings))
    return plan, np.stack([net.restart(k).parameters for k in range(len(plan.starts))]), data


@pytest.mark.parametrize("engine", ALWAYS)
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_another_session_goes_on_to_the_same_bits(rule: Any, engine: str) -> None:
    plan, theta, data = problem(optimizer=rule)
    factors = np.linspace(0.02, 0.01, 11)  # of the rates, which suit all rules so
    whole, first = (as_engine(engine).session(plan, theta, data) for _ in range(2))
    whole.run(factors, FOREVER)
    first.run(factors[:6], FOREVER)
    state = first.state()
    assert state.step == 6
    assert state.moments.shape == (rule.n_moments, *theta.shape)
    second = as_engine(engine).session(plan, first.parameters(), data)
    second.resume(state)
    second.run(factors[6:], FOREVER)
    np.testing.assert_array_equal(second.parameters(), whole.parameters())
    np.testing.assert_array_equal(second.state().moments, whole.state().moments)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_both_engines_remember_the_same(rule: Any) -> None:
    states = []
    for engine in ALWAYS:
        plan, theta, data = problem(optimizer=rule)
        session = as_engine(engine).session(plan, theta, data)
        session.run(np.full(9, 0.01), FOREVER)
        states.append(session.state().moments)
    np.testing.assert_allclose(*states, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ALWAYS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_are_visited_as_told(shuffle: bool, engine: str) -> None:
    """Fewer than there are, or more; whoever is told nothing else goes through the same again."""
    plan, theta, data = problem(optimizer=Adam(), shuffle=shuffle)
    told = as_engine(engine).session(plan, theta, data)
    for n in (30, 11, 45):
        rows = np.arange(n) * 7 % 30
        state, before = told.state(), told.parameters()
        told.visit(rows)
        n_steps = 2 * -(-n // 8)
        found = told.run(np.full(n_steps, 0.05), FOREVER)
        plain = as_engine(engine).session(dataclasses.replace(plan, shuffle=False), before, data.rows(rows))
        plain.resume(State(state.step, state.moments))
        plain.visit(np.arange(n))
        expected = plain.run(np.full(n_steps, 0.05), FOREVER)
        np.testing.assert_array_equal(told.parameters(), plain.parameters())
        np.testing.assert_allclose(found.loss_sum, expected.loss_sum, rtol=1e-12)
        np.testing.assert_allclose(found.weight_sum, 2 * data.weight[rows].sum(), rtol=1e-12)


@pytest.mark.parametrize("engine", ALWAYS)
def test_a_step_taken_again_with_other_rows(engine: str) -> None:
    plan, theta, data = problem(starts=(Start(0, 0.1),))
    theta = theta[:1] + 0.1  # biases too are no longer 0
    session, fresh = (as_engine(engine).session(plan, theta, data) for _ in range(2))
    start = session.state()
    session.visit(np.arange(8))
    session.run(np.full(1, 1e-300), FOREVER)  # too short to change anything
    np.testing.assert_array_equal(session.parameters(), theta)
    for one in (session, fresh):
        one.resume(start)
        one.visit(np.arange(8, 16))
        one.run(np.ones(1), FOREVER)
    np.testing.assert_array_equal(session.parameters(), fresh.parameters())


@pytest.mark.parametrize("engine", ALWAYS)
def test_starts_with_and_without_penalties(engine: str) -> None:
    """Each reports its own."""
    plan, theta, data = problem(starts=(Start(0, 0.1, l2=0.5), Start(1, 0.1)), penalties_per_row=True)
    done = as_engine(engine).session(plan, theta, data).run(np.ones(5), FOREVER)
    assert done.penalty_sum[0] > 0
    assert done.penalty_sum[1] == 0


@pytest.mark.parametrize("engine", ALWAYS)
def test_penalties_by_the_row(engine: str) -> None:
    """One step of gradient descent against NumPy: `(sum w dW + l1 sign(W) + l2 W) / sum w`, and what it reports."""
    start = Start(0, 0.3, l1=0.2, l2=0.7)
    plan, theta, data = problem(8, dropout=(0.0,), starts=(start,), penalties_per_row=True, shuffle=False)
    loss, mean = as_engine(engine).gradient(dataclasses.replace(plan, starts=(Start(),)), theta[0], data)
    is_weight = np.zeros(len(mean), bool)
    W, _ = fl.network.views(plan.shape, is_weight)
    for one in W:
        one[...] = True
    weight, w = data.weight.sum(), np.where(is_weight, theta[0], 0)
    penalty = 0.2 * np.abs(w).sum() + 0.35 * (w**2).sum()
    gradient = mean + (0.2 * np.sign(w) + 0.7 * w) / weight
    session = as_engine(engine).session(plan, theta, data)
    done = session.run(np.ones(1), FOREVER)
    np.testing.assert_allclose(session.parameters()[0], theta[0] - 0.3 * gradient, rtol=1e-12)
    np.testing.assert_allclose(done.loss_sum, weight * loss, rtol=1e-12)
    np.testing.assert_allclose(done.penalty_sum, penalty, rtol=1e-12)
    found = as_engine(engine).gradient(plan, theta[0], data)
    np.testing.assert_allclose(found[0], loss + penalty / weight, rtol=1e-12)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-12)
    plain = as_engine(engine).session(dataclasses.replace(plan, penalties_per_row=False), theta, data)
    assert plain.run(np.ones(1), FOREVER).penalty_sum == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_penalties_by_the_row_on_the_same_path(dtype: str) -> None:
    net = fl.Network([4, 9, 2], "relu", dtype=dtype)
    rng, found = np.random.default_rng(1), []
    data = Data.of(net, Quadratic(), rng.normal(size=(50, 4)), rng.normal(size=(50, 2)), rng.uniform(0.5, 2, 50))
    plan = Plan(net.shape, Quadratic(), Adam(), 8, starts=(Start(0, 0.01, l1=0.02, l2=0.1),), penalties_per_row=True)
    for engine in ALWAYS:
        session = as_engine(engine).session(plan, net.parameters[None], data)
        done = session.run(np.ones(70), FOREVER)
        found.append(np.concatenate([done.loss_sum, done.penalty_sum, session.parameters()[0]]))
    np.testing.assert_allclose(*found, rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-5)


@pytest.mark.parametrize("engine", ALWAYS)
@pytest.mark.parametrize("output", ["identity", "sigmoid", "softmax"])
@pytest.mark.parametrize("loss", [BinaryCrossEntropy, CategoricalCrossEntropy])
def test_a_ceiling_cuts_the_loss_but_not_its_gradient(loss: Any, output: str, engine: str) -> None:
    """Of each output with binary cross-entropy, of each row with categorical."""
    net = fl.Network([3, 4], output=output, dtype="float64")
    rng = np.random.default_rng(3)
    X, Y = 3 * rng.normal(size=(20, 3)), np.eye(4)[np.arange(20) % 4]
    record, found = net.shape.layers[0].activation, []
    for one in (loss(), loss(ceiling=0.5)):
        plan = Plan(net.shape, one, SGD())
        found.append(as_engine(engine).gradient(plan, net.parameters, Data.of(net, one, X, Y)))
    np.testing.assert_array_equal(found[0][1], found[1][1])
    Z = net.forward(X).Z[0]
    if loss is CategoricalCrossEntropy:
        each = loss().value_and_gradient(Z, record.value(Z), Y, record)[0]
    elif output == "softmax":  # of an output, from the definition
        each = -np.log(np.where(Y == 1, record.value(Z), 1 - record.value(Z)))
    else:
        each = np.logaddexp(0, np.where(Y == 1, -Z, Z))
    assert (each > 0.5).any()
    np.testing.assert_allclose(found[0][0], each.mean(), rtol=1e-12)
    np.testing.assert_allclose(found[1][0], np.minimum(each, 0.5).mean(), rtol=1e-12)


def test_the_compiled_core_does_not_trust_who_tells_it() -> None:
    plan, theta, data = problem(2500, batch_size=2500)
    session = as_engine("native").session(plan, theta, data)
    for rows in ([], [0, 2500], [-1]):
        with pytest.raises(ValueError, match="an epoch visits"):
            session.visit(np.array(rows, dtype=np.int64))
    with pytest.raises(ValueError, match="0 or more"):
        session.resume(State(-1, np.empty((0, *theta.shape))))
    with pytest.raises(ValueError, match="the rule's moments of all starts"):
        session.resume(State(0, np.empty((1, *theta.shape))))
    session.run(np.ones(1), -1.0)
    for call in (lambda: session.visit(np.arange(3)), lambda: session.resume(session.state())):
        with pytest.raises(ValueError, match="a step is under way"):
            call()


@pytest.mark.parametrize("engine", ALWAYS)
def test_sums_do_not_depend_on_where_slices_end(engine: str) -> None:
    plan, theta, data = problem()
    whole, cut = (as_engine(engine).session(plan, theta, data) for _ in range(2))
    expected = whole.run(np.full(23, 0.3), FOREVER)
    found = None
    for n in (1, 4, 1, 10, 7):
        found = cut.run(np.full(n, 0.3), FOREVER, found)
    assert found is not None
    np.testing.assert_array_equal(found.loss_sum, expected.loss_sum)
    np.testing.assert_array_equal(found.weight_sum, expected.weight_sum)


@pytest.mark.parametrize("engine", ALWAYS)
def test_a_start_that_diverged_stands_still_in_another_session_too(engine: str) -> None:
    """Though its loss might be finite there."""
    plan, theta, data = problem()
    first, second = (as_engine(engine).session(plan, theta, data) for _ in range(2))
    state = first.state()
    assert state.diverged_step is not None
    second.resume(dataclasses.replace(state, step=8, diverged_step=np.array([-1, 5])))
    done = second.run(np.ones(4), FOREVER)
    assert done.diverged_step.tolist() == [-1, 5]
    np.testing.assert_array_equal(second.parameters()[1], theta[1])
    assert not np.array_equal(second.parameters()[0], theta[0])
    assert np.isnan(second.state().gradient_norm[1])
    assert second.state().diverged_step.tolist() == [-1, 5]

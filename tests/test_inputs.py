"""What stands before the first layer: by PyTorch, by central differences, and the two engines step by step."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engines import ALWAYS, Data, Plan, as_engine
from fallline.errors import DataError, ParameterError
from fallline.inputs import Inputs
from fallline.losses import SquaredError
from fallline.optimizers import SGD, Adam, RMSprop
from fallline.rates import Rates

both_engines = pytest.mark.parametrize("engine", ALWAYS)

# columns that are embedded, plain ones, codes; alone and together, more than a panel of them, sizes of all kinds
CASES = {
    "embedded": Inputs(embedded=2),
    "plain": Inputs(plain=19),
    "codes": Inputs(tables=[(3, 1), (7, 5)]),
    "all": Inputs(embedded=3, plain=2, tables=[(4, 3)], frequencies=5, size=7, spread=(0.5, 0.5)),
    "odd": Inputs(embedded=1, plain=17, tables=[(2, 2), (9, 4)], frequencies=17, size=2),
}
cases = pytest.mark.parametrize("inputs", CASES.values(), ids=CASES)


def rows(inputs: Inputs, n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows for such inputs, and targets that depend on all columns."""
    rng = np.random.default_rng(seed)
    X = rng.normal(0, 1.5, (n, inputs.n_in))
    for j, (levels, _) in enumerate(inputs.tables):
        X[:, inputs.embedded + inputs.plain + j] = rng.integers(0, levels, n)
    return X, np.sin(2 * X @ rng.normal(0, 0.5, inputs.n_in))


def network(inputs: Inputs, dtype: str = "float64", n_out: int = 1) -> fl.Network:
    net = fl.Network([inputs.n_in, 9, n_out], "tanh", seed=3, dtype=dtype, inputs=inputs)
    inputs.views(net.parameters)["scale"][...] = np.random.default_rng(1).uniform(0.5, 1.5, inputs.n_out)
    return net


@cases
def test_forward_by_hand(inputs: Inputs) -> None:
    """Column after column, in words as close as can be to those of the class."""
    X, _ = rows(inputs)
    net = network(inputs)
    part = inputs.views(net.parameters)
    columns = []
    for e in range(inputs.embedded):
        columns.append(X[:, e])
        for o in range(inputs.size - 1):
            waves = (part["M"][e, h, o] * np.cos(2 * np.pi * (X[:, e] * part["w"][e, h] + part["p"][e, h]))
                     for h in range(inputs.frequencies))  # fmt: skip
            columns.append(sum(waves) + part["c"][e, o])
    columns += [X[:, inputs.embedded + q] for q in range(inputs.plain)]
    for j in range(len(inputs.tables)):
        chosen = part[f"table.{j}"][X[:, inputs.embedded + inputs.plain + j].astype(int)]
        columns += list(chosen.T)
    taken = np.column_stack(columns) * part["scale"]
    expected = np.tanh(taken @ net.W[0] + net.b[0]) @ net.W[1] + net.b[1]
    np.testing.assert_allclose(net.forward(X).A[-1], expected, rtol=1e-12)
    np.testing.assert_allclose(net(X), expected, rtol=1e-12)
    for n in (1, 2, 7):  # few rows go another way
        np.testing.assert_allclose(net(X[:n]), expected[:n], rtol=1e-12)
    single = network(inputs, "float32")
    np.testing.assert_allclose(single(X), single.forward(X).A[-1], rtol=1e-4, atol=1e-5)


@both_engines
@cases
def test_gradient_agrees_with_central_differences(inputs: Inputs, engine: str) -> None:
    X, y = rows(inputs, n=11)
    net = network(inputs, n_out=2)
    weight = np.linspace(0.5, 2, len(X))
    data = Data.of(net, SquaredError(), X, np.column_stack([y, -y]), weight)
    plan = Plan(net.shape, SquaredError(), SGD(), batch_size=len(X))
    exact = as_engine(engine).gradient(plan, net.parameters, data)[1]
    loss = as_engine("reference").loss
    slopes = np.empty_like(exact)
    for i in range(len(exact)):
        up, down = net.parameters.copy(), net.parameters.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        slopes[i] = (loss(plan, up, data) - loss(plan, down, data)) / (up[i] - down[i])
    assert np.linalg.norm(exact - slopes) < 1e-7 * np.linalg.norm(slopes)
    for name, part in inputs.views(exact).items():
        assert part.size == 0 or np.abs(part).max() > 0, name


@cases
@pytest.mark.parametrize("rule", [SGD(0.03, momentum=0.9), RMSprop(0.003), Adam(0.01, weight_decay=0.1)], ids=str)
def test_the_engines_walk_the_same_path(rule: Any, inputs: Inputs) -> None:
    """200 steps, fused and not, with rates of their own for all parts; in float64 nothing but rounding differs."""
    X, y = rows(inputs)
    rates = Rates(fan_in=0.5, bias=0.3, scale=3.0, embedding=0.5)
    for clip in (None, 0.5):
        runs = [
            fl.descend(
                network(inputs),
                X,
                y,
                optimizer=rule,
                rates=rates,
                clip_norm=clip,
                batch_size=8,
                epochs=40,
                engine=engine,
            )
            for engine in ALWAYS
        ]
        a, b = (run.network.parameters for run in runs)
        assert np.linalg.norm(a - b) < 1e-10 * np.linalg.norm(b)
        np.testing.assert_allclose(*(run.history["loss"] for run in runs), rtol=1e-9)
        np.testing.assert_allclose(*(run.history["gradient_norm"] for run in runs), rtol=1e-7)
        assert runs[0].history["loss"][-1] < runs[0].history["loss"][0]


@cases
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_on_any_number_of_threads(inputs: Inputs, dtype: str) -> None:
    """A batch of several pieces, and so large that threads share it."""
    X, y = rows(inputs, n=2300)
    settings: dict[str, Any] = {"batch_size": 1100, "epochs": 3, "optimizer": Adam(0.01)}
    net = fl.Network([inputs.n_in, 40, 1], "relu", seed=3, dtype=dtype, inputs=inputs)
    one, *others = (fl.descend(net, X, y, threads=threads, **settings).network for threads in (1, 2, 3, 7))
    predicted = as_engine("native", 1).predict(one.shape, one.parameters, one.checked_rows(X))
    for other in others:
        np.testing.assert_array_equal(other.parameters, one.parameters)
    for threads in (2, 3, 7):
        engine = as_engine("native", threads)
        np.testing.assert_array_equal(engine.predict(one.shape, one.parameters, one.checked_rows(X)), predicted)


@both_engines
def test_a_rate_of_zero_leaves_a_part_as_it_is(engine: str) -> None:
    inputs = CASES["all"]
    X, y = rows(inputs)
    net = network(inputs)
    for part, names in (("scale", {"scale"}), ("embedding", {"w", "p", "M", "c", "table.0"})):
        run = fl.descend(net, X, y, rates=Rates(**{part: 0.0}), epochs=2, engine=engine)
        before, after = inputs.views(net.parameters), inputs.views(run.network.parameters)
        same = {name for name in before if np.array_equal(before[name], after[name])}
        assert same == names
    run = fl.descend(net, X, y, rates=Rates(bias=0.0), epochs=2, engine=engine)
    assert all(np.array_equal(b, c) for b, c in zip(net.b, run.network.b, strict=True))
    assert not np.array_equal(net.W[0], run.network.W[0])


def test_fan_in_is_the_neural_tangent_parametrisation() -> None:
    """Adam on V with z = x V / sqrt(n_in) is Adam on W = V / sqrt(n_in) with a rate that is smaller by that root."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(16, 25)), rng.normal(size=16)
    net = fl.Network([25, 9, 1], "tanh", seed=1, dtype="float64")
    V = [torch.tensor(W * len(W) ** 0.5, requires_grad=True) for W in net.W]
    b = [torch.tensor(b, requires_grad=True) for b in net.b]
    optimizer = torch.optim.Adam([{"params": V}, {"params": b, "lr": 0.003}], lr=0.03, eps=1e-30)
    for _ in range(20):
        optimizer.zero_grad()
        A = torch.tanh(torch.tensor(X) @ V[0] / 5 + b[0]) @ V[1] / 3 + b[1]
        ((A[:, 0] - torch.tensor(y)) ** 2).mean().backward()
        optimizer.step()
    run = fl.descend(
        net, X, y, optimizer=Adam(0.03, epsilon=1e-30), rates=Rates(fan_in=0.5, bias=0.1), batch_size=None, epochs=20
    )
    for W, v in zip(run.network.W, V, strict=True):
        np.testing.assert_allclose(W, v.detach().numpy() / len(W) ** 0.5, rtol=1e-8)


def test_embeddings_learn_what_a_plain_network_cannot() -> None:
    """A fast wave of one number; and a different answer for each of 30 categories."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (600, 1))
    wave = np.sin(9 * x[:, 0])
    settings: dict[str, Any] = {"optimizer": Adam(0.01), "epochs": 60, "schedule": "cosine"}
    losses = [
        fl.descend(fl.Network([1, 16, 1], seed=1, inputs=before), x, wave, **settings).losses[0]
        for before in (None, Inputs(embedded=1, spread=(1.0, 1.0)))
    ]
    assert losses[1] < 0.1 * losses[0]
    codes = rng.integers(0, 30, (600, 1))
    answer = rng.normal(size=30)[codes[:, 0]]
    before = Inputs(tables=[(30, 8)])
    run = fl.descend(fl.Network([1, 16, 1], seed=1, inputs=before), codes, answer, **settings)
    assert run.losses[0] < 1e-3


def test_copies_restarts_and_pickles_keep_their_inputs() -> None:
    inputs = CASES["all"]
    net = network(inputs)
    X, _ = rows(inputs)
    for twin in (net.copy(), pickle.loads(pickle.dumps(net))):
        assert twin.shape == net.shape
        np.testing.assert_array_equal(twin(X), net(X))
    other = net.restart(1)
    assert other.shape.inputs == inputs
    assert not np.array_equal(inputs.views(other.parameters)["w"], inputs.views(net.parameters)["w"])
    np.testing.assert_array_equal(inputs.views(other.parameters)["scale"], 1)


def test_frequencies_go_from_coarse_to_fine() -> None:
    inputs = Inputs(embedded=4000, frequencies=5, spread=(0.1, 1.6))
    w = inputs.views(fl.Network([4000, 1], inputs=inputs, seed=0).parameters)["w"]
    np.testing.assert_allclose(w.std(axis=0), [0.1, 0.2, 0.4, 0.8, 1.6], rtol=0.05)


@pytest.mark.parametrize("code", [3.0, -1.0, 0.5, np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 30])
def test_codes_without_a_row_are_refused(code: float, n: int) -> None:
    """By the network and by the core, which must not read beyond its table."""
    net = fl.Network([2, 4, 1], seed=0, inputs=Inputs(plain=1, tables=[(3, 2)]))
    X = np.zeros((n, 2), np.float32)
    X[-1, 1] = code
    with pytest.raises(DataError, match=f"row {n - 1}, column 1"):
        net(X)
    with pytest.raises(DataError, match=f"row {n - 1}, column 1"):
        fl.descend(net, X, np.zeros(n), epochs=1)
    out = np.zeros((n, 1), np.float32)
    from fallline.network import predictor

    assert not predictor(net.shape, net.dtype)(net.parameters, X, out, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "inputs have no column; say how many are embedded, plain or codes"),
        ({"embedded": -1}, "embedded is -1; it must be a whole number, 0 or more"),
        ({"plain": 1.5}, "plain is 1.5; it must be a whole number, 0 or more"),
        ({"embedded": 1, "size": 1}, "size is 1; it must be a whole number, 2 or more"),
        ({"embedded": 1, "spread": 0.5}, "spread is 0.5; it must be two positive numbers"),
        ({"embedded": 1, "spread": (0.0, 1.0)}, "spread is (0.0, 1.0); it must be two positive numbers"),
        ({"tables": [3]}, "tables is [3]; it must have two whole numbers above 0 for each column"),
        ({"tables": [(3, 0)]}, "tables is [(3, 0)]; it must have two whole numbers above 0 for each column"),
    ],
)
def test_inputs_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        Inputs(**settings)
    assert str(caught.value) == message


def test_inputs_must_fit_the_network_and_rates_be_numbers() -> None:
    with pytest.raises(ParameterError, match="layer_sizes begins with 3, but inputs has 2 columns"):
        fl.Network([3, 1], inputs=Inputs(plain=2))
    with pytest.raises(ParameterError, match=r"rates: bias is -1; it must be a number, 0 or more"):
        Rates(bias=-1)

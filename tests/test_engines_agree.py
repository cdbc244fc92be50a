"""The native engine walks the reference's path: 200 steps of every rule, and the same bits where sums are exact."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline import _core
from fallline.activations import HIDDEN, OUTPUTS
from fallline.engines import ALWAYS, Data, Plan, Start, as_engine
from fallline.engines.reference import ReferenceEngine
from fallline.losses import LOSSES, Quantile
from fallline.network import Shape
from fallline.optimizers import RULES, SGD, Adam, AdamW, RMSprop, StepRule
from fallline.schedules import SCHEDULES

RULE_CASES: dict[str, StepRule] = {
    "gradient descent": SGD(0.05),
    "momentum": SGD(0.02, momentum=0.9),
    "nesterov": SGD(0.02, momentum=0.9, nesterov=True),
    "rmsprop": RMSprop(2e-3),
    "adam": Adam(3e-3),
    "adamw": AdamW(3e-3, weight_decay=0.05),
    "decayed gradient descent": SGD(0.05, weight_decay=0.01),
    "rmsprop with a long memory": RMSprop(2e-3, rho=0.9999),
    "adam with a long memory": Adam(3e-3, beta2=0.99999),
    "adam with epsilon in the root's units": Adam(3e-3, epsilon=1e-3, epsilon_hat=True),
}
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
N_STEPS = 200


def rows(n: int = 40, n_in: int = 6, n_out: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, n_in))
    return X, rng.integers(0, n_out, n), rng.uniform(0.5, 2.0, n)


def both(dtype: str, activation: str = "tanh", **settings: Any) -> tuple[fl.Run, fl.Run]:
    """The same 200 steps in both engines: batches of 8 over 40 weighted rows, shuffled."""
    X, y, weight = rows()
    net = fl.Network([6, 20, 9, 3], activation, "softmax", seed=2, dtype=dtype)
    defaults: dict[str, Any] = {"batch_size": 8, "epochs": N_STEPS // 5, "seed": 4, "sample_weight": weight}
    native, reference = (fl.descend(net, X, y, engine=engine, **(defaults | settings)) for engine in ALWAYS)
    return native, reference


def distance(a: fl.Run, b: fl.Run) -> float:
    """Relative distance of the parameters, over all starts."""
    A, B = (np.stack([net.parameters for net in run.networks]).astype(float) for run in (a, b))
    return float(np.linalg.norm(A - B) / np.linalg.norm(B))


def test_every_step_rule_has_a_case() -> None:
    assert {rule.name for rule in RULE_CASES.values()} == set(RULES)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", RULE_CASES)
def test_trajectories_of_every_step_rule(name: str, dtype: str, instruction_set: str) -> None:
    native, reference = both(dtype, optimizer=RULE_CASES[name])
    assert reference.history.rows[-1]["step"] == N_STEPS
    assert distance(native, reference) < TOLERANCE[dtype]
    for column in ("loss", "gradient_norm", "learning_rate"):
        np.testing.assert_allclose(native.history[column], reference.history[column], rtol=30 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.3},
        {"dropout": (0.5, 0.0)},
        {"l1": 1e-3, "l2": 1e-2},
        {"clip_norm": 0.05},
        {"starts": 3, "dropout": 0.2},
        {"batch_size": None},
        {"batch_size": 1, "epochs": 5},
        {"batch_size": 7},
        {"shuffle": False},
        {"dropout": 0.2, "l1": 1e-4, "l2": 1e-3, "clip_norm": 0.5, "batch_size": 9, "starts": 2},
    ],
    ids=str,
)
def test_trajectories_with_everything_else(settings: dict[str, Any], dtype: str) -> None:
    native, reference = both(dtype, optimizer=SGD(0.1), **settings)
    assert distance(native, reference) < TOLERANCE[dtype]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_trajectories_of_every_schedule(schedule: str) -> None:
    native, reference = both("float64", optimizer=SGD(0.05), schedule=schedule)
    assert distance(native, reference) < TOLERANCE["float64"]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", HIDDEN)
def test_trajectories_of_every_activation(activation: str, dtype: str, instruction_set: str) -> None:
    native, reference = both(dtype, activation=activation, optimizer=SGD(0.02))
    assert distance(native, reference) < TOLERANCE[dtype]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_trajectories_of_every_loss(loss: str, output: str) -> None:
    record = Quantile((0.1, 0.5, 0.9)) if loss == "quantile" else LOSSES[loss]()
    X, _, weight = rows()
    y = np.random.default_rng(1).random((40, 1 if loss == "quantile" else 3))
    net = fl.Network([6, 20, 3], "tanh", output, seed=2, dtype="float64")
    native, reference = (
        fl.descend(net, X, y, record, SGD(0.02), batch_size=8, epochs=40, sample_weight=weight, engine=engine)
        for engine in ALWAYS
    )
    assert distance(native, reference) < TOLERANCE["float64"]
    np.testing.assert_allclose(native.history["loss"], reference.history["loss"], rtol=1e-9)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_same_bits_on_small_integers(dtype: str, instruction_set: str) -> None:
    """Integers, and powers of two as batch and step: every sum of the step is exact, so its order cannot matter."""
    rng = np.random.default_rng(5)
    net = fl.Network([9, 17, 18, 3], "relu", dtype=dtype)
    net.parameters[:] = rng.integers(-1, 2, net.parameters.shape)
    X, y = rng.integers(-2, 3, (8, 9)), rng.integers(-3, 4, (8, 3)).astype(float)
    data = Data.of(net, LOSSES["quadratic"](), X, y)
    plan = Plan(net.shape, LOSSES["quadratic"](), SGD(), batch_size=8)
    (loss_a, a), (loss_b, b) = (as_engine(name).gradient(plan, net.parameters, data) for name in ALWAYS)
    assert loss_a == loss_b
    np.testing.assert_array_equal(a, b)
    assert np.count_nonzero(b) > len(b) / 3
    predictions = [as_engine(name).predict(net.shape, net.parameters, data.X) for name in ALWAYS]
    np.testing.assert_array_equal(*predictions)
    settings: dict[str, Any] = {"optimizer": SGD(2.0**-6), "batch_size": 8, "epochs": 1, "loss": "quadratic"}
    runs = [fl.descend(net, X, y, engine=name, **settings) for name in ALWAYS]
    np.testing.assert_array_equal(runs[0].network.parameters, runs[1].network.parameters)


@pytest.mark.parametrize("name", RULE_CASES)
def test_the_tolerance_rejects_a_perturbed_kernel(name: str) -> None:
    """A derivative that is a little wrong fails the comparison, for every rule and both types."""

    class Perturbed(ReferenceEngine):
        def session(self, plan: Plan, parameters: np.ndarray, data: Data) -> Any:
            first, *rest = plan.shape.layers
            record = first.activation
            wrong = dataclasses.replace(record, derivative=lambda Z, A: record.derivative(Z, A) + 0.02 * Z)
            shape = Shape((dataclasses.replace(first, activation=wrong), *rest))
            return super().session(dataclasses.replace(plan, shape=shape), parameters, data)

    X, y, weight = rows()
    for dtype, tolerance in TOLERANCE.items():
        net = fl.Network([6, 20, 9, 3], "tanh", "softmax", seed=2, dtype=dtype)
        settings: dict[str, Any] = {"batch_size": 8, "epochs": 40, "seed": 4, "sample_weight": weight}
        settings |= {"optimizer": RULE_CASES[name]}
        right, wrong = (fl.descend(net, X, y, engine=engine, **settings) for engine in ("native", Perturbed()))
        assert distance(right, wrong) > 2 * tolerance


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_batches_longer_than_the_native_engine_s_pieces(dtype: str) -> None:
    """It works off a batch in pieces of 1024 rows; masks, weights and sums must not notice."""
    X, y, weight = rows(2600)
    net = fl.Network([6, 20, 9, 3], "tanh", "softmax", seed=2, dtype=dtype)
    for size in (None, 1500):
        settings: dict[str, Any] = {"batch_size": size, "epochs": 3, "dropout": 0.3, "sample_weight": weight}
        a, b = (fl.descend(net, X, y, optimizer=SGD(0.1), engine=engine, **settings) for engine in ALWAYS)
        assert distance(a, b) < TOLERANCE[dtype]
        np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=30 * TOLERANCE[dtype])


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_descent_cut_into_the_smallest_slices_ends_at_the_same_bits(shuffle: bool) -> None:
    """With no time at all a slice is one piece of one start's step, and the next goes on from there."""
    X, y, weight = rows(2600)
    loss = LOSSES["categorical_cross_entropy"]()
    net = fl.Network([6, 20, 3], "tanh", "softmax", seed=2)
    data = Data.of(net, loss, X, y, weight)
    plan = Plan(
        net.shape,
        loss,
        Adam(),
        batch_size=2000,
        shuffle=shuffle,
        starts=(Start(0, 0.01), Start(1, 0.01)),
        dropout=(0.2,),
    )
    parameters = np.stack([net.parameters, net.restart(1).parameters])
    factors = np.ones(6)
    whole = as_engine("native").session(plan, parameters, data)
    done = whole.run(factors, 1e9)
    cut = as_engine("native").session(plan, parameters, data)
    n_steps, n_slices, loss_sum = 0, 0, np.zeros(2)
    while n_steps < 6:
        piece = cut.run(factors[n_steps:], 0.0)
        n_steps += piece.n_steps
        n_slices += 1
        loss_sum += piece.loss_sum
    assert done.n_steps == 6
    assert n_slices == 3 * 2 * (2 + 1), "batches of 2000 and of 600 rows, two and one pieces, two starts, three epochs"
    np.testing.assert_array_equal(cut.parameters(), whole.parameters())
    np.testing.assert_allclose(loss_sum, done.loss_sum, rtol=1e-12)


def test_starts_are_what_they_would_be_alone() -> None:
    """Three starts trained together, against each trained alone, bit for bit."""
    X, y, _ = rows()
    net = fl.Network([6, 20, 3], output="softmax", seed=9)
    together = fl.descend(net, X, y, epochs=5, starts=3, seed=1)
    for k, network in enumerate(together.networks):
        alone = fl.descend(net.restart(k), X, y, epochs=5, seed=1)
        np.testing.assert_array_equal(alone.network.parameters, network.parameters)


def test_one_step_of_adam_with_hardly_any_forgetting() -> None:
    """`1 - beta2` is 1e-9, which float32 cannot tell from 0 if it is taken after rounding."""
    net = fl.Network([1, 1], parameters=[0.0, 0.0])
    for engine in ALWAYS:
        run = fl.descend(net, [[1.0]], [1.0], optimizer=Adam(0.01, beta2=1 - 1e-9), epochs=1, engine=engine)
        np.testing.assert_allclose(run.network.parameters, [0.01, 0.01], rtol=1e-5)


def test_masks_beyond_2_to_the_32_steps() -> None:
    """Both engines draw the same masks, and not those of step 0 again."""
    X, y, _ = rows()
    net = fl.Network([6, 20, 3], "tanh", "softmax", seed=2, dtype="float64")
    data = Data.of(net, LOSSES["quadratic"](), X, y)
    plan = Plan(net.shape, LOSSES["quadratic"](), SGD(), batch_size=40, dropout=(0.5,))
    losses = []
    for step in (0, 2**32 - 1, 2**32, 2**32 + 1):
        (a, _), (b, _) = (as_engine(name).gradient(plan, net.parameters, data, step) for name in ALWAYS)
        assert a == pytest.approx(b, rel=1e-12)
        losses.append(a)
    assert len(set(losses)) == 4


def test_what_the_native_engine_does_not_know_it_refuses() -> None:
    class Twice(SGD):  # type: ignore[misc]
        pass

    class Own(type(LOSSES["squared_error"]())):  # type: ignore[misc]
        pass

    X, y, _ = rows()
    net = fl.Network([6, 3], output="softmax")
    for settings in ({"optimizer": Twice(0.1)}, {"loss": Own()}):
        with pytest.raises(fl.ParameterError, match=r"the native engine has no .* use engine='reference'"):
            fl.descend(net, X, y, epochs=1, **settings)  # type: ignore[arg-type]
        assert fl.descend(net, X, y, epochs=1, engine="reference", **settings).stop_reason == "finished"  # type: ignore[arg-type]


def core_layer(n_in: int, n_out: int, activation: str) -> tuple[Any, ...]:
    return (n_in, n_out, activation, 0.0, 1.0, 1.0)


NO_INPUTS = (0, 0, 0, 1, [], 1.0, 1.0)
LINE = [core_layer(1, 1, "identity")]


@pytest.mark.parametrize(
    ("layers", "inputs", "n_rows", "message"),
    [
        ([core_layer(1, 2, "relu"), core_layer(200_000, 1, "identity")], NO_INPUTS, 3, "as many numbers as the one"),
        ([core_layer(1, 2, "softmax"), core_layer(2, 1, "identity")], NO_INPUTS, 3, "softmax is for the last layer"),
        ([core_layer(1, 0, "identity")], NO_INPUTS, 3, "one neuron or more"),
        ([], NO_INPUTS, 3, "one layer or more"),
        (LINE, NO_INPUTS, 0, "one row or more"),
        (LINE, (0, 2, 0, 1, [], 1.0, 1.0), 3, "the first layer takes what the inputs give"),
        (LINE, (0, -1, 0, 1, [(2, 1)], 1.0, 1.0), 3, "inputs have no numbers below 0"),
        (LINE, (1, 0, 4, 0, [], 1.0, 1.0), 3, "inputs have no numbers below 0"),
        (LINE, (0, 0, 0, 1, [(0, 1)], 1.0, 1.0), 3, "a table has one row or more"),
    ],
)
def test_the_compiled_core_does_not_trust_its_caller(layers: Any, inputs: Any, n_rows: int, message: str) -> None:
    plan: dict[str, Any] = {"loss": "squared_error", "delta": 1.0, "quantiles": [], "rule": "sgd", "beta1": 0.0}
    plan |= {"beta2": 0.0, "epsilon": 0.0, "epsilon_hat": False, "ceiling": 1.0, "penalties_per_row": False}
    plan |= {"batch_size": 1, "shuffle": False, "seed": 0}
    plan |= {"starts": [(0, 0.1, 0.0, 0.0, 0.0)], "clip_norm": 0.0, "bf16": False}
    X, w, theta = np.zeros((n_rows, 1)), np.ones((1, n_rows)), np.zeros((1, 2))
    with pytest.raises(ValueError, match=message):
        _core.SessionFloat64(_core.Plan(layers=layers, inputs=inputs, **plan), theta, X, X, w, 1)


@pytest.mark.parametrize("shape", [(2, 3), (1, 4), (0, 3)])
def test_the_compiled_core_takes_one_row_of_weights_or_one_for_each_start(shape: tuple[int, int]) -> None:
    net, data = fl.Network([1, 1], dtype="float64"), Data(*np.zeros((2, 3, 1)), np.ones(shape))
    plan = Plan(net.shape, LOSSES["squared_error"](), SGD(0.1))
    with pytest.raises(ValueError, match=r"weight must have one row|differ in their rows"):
        as_engine("native").session(plan, net.parameters[None], data)


def test_the_compiled_core_multiplies_no_bf16_in_float64() -> None:
    net, data = fl.Network([1, 1], dtype="float64"), Data(*np.zeros((2, 3, 1)), np.ones(3))
    plan = Plan(net.shape, LOSSES["squared_error"](), SGD(0.1), bf16=True)
    with pytest.raises(ValueError, match=r"need float32 numbers and the instruction set avx512_bf16; in use is \w+$"):
        as_engine("native").gradient(plan, net.parameters, data)


def test_the_instruction_set_can_be_capped() -> None:
    import subprocess
    import sys

    for name in _core.instruction_sets():
        code = "from fallline import _core; print(_core.instruction_set())"
        done = subprocess.run(
            [sys.executable, "-c", code], env={"FALLLINE_ISA": name}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == name
    code = "import fallline as fl; fl.descend(fl.Network([1, 1]), [[1.0]], [1.0])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"FALLLINE_ISA": "AVX2"}, capture_output=True, text=True, check=False
    )
    assert "ParameterError: FALLLINE_ISA is 'AVX2'; it must be one of " in done.stderr
    with pytest.raises(ValueError, match="instruction set 'abacus' is not one of those this processor runs"):
        _core.use_instruction_set("abacus")

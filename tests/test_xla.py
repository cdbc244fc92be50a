"""The xla engine walks the reference's path: 200 steps of every rule, activation, loss and whatever else there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_engines_agree import RULE_CASES, distance, rows

import fallline as fl
from fallline.activations import HIDDEN, OUTPUTS
from fallline.engines import Data, Plan, Start, as_engine
from fallline.engines.xla.random import dropout_mask
from fallline.losses import LOSSES, BinaryCrossEntropy, CategoricalCrossEntropy, Quantile
from fallline.optimizers import SGD, Adam
from fallline.philox import dropout_mask as in_numpy
from fallline.schedules import SCHEDULES

TOLERANCE = 1e-5  # relative, in float32; 1e-4 is what is promised
PAIR = ("xla", "reference")


def pair(dtype: str = "float32", activation: str = "tanh", **settings: Any) -> list[fl.Run]:
    """The same 200 steps in both engines: batches of 8 over 40 weighted rows, shuffled."""
    X, y, weight = rows()
    net = fl.Network([6, 20, 9, 3], activation, "softmax", seed=2, dtype=dtype)
    defaults: dict[str, Any] = {"batch_size": 8, "epochs": 40, "seed": 4, "sample_weight": weight}
    return [fl.descend(net, X, y, engine=engine, **(defaults | settings)) for engine in PAIR]


@pytest.mark.parametrize("name", RULE_CASES)
def test_trajectories_of_every_step_rule(name: str) -> None:
    xla, reference = pair(optimizer=RULE_CASES[name])
    assert reference.history.rows[-1]["step"] == 200
    assert distance(xla, reference) < TOLERANCE
    for column in ("loss", "gradient_norm", "learning_rate"):
        np.testing.assert_allclose(xla.history[column], reference.history[column], rtol=30 * TOLERANCE)


@pytest.mark.parametrize("turn", [0, 6])
def test_trajectories_of_every_activation(turn: int) -> None:
    """All of them in two networks of six hidden layers."""
    X, y, weight = rows()
    names = [*HIDDEN, *HIDDEN][turn : turn + 6]
    net = fl.Network([6, 7, 6, 7, 6, 7, 6, 3], names, "softmax", seed=2)
    settings: dict[str, Any] = {"batch_size": 8, "epochs": 40, "sample_weight": weight}
    assert distance(*(fl.descend(net, X, y, "auto", SGD(0.02), engine=e, **settings) for e in PAIR)) < TOLERANCE


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_every_loss(loss: str, output: str) -> None:
    record = Quantile((0.1, 0.5, 0.9)) if loss == "quantile" else LOSSES[loss]()
    X, _, weight = rows()
    y = np.random.default_rng(1).random((40, 1 if loss == "quantile" else 3))
    net = fl.Network([6, 20, 3], "tanh", output, seed=2)
    plan, data = Plan(net.shape, record, SGD()), Data.of(net, record, X, y, weight)
    (a, da), (b, db) = (as_engine(engine).gradient(plan, net.parameters, data) for engine in PAIR)
    assert a == pytest.approx(b, rel=1e-5)
    np.testing.assert_allclose(da, db, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "loss", [CategoricalCrossEntropy(0.1), CategoricalCrossEntropy(ceiling=0.5), BinaryCrossEntropy(0.4)]
)
def test_losses_that_are_smoothed_or_clipped(loss: Any) -> None:
    X, y, _ = rows()
    net = fl.Network([6, 8, 3], "relu", "softmax", seed=2)
    xla, reference = (fl.descend(net, X, y, loss, Adam(0.01), batch_size=8, epochs=20, engine=e) for e in PAIR)
    assert distance(xla, reference) < TOLERANCE
    np.testing.assert_allclose(xla.history["loss"], reference.history["loss"], rtol=30 * TOLERANCE)


@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.3},
        {"dropout": (0.5, 0.0), "starts": 3},
        {"l1": [1e-3, 0.0], "l2": [0.0, 1e-2], "starts": 2},
        {"clip_norm": 0.05},
        {"batch_size": None},
        {"batch_size": 1, "epochs": 5},
        {"batch_size": 7},
        {"shuffle": False},
        {"rates": fl.Rates(fan_in=0.5, bias=0.1)},
        {"dropout": 0.2, "l1": 1e-4, "l2": 1e-3, "clip_norm": 0.5, "batch_size": 9, "starts": 2},
    ],
    ids=str,
)
def test_trajectories_with_everything_else(settings: dict[str, Any]) -> None:
    assert distance(*pair(optimizer=SGD(0.1), **settings)) < TOLERANCE


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_trajectories_of_every_schedule(schedule: str) -> None:
    assert distance(*pair(optimizer=SGD(0.05), schedule=schedule)) < TOLERANCE


def test_float64_is_float64() -> None:
    assert distance(*pair("float64", optimizer=Adam(3e-3), dropout=0.2)) < 1e-12


def test_embeddings_of_numbers_and_categories() -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 3)), rng.integers(0, 4, (60, 1)), rng.integers(0, 2, (60, 1))], axis=1)
    y = np.sin(3 * X[:, 0]) + X[:, 3]
    inputs = fl.Inputs(embedded=2, plain=1, tables=[(4, 3), (2, 1)], frequencies=5)
    net = fl.Network([5, 12, 1], "silu", seed=3, inputs=inputs)
    rates = fl.Rates(fan_in=0.5, bias=0.1, scale=6.0, embedding=0.1)
    settings: dict[str, Any] = {"batch_size": 16, "epochs": 50, "rates": rates, "dropout": 0.1}
    xla, reference = (
        fl.descend(net, X, y, optimizer=Adam(0.01, weight_decay=0.02), engine=e, **settings) for e in PAIR
    )
    assert distance(xla, reference) < 10 * TOLERANCE


def test_weights_of_each_start_are_folds() -> None:
    X, y, _ = rows()
    fold = np.arange(40) % 3
    weight = (fold != np.arange(3)[:, None]).astype(float)
    held_back = (X, y, 1 - weight)
    xla, reference = pair(
        optimizer=Adam(0.01), starts=3, sample_weight=weight, validation=held_back, metrics=["accuracy"]
    )
    assert distance(xla, reference) < TOLERANCE
    assert xla.kept_steps == reference.kept_steps
    np.testing.assert_allclose(xla.history["validation_loss"], reference.history["validation_loss"], rtol=1e-4)


@pytest.mark.parametrize("width", [4, 5, 20])
def test_bf16_rounds_what_the_reference_rounds(width: int) -> None:
    X, _, _ = rows()
    net = fl.Network([6, width, 8], "tanh", seed=2)
    Y = np.random.default_rng(0).normal(size=(40, 8))
    settings: dict[str, Any] = {"optimizer": SGD(0.05), "batch_size": 8, "epochs": 8, "precision": "bf16"}
    xla, reference = (fl.descend(net, X, Y, engine=engine, **settings) for engine in PAIR)
    plain = fl.descend(net, X, Y, engine="xla", **(settings | {"precision": None}))
    assert distance(xla, reference) < 0.2 * distance(plain, reference)


def test_masks_are_those_of_numpy() -> None:
    import jax.numpy as jnp

    seed, step = 0xA4093822_299F31D0, 12345
    key = jnp.asarray([seed & 0xFFFFFFFF, seed >> 32], jnp.uint32)
    for shape, layer, start in (((7, 13), 0, 0), ((1, 1), 2, 5), ((64, 33), 1, 31)):
        some = np.random.default_rng(0).permutation(shape[0])[: 1 + shape[0] // 2]
        got = dropout_mask(jnp.asarray(some), shape[1], 0.3, key, jnp.uint32(step), layer, jnp.uint32(start))
        np.testing.assert_array_equal(np.asarray(got) > 0, in_numpy(shape, 0.3, seed, step, layer, start)[some] > 0)


def session(engine: str, dropout: float = 0.2) -> Any:
    X, y, weight = rows()
    net = fl.Network([6, 20, 3], "tanh", "softmax", seed=2)
    loss = LOSSES["categorical_cross_entropy"]()
    data = Data.of(net, loss, X, y, weight)
    starts = (Start(0, 0.01, 0.1, 1e-4, 1e-3), Start(4, 0.02))
    plan = Plan(net.shape, loss, Adam(), 7, starts=starts, dropout=(dropout,), seed=3, penalties_per_row=True)
    return as_engine(engine).session(plan, np.stack([net.parameters, net.restart(1).parameters]), data)


def test_slices_of_any_length_and_a_state_taken_along_give_the_same_bits() -> None:
    factors = np.linspace(1, 0.1, 40)
    whole = session("xla")
    done = whole.run(factors, 1e9)
    cut, piece = session("xla"), None
    at = 0
    for n in (1, 5, 2, 11, 0, 3, 18):
        piece = cut.run(factors[at : at + n], 1e9, piece)
        assert piece.n_steps == n
        at += n
        if n == 11:  # go on elsewhere
            again, state = session("xla"), cut.state()
            again.place = again.place._replace(theta=cut.place.theta + 0)
            again.resume(state)
            cut = again
    np.testing.assert_array_equal(cut.parameters(), whole.parameters())
    np.testing.assert_array_equal(cut.state().moments, whole.state().moments)
    for name in ("loss_sum", "weight_sum", "penalty_sum", "gradient_norm", "diverged_step"):
        np.testing.assert_array_equal(getattr(piece, name), getattr(done, name))
    np.testing.assert_allclose(done.gradient_norm, session("reference").run(factors, 1e9).gradient_norm, rtol=1e-4)


def test_it_visits_the_rows_that_it_is_told_to() -> None:
    told = np.array([3, 3, 0, 39, 17, 8, 1, 2, 4, 5, 6])
    runs = []
    for engine in PAIR:
        one = session(engine)
        one.run(np.ones(4), 1e9)
        one.visit(told)
        one.run(np.ones(9), 1e9)
        runs.append(one.parameters())
    np.testing.assert_allclose(*runs, rtol=1e-4, atol=1e-6)


def test_a_slice_ends_when_its_time_is_up() -> None:
    one = session("xla")
    one.run(np.ones(20), 1e9)  # compiled, and its pace known
    assert 1 <= one.run(np.ones(10_000), 0.0).n_steps < 10_000
    assert one.run(np.ones(3), 1e9).n_steps == 3


def test_a_start_that_diverges_stands_still_and_the_others_go_on() -> None:
    X, y, _ = rows()
    net = fl.Network([6, 20, 3], "relu", "softmax", seed=2)
    runs = []
    for engine in PAIR:
        with pytest.warns(fl.DivergenceWarning):
            runs.append(fl.descend([net] * 2, X, y, optimizer=SGD([1e30, 0.05]), batch_size=8, epochs=5, engine=engine))
    assert distance(*runs) < TOLERANCE
    assert runs[0].message == runs[1].message


@pytest.mark.parametrize("n", [1, 5, 64, 1000])
def test_predictions_losses_gradients_and_surfaces(n: int) -> None:
    X, y, weight = rows(n)
    net = fl.Network([6, 20, 3], "gelu", "softmax", seed=2)
    loss = LOSSES["categorical_cross_entropy"]()
    data, plan = Data.of(net, loss, X, y, weight), Plan(net.shape, loss, SGD(), dropout=(0.3,), starts=(Start(l2=0.1),))
    xla, reference = (as_engine(name) for name in PAIR)
    np.testing.assert_allclose(
        xla.predict(net.shape, net.parameters, data.X), reference.predict(net.shape, net.parameters, data.X), atol=1e-6
    )
    assert xla.loss(plan, net.parameters, data) == pytest.approx(reference.loss(plan, net.parameters, data), rel=1e-5)
    (a, da), (b, db) = (one.gradient(plan, net.parameters, data, 3) for one in (xla, reference))
    assert a == pytest.approx(b, rel=1e-5)
    np.testing.assert_allclose(da, db, atol=1e-5)
    rng = np.random.default_rng(0)
    plane = (net.parameters, *rng.normal(size=(2, len(net.parameters))).astype(np.float32))
    ways = (np.linspace(-0.1, 0.1, 3), np.linspace(-0.2, 0.2, 4))
    np.testing.assert_allclose(
        xla.surface(plan, plane, *ways, data), reference.surface(plan, plane, *ways, data), rtol=1e-4
    )


def test_the_whole_recipe_of_a_table_walks_the_same_path() -> None:
    from fallline.fit import fit
    from fallline.table import load_bundled

    settings: dict[str, Any] = {"epochs": 3, "starts": 2, "hidden": (8,)}
    xla, native = (fit(load_bundled("iris"), settings | {"engine": engine}) for engine in ("xla", "native"))
    np.testing.assert_allclose(xla.run.networks[1].parameters, native.run.networks[1].parameters, rtol=1e-3, atol=1e-4)
    assert xla.model.engine == "xla"


def test_what_it_does_not_know_it_refuses() -> None:
    X, y, _ = rows()
    own = fl.losses.OwnLoss(lambda A, Y: (((A - Y) ** 2).sum(axis=1), 2 * (A - Y)))
    with pytest.raises(fl.ParameterError, match="the xla engine has no loss OwnLoss; use engine='reference'"):
        fl.descend(fl.Network([6, 3]), X, np.eye(3)[y], own, engine="xla", epochs=1)


def test_without_jax_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("fallline.engines.xla")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(fl.ParameterError, match=r"engine 'xla' needs the package jax; install it with: pip install"):
        as_engine("xla")

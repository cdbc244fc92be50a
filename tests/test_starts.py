"""Starts with settings and networks of their own: each goes its own way, and wrong numbers get one line."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engines import ALWAYS, Data, Plan, Start, as_engine
from fallline.losses import LOSSES
from fallline.optimizers import SGD, Adam, AdamW, RMSprop
from fallline.starts import as_starts

both_engines = pytest.mark.parametrize("engine", ALWAYS)

SWEEP: dict[str, Any] = {
    "learning_rate": [1e-3, 3e-3, 1e-2], "weight_decay": [0, 0.01, 0.1], "l1": (0.0, 1e-3, 1e-4), "l2": [0.01, 0, 0.1],
}  # fmt: skip


def wave(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 1))
    return x, np.sin(3 * x[:, 0])


def own(settings: dict[str, Any], k: int) -> dict[str, Any]:
    """The settings of start k alone."""
    return {name: value[k] if isinstance(value, (list, tuple)) else value for name, value in settings.items()}


@both_engines
@pytest.mark.parametrize("rule", [SGD, RMSprop, Adam])
def test_each_start_of_a_sweep_is_what_it_would_be_alone(rule: type, engine: str) -> None:
    """Everything of its own at once, under a schedule; against each start alone with its own numbers."""
    net = fl.Network([1, 8, 1], "tanh", seed=2)

    def descend(net: fl.Network, sweep: dict[str, Any]) -> fl.Run:
        rates = {"learning_rate": sweep["learning_rate"], "weight_decay": sweep["weight_decay"]}
        settings: dict[str, Any] = {"schedule": "cosine", "epochs": 4, "batch_size": 7, "clip_norm": 0.5}
        return fl.descend(
            net, *wave(), optimizer=rule(**rates), l1=sweep["l1"], l2=sweep["l2"], engine=engine, **settings
        )

    together = descend(net, SWEEP)
    assert len(together.networks) == 3
    for k, network in enumerate(together.networks):
        alone = descend(net.restart(k), own(SWEEP, k))
        np.testing.assert_array_equal(network.parameters, alone.network.parameters)
        for column in ("loss", "gradient_norm", "learning_rate"):
            np.testing.assert_array_equal(together.history[column][:, k], alone.history[column][:, 0])


@both_engines
def test_each_start_may_have_weights_of_its_own(engine: str) -> None:
    """Folds in one descent: each start is what it would be alone, and is measured on its own rows."""
    X, y = wave()
    fold = np.arange(60) % 3
    train = np.array([np.where(fold == k, 0.0, 1.0 + np.arange(60) % 2) for k in range(3)])
    held_back = np.array([fold == k for k in range(3)], float)
    net = fl.Network([1, 8, 1], "tanh", seed=2)
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 7, "engine": engine, "metrics": "rmse"}
    together = fl.descend(
        net, X, y, starts=3, sample_weight=train, validation=(X, y, held_back), optimizer=SGD(0.05), **settings
    )
    for k, network in enumerate(together.networks):
        rows = fold == k
        alone = fl.descend(
            net.restart(k),
            X,
            y,
            sample_weight=train[k],
            validation=(X[rows], y[rows]),
            optimizer=SGD(0.05),
            **settings,
        )
        np.testing.assert_array_equal(network.parameters, alone.network.parameters)
        for column in ("loss", "validation_loss", "rmse", "gradient_norm"):
            np.testing.assert_array_equal(together.history[column][:, k], alone.history[column][:, 0])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (
            np.ones((2, 60)),
            r"sample_weight has shape (2, 60); it must be (60,), one weight a row, or (3, 60), a row of",
        ),
        ([[1.0] * 60] * 2 + [[0.0] * 60], "sample_weight must be finite numbers, 0 or more, and not all 0"),
    ],
)
def test_weights_of_each_start_are_checked(weight: Any, message: str) -> None:
    with pytest.raises(fl.DataError) as caught:
        fl.descend(fl.Network([1, 2, 1]), *wave(), starts=3, sample_weight=weight)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", SWEEP)
@both_engines
def test_each_sequence_reaches_its_start(name: str, engine: str) -> None:
    """One sequence, all else alike, the same random start: three different ends, and the ones that belong there."""
    net = fl.Network([1, 8, 1], "tanh", seed=2, dtype="float64")

    def descend(nets: Any, **changed: Any) -> fl.Run:
        numbers = {"learning_rate": 0.01, "weight_decay": 0.0, "l1": 0.0, "l2": 0.0} | changed
        l1, l2 = numbers.pop("l1"), numbers.pop("l2")
        return fl.descend(nets, *wave(), optimizer=Adam(**numbers), l1=l1, l2=l2, epochs=2, engine=engine)

    together = descend([net] * 3, **{name: SWEEP[name]})
    assert len({network.parameters.tobytes() for network in together.networks}) == 3
    for k, network in enumerate(together.networks):
        alone = descend(net, **{name: SWEEP[name][k]})
        np.testing.assert_array_equal(network.parameters, alone.network.parameters)


@both_engines
def test_dropout_masks_follow_the_start_s_number(engine: str) -> None:
    """In a sweep with dropout start k is what it is alone with its number, which is its place."""
    X, y = wave(40)
    loss = LOSSES["squared_error"]()
    nets = [fl.Network([1, 16, 1], "tanh", seed=5)] * 2
    run = fl.descend(
        nets, X, y, optimizer=SGD([0.1, 0.2]), dropout=0.4, batch_size=None, epochs=3, shuffle=False, engine=engine
    )
    data = Data.of(nets[0], loss, X, y)
    plan = Plan(nets[0].shape, loss, SGD(), 40, shuffle=False, dropout=(0.4,), starts=(Start(1, 0.2),))
    session = as_engine(engine).session(plan, nets[0].parameters[None], data)
    session.run(np.ones(3), 1e9)
    np.testing.assert_array_equal(run.networks[1].parameters, session.parameters()[0])
    other = as_engine(engine).session(
        dataclasses.replace(plan, starts=(Start(0, 0.2),)), nets[0].parameters[None], data
    )
    other.run(np.ones(3), 1e9)
    assert not np.array_equal(session.parameters(), other.parameters())


@both_engines
def test_a_range_of_starts_is_a_part_of_all(engine: str) -> None:
    """The same starts, rates and dropout masks, be it a network's restarts or networks as given."""
    net, rates = fl.Network([1, 16, 1], "tanh", seed=5), [0.1, 0.2, 0.3, 0.4]
    settings: dict[str, Any] = {"dropout": 0.4, "epochs": 3, "engine": engine}
    all_of_them = fl.descend(net, *wave(), optimizer=SGD(rates), starts=4, **settings)
    for numbers in (range(2), range(1, 2), range(2, 4)):
        own = SGD([rates[k] for k in numbers])
        for begin in (net, [net.restart(k) for k in numbers]):
            part = fl.descend(begin, *wave(), optimizer=own, starts=numbers, **settings)
            for k, network in zip(numbers, part.networks, strict=True):
                np.testing.assert_array_equal(network.parameters, all_of_them.networks[k].parameters)


@both_engines
def test_the_message_of_a_range_names_the_start_by_its_number(engine: str) -> None:
    net = fl.Network([1, 16, 1], "relu", seed=1)
    for numbers in (range(7, 9), range(7, 8)):
        with pytest.warns(fl.DivergenceWarning, match="loss of start 7 was no longer"):
            fl.descend(net, *wave(), optimizer=SGD(1e6), epochs=2, starts=numbers, engine=engine)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_engines_walk_the_same_sweep(dtype: str) -> None:
    net = fl.Network([1, 8, 1], "tanh", seed=2, dtype=dtype)
    rule = AdamW(SWEEP["learning_rate"], weight_decay=SWEEP["weight_decay"])
    settings: dict[str, Any] = {"optimizer": rule, "l1": SWEEP["l1"], "l2": SWEEP["l2"], "dropout": 0.2, "epochs": 20}
    a, b = (fl.descend(net, *wave(), engine=engine, **settings) for engine in ALWAYS)
    tolerance = 1e-5 if dtype == "float32" else 1e-10
    for one, other in zip(a.networks, b.networks, strict=True):
        np.testing.assert_allclose(one.parameters, other.parameters, rtol=0, atol=tolerance)


def test_the_history_has_each_start_s_own_rate() -> None:
    run = fl.descend(
        fl.Network([1, 4, 1]), *wave(), optimizer=SGD([0.1, 0.2]), schedule="cosine", batch_size=None, epochs=5
    )
    rates = run.history["learning_rate"]
    assert rates.shape == (5, 2)
    np.testing.assert_array_equal(rates[:, 1], 2 * rates[:, 0])
    assert rates[0].tolist() == [0.1, 0.2]


@both_engines
def test_the_message_names_the_rate_of_the_start_that_diverged(engine: str) -> None:
    net = fl.Network([1, 16, 1], "relu", seed=1)
    with pytest.warns(fl.DivergenceWarning, match=r"loss of start 1 .* the learning rate 1e\+06 is .* try 12500,"):
        run = fl.descend([net, net], *wave(), optimizer=SGD([0.01, 1e6]), epochs=5, engine=engine)
    assert run.best_start == 0


def test_networks_of_different_starts_are_taken_as_given() -> None:
    nets = [fl.Network([1, 4, 1], "tanh", start=law, seed=seed) for law, seed in (("he", 3), ("lecun", 8))]
    before = [net.parameters.copy() for net in nets]
    run = fl.descend(nets, *wave(), optimizer=SGD(0.1), epochs=3)
    for net, parameters, network in zip(nets, before, run.networks, strict=True):
        np.testing.assert_array_equal(net.parameters, parameters)
        alone = fl.descend(net, *wave(), optimizer=SGD(0.1), epochs=3)
        np.testing.assert_array_equal(alone.network.parameters, network.parameters)
        assert (network.start, network.seed) == (net.start, net.seed)


def test_sequences_of_any_kind_and_length() -> None:
    net = fl.Network([1, 1])
    for rates in ([0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2])):
        _, starts = as_starts(net, SGD(rates), starts=2, l2=np.array([1.0, 2.0]))
        assert starts == (Start(0, 0.1, 0.0, 0.0, 1.0), Start(1, 0.2, 0.0, 0.0, 2.0))
    assert as_starts(net, SGD([0.1]))[1] == (Start(0, 0.1),)
    networks, starts = as_starts(net, SGD(0.1), starts=3)
    assert starts == tuple(Start(k, 0.1) for k in range(3))
    for k, network in enumerate(networks):
        np.testing.assert_array_equal(network.parameters, net.restart(k).parameters)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": SGD([0.1, 0.2]), "starts": 3}, "starts is 3, but learning_rate has 2 numbers; each start takes"),
        (
            {"optimizer": SGD([0.1, 0.2], weight_decay=[0.1])},
            "learning_rate has 2 numbers, but weight_decay has 1 numb",
        ),
        ({"l1": [0.1] * 4, "l2": [0.1] * 3}, "l1 has 4 numbers, but l2 has 3 numbers; each start takes one"),
        ({"net": [fl.Network([1, 1])] * 2, "l1": [0.1] * 3}, "net has 2 networks, but l1 has 3 numbers"),
        ({"net": [fl.Network([1, 1])] * 2, "starts": 3}, "starts is 3, but net has 2 networks"),
        ({"starts": range(2, 4), "l2": [0.1]}, "starts is range(2, 4), but l2 has 1 numbers; each start takes one"),
        ({"starts": range(1), "l2": [0.1, 0.2]}, "starts is range(0, 1), but l2 has 2 numbers; each start takes one"),
        ({"starts": range(2, 2)}, "starts is range(2, 2); it must have numbers from 0 on, one after the other"),
        ({"starts": range(0, 4, 2)}, "starts is range(0, 4, 2); it must have numbers from 0 on, one after the other"),
        ({"starts": range(-1, 2)}, "starts is range(-1, 2); it must have numbers from 0 on, one after the other"),
        ({"starts": 2, "l2": [0.1]}, "starts is 2, but l2 has 1 numbers"),
        ({"l1": []}, "l1 is empty; it must be a number, or one for each start"),
        ({"l2": [0.1, -0.1]}, "l2 is -0.1; it must be 0 or more, for each start"),
        ({"l2": "0.1"}, "l2 is '0.1'; it must be 0 or more"),
        ({"net": []}, "net is []; it must be a Network, or a sequence of one for each start"),
        ({"net": "digits"}, "net is 'digits'; it must be a Network"),
        (
            {"net": [fl.Network([1, 1]), fl.Network([1, 2, 1])]},
            "net[1] is Network(1-2-1, relu, identity, 7 parameters) in float32, but net[0] is Network(1-1, identity, 2",
        ),
        ({"net": [fl.Network([1, 1]), fl.Network([1, 1], dtype="float64")]}, "in float64, but net[0] is"),
    ],
    ids=str,
)
def test_what_does_not_fit_gets_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(fl.ParameterError) as caught:
        fl.descend(**({"net": fl.Network([1, 1]), "X": [[0.0]], "y": [0.0]} | settings))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": [0.1, 0.0]}, "sgd's learning_rate is 0.0 for start 1; it must be positive"),
        ({"learning_rate": [0.1, "a"]}, "sgd's learning_rate is 'a' for start 1; it must be a finite number"),
        ({"learning_rate": []}, "sgd's learning_rate is (); it must be a number, or one for each start"),
        ({"weight_decay": [-0.1]}, "sgd's weight_decay is -0.1 for start 0; it must be 0 or more"),
        ({"momentum": (0.1, 0.2)}, "sgd's momentum is (0.1, 0.2); it must be a finite number"),
    ],
)
def test_each_number_of_a_rule_has_its_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(fl.ParameterError) as caught:
        SGD(**settings)
    assert str(caught.value) == message


def test_rules_with_sequences_are_data() -> None:
    assert SGD([0.1, 0.2]) == SGD((0.1, 0.2)) == SGD(np.array([0.1, 0.2]))
    assert hash(SGD([0.1, 0.2])) == hash(SGD((0.1, 0.2)))


@pytest.mark.parametrize("rule", [SGD([0.1, 0.2]), Adam(weight_decay=[0.1])])
def test_minimize_has_one_start(rule: Any) -> None:
    with pytest.raises(fl.ParameterError, match=r"it must be a single number, as there is one start here"):
        fl.minimize(lambda x: x @ x, [1.0], optimizer=rule)


def test_gradient_takes_one_penalty() -> None:
    with pytest.raises(fl.ParameterError, match=r"l1 is \[0.1\]; it must be 0 or more"):
        fl.gradient(fl.Network([1, 1]), [[0.0]], [0.0], l1=[0.1])  # type: ignore[arg-type]

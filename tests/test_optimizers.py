"""Step rules against sums over all past gradients, written out; ranges of settings; decoupled weight decay."""

import math
from dataclasses import FrozenInstanceError, fields
from functools import partial

import numpy as np
import pytest

import fallline as fl
from fallline.errors import ParameterError
from fallline.optimizers import RULES, SGD, Adam, AdamW, RMSprop, as_rule, settings

STEPS = 50

# One parameter's path by the rule's closed form: every moment is a sum over all gradients so far, not a recurrence.
# Each takes the rule, the gradients so far (g[0] is the first), the step's learning rate, and returns what to subtract.


def _sgd(rule, g, rate):
    def velocity(g):
        return math.fsum(rule.momentum ** (len(g) - 1 - i) * x for i, x in enumerate(g))

    if rule.nesterov:  # looks ahead: the velocity after one more step with the same gradient
        return rate * velocity([*g, g[-1]])
    return rate * velocity(g)


def weighted_mean(xs, memory):
    """Mean with weights memory^age, times their sum's share (1 - memory) of an endless past."""
    weights = [memory ** (len(xs) - 1 - i) for i in range(len(xs))]
    return math.fsum(w * x for w, x in zip(weights, xs, strict=True)), math.fsum(weights)


def _rmsprop(rule, g, rate):
    total, _ = weighted_mean([x * x for x in g], rule.rho)
    return rate * g[-1] / (math.sqrt((1 - rule.rho) * total) + rule.epsilon)


def _adam(rule, g, rate):
    first, first_weight = weighted_mean(g, rule.beta1)  # 1 - beta^t is (1 - beta) times the sum of the weights
    second, second_weight = weighted_mean([x * x for x in g], rule.beta2)
    if rule.epsilon_hat:  # the form at the end of section 2, which corrects the learning rate
        corrected = rate * math.sqrt((1 - rule.beta2) * second_weight) / first_weight
        return corrected * first / (math.sqrt((1 - rule.beta2) * second) + rule.epsilon)
    return rate * (first / first_weight) / (math.sqrt(second / second_weight) + rule.epsilon)


CASES = [
    (SGD(0.1), _sgd),
    (SGD(0.05, momentum=0.9), _sgd),
    (SGD(0.05, momentum=0.7, nesterov=True), _sgd),
    (RMSprop(), _rmsprop),
    (RMSprop(0.02, rho=0.5, epsilon=0.1), _rmsprop),
    (RMSprop(0.02, rho=0.0), _rmsprop),
    (Adam(), _adam),
    (Adam(0.03, beta1=0.5, beta2=0.9, epsilon=1e-2), _adam),
    (Adam(0.03, beta1=0.0, beta2=0.0), _adam),
    (Adam(0.03, beta2=0.99, epsilon=1e-2, epsilon_hat=True), _adam),
]


def slope(theta, i):
    """A gradient that turns, grows and passes through zero: of a bowl and a wave, one for each parameter."""
    return 0.5 * i * theta + math.cos(3 * theta + i)


def test_every_rule_has_an_oracle():
    assert {type(rule) for rule, _ in CASES} == set(RULES.values())


@pytest.mark.parametrize(("rule", "closed_form"), CASES, ids=lambda case: repr(case) if hasattr(case, "name") else "")
def test_path_is_the_closed_forms(rule, closed_form):
    rates = [rule.learning_rate * (1 + 0.5 * math.sin(t)) for t in range(STEPS)]  # as a schedule would have it
    start = np.linspace(-2, 2, 7)
    theta, state = start.copy(), rule.init_state(start)
    for t in range(STEPS):
        gradient = np.array([slope(x, i) for i, x in enumerate(theta)])
        given = gradient.copy()
        assert rule.update(theta, gradient, state, rates[t], t + 1) is None
        np.testing.assert_array_equal(gradient, given)
    for i, x in enumerate(start):
        past = []
        for t in range(STEPS):
            past.append(slope(x, i))
            x -= closed_form(rule, past, rates[t])
        assert theta[i] == pytest.approx(x, rel=1e-10)


@pytest.mark.parametrize("rule", [rule for rule, _ in CASES], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_is_blocks_of_zeros_of_the_parameters_type(rule, dtype):
    theta = np.ones(5, dtype)
    state = rule.init_state(theta)
    assert len(state) == rule.n_moments
    for block in state:
        assert (block.dtype, block.shape) == (dtype, (5,))
        assert not block.any()
    blocks = list(state)
    rule.update(theta, np.full(5, 0.5, dtype), state, 0.1, 1)
    assert theta.dtype == dtype
    assert all(before is after for before, after in zip(blocks, state, strict=True))
    assert all(block.dtype == dtype and block.all() for block in state)


def test_number_of_moments():
    assert [rule.n_moments for rule in (SGD(), SGD(momentum=0.9), RMSprop(), Adam())] == [0, 1, 1, 2]


@pytest.mark.parametrize("gradient", [1e-6, 1.0, -1e6])
def test_first_step_of_adam_is_the_learning_rate_long_whatever_the_gradient(gradient):
    """Kingma & Ba 2015, section 2.1."""
    theta = np.zeros(1)
    rule = Adam(0.01, epsilon=1e-16)
    rule.update(theta, np.array([gradient]), rule.init_state(theta), rule.learning_rate, 1)
    assert theta[0] == pytest.approx(-math.copysign(0.01, gradient), rel=1e-9)


@pytest.mark.parametrize("n_rows", [1, 500])
@pytest.mark.parametrize(
    "rule", [SGD, partial(SGD, momentum=0.9), RMSprop, Adam], ids=["sgd", "momentum", "rms", "adam"]
)
def test_weight_decay_shrinks_weights_alone_and_knows_no_rows(rule, n_rows, engine):
    net = fl.Network([2, 3, 1], start="normal", seed=4, dtype="float64")
    X = np.zeros((n_rows, 2))
    X[:] = 0.3, -0.7
    y = net(X)[:, 0]  # nothing to learn: the gradient is 0, so that decay stands alone
    run = fl.descend(
        net, X, y, optimizer=rule(learning_rate=0.1, weight_decay=0.01), batch_size=None, epochs=1, engine=engine
    )
    for before, after in zip(net.W, run.network.W, strict=True):
        np.testing.assert_allclose(after, (1 - 0.1 * 0.01) * before, rtol=1e-12)
    for before, after in zip(net.b, run.network.b, strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-12)


# ---- ranges

ERRORS = [
    (SGD, {"learning_rate": 0}, "sgd's learning_rate is 0; it must be positive"),
    (SGD, {"learning_rate": -0.1}, "sgd's learning_rate is -0.1; it must be positive"),
    (SGD, {"learning_rate": math.inf}, "sgd's learning_rate is inf; it must be a finite number"),
    (SGD, {"learning_rate": "0.1"}, "sgd's learning_rate is '0.1'; it must be a finite number"),
    (SGD, {"learning_rate": math.nan}, "sgd's learning_rate is nan; it must be positive"),
    (SGD, {"momentum": 1.0}, "sgd's momentum is 1.0; it must be at least 0 and below 1"),
    (SGD, {"momentum": -0.5}, "sgd's momentum is -0.5; it must be at least 0 and below 1"),
    (SGD, {"momentum": math.nan}, "sgd's momentum is nan; it must be at least 0 and below 1"),
    (SGD, {"nesterov": True}, "sgd's nesterov is True; it must be False without momentum"),
    (SGD, {"weight_decay": -1e-4}, "sgd's weight_decay is -0.0001; it must be 0 or more"),
    (SGD, {"weight_decay": math.nan}, "sgd's weight_decay is nan; it must be 0 or more"),
    (RMSprop, {"learning_rate": 0.0}, "rmsprop's learning_rate is 0.0; it must be positive"),
    (RMSprop, {"rho": 1}, "rmsprop's rho is 1; it must be at least 0 and below 1"),
    (RMSprop, {"epsilon": 0}, "rmsprop's epsilon is 0; it must be positive"),
    (RMSprop, {"weight_decay": -1}, "rmsprop's weight_decay is -1; it must be 0 or more"),
    (Adam, {"learning_rate": 0}, "adam's learning_rate is 0; it must be positive"),
    (Adam, {"beta1": 1}, "adam's beta1 is 1; it must be at least 0 and below 1"),
    (Adam, {"beta2": -0.1}, "adam's beta2 is -0.1; it must be at least 0 and below 1"),
    (Adam, {"epsilon": -1e-8}, "adam's epsilon is -1e-08; it must be positive"),
    (Adam, {"weight_decay": -1}, "adam's weight_decay is -1; it must be 0 or more"),
    (Adam, {"epsilon_hat": 2}, "adam's epsilon_hat is 2; it must be True or False"),
    (AdamW, {"weight_decay": -1}, "adam's weight_decay is -1; it must be 0 or more"),
]


@pytest.mark.parametrize(("rule", "kwargs", "message"), ERRORS, ids=[row[-1] for row in ERRORS])
def test_out_of_range(rule, kwargs, message):
    with pytest.raises(ParameterError) as raised:
        rule(**kwargs)
    assert str(raised.value) == message


def test_every_setting_has_a_range():
    tried = {(rule, name) for rule, kwargs, _ in ERRORS for name in kwargs}
    assert {(rule, field.name) for rule in RULES.values() for field in fields(rule)} <= tried


# ---- names


def test_names():
    for name, rule in RULES.items():
        assert (rule.name, bool(rule.source)) == (name, True)
        assert as_rule(name) == rule()
    assert as_rule("adamw") == AdamW() == Adam(weight_decay=0.01)
    given = SGD(3.0)
    assert as_rule(given) is given


def test_unknown_names():
    with pytest.raises(ParameterError) as raised:
        as_rule("adm")
    assert str(raised.value) == "optimizer 'adm' is unknown; did you mean 'adam'? choose from adam, adamw, rmsprop, sgd"
    with pytest.raises(ParameterError) as raised:
        as_rule("lbfgs")
    assert str(raised.value) == "optimizer 'lbfgs' is unknown; choose from adam, adamw, rmsprop, sgd"


def test_defaults_are_those_of_the_papers_and_pytorch():
    assert Adam() == Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0)
    assert AdamW() == AdamW(1e-3, 0.9, 0.999, 1e-8, 0.01)
    assert RMSprop() == RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-8, weight_decay=0)
    assert SGD() == SGD(learning_rate=0.1, momentum=0, nesterov=False, weight_decay=0)


def test_settings_make_the_rule_again():
    for rule, _ in CASES:
        said = settings(rule)
        assert RULES[said.pop("name")](**said) == rule


@pytest.mark.parametrize("rule", RULES.values())
def test_rules_are_data(rule):
    with pytest.raises(FrozenInstanceError):
        rule().learning_rate = 1.0
    assert hash(rule()) == hash(rule())

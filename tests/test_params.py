"""The table of parameters agrees with what the parameters mean elsewhere, and refuses what is out of range."""

import numpy as np
import pytest

from fallline import activations, engines, fit, losses, optimizers, schedules
from fallline.errors import ParameterError
from fallline.params import PARAMS, check
from fallline.recipes import RECIPES


def test_names_are_those_of_the_registries():
    allowed = {name: param.allowed for name, param in PARAMS.items()}
    assert allowed["activation"] == tuple(activations.HIDDEN)
    assert set(allowed["optimizer"]) == {*optimizers.RULES, "adamw"}
    assert allowed["schedule"] == tuple(schedules.SCHEDULES)
    assert allowed["engine"] == (*engines.ENGINES, "auto")
    assert set(allowed["loss"]) == {name for names in fit.LOSSES.values() for name in names} <= set(losses.LOSSES)


@pytest.mark.parametrize("param", PARAMS.values(), ids=PARAMS)
def test_every_parameter_is_complete(param):
    assert param.check(param.default) == param.default
    assert param.doc.endswith(".")
    assert "\n" not in param.doc + param.range
    assert param.group in ("data", "network", "descent", "regularisation", "run")


def test_check_fills_in_the_defaults_in_order():
    assert list(check()) == list(PARAMS)
    assert check() == {name: param.default for name, param in PARAMS.items()}
    assert check({"epochs": 3})["epochs"] == 3


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("hidden", [64, np.int64(32)], (64, 32)),
        ("hidden", (), ()),
        ("hidden", "auto", "auto"),
        ("epochs", np.int32(5), 5),
        ("learning_rate", 1, 1.0),
        ("dropout", np.float32(0.5), 0.5),
        ("patience", None, None),
        ("task", "regression", "regression"),
    ],
)
def test_values_take_their_type(name, value, meant):
    taken = check({name: value})[name]
    assert taken == meant
    assert type(taken) is type(meant)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("hidden", (8, 0), "hidden is (8, 0); it must be whole numbers from 1 to 10,000,000"),
        ("hidden", 8, "hidden is 8"),
        ("hidden", "8", "hidden is '8'"),
        ("hidden", (8, 1.5), "hidden is (8, 1.5)"),
        ("epochs", 0, "epochs is 0; it must be a whole number, 1 or more, or 'auto'"),
        ("epochs", 1.0, "epochs is 1.0"),
        ("epochs", True, "epochs is True"),
        ("epochs", None, "epochs is None"),
        ("learning_rate", float("nan"), "learning_rate is nan; it must be a positive number, or 'auto'"),
        ("learning_rate", float("inf"), "learning_rate is inf"),
        ("learning_rate", "0.1", "learning_rate is '0.1'"),
        ("weight_decay", -0.1, "weight_decay is -0.1; it must be 0 or more"),
        ("dropout", 1.0, "dropout is 1.0; it must be at least 0 and below 1"),
        ("validation", 1, "validation is 1; it must be at least 0 and below 1"),
        ("clip_norm", 0, "clip_norm is 0; it must be a positive number, or none"),
        ("seed", -1, "seed is -1"),
        ("optimizer", "adm", "optimizer 'adm' is unknown; did you mean 'adam'?"),
        ("optimizer", np.array(["adam"]), "is unknown"),
        ("epoch", 3, "setting 'epoch' is unknown; did you mean 'epochs'?"),
    ],
)
def test_out_of_range(name, value, says):
    with pytest.raises(ParameterError) as caught:
        check({name: value})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("hidden", "256,128", (256, 128)),
        ("hidden", "8", (8,)),
        ("hidden", "none", ()),
        ("epochs", "auto", "auto"),
        ("clip_norm", "None", None),
        ("learning_rate", "1e-2", 0.01),
    ],
)
def test_what_a_person_types(name, text, meant):
    assert PARAMS[name].parse(text) == meant


@pytest.mark.parametrize(("name", "text"), [("hidden", "8,"), ("hidden", ""), ("epochs", "1e3"), ("epochs", "none")])
def test_what_a_person_mistypes(name, text):
    with pytest.raises(ParameterError, match=rf"^{name} is "):
        PARAMS[name].parse(text)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("n_rows", [1, 100, 1438, 100_000, 10_000_000])
@pytest.mark.parametrize("optimizer", PARAMS["optimizer"].allowed)
def test_a_recipe_settles_everything_within_range(recipe, n_rows, optimizer):
    for task in ("classification", "regression"):
        settled = recipe.settle(check({"optimizer": optimizer}), task, n_rows)
        left = {name for name, value in settled.items() if value == "auto"}
        assert left - {"validation"} == {"task", "loss", "threads"}  # the table's targets decide, and the machine
    check(settled)


def test_a_recipe_leaves_alone_what_is_set():
    given = {"epochs": 7, "hidden": (3,), "learning_rate": 0.5, "weight_decay": 0.25}
    settled = RECIPES["table"].settle(check(given), "regression", 1000)
    assert {name: settled[name] for name in given} == given

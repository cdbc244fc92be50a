"""Named default settings, each with its source: what `"auto"` in the table of parameters comes to for given data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fallline.optimizers import Adam, StepRule, as_rule
from fallline.rates import EQUAL_RATES, Rates

Settings = dict[str, Any]

MANY_ROWS = 100_000


@dataclass(frozen=True)
class Recipe:
    """A way to choose what nobody has set.

    Parameters
    ----------
    name : str
    source : str
        Paper, or how the numbers were found.
    choose : callable
        `(settings, task, n_rows) -> values` for every setting that may be "auto"; `n_rows` is the number to train on.
    rates : Rates
        Of the network's parts, for a rule whose steps do not grow with the gradient (Adam).
    beta2 : float
        Of Adam.
    keeps_best : bool
        Whether each start is kept at its best epoch, or at its last.
    """

    name: str
    source: str
    choose: Callable[[Mapping[str, Any], str, int], Settings]
    rates: Rates = EQUAL_RATES
    beta2: float = 0.999
    keeps_best: bool = False

    def settle(self, settings: Mapping[str, Any], task: str, n_rows: int) -> Settings:
        """Put values in place of "auto".

        Parameters
        ----------
        settings : mapping
            As `fallline.params.check` gives them.
        task : {"classification", "regression"}
        n_rows : int
            Rows to train on.

        Returns
        -------
        dict

        Examples
        --------
        >>> from fallline.params import check
        >>> settled = RECIPES["table"].settle(check(), "regression", n_rows=1000)
        >>> settled["starts"], settled["epochs"], settled["learning_rate"], settled["activation"]
        (12, 125, 0.08, 'silu')
        """
        chosen = self.choose(settings, task, n_rows)
        return {name: chosen.get(name, value) if value == "auto" else value for name, value in settings.items()}

    def rule(self, settled: Mapping[str, Any]) -> tuple[StepRule, Rates]:
        """The step rule that settings ask for, and the rates that go with it."""
        rule = as_rule(settled["optimizer"])
        own = {"learning_rate": settled["learning_rate"], "weight_decay": settled["weight_decay"]}
        if isinstance(rule, Adam):
            return replace(rule, beta2=self.beta2, **own), self.rates
        return replace(rule, **own), EQUAL_RATES  # type: ignore[type-var]


def _picture(settings: Mapping[str, Any], task: str, n_rows: int) -> Settings:
    """Choose about 10000 steps, within 20 and 60 epochs; weight decay that fades, as a prior should, with more rows."""
    rule = as_rule(settings["optimizer"])
    batch_size = 32 if settings["batch_size"] == "auto" else settings["batch_size"]
    steps_per_epoch = math.ceil(n_rows / batch_size)
    return {
        "validation": 0.2,
        "hidden": (64, 64) if n_rows < 1000 else (256, 256),
        "activation": "relu",
        "batch_size": batch_size,
        "epochs": max(min(60, max(20, 10_000 // steps_per_epoch)), math.ceil(700 / steps_per_epoch)),
        "learning_rate": rule.learning_rate,
        "weight_decay": min(1.0, 300 / n_rows) if settings["optimizer"] == "adamw" else rule.weight_decay,
        "starts": 1,
        "schedule": "cosine",
        "label_smoothing": 0.0,
    }


def _table(settings: Mapping[str, Any], task: str, n_rows: int) -> Settings:
    """Choose 32 epochs, but 2000 steps at least; of many rows fewer and larger networks, which the rows can feed."""
    rule = as_rule(settings["optimizer"])
    many, regression = n_rows >= MANY_ROWS, task == "regression"
    starts = (2 if many else 12) if settings["starts"] == "auto" else settings["starts"]
    batch_size = min(512 if many else 64, n_rows) if settings["batch_size"] == "auto" else settings["batch_size"]
    rate = (0.08 if regression else 0.04) * (0.5 if many else 1)
    smooth = not regression and not many and settings["loss"] in ("auto", "categorical_cross_entropy")
    return {
        "validation": "auto" if starts > 1 else 0.2,  # auto: in folds
        "hidden": (256, 256, 256) if many else (128, 128),
        "activation": "silu" if regression else "relu",
        "batch_size": batch_size,
        "epochs": max(24 if many else 32, math.ceil(2000 / math.ceil(n_rows / batch_size))),
        "learning_rate": rate if isinstance(rule, Adam) else rule.learning_rate,
        "weight_decay": 0.02 if settings["optimizer"] == "adamw" else rule.weight_decay,
        "starts": starts,
        "schedule": "coslog4",
        "label_smoothing": 0.05 if smooth else 0.0,
    }


RECIPES: dict[str, Recipe] = {
    "table": Recipe(
        "table",
        "RealMLP's rates, scale and embeddings (Holzmueller, Grinsztajn & Steinwart 2024) for several small networks, "
        "each trained on other folds and kept at its best epoch; numbers by measurement, docs/design/recipe.md",
        _table,
        Rates(fan_in=0.5, bias=0.1, scale=6.0, embedding=0.1),
        beta2=0.95,
        keeps_best=True,
    ),
    "picture": Recipe(
        "picture",
        "AdamW with a cosine schedule: Loshchilov & Hutter 2019; layers, epochs and weight decay by cross-validation "
        "within the training rows of digits",
        _picture,
    ),
}

"""Named default settings, each with its source: what `"auto"` in the table of parameters comes to for given data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fallline.optimizers import as_rule

Settings = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A way to choose what nobody has set.

    Parameters
    ----------
    name : str
    source : str
        Paper, or how the numbers were found.
    choose : callable
        `(settings, n_rows) -> values` for every setting that may be "auto"; `n_rows` is the number to train on.
    """

    name: str
    source: str
    choose: Callable[[Mapping[str, Any], int], Settings]

    def settle(self, settings: Mapping[str, Any], n_rows: int) -> Settings:
        """Put values in place of "auto".

        Parameters
        ----------
        settings : mapping
            As `fallline.params.check` gives them.
        n_rows : int
            Rows to train on.

        Returns
        -------
        dict

        Examples
        --------
        >>> from fallline.params import check
        >>> settled = RECIPES["default"].settle(check(), n_rows=1438)
        >>> settled["epochs"], settled["learning_rate"], round(settled["weight_decay"], 3)
        (60, 0.001, 0.209)
        """
        chosen = self.choose(settings, n_rows)
        return {name: chosen.get(name, value) if value == "auto" else value for name, value in settings.items()}


def _default(settings: Mapping[str, Any], n_rows: int) -> Settings:
    """Choose about 10000 steps, within 20 and 60 epochs; weight decay that fades, as a prior should, with more rows."""
    rule = as_rule(settings["optimizer"])
    steps_per_epoch = math.ceil(n_rows / settings["batch_size"])
    return {
        "hidden": (64, 64) if n_rows < 1000 else (256, 256),
        "epochs": max(min(60, max(20, 10_000 // steps_per_epoch)), math.ceil(700 / steps_per_epoch)),
        "learning_rate": rule.learning_rate,
        "weight_decay": min(1.0, 300 / n_rows) if settings["optimizer"] == "adamw" else rule.weight_decay,
    }


RECIPES: dict[str, Recipe] = {
    "default": Recipe(
        "default",
        "AdamW with a cosine schedule: Loshchilov & Hutter 2019; layers, epochs and weight decay by cross-validation "
        "within the training rows of digits, iris, wine, breast_cancer, diabetes",
        _default,
    )
}

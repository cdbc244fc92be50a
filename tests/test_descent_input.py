"""What the loop refuses, each with one clear line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fallline as fl
from fallline.engines import ALWAYS

both_engines = pytest.mark.parametrize("engine", ALWAYS)


def wave(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 1))
    return x, np.sin(3 * x[:, 0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0; it must be a whole number, 1 or more"),
        ({"epochs": 2.5}, "epochs is 2.5"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"starts": -1}, "starts is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"l1": -1.0}, "l1 is -1.0; it must be 0 or more"),
        ({"clip_norm": 0.0}, "clip_norm is 0.0; it must be a positive number"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
        ({"dropout": [0.1, 0.2]}, "dropout has 2 rates; it must be one, or one a hidden layer, 1 here"),
        ({"loss": "categorical_cross_entropy"}, "needs two outputs or more; one output takes 'binary_cross_entropy'"),
        ({"sample_weight": ["a"] * 60}, "sample_weight must be numbers, one a row"),
        ({"metrics": "rsme", "validation": ([[0.0]], [0.0])}, "metric 'rsme' is unknown; did you mean 'rmse'?"),
        ({"epochs": "auto"}, "epochs is 'auto'; it must be a whole number, 1 or more"),
        ({"validation": 0.2}, "validation must be (X, y) or (X, y, sample_weight)"),
        ({"validation": (np.zeros((3, 2)), np.zeros(3))}, "validation: X has shape (3, 2)"),
        ({"metrics": "rmse"}, "metrics are measured on validation rows; set validation=(X, y)"),
        ({"callbacks": [fl.EarlyStopping]}, "each must be a Listener, such as EarlyStopping()"),
        ({"dropout": None}, "dropout is None; it must be at least 0 and below 1"),
        ({"keep": "first"}, "keep is 'first'; it must be 'best' or 'last'"),
        ({"optimizer": "adm"}, "optimizer 'adm' is unknown; did you mean 'adam'?"),
        ({"schedule": "cosinus"}, "schedule 'cosinus' is unknown; did you mean 'cosine'?"),
        ({"loss": "square"}, "loss 'square' is unknown; did you mean 'squared_error'?"),
        ({"optimizer": fl.Adam(epsilon=1e-42)}, "epsilon is 1e-42, which is 0 in float32; it must be 1.2e-38 or more"),
        ({"engine": "nativ"}, "engine 'nativ' is unknown; did you mean 'native'?"),
        ({"metrics": ["acuracy"], "validation": ([[0.0]], [0.0])}, "metric 'acuracy' is unknown; did you mean"),
        ({"validation": ([[0.0]],)}, "validation must be (X, y) or (X, y, sample_weight)"),
        ({"sample_weight": [1.0, 2.0]}, "sample_weight has shape (2,); it must be (60,), one weight a row"),
        ({"sample_weight": [-1.0] * 60}, "sample_weight must be finite numbers, 0 or more, and not all 0"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_settings_get_one_clear_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(fl.FalllineError) as caught:
        fl.descend(fl.Network([1, 4, 1]), *wave(), **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metrics_refuse_outputs_that_are_not_predictions_of_the_targets() -> None:
    X, y = wave()
    with pytest.raises(
        fl.ParameterError, match=r"takes one output a target, not outputs \(60, 3\) and targets \(60, 1\)"
    ):
        fl.descend(
            fl.Network([1, 3]), X, y, fl.losses.Quantile((0.1, 0.5, 0.9)), validation=(X, y), metrics="rmse", epochs=1
        )


@both_engines
def test_a_network_about_to_diverge_is_measured_without_warnings(engine: str) -> None:
    with pytest.warns(fl.DivergenceWarning) as caught:
        fl.descend(
            fl.Network([1, 16, 1], "gelu", seed=1), *wave(), optimizer=fl.SGD(1e3), epochs=30, validation=wave(9),
            metrics=["rmse", "r2"], engine=engine,
        )  # fmt: skip
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((3, 2)), np.zeros(3), "X has shape (3, 2), but the network takes (n, 1)"),
        (np.zeros((3, 1)), np.zeros(4), "X has 3 rows, but y has 4"),
        (np.zeros((0, 1)), np.zeros(0), "there are no rows; give at least one"),
        ([[0.0], [np.nan]], [0.0, 1.0], "X has nan in row 1, column 0; inputs must be finite numbers"),
        ([[0.0], [1.0]], [0.0, np.inf], "y has inf in row 1; targets must be finite numbers"),
        ([[0.0], [1e39]], [0.0, 1.0], "X has inf in row 1, column 0; inputs must be finite numbers"),
        ([[0.0], [1.0]], [0.0, 1e39], "y has 1e+39 in row 1; targets must be finite numbers"),
        ([[0.0], [1.0]], [[0.0], [1.0, 2.0]], "y must be a table of numbers, with rows of one length"),
        ([["a"], ["b"]], [0.0, 1.0], "X must be a table of numbers, one row an example"),
        ([[0.0], [1.0]], ["a", "b"], "the losses take numbers, or classes as whole numbers from 0"),
        (np.zeros((3, 1)), np.zeros((3, 2)), "y has shape (3, 2), but squared_error with 1 outputs takes (n, 1)"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_data_get_one_clear_line(X: Any, y: Any, message: str) -> None:
    with pytest.raises(fl.DataError) as caught:
        fl.descend(fl.Network([1, 4, 1]), X, y)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

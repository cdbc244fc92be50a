"""From a table to a model: what is held back is only measured, and the defaults are good enough to start with."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from fallline.errors import DataError, DivergenceWarning, ParameterError
from fallline.fit import fit
from fallline.listeners import Listener
from fallline.model import Model
from fallline.table import Table, folds, load_bundled, split


def line(n=40, noise=0.0, seed=0):
    """A table whose target is `1000 + 300 x`, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    return Table("line", x.astype(np.float32)[:, None], 1000 + 300 * x + noise * rng.normal(size=n), ("x",), "y")


@pytest.mark.parametrize("seed", range(5))
def test_digits_by_default(seed):
    result = fit(load_bundled("digits"), {"seed": seed})
    assert len(result.held_back_rows) == 359
    assert result.scores["accuracy"] >= 0.97


@pytest.mark.parametrize(
    ("name", "score", "least"),
    [
        ("iris", "accuracy", 0.9),
        ("wine", "accuracy", 0.94),
        ("breast_cancer", "accuracy", 0.94),
        ("diabetes", "r2", 0.3),
    ],
)
def test_small_tables_by_default(name, score, least):
    """The mean over five splits: a single one holds back too few rows to say much."""
    scores = [fit(load_bundled(name), {"seed": seed}).scores[score] for seed in range(5)]
    assert np.mean(scores) >= least


def test_a_line_in_the_user_s_units(engine):
    result = fit(line(), {"engine": engine, "hidden": (16,), "epochs": 100, "batch_size": 16, "starts": 2})
    assert result.scores["rmse"] < 30
    assert result.scores["r2"] > 0.97
    np.testing.assert_allclose(result.model.predict([[-0.5], [0.5]]), [850, 1150], atol=30)
    one = fit(line(), {"engine": engine, "hidden": (16,), "epochs": 20, "starts": 1})
    assert one.run.history["rmse"].min() == pytest.approx(one.scores["rmse"], rel=1e-3)


def test_engines_train_the_same_model():
    settings = {"epochs": 3, "starts": 2, "combine": "best", "learning_rate": 0.002}
    results = [fit(load_bundled("iris"), settings | {"engine": engine}) for engine in ("native", "reference")]
    native, reference = (result.run.history["loss"] for result in results)
    np.testing.assert_allclose(native, reference, rtol=1e-4)


def test_the_held_back_rows_only_measure():
    """Other values and targets in them change the scores, and not a bit of the model."""
    table = load_bundled("digits")
    settings = {"epochs": 3}
    result = fit(table, settings)
    train_rows, held_back_rows = split(table, 0.2, 0, "classification")
    np.testing.assert_array_equal(result.train_rows, train_rows)
    np.testing.assert_array_equal(result.held_back_rows, held_back_rows)
    X, y = table.X.copy(), table.y.copy()
    X[held_back_rows] *= -3
    y[held_back_rows] = y[held_back_rows][::-1]
    changed = fit(
        replace(table.rows(train_rows), name="train"),
        settings,
        validation_table=replace(table, X=X, y=y).rows(held_back_rows),
    )
    assert changed.scores != result.scores
    assert not changed.held_back_chose
    assert changed.start == result.start
    np.testing.assert_array_equal(changed.model.network.parameters, result.model.network.parameters)


def test_each_start_holds_back_another_fold_and_learns_nothing_from_it():
    """Other inputs in fold 1 change every start but number 1; scores are those of the starts that held rows back."""
    table = load_bundled("breast_cancer")
    settings = {"epochs": 2, "starts": 3, "validation": "auto"}
    fold = folds(table, 8, 0, "classification")
    result = fit(table, settings)
    assert (result.n_folds, result.starts, len(result.model.networks)) == (8, [0, 1, 2], 3)
    np.testing.assert_array_equal(result.held_back_rows, np.flatnonzero(fold < 3))
    X = table.X.copy()
    X[fold == 1] = X[fold == 1][::-1]  # the encoder looks at all rows, and sees the same numbers
    changed = fit(replace(table, X=X), settings)
    moved = [
        not np.array_equal(a.parameters, b.parameters)
        for a, b in zip(result.run.networks, changed.run.networks, strict=True)
    ]
    assert moved[0]
    assert moved[2]
    epochs = result.run.kept_epochs[1], changed.run.kept_epochs[1]
    assert not moved[1] or epochs[0] != epochs[1]  # its rows choose the epoch, and nothing else
    right = 0
    for k, network in enumerate(result.run.networks):
        rows = table.rows(np.flatnonzero(fold == k))
        alone = Model(result.model.encoder, [network])
        right += (alone.predict(rows) == rows.y).sum()
    assert result.scores["accuracy"] == pytest.approx(right / len(result.held_back_rows))


def test_starts_answer_together_or_the_best_alone():
    table = load_bundled("diabetes")
    settings = {"epochs": 3, "starts": 3}
    together, best = (fit(table, settings | {"combine": combine}) for combine in ("average", "best"))
    answers = [Model(together.model.encoder, [network]).predict(table) for network in together.run.networks]
    np.testing.assert_allclose(together.model.predict(table), np.mean(answers, axis=0), rtol=1e-5)
    k = int(best.run.losses.argmin())
    assert best.starts == [best.start] == [k]
    np.testing.assert_allclose(best.model.predict(table), answers[k], rtol=1e-6)
    assert best.held_back_chose


def test_each_start_is_kept_at_its_best_epoch():
    result = fit(line(noise=300), {"epochs": 30, "starts": 2, "learning_rate": 0.1})
    losses = result.run.history["validation_loss"]
    assert result.run.kept_epochs == (losses.argmin(axis=0) + 1).tolist()
    iris = fit(load_bundled("iris"), {"epochs": 20, "starts": 2})
    assert iris.run.kept_epochs == (iris.run.history["brier"].argmin(axis=0) + 1).tolist()


def test_a_linear_model_and_the_simplest_guess_stand_beside():
    """On a wave a network is better than a line, and a line better than the mean; on a plane the line is as good."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (400, 2)).astype(np.float32)
    wave, plane = (Table("t", X, y, ("a", "b"), "y") for y in (np.sin(3 * X[:, 0]) + X[:, 1], X[:, 0] + X[:, 1]))
    result = fit(wave, {"starts": 2})
    rmse = {name: scores["rmse"] for name, scores in result.beside.items()} | {"network": result.scores["rmse"]}
    assert rmse["network"] < 0.5 * rmse["linear"]
    assert rmse["linear"] < 0.9 * rmse["guess"]
    assert rmse["guess"] == pytest.approx(wave.y.std(), rel=0.1)
    residual = wave.y - LinearRegression().fit(X, wave.y).predict(X)
    assert rmse["linear"] == pytest.approx(residual.std(), rel=0.2)
    assert fit(plane, {"starts": 2}).beside["linear"]["r2"] > 0.95
    iris = fit(load_bundled("iris"), {"epochs": 20, "starts": 3})
    assert iris.beside["guess"] == pytest.approx({"accuracy": 1 / 3, "log_loss": np.log(3)}, abs=0.02)
    assert iris.beside["linear"]["accuracy"] > 0.9
    assert fit(load_bundled("digits"), {"epochs": 1}).beside == {}
    assert fit(line(), {"epochs": 1, "validation": 0.0}).beside == {}


def test_patience_stops_when_no_start_gets_better():
    result = fit(line(noise=300), {"patience": 3, "epochs": 400, "learning_rate": 0.03, "seed": 1})
    losses = result.run.history["validation_loss"]
    assert result.run.stop_reason == "stopped"
    assert result.held_back_chose
    assert result.run.kept_epochs == (losses.argmin(axis=0) + 1).tolist()
    assert max(result.run.kept_epochs) == len(losses) - 3


def test_categories_missing_values_and_dates_are_learned():
    rng = np.random.default_rng(0)
    n = 400
    colour, number = rng.integers(0, 3, n), rng.normal(size=n).astype(np.float32)
    day = rng.integers(0, 700, n)
    y = 10.0 * colour + number + 5 * np.cos(2 * np.pi * day / 7)
    number[rng.random(n) < 0.1] = np.nan
    X = np.column_stack([colour, number, day]).astype(np.float32)
    columns = ("colour", "number", "day")
    table = Table("t", X, y, columns, "y", labels={"colour": ("blue", "green", "red")}, dates=frozenset({"day"}))
    result = fit(table, {"starts": 2, "epochs": 60})
    assert result.scores["r2"] > 0.97
    assert [column.role for column in result.model.encoder.encodings] == ["category", "number", "date"]


def test_callbacks_hear_of_the_descent():
    class Three(Listener):
        def on_epoch(self, epoch):
            return epoch.progress.epoch == 3

    result = fit(line(), callbacks=[Three()])
    assert len(result.run.history) == 3 * 8
    assert result.model.training["stop_reason"] == "stopped"
    assert result.held_back_chose


def test_a_task_that_is_asked_for():
    table = Table("codes", np.arange(30, dtype=np.float32)[:, None], np.arange(30) % 3, ("x",), "y")
    assert fit(table, {"epochs": 1}).model.task == "classification"
    assert fit(table, {"epochs": 1, "task": "regression"}).model.task == "regression"


@pytest.mark.parametrize("name", ["squared_error", "absolute_error", "huber"])
def test_losses_for_numbers(name):
    result = fit(line(), {"loss": name, "epochs": 60, "starts": 2})
    assert result.model.training["loss"]["name"] == name
    assert result.scores["r2"] > 0.97


def test_losses_for_classes():
    smooth = fit(load_bundled("iris"), {"label_smoothing": 0.1, "epochs": 5})
    assert smooth.model.training["loss"] == {"name": "categorical_cross_entropy", "label_smoothing": 0.1}
    brier = fit(load_bundled("iris"), {"loss": "squared_error"})
    assert brier.scores["accuracy"] > 0.8


def test_what_cannot_be():
    with pytest.raises(ParameterError, match="'huber' is not for classification; choose from categorical"):
        fit(load_bundled("iris"), {"loss": "huber"})
    with pytest.raises(ParameterError, match="patience needs rows to measure on"):
        fit(line(), {"patience": 1, "validation": 0.0})
    with pytest.raises(ParameterError, match="'epoch' is unknown; did you mean 'epochs'"):
        fit(line(), {"epoch": 1})
    with pytest.raises(DataError, match="no target"):
        fit(replace(line(), y=None, target=None))
    with pytest.raises(DataError, match=r"new: there is no target 'y'"):
        fit(line(), validation_table=replace(line(), name="new", y=None, target=None))
    table = Table("labels", np.arange(4, dtype=np.float32)[:, None], np.array(list("abab")), ("x",), "y")
    with pytest.raises(DataError, match="no label 'z'"):
        fit(table, validation_table=replace(table, y=np.array(list("abaz"))))


def test_a_divergence_is_told_and_scored():
    with pytest.warns(DivergenceWarning, match="learning rate"):
        result = fit(line(), {"optimizer": "sgd", "learning_rate": 1e30})
    assert result.run.stop_reason == "diverged"
    assert np.isfinite(result.model.network.parameters).all()


def test_the_same_seed_gives_the_same_bits():
    a, b, c = (fit(load_bundled("wine"), {"epochs": 3, "seed": seed}).model.network.parameters for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_numbers_with_a_few_words_among_them_are_no_classes():
    y = np.arange(40).astype(str)
    y[7] = "n/a"
    table = Table("t.csv", np.arange(40, dtype=np.float32)[:, None], y, ("x",), "price")
    with pytest.raises(
        DataError, match=r"^t.csv: target 'price' is 'n/a' in row 8, but mostly numbers; mend it, or set"
    ):
        fit(table)
    with pytest.raises(DataError, match="has 40 different values in 40 rows, too many for classes"):
        fit(table, {"task": "classification"})

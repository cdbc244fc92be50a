"""From a table to a model: what is held back is only measured, and the defaults are good enough to start with."""

import time
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
    """The mean over two splits."""
    scores = [fit(load_bundled(name), {"seed": seed}).scores[score] for seed in range(2)]
    assert np.mean(scores) >= least


def test_a_line_in_the_user_s_units(engine):
    result = fit(line(), {"engine": engine, "hidden": (16,), "epochs": 100, "batch_size": 16, "starts": 2})
    assert result.scores["rmse"] < 30
    assert result.scores["r2"] > 0.97
    np.testing.assert_allclose(result.model.predict([[-0.5], [0.5]]), [850, 1150], atol=30)
    one = fit(line(), {"engine": engine, "hidden": (16,), "epochs": 20, "starts": 1, "combine": "best"})
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
    assert (result.n_folds, result.starts, len(result.run.networks)) == (8, [0, 1, 2], 3)
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
    best = fit(table, settings | {"combine": "best"})
    for k, network in enumerate(result.run.networks):
        alone = Model(result.model.encoder, [network]).evaluate(table.rows(np.flatnonzero(fold == k)))
        assert result.judgement.each[k] == pytest.approx(alone, rel=1e-5)
        if k == best.start:
            assert best.scores["accuracy"] == alone["accuracy"]


def test_starts_answer_together_or_the_best_alone():
    table = load_bundled("diabetes")
    settings = {"epochs": 3, "starts": 3}
    together, best = (fit(table, settings | {"combine": combine}) for combine in ("average", "best"))
    answers = [Model(together.model.encoder, [network]).predict(table) for network in together.model.networks]
    share = together.judgement.linear_share  # of the linear ones, which come last
    assert 0 < share <= 1
    expected = (1 - share) * np.mean(answers[:3], axis=0) + share * np.mean(answers[3:], axis=0)
    np.testing.assert_allclose(together.model.predict(table), expected, rtol=1e-5)
    k = int(best.run.losses.argmin())
    assert best.starts == [best.start] == [k]
    np.testing.assert_allclose(best.model.predict(table), answers[k], rtol=1e-6)
    assert best.held_back_chose


def test_a_linear_model_has_a_share_where_it_helps():
    """On noise about a plane, of few rows; never where the truth is no plane, rows are many, or one start is asked."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2100, 8)).astype(np.float32)
    columns = tuple("abcdefgh")
    noisy = X.sum(axis=1) + 6 * rng.normal(size=len(X))
    plane, wave = (Table("t", X[:150], y, columns, "y") for y in (noisy[:150], np.sin(3 * X[:150, 0])))
    helped = fit(plane, {"epochs": 20})
    assert helped.judgement.linear_share > 0.3
    alone = Model(helped.model.encoder, helped.run.networks)
    new = Table("t", X[150:], X[150:].sum(axis=1), columns, "y")
    assert helped.model.evaluate(new)["rmse"] < 0.9 * alone.evaluate(new)["rmse"]
    assert fit(wave, {"epochs": 40}).judgement.linear_share < 0.1
    assert fit(plane, {"epochs": 20, "combine": "best"}).judgement.linear_share == 0
    assert fit(Table("t", X, noisy, columns, "y"), {"epochs": 1}).judgement.linear_share == 0


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
    assert len(result.run.history) == 3 * 12
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
    assert smooth.model.training["loss"]["label_smoothing"] == 0.1
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


def test_rows_of_a_group_are_held_back_together():
    """A group's mean is noise that only its own rows tell: scores on rows of a known group are too good."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 40, 600)
    X = np.column_stack([rng.normal(size=40)[group], rng.normal(size=600)]).astype(np.float32)
    table = Table("t", X, 5 * rng.normal(size=40)[group] + X[:, 1], ("of_group", "own"), "y")
    loose, honest = fit(table, {"epochs": 60}), fit(table, {"epochs": 60}, groups=group)
    assert loose.scores["r2"] > 0.7
    assert honest.scores["r2"] < loose.scores["r2"] - 0.3
    one = fit(table, {"epochs": 2, "validation": 0.25}, groups=group)
    assert not set(group[one.train_rows]) & set(group[one.held_back_rows])
    assert 140 <= len(one.held_back_rows) <= 200
    with pytest.raises(DataError, match="all rows are of one group"):
        fit(table, {"validation": 0.5}, groups=np.zeros(600))


def test_the_last_rows_are_held_back():
    result = fit(line(), {"epochs": 2, "hold_back": "last"})
    np.testing.assert_array_equal(result.held_back_rows, np.arange(32, 40))
    np.testing.assert_array_equal(result.train_rows, np.arange(32))
    assert (result.n_folds, len(result.starts)) == (0, 12)
    assert len(fit(line(), {"epochs": 1, "hold_back": "last", "validation": 0.5}).held_back_rows) == 20


def test_the_logarithm_of_the_target():
    """Where errors are relative; the mean of logarithms is the median of such prices."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (800, 1)).astype(np.float32)
    table = Table("t", x, np.exp(2 * x[:, 0] + 3 + 0.3 * rng.normal(size=800)), ("x",), "price")
    result = fit(table, {"target_transform": "log", "epochs": 60, "starts": 2})
    new = np.linspace(-1.8, 1.8, 20, dtype=np.float32)[:, None]
    np.testing.assert_allclose(result.model.predict(new), np.exp(2 * new[:, 0] + 3), rtol=0.15)
    with pytest.raises(DataError, match=r"t: target 'price': target_transform is 'log', but -1.0 is not above 0"):
        fit(replace(table, y=-np.ones(800)), {"target_transform": "log", "task": "regression"})
    with pytest.raises(ParameterError, match="'log', which is for numbers"):
        fit(load_bundled("iris"), {"target_transform": "log"})


def test_quantiles_and_intervals():
    """Noise that grows with x: quantiles follow it, and intervals hold as many truths as they say."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (6000, 1)).astype(np.float32)
    y = 4 * x[:, 0] + (0.2 + x[:, 0]) * rng.normal(size=6000)
    table, new = (Table("t", x[rows], y[rows], ("x",), "y") for rows in (slice(0, 2000), slice(2000, None)))
    settings = {"epochs": 40, "starts": 4}
    model = fit(table, settings | {"loss": "quantile", "quantiles": (0.9, 0.1, 0.5)}).model
    quantiles = model.predict_quantiles(new)
    np.testing.assert_allclose((new.y[:, None] < quantiles).mean(axis=0), [0.9, 0.1, 0.5], atol=0.04)
    np.testing.assert_array_equal(model.predict(new), quantiles[:, 2])
    low, high = model.predict_interval(new, 0.8).T
    np.testing.assert_array_equal(np.stack([high, low], axis=1), quantiles[:, :2])
    width = dict(zip(*np.unique(np.round(new.X[:, 0]), return_index=True), strict=True))
    assert set(width) == {0.0, 1.0}
    right = new.X[:, 0] > 0.8
    assert (high - low)[right].mean() > 2 * (high - low)[new.X[:, 0] < 0.2].mean()
    with pytest.raises(ParameterError, match=r"coverage 0.9 needs the quantile 0.05; the model has '0.9'"):
        model.predict_interval(new)

    plain = fit(table, settings).model
    for coverage in (0.5, 0.9):
        low, high = plain.predict_interval(new, coverage).T
        assert ((low <= new.y) & (new.y <= high)).mean() == pytest.approx(coverage, abs=0.03)
    with pytest.raises(ParameterError, match="not trained for quantiles"):
        plain.predict_quantiles(new)
    with pytest.raises(ParameterError, match="coverage is 1; it must be above 0 and below 1"):
        plain.predict_interval(new, 1)
    with pytest.raises(ParameterError, match="no rows were held back"):
        fit(table, {"epochs": 1, "validation": 0.0}).model.predict_interval(new)
    with pytest.raises(ParameterError, match="only numbers have intervals"):
        fit(load_bundled("iris"), {"epochs": 1}).model.predict_interval(load_bundled("iris"))


def test_several_numbers_and_several_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3)).astype(np.float32)
    Y = np.column_stack([1000 + 300 * X[:, 0], X[:, 1] * X[:, 2]])
    numbers = fit(Table("t", X, Y, ("a", "b", "c"), "y"), {"epochs": 60, "starts": 4})
    assert numbers.scores["r2"] > 0.9
    assert numbers.model.predict(X).shape == (500, 2)
    assert numbers.model.predict_interval(X).shape == (500, 2, 2)
    above = ((X > 0) & (X[:, :1] < 1)).astype(int)
    labels = fit(Table("t", X, above, ("a", "b", "c"), "y"), {"epochs": 60, "starts": 4})
    assert labels.scores["accuracy"] > 0.85
    assert labels.scores["log_loss"] < 0.15
    P = labels.model.predict_proba(X)
    np.testing.assert_array_equal(labels.model.predict(X), P > 0.5)
    assert ((P > 0.5) == above).all(axis=1).mean() > 0.9
    with pytest.raises(DataError, match="the target 'y' has 2 columns, so each must hold 0 and 1 alone"):
        fit(Table("t", X, Y, ("a", "b", "c"), "y"), {"task": "classification"})


def test_another_measure_says_which_epoch_is_best():
    def worst_first(target, A, Y, weight):
        assert (target.task, A.shape, Y.shape, len(weight)) == ("classification", (len(Y), 3), (len(Y), 3), len(Y))
        heard.append(len(heard))
        return -float(len(heard))

    heard = []
    result = fit(load_bundled("iris"), {"epochs": 6, "starts": 2}, monitor=("mine", worst_first))
    assert result.run.kept_epochs == [1, 1]
    assert (result.run.history["mine"] < 0).all()


@pytest.mark.parametrize(("seconds", "fewer"), [(0.7, True), (3.0, False)])
def test_a_time_to_train_in(seconds, fewer):
    """Slack for slow machines: what is done is what the time is for, and the default is one second's work or so."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6)).astype(np.float32)
    table = Table("t", X, X[:, 0] * X[:, 1], tuple("abcdef"), "y")
    began = time.perf_counter()
    result = fit(table, {"time_budget": seconds} | ({} if fewer else {"hidden": (8,), "epochs": 2}))
    took = time.perf_counter() - began
    assert took < 2 * seconds + 2
    epochs, starts = result.run.history["epoch"].max(), len(result.run.networks)
    assert result.scores["r2"] > 0.1
    if fewer:
        assert epochs < 24
    else:
        assert (epochs, starts) == (2, 32)


def test_a_time_that_is_over_at_once():
    with pytest.raises(ParameterError, match=r"time_budget is 1e-05 s, which reading and encoding 40 rows"):
        fit(line(), {"time_budget": 1e-5})


@pytest.mark.parametrize("n_targets", [1, 2])
def test_quantiles_are_blended_by_their_own_loss(n_targets):
    """A linear model that knows the quantiles gains the whole share; one that knows the mean alone does not."""
    from fallline.fit.calibration import share_to_add
    from fallline.table import Target

    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, n_targets))
    y = truth[:, 0] if n_targets == 1 else truth
    target = Target.fit(y, "y", "regression", quantiles=(0.1, 0.9))
    Y = target.encode(y).reshape(len(truth), -1)
    known = np.tile(np.quantile(Y, (0.1, 0.9), axis=0).T.ravel(), (len(Y), 1))
    mean = np.zeros_like(known)
    assert share_to_add(target, mean, known, Y) == 1.0
    assert share_to_add(target, known, mean, Y) == 0.0

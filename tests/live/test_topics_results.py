"""Results against scikit-learn; the model, and the command line that repeats the run, by running them."""

import shlex

import numpy as np
import pytest
from sklearn import metrics

from fallline.cli.__main__ import main
from fallline.errors import ParameterError
from fallline.fit import fit
from fallline.live.experiment import Experiment
from fallline.live.journal import Journal
from fallline.live.result import command, model_of
from fallline.live.topics.cell import cell
from fallline.live.topics.results import results
from fallline.model import load
from fallline.params import PARAMS
from fallline.table import Table, load_bundled


def after(epochs, name, **settings):
    experiment = Experiment(load_bundled(name) if isinstance(name, str) else name, settings)
    experiment.advance(epochs * experiment.steps_per_epoch)
    return experiment


def test_classes():
    view = after(3, "digits").view()
    data, arrays = results(view, {})
    held_back = view.job.rows.held_back
    said = view.network(held_back.X).argmax(axis=1)
    np.testing.assert_array_equal(arrays["confusion"], metrics.confusion_matrix(held_back.y, said))
    assert data["metrics"]["accuracy"]["value"] == pytest.approx(metrics.accuracy_score(held_back.y, said))
    assert data["classes"] == [str(k) for k in range(10)]
    assert data["rows"] == len(said)
    assert data["guess"]["accuracy"] < 0.2


def test_numbers():
    view = after(30, "diabetes").view()
    data, arrays = results(view, {})
    held_back = view.job.rows.held_back
    said = model_of(view).predict(held_back)
    assert data["metrics"]["rmse"]["value"] == pytest.approx(metrics.mean_squared_error(held_back.y, said) ** 0.5)
    assert data["metrics"]["r2"]["name"] == "R2"
    assert (data["classes"], arrays) == (None, {})
    with pytest.raises(ParameterError, match="no classes"):
        cell(view, {"truth": 0, "answer": 0})


def test_cells_hold_the_rows_of_the_matrix():
    view = after(2, "digits").view()
    counts = results(view, {})[1]["confusion"]
    held_back, A = view.job.rows.held_back, view.network(view.job.rows.held_back.X)
    for truth, answer in ((3, 3), *np.argwhere(counts * (1 - np.eye(10)) > 0)[:5].tolist()):
        data, arrays = cell(view, {"truth": truth, "answer": answer})
        assert data["count"] == counts[truth, answer] > 0
        assert len(arrays["pictures"]) == len(data["rows"]) == min(50, data["count"])
        for shown, picture in zip(data["rows"], arrays["pictures"], strict=True):
            assert held_back.y[shown["row"]] == truth
            assert A[shown["row"]].argmax() == answer
            assert shown["chance"] == pytest.approx(A[shown["row"], answer], rel=1e-4)
            assert view.table.y[shown["number"] - 1] == truth
            np.testing.assert_allclose(picture / 255, held_back.X[shown["row"]].reshape(8, 8), atol=1 / 255)


def test_cells_of_a_table_show_its_columns():
    view = after(20, "iris").view()
    data, arrays = cell(view, {"truth": 0, "answer": 0})
    assert data["truth"] == "setosa"
    row = data["rows"][0]
    assert row["values"] == [f"{x:g}" for x in view.table.X[row["number"] - 1]]
    assert arrays == {}


@pytest.mark.parametrize("asked", [{"truth": 10}, {"answer": -1}, {"truth": "3"}, {"answer": 2.0}, {"truth": [1]}])
def test_bad_cells(asked):
    with pytest.raises(ParameterError, match="must be a whole number from 0 to 9"):
        cell(after(1, "digits").view(), asked)


def settings_of(line):
    """What `fallline train` would take its words for."""
    words = shlex.split(line)
    assert words[:2] == ["fallline", "train"]
    typed = dict(zip(words[3::2], words[4::2], strict=True))
    typed.pop("--target", None)
    flags = {param.flag: param for param in PARAMS.values()}
    return words[2], {flags[flag].name: flags[flag].parse(text) for flag, text in typed.items()}


@pytest.mark.parametrize(
    ("name", "settings"),
    [("digits", {"learning_rate": 0.1234567891}), ("iris", {"optimizer": "adam", "dropout": 0.1, "seed": 3})],
)
def test_the_command_goes_the_same_way(name, settings):
    view = after(4, name, **settings).view()
    called, typed = settings_of(command(view))
    assert called == name
    fitted = fit(load_bundled(name), typed)
    np.testing.assert_allclose(fitted.run.history["loss"][:, 0], view.history["loss"], rtol=1e-12)
    if name == "digits":  # whose recipe keeps the last epoch
        np.testing.assert_array_equal(fitted.model.network.parameters, view.network.parameters)
    assert "--target" not in command(view)


def test_a_target_is_named_where_the_table_does_not_know_it():
    rng = np.random.default_rng(0)
    table = Table("my rows.csv", rng.random((50, 2), np.float32), rng.random(50), ("a", "b"), "price")
    assert command(after(1, table).view()).startswith("fallline train 'my rows.csv' --target price")


def test_no_command_repeats_what_was_taken_in_hand():
    experiment = after(2, "iris")
    assert results(experiment.view(), {})[0]["command"].startswith("fallline train iris")
    experiment.apply("set", learning_rate=0.05)
    data, _ = results(experiment.view(), {})
    assert data["command"] is None
    assert "once" in data["says"]


def test_without_rows_held_back_those_learned_from_are_scored():
    view = after(2, "iris", validation=0.0).view()
    data, arrays = results(view, {})
    assert (data["rows"], data["held_back"], arrays["confusion"].sum()) == (150, False, 150)
    assert model_of(view).training["scores"] == {}


def test_a_network_that_diverged_has_no_results():
    view = after(1, "diabetes").view()
    view.network.parameters = np.full(len(view.network.parameters), np.nan)
    data, arrays = results(view, {})
    assert "diverged" in data["message"]
    assert (data["metrics"], arrays) == ({}, {})
    with pytest.raises(ParameterError, match="diverged"):
        model_of(view)


@pytest.mark.parametrize("name", ["iris", "digits", "diabetes"])
def test_the_model_works_from_its_file(name, tmp_path, monkeypatch, capsys):
    experiment = after(12, name)
    experiment.apply("set", learning_rate=0.02)
    experiment.advance(3)
    view = experiment.view()
    model_of(view).save(tmp_path / "m.fallline")
    model = load(tmp_path / "m.fallline")
    table = load_bundled(name)
    held_back = view.job.rows.held_back
    np.testing.assert_array_equal(model.network.parameters, view.network.parameters)
    assert model.evaluate(held_back) == pytest.approx(model.training["scores"])
    assert model.training["settings"]["learning_rate"] == 0.02
    assert len(model.training["history"]) == 12
    journal, step = Journal.from_dict(model.training["journal"])
    assert (step, len(journal.actions)) == (view.step, 1)
    assert str(model.explain(table, row=3))
    if name == "diabetes":
        assert (np.diff(model.predict_interval(table)) > 0).all()
    monkeypatch.chdir(tmp_path)
    for words in (["info"], ["evaluate", name], ["predict", name], ["explain", name], ["report", name]):
        monkeypatch.setattr("sys.argv", ["fallline", words[0], "m.fallline", *words[1:]])
        assert main() in (0, None), capsys.readouterr().err

"""`fl.studio()`: a program's descents on a page, to the same bits as without; and what a studio can begin with."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
from pages import Page, needs_chromium
from sklearn.datasets import load_diabetes, load_digits

import fallline as fl
from fallline.errors import DataError, ParameterError
from fallline.live import begin
from fallline.live.experiment import Experiment
from fallline.live.result import model_of
from fallline.table import load_bundled

MANY = {"hidden_layer_sizes": (16,), "epochs": 12, "starts": 3, "random_state": 0}
TOPICS = {
    "curve": {},
    "network": {"row": 0},
    "neuron": {"layer": 0, "neuron": 2, "row": 1},
    "answers": {},
    "data": {},
    "descent": {"n": 11},
    "layers": {},
    "results": {},
}


@pytest.fixture
def rows():
    return load_digits(return_X_y=True)


class InThread:
    """A fit in a thread, as a program has one, with the page that watches it."""

    def __init__(self, program, fit):
        self.thread = threading.Thread(target=fit)
        self.thread.start()
        deadline = time.monotonic() + 60
        while not program.url:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.page = Page(program._server)

    def end(self):
        self.thread.join(60)
        assert not self.thread.is_alive()


def test_a_program_is_paused_stepped_and_comes_to_the_same_bits(rows):
    alone = fl.NetworkClassifier(**MANY).fit(*rows)
    watched = fl.NetworkClassifier(**MANY)
    with fl.studio(paused=True, browser=False) as program:
        run = InThread(program, lambda: watched.fit(*rows))
        page = run.page
        state = page.tell("step", unit="batch", n=3)["state"]
        assert (state["step"], state["running"], state["own"]) == (3, False, False)
        assert state["name"].endswith("network 1 of 3")
        state = page.tell("step", unit="epoch")["state"]
        assert state["step"] == state["steps_per_epoch"]
        time.sleep(0.3)
        assert page.tell("pause")["state"]["step"] == state["step"]
        for do, arguments in (
            ("set", {"learning_rate": 1.0}),
            ("restart", {}),
            ("back", {}),
            ("open", {"name": "iris"}),
        ):
            assert "belongs to a program" in page.tell(do, **arguments)["error"]
        for topic, asked in TOPICS.items():
            page.tell("watch", topics={topic: asked})
            header, _ = page.frame(topic)
            assert "error" not in header["data"], topic
        page.tell("run")
        run.end()
        state = page.tell("pause")["state"]
        assert state["ended"] == "finished"
        assert state["epoch"] == MANY["epochs"]
        assert "is over" in page.tell("run")["error"]
        assert "is over" in page.tell("step")["error"]
        page.tell("watch", topics={"curve": {}})
        _, arrays = page.frame("curve")
        of_first = [row for row in watched.history_.rows if row["start"] == 0]
        np.testing.assert_array_equal(arrays["validation_loss"], [row["validation_loss"] for row in of_first])
        page.close()
    np.testing.assert_array_equal(watched.predict_proba(rows[0]), alone.predict_proba(rows[0]))
    for network, other in zip(watched.model_.networks, alone.model_.networks, strict=True):
        np.testing.assert_array_equal(network.parameters, other.parameters)


def test_what_is_shown_is_the_first_network_on_its_own_rows(rows):
    with fl.studio(paused=True, browser=False) as program:
        run = InThread(program, lambda: fl.NetworkClassifier(**MANY).fit(*rows))
        run.page.tell("step", unit="epoch", n=2)
        view = program._control.ask(lambda descent: descent.view()).result()
        run.page.tell("watch", topics={"results": {}})
        header, arrays = run.page.frame("results")
        run.page.tell("run")
        run.end()
        run.page.close()
    taught, held = view.job.rows.train_rows, view.job.rows.held_back_rows
    assert not set(taught) & set(held)
    assert len(taught) + len(held) == len(rows[0])
    encoder = view.job.encoder
    answers = encoder.classes[view.network(encoder.encode_inputs(rows[0][held].astype(np.float32))).argmax(axis=1)]
    assert header["data"]["metrics"]["accuracy"]["value"] == np.mean(answers == rows[1][held])
    assert arrays["confusion"].sum() == len(held)


def test_the_page_goes_on_to_the_next_descent_and_the_program_ends_it():
    X, y = load_diabetes(return_X_y=True)
    regressor = fl.NetworkRegressor(epochs=3, starts=1, random_state=0)
    with fl.studio(browser=False) as program:
        assert program.url == ""
        regressor.fit(X, y)
        url = program.url
        page = Page(program._server)
        assert page.tell("pause")["state"]["epoch"] == 3
        regressor.set_params(epochs=5).fit(X, y)
        assert program.url == url
        header, _ = page.frame("tick", lambda header: header["data"]["epoch"] == 5)
        assert header["data"]["ended"] == "finished"
        page.close()
    assert not program._thread.is_alive()
    regressor.fit(X, y)  # nobody looks any more
    assert program._control.descent.step == header["data"]["step"]


def test_the_block_stays_while_a_page_is_open_and_ctrl_c_goes_on(capsys):
    X, y = load_diabetes(return_X_y=True)

    said, opened = [""], []

    def look(program, opened):
        while not program.url:
            time.sleep(0.01)
        opened.append(Page(program._server))
        while "close the page, or press Ctrl-C, to go on" not in said[-1]:  # before, the descent would take it
            time.sleep(0.01)
            said.append(capsys.readouterr().err)
        os.kill(os.getpid(), signal.SIGINT)

    with fl.studio(browser=False) as program:
        looks = threading.Thread(target=look, args=(program, opened))
        looks.start()
        fl.NetworkRegressor(epochs=3, starts=1, random_state=0).fit(X, y)
        while not opened:
            time.sleep(0.01)
    looks.join(timeout=20)
    assert not looks.is_alive()


def test_ctrl_c_ends_a_paused_descent(rows):
    def interrupt(program):
        while program._control is None or not program._control.descent.recorder.pairs:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    classifier = fl.NetworkClassifier(**MANY)
    with fl.studio(paused=True, browser=False) as program:
        thread = threading.Thread(target=interrupt, args=(program,))
        thread.start()
        classifier.fit(*rows)
        assert program._control.descent.ended == "interrupted"
        thread.join()


def test_a_failing_program_is_not_kept_waiting():
    with pytest.raises(ValueError, match="mine"), fl.studio(browser=False):
        raise ValueError("mine")


def test_a_port_that_is_taken_is_said_in_one_line(rows):
    with fl.studio(browser=False) as program:
        fl.NetworkClassifier(epochs=1, starts=1).fit(*rows)
        port = int(program.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(ParameterError, match=f"port {port}"), fl.studio(browser=False, port=port) as other:
            other.watch(load_bundled("iris"), {}, Experiment(load_bundled("iris")).job)


@needs_chromium
def test_a_program_in_the_browser(browser, rows):
    said = []
    with fl.studio(paused=True, browser=False) as program:
        run = InThread(program, lambda: fl.NetworkClassifier(**MANY).fit(*rows))
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(program.url)
        tab.locator("button.go:enabled").wait_for()
        assert tab.get_by_role("button", name="Start again").is_disabled()
        tab.get_by_role("button", name="Step one batch").click()
        tab.locator("dd.batch", has_text="1").wait_for()
        for name in ("neuron", "descent", "starts", "layers", "results", "data"):
            tab.goto(f"{program.url.partition('#')[0]}#/{name}")
            tab.locator(f"nav a[aria-current][href='#/{name}']").wait_for()
            tab.wait_for_timeout(300)
        tab.get_by_role("button", name="Run").click()
        tab.locator(".status", has_text="finished").wait_for()
        assert tab.get_by_role("button", name="Run").is_disabled()
        run.end()
        run.page.close()
        context.close()
    assert not said


def test_a_model_goes_on_learning(tmp_path):
    first = Experiment(load_bundled("iris"), {"hidden": (7,), "learning_rate": 0.05})
    first.advance(200)
    path = tmp_path / "iris.fallline"
    model_of(first.view()).save(path)
    again = begin.from_model(str(path))
    np.testing.assert_array_equal(again.view().network.parameters, first.view().network.parameters)
    assert (again.step, again.state()["hidden"], again.state()["learning_rate"]) == (0, [7], 0.05)
    np.testing.assert_array_equal(again.job.rows.held_back_rows, first.job.rows.held_back_rows)
    again.advance(100)
    again.apply("set", learning_rate=0.01)
    again.advance(50)
    journal = tmp_path / "journal.json"
    journal.write_text(json.dumps(again.journal.to_dict(again.step)))
    told = []
    replayed = begin.from_journal(str(journal), tell=told.append)
    np.testing.assert_array_equal(replayed.view().network.parameters, again.view().network.parameters)
    assert told[-1] == 150
    again.apply("restart")
    assert again.state()["hidden"] == [7]
    assert again.journal.model == ""


def test_a_model_of_many_networks_shows_its_first(tmp_path):
    table = load_bundled("diabetes")
    from fallline.fit import fit

    model = fit(table, {"epochs": 3, "starts": 2}).model
    model.save(tmp_path / "many.fallline")
    experiment = begin.from_model(str(tmp_path / "many.fallline"))
    np.testing.assert_array_equal(experiment.view().network.parameters, model.network.parameters)
    assert experiment.advance(5) == 5


def test_a_journal_of_a_file_knows_how_it_was_read(tmp_path):
    path = tmp_path / "houses.csv"
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(80, 2)).round(3)
    lines = [f"{a},{b},{i},{b - a:.3f}" for i, (a, b) in enumerate(numbers)]
    path.write_text("a,zip,row,price\n" + "\n".join(lines))
    experiment = begin.from_table(str(path), "price", ["row"], {"a": "number"}, {"hidden": (4,)})
    experiment.advance(30)
    experiment.apply("set", batch_size=16)
    experiment.advance(20)
    journal = tmp_path / "journal.json"
    journal.write_text(json.dumps(experiment.journal.to_dict(experiment.step)))
    again = begin.from_journal(str(journal))
    np.testing.assert_array_equal(again.view().network.parameters, experiment.view().network.parameters)
    path.rename(tmp_path / "moved.csv")
    with pytest.raises(DataError, match="which is not here; name rows after it"):
        begin.from_journal(str(journal))
    moved = begin.from_journal(str(journal), str(tmp_path / "moved.csv"))
    np.testing.assert_array_equal(moved.view().network.parameters, experiment.view().network.parameters)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"data": 3}', '{"settings": [], "data": "iris"}', "[" * 100_000]
)
def test_what_is_no_journal(tmp_path, text):
    path = tmp_path / "journal.json"
    path.write_text(text)
    with pytest.raises(DataError, match="journal"):
        begin.from_journal(str(path))


def test_a_model_whose_rows_are_gone(tmp_path):
    experiment = Experiment(load_bundled("iris"))
    experiment.advance(10)
    model = model_of(experiment.view())
    model.training["table"] = "nowhere.csv"
    model.save(tmp_path / "model.fallline")
    with pytest.raises(DataError, match=r"trained on nowhere\.csv, which is not here; name rows after it"):
        begin.from_model(str(tmp_path / "model.fallline"))
    assert begin.from_model(str(tmp_path / "model.fallline"), "iris").advance(3) == 3


def test_train_on_the_page(tmp_path):
    """`fallline train --studio`: the page is served, the training paused and gone on with, the model written before."""
    import subprocess
    import sys
    from types import SimpleNamespace

    model = tmp_path / "digits.fallline"
    told = ["train", "digits", "--epochs", "40", "--starts", "2", "--studio", "--out", str(model), "--json"]
    command = [sys.executable, "-m", "fallline", *told]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen(command, env=os.environ | {"BROWSER": "true"}, **pipes) as process:
        line = process.stderr.readline()
        url = line.split()[1]
        page = Page(SimpleNamespace(url=url, port=int(url.split(":")[2].partition("/")[0])))
        page.tell("pause")
        state = page.tell("step", n=2)["state"]
        assert (state["name"], state["own"]) == ("digits, network 1 of 2", False)
        page.tell("run")
        page.frame("tick", lambda header: header["data"]["ended"] == "finished")
        assert "close the page" in process.stderr.readline()
        assert model.exists()
        page.close()
        summary = json.loads(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    assert summary["epochs"] == 40

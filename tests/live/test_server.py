"""The server as a page sees it: commands, frames, uploads, downloads."""

import json
import threading

import numpy as np
import pytest
from pages import Page, decoded

import fallline as fl
from fallline.live.experiment import Experiment, replay
from fallline.live.frames import frame
from fallline.live.journal import Journal
from fallline.live.topics import TOPICS
from fallline.table import load_bundled


def test_frames_come_back_as_they_were():
    given = {
        "f4": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f8": np.array([0.1, np.nan]),
        "u1": np.arange(3, dtype=np.uint8),
        "i8": np.array([[-1, 2]]),
        "bool": np.array([True, False]),
        "none": np.zeros((0, 4)),
    }
    header, arrays = decoded(frame({"topic": "x", "data": {"a": float("inf"), "b": np.float32(0.5)}}, given))
    assert header["data"] == {"a": None, "b": 0.5}
    assert list(arrays) == list(given)
    for name, array in given.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert arrays["i8"].dtype == np.int32


def test_steps_sets_and_starts_again(page):
    first = page.tell("step", n=3)["state"]
    assert (first["step"], first["running"], first["name"]) == (3, False, "digits")
    assert page.tell("set", learning_rate=0.5)["state"]["learning_rate"] == 0.5
    assert page.tell("step", unit="epoch")["state"]["epoch"] == 1
    assert page.tell("run")["state"]["running"]
    paused = page.tell("pause")["state"]
    assert not paused["running"]
    begun = page.tell("restart", hidden=[5], seed=3, activation="tanh")["state"]
    assert (begun["step"], begun["hidden"], begun["seed"], begun["activation"]) == (0, [5], 3, "tanh")


def test_what_is_watched_is_what_the_network_is(page):
    page.tell("step", n=20)
    page.tell("watch", topics={"tick": {}, "network": {"row": 7, "most": 64}, "curve": {}})
    header, arrays = page.frame("network")
    alone = Experiment(load_bundled("digits"))
    alone.advance(20)
    net = alone.view().network
    np.testing.assert_array_equal(arrays["W1"], net.W[1])
    np.testing.assert_array_equal(arrays["b2"], net.b[2])
    values = net.forward(alone.view().measured.X[[7]])
    np.testing.assert_array_equal(arrays["A3"], values.A[2][0])
    assert header["data"]["answer"] == int(values.A[2].argmax())
    assert header["step"] == 20


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_arithmetic_of_a_neuron(page, layer):
    page.tell("step", n=20)
    page.tell("watch", topics={"neuron": {"layer": layer, "neuron": 4, "row": 11}})
    header, arrays = page.frame("neuron")
    data = header["data"]
    np.testing.assert_allclose(arrays["x"] * arrays["w"], arrays["products"])
    np.testing.assert_allclose(arrays["products"].sum() + data["bias"], data["z"], rtol=1e-5)
    view = Experiment(load_bundled("digits"))
    view.advance(20)
    view = view.view()
    rows = view.measured.rows(np.array([11]))
    back = fl.gradient(view.network, rows.X, rows.Y.argmax(axis=1), engine="reference")
    np.testing.assert_allclose(arrays["gradient"], back.dW[layer][:, 4], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(arrays["new_w"], arrays["w"] - 0.1 * back.dW[layer][:, 4], rtol=1e-4, atol=1e-7)
    assert data["loss"] == pytest.approx(back.loss, rel=1e-5)


def test_nothing_is_computed_that_nobody_watches(server, page, monkeypatch):
    worked_out = []
    for name, topic in TOPICS.items():
        work = topic.work_out

        def spy(view, asked, name=name, work=work):
            worked_out.append(name)
            return work(view, asked)

        monkeypatch.setitem(TOPICS, name, type(topic)(spy, 0.0))
    page.tell("watch", topics={"tick": {}})
    page.tell("step", unit="epoch", n=5)
    page.frame("tick")
    assert worked_out == []
    page.tell("watch", topics={"curve": {}})
    page.frame("curve")
    assert set(worked_out) == {"curve"}
    page.tell("visible", visible=False)
    worked_out.clear()
    page.tell("step", unit="epoch", n=5)
    assert worked_out == []


def test_a_topic_that_cannot_be_shows_why_and_the_others_go_on(page):
    page.tell("watch", topics={"neuron": {"layer": 99}, "curve": {}})
    header, _ = page.frame("neuron")
    assert header["data"] == {"error": "layer is 99; it must be a whole number from 0 to 2"}
    page.frame("curve")


def test_several_tabs_see_the_same(server):
    pages = [Page(server) for _ in range(9)]
    pages[0].tell("step", n=5)
    for page in pages:
        page.frame("tick", lambda header: header["step"] == 5)
    for page in pages:
        page.close()


def test_upload_and_learn(page, ask):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    lines = [f"{a:.3f},{b:.3f},{'in' if a * a + b * b < 1 else 'out'}" for a, b in X]
    content = "\n".join(["a,b,where", *lines]).encode()
    status, _, body = ask("/data?name=ring.csv", "POST", content)
    upload = json.loads(body)
    assert (status, upload["columns"], upload["rows"]) == (200, ["a", "b", "where"], 300)
    state = page.tell("open", upload=upload["upload"], target="where")["state"]
    assert (state["name"], state["layer_sizes"][0], state["step"]) == ("ring.csv", 2, 0)
    page.tell("watch", topics={"answers": {}, "data": {}})
    header, arrays = page.frame("answers")
    assert header["data"]["kind"] == "map"
    assert arrays["classes"].shape == (60, 60)
    assert page.frame("data")[0]["data"]["target_labels"] == ["in", "out"]
    assert "target" in page.tell("open", upload=upload["upload"])["error"]
    assert "no column 'wher'" in page.tell("open", upload=upload["upload"], target="wher")["error"]
    assert page.tell("pause")["state"]["name"] == "ring.csv"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "a.csv"),
        ("a.csv", b"\xff\xfe\x00x,y\n1,2\n", "a.csv"),
        ("a.exe", b"MZ", "files that can be read end in"),
        ("a.npz", b"PK", "files that can be read end in"),
        ("a.parquet", b"PAR1", "a.parquet"),
    ],
)
def test_uploads_that_are_no_tables(ask, name, content, message):
    status, _, body = ask(f"/data?name={name}", "POST", content)
    error = json.loads(body)["error"]
    assert status == 422
    assert message in error
    assert "tmp" not in error
    assert "\n" not in error


def test_the_journal_that_is_downloaded_leads_to_the_same_bits(page, ask):
    page.tell("step", n=7)
    page.tell("set", learning_rate=0.2, batch_size=10)
    page.tell("step", n=9)
    status, headers, body = ask("/journal")
    assert status == 200
    assert "attachment" in headers["content-disposition"]
    again = replay(Experiment(load_bundled("digits")), *Journal.from_dict(json.loads(body)))
    page.tell("watch", topics={"network": {"most": 64}})
    _, arrays = page.frame("network")
    np.testing.assert_array_equal(arrays["W0"], again.view().network.W[0])
    page.tell("step", unit="epoch", n=2)
    assert ask("/history.csv")[2].decode().splitlines()[0].startswith("step,epoch,loss,validation_loss,accuracy")


def test_the_model_and_the_report_are_of_the_network_as_it_is(page, ask, tmp_path):
    page.tell("step", unit="epoch", n=3)
    status, headers, body = ask("/model")
    assert (status, "attachment" in headers["content-disposition"]) == (200, True)
    (tmp_path / "m.fallline").write_bytes(body)
    model = fl.load(tmp_path / "m.fallline")
    page.tell("watch", topics={"network": {"most": 64}})
    _, arrays = page.frame("network")
    np.testing.assert_array_equal(model.network.W[2], arrays["W2"])
    digits = load_bundled("digits")
    assert model.evaluate(digits)["accuracy"] > 0.7
    text = ask("/report")[2].decode()
    assert text.startswith("<!DOCTYPE html>")
    assert text.count("<figure") > 3
    page.tell("set", learning_rate=1e9)
    page.tell("step", unit="epoch")
    status, _, body = ask("/model")
    assert (status, "diverged" in json.loads(body)["error"]) == (422, True)


def test_a_race_of_many_starts(page):
    assert "needs" in page.tell("race", starts=3)["error"]
    assert "from 2 to 50" in page.tell("race", starts=1, epochs=3)["error"]
    page.tell("watch", topics={"starts": {}})
    assert page.frame("starts")[0]["data"]["phase"] == "none"
    page.tell("run")
    assert not page.tell("race", starts=4, epochs=3)["state"]["running"]
    _, arrays = page.frame("starts", lambda header: header["data"]["phase"] == "finished")
    assert arrays["losses"].shape == (4, 3)
    page.tell("race", starts=50, epochs=1000)
    page.tell("stop_race")
    page.frame("starts", lambda header: header["data"]["phase"] not in ("none", "running"))


def test_a_topic_that_fails_is_said_and_the_others_go_on(page, monkeypatch, caplog):
    def fail(view, asked):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setitem(TOPICS, "curve", type(TOPICS["curve"])(fail, 0.0))
    page.tell("watch", topics={"curve": {}, "layers": {}})
    assert page.frame("curve")[0]["data"] == {"error": "ZeroDivisionError: by nothing"}
    assert page.frame("layers")[0]["data"]["rows"] > 0
    assert "the topic curve could not be worked out" in caplog.text


def test_what_is_asked_while_an_earlier_answer_is_on_its_way_is_answered_too(page, monkeypatch):
    """At rest nothing else would bring it about."""
    begun, let_go = threading.Event(), threading.Event()
    work = TOPICS["network"].work_out

    def slow(view, asked):
        begun.set()
        assert let_go.wait(20)
        return work(view, asked)

    monkeypatch.setitem(TOPICS, "network", type(TOPICS["network"])(slow, 0.0))
    page.tell("watch", topics={"network": {"row": 1}})
    assert begun.wait(20)
    page.tell("watch", topics={"network": {"row": 2}})
    let_go.set()
    page.frame("network", lambda header: header["data"]["row"] == 2)

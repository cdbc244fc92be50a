"""The page's pure functions, run in Chromium and compared with Python's; and what the files as a whole must keep to."""

import base64
import random
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from pages import CHROMIUM, needs_chromium

import fallline.live
from fallline.live.experiment import Experiment
from fallline.live.frames import frame
from fallline.live.server import Server
from fallline.live.studio import Studio
from fallline.live.trainer import Trainer
from fallline.params import PARAMS
from fallline.table import load_bundled
from fallline.wording import number, score

STATIC = Path(fallline.live.__file__).parent / "static"
FILES = [path for path in STATIC.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def run():
    """`run(module, script, argument)`: what an arrow function of a module's exports and an argument gives."""
    from playwright.sync_api import sync_playwright

    server = Server(Studio(Trainer(Experiment(load_bundled("iris")))))
    thread = threading.Thread(target=server.run)
    thread.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(server.url.partition("#")[0])

        def run(module, script, argument=None):
            return page.evaluate(
                f"argument => import('/static/{module}').then(found => ({script})(found, argument))", argument
            )

        yield run
        browser.close()
    server.stop()
    thread.join(20)


def values():
    draw = random.Random(7)
    some = [draw.choice([-1, 1]) * draw.uniform(1, 10) * 10 ** draw.randint(-9, 14) for _ in range(400)]
    return [0.0, 1.0, -1.0, 0.1, 12.0, 1e-4, 9.9999e-5, 9999.4, 9999.6, 99999.0, 302612.4, 1e12, 2.5e-7, 1e-300, *some]


@needs_chromium
@pytest.mark.parametrize("digits", [1, 2, 3, 4, 6])
def test_numbers_are_written_as_python_writes_them(run, digits):
    given = values()
    said = run("format.js", "(m, [list, digits]) => list.map(v => m.number(v, digits))", [given, digits])
    assert said == [number(value, digits) for value in given]


@needs_chromium
def test_what_is_no_number_is_a_dash(run):
    assert run("format.js", "m => [null, NaN, undefined].map(v => m.number(v))") == ["–"] * 3
    assert run("format.js", "m => [m.score('accuracy', null), m.whole(null)]") == ["–", "–"]


@needs_chromium
def test_scores_are_written_as_python_writes_them(run):
    given = [
        ("accuracy", 0.97772),
        ("balanced_accuracy", 1.0),
        ("rmse", 12377.9),
        ("r2", -0.2),
        ("r2", -2e-16),
        ("r2", -0.00152),
    ]
    said = run("format.js", "(m, list) => list.map(([name, v]) => m.score(name, v))", given)
    assert said == [score(name, value) for name, value in given]


@needs_chromium
def test_frames_are_decoded_as_they_were_sent(run):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        "b": np.array([1, 2, 255], np.uint8),
        "c": np.linspace(0, 1, 5),
        "empty": np.zeros((0, 4), np.float32),
        "d": np.array([-(1 << 31), 5], np.int32),
    }
    message = frame({"topic": "é", "step": 3, "data": {"x": float("nan"), "<b>": "ü"}}, arrays)
    script = """(m, text) => {
      const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
      const { topic, step, data, arrays } = m.decode(bytes.buffer);
      const each = Object.entries(arrays).map(([name, a]) => [name, [a.constructor.name, a.shape, Array.from(a)]]);
      return { topic, step, data, arrays: Object.fromEntries(each) };
    }"""
    found = run("frames.js", script, base64.b64encode(message).decode())
    assert (found["topic"], found["step"], found["data"]) == ("é", 3, {"x": None, "<b>": "ü"})
    kinds = {"float32": "Float32Array", "uint8": "Uint8Array", "float64": "Float64Array", "int32": "Int32Array"}
    for name, array in arrays.items():
        assert found["arrays"][name] == [kinds[array.dtype.name], list(array.shape), array.ravel().tolist()]


@needs_chromium
@pytest.mark.parametrize(
    ("text", "widths"),
    [("32,16", [32, 16]), (" 8  4,,2 ", [8, 4, 2]), ("", []), ("1.5", None), ("0", None), ("a", None)],
)
def test_widths_of_layers(run, text, widths):
    script = "(m, text) => { try { return m.widths(text) } catch (error) { return error.message } }"
    found = run("format.js", script, text)
    assert found == widths if widths is not None else found.startswith("Layers are")


@needs_chromium
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1e-5, 2e-5), (0, 250_000), (-1e-9, 1e-9)])
def test_ticks_are_few_and_within(run, low, high):
    found = run("format.js", "(m, [low, high]) => m.ticks(low, high, 5)", [low, high])
    assert 2 <= len(found) <= 8
    assert all(low - 1e-9 * (high - low) <= tick <= high + 1e-9 * (high - low) for tick in found)
    np.testing.assert_allclose(np.diff(found), found[1] - found[0], rtol=1e-6)


@needs_chromium
@pytest.mark.parametrize(("low", "high"), [(0.01, 1), (0.003, 2.2), (1e-9, 1e6), (0.11, 2.9)])
def test_logarithmic_ticks_are_few_and_within(run, low, high):
    found = run("format.js", "(m, [low, high]) => m.logTicks(low, high)", [low, high])
    assert 2 <= len(found) <= 8
    assert all(0.99 * low <= tick <= 1.01 * high for tick in found)
    assert found == sorted(set(found))


@needs_chromium
def test_scales_and_paths(run):
    script = """m => {
      const line = m.scale(0, 10, 100, 200, false), log = m.scale(0.01, 1, 0, 2, true);
      return [line(0), line(5), line(10), log(0.1), m.path([0, 5, 10, 10], [0, 5, null, 10], line, line),
              m.reach([[3, null, NaN], [1]]), m.reach([[]])];
    }"""
    first, middle, last, tenth, path, reach, nothing = run("curve.js", script)
    assert (first, middle, last, tenth) == (100, 150, 200, pytest.approx(1))
    assert path == "M100.0,100.0L150.0,150.0M200.0,200.0", "a gap where there is no number"
    assert (reach, nothing) == ([1, 3], None)


@needs_chromium
def test_stronger_weights_are_wider_and_the_weakest_are_not_drawn(run):
    W = [0.0, 0.001, 0.25, -0.25, 0.6, -1.0]
    found = run("net.js", "(m, W) => Array.from(m.strengths(Float32Array.from(W)))", W)
    assert found[:2] == [0, 0]
    assert found[2] == found[3] > 0
    assert found[3] < found[4] < found[5] == 5


@needs_chromium
def test_neurons_stand_within_the_canvas(run):
    found = run("net.js", "m => m.places([16, 16, 3], 700, 480, 90, 60)")
    assert [layer["x"] for layer in found] == [90, 365, 640]
    for layer, n in zip(found, (16, 16, 3), strict=True):
        assert len(layer["y"]) == n
        assert all(46 < y < 480 for y in layer["y"])


@needs_chromium
def test_addresses_go_round(run):
    script = "(m, q) => [m.address('neuron', q), m.route(m.address('neuron', q)), m.route(''), m.route('#/train')]"
    query = {"layer": "1", "neuron": "2", "row": "a&b=c"}
    address, back, nothing, train = run("router.js", script, query)
    assert address == "#/neuron?layer=1&neuron=2&row=a%26b%3Dc"
    assert back == {"name": "neuron", "query": query}
    assert (nothing["name"], train) == ("", {"name": "train", "query": {}})


@needs_chromium
def test_what_can_be_chosen_is_what_there_is(run):
    found = run("settings.js", "m => [m.ACTIVATIONS, m.OPTIMIZERS]")
    assert found == [list(PARAMS["activation"].allowed), list(PARAMS["optimizer"].allowed)]


@needs_chromium
def test_a_histogram_s_outline_closes_at_the_bottom(run):
    found = run("pages/layers.js", "m => m.outline([0, 2, 1], 30, 20, 0)")
    assert found == "M0,20L0.0,20.0L10.0,20.0L10.0,0.0L20.0,0.0L20.0,10.0L30.0,10.0L30,20Z"


@needs_chromium
def test_numbers_beside_an_axis_are_short(run):
    found = run("format.js", "m => [0, 0.25, 0.00095, 1e-4, 99999, 1.5e6, 1e6, -2e5].map(m.tick)")
    assert found == ["0", "0.25", "9.5e-4", "1e-4", "99,999", "1.5e6", "1e6", "-2e5"]


@needs_chromium
def test_heights_between_grid_points_and_their_colours(run):
    script = (
        "m => [[0, 0], [1, 2], [0.5, 0.5], [1, 1.5]].map(([i, j]) => m.between([0, 1, 2, 10, 11, 12], [2, 3], i, j))"
    )
    assert run("surface.js", script) == [0, 12, 5.5, 11.5]
    first, middle, last, beyond = run("surface.js", "m => [0, 0.5, 1, 7].map(m.viridis)")
    assert (first, last, beyond) == ([68, 1, 84], [253, 231, 37], [253, 231, 37])
    assert middle == [33, 145, 140]


def test_the_files_are_small():
    assert sum(path.stat().st_size for path in FILES) < 300_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_put_in_as_markup_nor_fetched_from_elsewhere(path):
    text = path.read_text("utf-8")
    markup = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|style=|<script>|\bon\w+="
    )
    assert not re.search(markup, text)
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert all(name.startswith(".") for name in re.findall(r"^(?:import|export) .* from \"([^\"]+)\"", text, re.M))

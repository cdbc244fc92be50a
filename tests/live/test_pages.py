"""The pages in Chromium, against the real server: what they show is what Python has, and nobody is kept out."""

import re

import numpy as np
import pytest
from pages import go, grave, needs_chromium, view

from fallline.live.experiment import Experiment
from fallline.live.topics.drawn import drawn
from fallline.network import views
from fallline.wording import number

pytestmark = needs_chromium

PAGES = ("data", "train", "neuron", "descent", "starts", "layers", "results", "images", "learn")


def reading(page, name):
    return page.locator(f"dd.{name}").inner_text()


def test_the_token_leaves_the_address_and_stays_with_the_tab(opened):
    page = opened()
    assert "t=" not in page.url
    page.reload()
    page.locator("button.go:enabled").wait_for()


def test_without_the_token_it_says_so(browser, server):
    page = browser.new_page()
    page.goto(server.url.partition("#")[0])
    page.get_by_role("heading", name="The token is missing").wait_for()
    page.close()


def test_it_runs_pauses_and_steps(opened, server):
    page = opened()
    page.get_by_role("button", name="Step one batch").click()
    page.locator("dd.batch:text-is('1')").wait_for()
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    page.get_by_role("button", name="Run").click()
    page.locator(".status[data-is=running]").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.locator(".status[data-is=paused]").wait_for()
    page.wait_for_function(
        "step => document.querySelector('dd.batch').textContent === step", arg=f"{view(server).step:,}"
    )
    page.get_by_role("button", name="Start again").click()
    page.locator("dd.batch:text-is('0')").wait_for()


def test_a_neuron_s_printed_arithmetic_is_python_s(opened, server):
    page = opened()
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    go(page, "neuron?layer=1&neuron=5&row=3")
    page.get_by_role("button", name="Show all 32").click()

    def compare():
        now = view(server)
        x = now.network.forward(now.measured.X[[3]]).A[0][0].astype(float)
        W, b = views(now.network.shape, now.network.parameters)
        w, bias = W[1][:, 5].astype(float), float(b[1][5])
        page.wait_for_function(
            "text => document.querySelector('.n-sum').textContent === text", arg=number(float(x @ w)), timeout=5000
        )
        for column, values in (("x", x), ("w", w), ("product", x * w)):
            shown = {
                int(row.get_attribute("data-i")): row.locator(f".c-{column}").inner_text()
                for row in page.locator("tr[data-i]").all()
            }
            assert shown == {i: number(value) for i, value in enumerate((values + 0.0).tolist())}
        assert page.locator(".n-bias").inner_text() == number(bias)
        assert page.locator(".n-z").inner_text() == number(float(np.float32(x @ w + bias)))

    compare()
    assert page.locator(".changed").count() == 0
    page.get_by_role("button", name="Step one batch").click()
    page.locator(".changed").first.wait_for()
    compare()


def test_a_neuron_is_opened_by_keyboard_alone(opened):
    page = opened()
    page.locator(".neurons button").first.wait_for()
    page.locator(".neurons button[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.locator("nav a[aria-current][href='#/neuron']").wait_for()
    assert re.search(r"layer=1&neuron=\d+&row=0", page.url)


def test_what_is_wrong_with_a_setting_is_said(opened, server):
    page = opened()
    step = page.get_by_label("Step size")
    for text, said in (("much", "Step size is a number"), ("-1", "must be a positive number")):
        step.fill(text)
        page.keyboard.press("Tab")
        page.locator(".wrong", has_text=said).wait_for()
    step.fill("0.02")
    page.keyboard.press("Tab")
    page.locator(".wrong:empty").wait_for(state="attached")
    assert view(server).plan.starts[0].learning_rate == 0.02


def test_a_new_start_has_the_layers_that_were_typed(opened, server):
    page = opened()
    page.get_by_label("Layers").fill("8, 5")
    page.get_by_label("Activation").select_option("tanh")
    neuron = ".neurons button[aria-label^='Layer 2, neuron {}:']"
    page.locator(neuron.format(5)).wait_for(state="attached")  # of the network before
    page.get_by_role("button", name="New start with these").click()
    page.locator(neuron.format(5)).wait_for(state="detached")
    page.locator(neuron.format(4)).wait_for(state="attached")
    assert list(view(server).network.layer_sizes) == [64, 8, 5, 10]


def test_what_stops_the_steps_is_said(opened, server, monkeypatch):
    def fail(self, n_steps, seconds):
        raise MemoryError("no room for 3 numbers")

    page = opened()
    monkeypatch.setattr(Experiment, "advance", fail)
    page.get_by_role("button", name="Step one batch").click()
    page.get_by_text("The last steps could not be taken: no room for 3 numbers").wait_for()


def test_a_descent_that_diverged_is_mended_by_the_button(opened, server):
    page = opened()
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    page.get_by_label("Step size").fill("1e30")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Step one epoch").click()
    page.locator(".status[data-is=diverged]").wait_for()
    page.get_by_label("Step size").fill("0.2")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Halve the step size and go back").click()
    page.locator(".status[data-is=running]").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.locator(".status[data-is=paused]").wait_for()
    assert view(server).plan.starts[0].learning_rate == 0.1


def test_a_file_is_taken_in_and_what_is_written_in_it_stays_text(opened, server, tmp_path):
    path = tmp_path / "people.csv"
    evil = "<img src=x onerror=alert(1)>"
    lines = [f"{i},{evil if i % 3 else 'Bern'},{i % 2}" for i in range(120)]
    path.write_text("\n".join(["age,<b>city</b>,kind", *lines]))
    page = opened()
    go(page, "data")
    page.set_input_files("#file", path)
    page.get_by_label("Learn the column").select_option("kind")
    page.get_by_role("button", name="Learn from these rows").click()
    page.locator(".name:text-is('people.csv')").wait_for()
    page.get_by_role("cell", name=evil).first.wait_for()
    go(page, "train")
    page.locator(".answers > div").wait_for()
    assert page.locator("main img, main b:text-is('city')").count() == 0
    assert view(server).table.columns == ("age", "<b>city</b>")


def test_a_picture_drawn_by_keys_is_answered_as_python_answers_it(opened, server):
    page = opened()
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    go(page, "images")
    page.locator(".chances b").first.wait_for()
    page.locator(".pad").focus()
    pixels = [0] * 64
    for line in (3, 2, 1):  # from the middle upwards
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Space")
        pixels[8 * line + 4] = 1
    chances = drawn(view(server), {"pixels": pixels})[1]["chances"]
    for j, chance in enumerate(chances.tolist()):
        page.locator(f".chances li:nth-child({j + 1}) b:text-is('{100 * chance:.0f} %')").wait_for()


def test_images_of_rows_that_are_none(opened, server):
    page = opened()
    go(page, "data")
    page.get_by_label("Rows that came with fallline").select_option("iris")
    page.get_by_role("button", name="Open").click()
    page.locator(".name:text-is('iris')").wait_for()
    go(page, "images")
    page.get_by_text("the rows of iris are no pictures").wait_for()


def test_the_line_at_the_top_fits_a_telephone(opened):
    page = opened(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_stands_out_and_axe_finds_nothing_serious(opened, scheme, width):
    page = opened(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    for name in PAGES:
        go(page, name)
        page.locator(".panel .summary:not(:empty)").first.wait_for()
        page.wait_for_timeout(700)
        for summary in page.locator("details > summary:visible").all():
            summary.click()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert not grave(page), name

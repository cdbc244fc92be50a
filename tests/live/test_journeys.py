"""Whole visits in Chromium: nine tabs, a reload on the way, the keyboard alone, a diagnosis that is followed."""

import re
import time

import numpy as np
import pytest
from pages import go, needs_chromium, view

from fallline.live.ruler import some_rows
from fallline.live.topics import TOPICS
from fallline.units import dead_units

pytestmark = needs_chromium


def test_nine_tabs_on_nine_pages_show_one_descent(browser, server):
    said = []
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    names = ("data", "train", "neuron", "descent", "starts", "layers", "results", "images", "train")
    tabs = []
    for name in names:
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(server.url)
        tab.locator("button.go:enabled").wait_for()
        go(tab, name)
        tabs.append(tab)
    tabs[0].get_by_role("button", name="Run").click()
    for tab in tabs:
        tab.locator(".status[data-is=running]").wait_for()
    began = time.monotonic()
    tabs[4].get_by_role("button", name="Pause").click()
    for tab in tabs:
        tab.locator(".status[data-is=paused]").wait_for()
    assert time.monotonic() - began < 10
    step = f"{view(server).step:,}"
    for tab in tabs:
        tab.wait_for_function("step => document.querySelector('dd.batch').textContent === step", arg=step)
    assert server.studio.n_tabs == 9
    for tab in tabs:
        tab.close()
    deadline = time.monotonic() + 10
    while server.studio.n_tabs:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    context.close()
    assert not said


def test_nothing_is_worked_out_where_no_tab_is_open_or_it_is_hidden(opened, server, monkeypatch):
    worked_out = []
    for name, topic in TOPICS.items():

        def spy(view, asked, name=name, work=topic.work_out):
            worked_out.append(name)
            return work(view, asked)

        monkeypatch.setitem(TOPICS, name, type(topic)(spy, topic.seconds))
    asked = []
    ask = server.studio.control.ask
    monkeypatch.setattr(server.studio.control, "ask", lambda *told, **named: asked.append(1) or ask(*told, **named))
    page = opened()
    page.get_by_role("button", name="Run").click()
    page.locator(".status[data-is=running]").wait_for()
    page.wait_for_timeout(1500)
    assert worked_out
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')) }"
    )
    page.wait_for_timeout(1500)
    worked_out.clear()
    asked.clear()
    page.wait_for_timeout(1500)
    assert worked_out == asked == []
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { value: false, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')) }"
    )
    page.wait_for_timeout(1500)
    assert worked_out
    page.close()
    deadline = time.monotonic() + 10
    while server.studio.n_tabs:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    worked_out.clear()
    asked.clear()
    time.sleep(1)
    assert worked_out == asked == []
    assert server.studio.control.is_running


def test_a_reload_on_the_way_goes_on_with_the_same_descent(opened, server):
    page = opened()
    page.get_by_role("button", name="Run").click()
    page.locator(".status[data-is=running]").wait_for()
    go(page, "neuron?layer=1&neuron=5&row=3")
    page.locator(".n-sum").wait_for()
    before = view(server).step
    page.reload()
    page.locator(".status[data-is=running]").wait_for()
    page.locator(".n-sum").wait_for()
    assert page.evaluate("() => location.hash") == "#/neuron?layer=1&neuron=5&row=3"
    page.get_by_role("button", name="Pause").click()
    page.locator(".status[data-is=paused]").wait_for()
    now = view(server)
    assert now.step > before
    epochs = np.array([row["epoch"] for row in now.rows])
    np.testing.assert_allclose(np.diff(epochs, prepend=0), epochs[0])  # the history is whole, if thinned
    page.wait_for_function("step => document.querySelector('dd.batch').textContent === step", arg=f"{now.step:,}")


def tab_to(page, name, back=False):
    """Press Tab until what has the focus is called so; the focus can be seen there."""
    for _ in range(120):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        called, seen = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " const label = e.labels?.[0]?.textContent ?? e.getAttribute('aria-label') ?? e.textContent;"
            " return [label.trim(), s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0] }"
        )
        if re.search(name, called):
            assert seen, f"the focus on {called!r} cannot be seen"
            return
    raise AssertionError(f"no {name!r} within 120 tabs")


def test_a_journey_by_keyboard_alone(opened, server, tmp_path):
    page = opened()
    page.evaluate("() => document.body.focus()")
    press = page.keyboard.press

    press("Tab")
    assert "Skip" in page.evaluate("() => document.activeElement.textContent")
    tab_to(page, "^Data$")
    press("Enter")
    page.locator("nav a[aria-current][href='#/data']").wait_for()
    page.locator("option[value='iris']").wait_for(state="attached")
    tab_to(page, "^Rows that came with fallline")
    press("i")
    page.wait_for_function("() => document.activeElement.value === 'iris'")
    tab_to(page, "^Open$")
    press("Enter")
    page.locator(".name:text-is('iris')").wait_for()

    tab_to(page, "^Train$", back=True)
    press("Enter")
    tab_to(page, "^Step size")
    press("Control+A")
    page.keyboard.type("0.05")
    press("Tab")
    page.wait_for_function("() => !document.querySelector('.wrong').textContent")
    tab_to(page, "^Layers")
    press("Control+A")
    page.keyboard.type("6")
    tab_to(page, "^New start with these$")
    press("Enter")
    page.locator(".neurons button[aria-label^='Layer 1, neuron 6:']").wait_for(state="detached")
    assert view(server).network.layer_sizes == (4, 6, 3)

    tab_to(page, "^Run$", back=True)
    press("Enter")
    page.locator(".status[data-is=running]").wait_for()
    press("Space")
    page.locator(".status[data-is=paused]").wait_for()
    step = view(server).step
    tab_to(page, "^Step one batch$")
    press("Enter")
    page.locator(f"dd.batch:text-is('{step + 1:,}')").wait_for()
    assert view(server).plan.starts[0].learning_rate == 0.05

    tab_to(page, "^Layer 1, neuron")
    for key in ("ArrowDown", "Enter"):
        press(key)
    page.locator("nav a[aria-current][href='#/neuron']").wait_for()
    for name in ("Descent", "Starts", "Layers", "Results"):
        tab_to(page, f"^{name}$", back=name == "Descent")
        press("Enter")
        page.locator(f"nav a[aria-current][href='#/{name.lower()}']").wait_for()
        page.evaluate("name => [...document.querySelectorAll('nav a')].find(a => a.textContent === name).focus()", name)
    tab_to(page, "^.* taken for |truth")
    press("Enter")
    page.get_by_role("button", name="Close").wait_for()
    press("Enter")


def test_dead_neurons_are_counted_as_python_counts_them(opened, server):
    def advanced(experiment, learning_rate, n_epochs):
        experiment.apply("set", learning_rate=learning_rate)
        experiment.advance(n_epochs * experiment.steps_per_epoch)

    server.studio.control.ask(lambda experiment: advanced(experiment, 3.0, 6), changes=True).result()
    page = opened()
    go(page, "layers")
    page.locator(".layer p").first.wait_for()
    page.locator("summary", has_text="Show as a table").click()
    rows = page.get_by_role("region", name="Layers in numbers").locator("tbody tr")
    rows.first.wait_for()
    now = view(server)
    expected = [int(dead.sum()) for dead in dead_units(now.network, some_rows(now.data, 500).X)]
    assert [int(row.locator("td").nth(1).inner_text()) for row in rows.all()[:2]] == expected
    assert sum(expected) > 0


def test_a_start_that_diverges_is_repaired_by_the_button_of_the_diagnosis(opened, server):
    def diverge(experiment):
        experiment.advance(2 * experiment.steps_per_epoch)
        experiment.apply("set", learning_rate=1e30)
        experiment.advance(experiment.steps_per_epoch)
        assert experiment.diverged

    server.studio.control.ask(diverge, changes=True).result()
    page = opened(ready=".status[data-is=diverged]")
    go(page, "layers")
    good = server.studio.control.ask(lambda experiment: experiment.good.parameters[0].copy()).result()
    page.locator(".status[data-is=diverged]").wait_for()
    page.locator(".findings").get_by_role("button", name="Halve the step size and go back").click()
    page.locator(".status[data-is=paused]").wait_for()
    after = view(server)
    assert not after.diverged
    assert after.plan.starts[0].learning_rate == 5e29
    np.testing.assert_array_equal(after.network.parameters, good)


@pytest.mark.parametrize("name", ["train", "neuron", "descent", "layers", "results", "data"])
def test_twice_as_large_letters_still_fit(opened, name):
    page = opened(viewport={"width": 640, "height": 400}, device_scale_factor=2)  # 1280 x 800 at 200 %
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    go(page, name)
    page.wait_for_timeout(500)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 640


def test_a_table_is_dropped_on_the_page_trained_paused_and_stepped(opened, server):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 2)).round(3)
    lines = [f"{a},{b},{'in' if a * a + b * b < 1 else 'out'}" for a, b in points]
    page = opened()
    go(page, "data")
    page.evaluate(
        "text => { const files = new DataTransfer();"
        " files.items.add(new File([text], 'ring.csv', { type: 'text/csv' }));"
        " for (const type of ['dragover', 'drop'])"
        " window.dispatchEvent(new DragEvent(type, { dataTransfer: files, bubbles: true, cancelable: true })) }",
        "\n".join(["a,b,where", *lines]),
    )
    page.get_by_label("Learn the column").select_option("where")
    page.get_by_role("button", name="Learn from these rows").click()
    page.locator(".name:text-is('ring.csv')").wait_for()
    page.get_by_role("button", name="Run").click()
    page.locator(".status[data-is=running]").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.locator(".status[data-is=paused]").wait_for()
    step = view(server).step
    page.get_by_role("button", name="Step one batch").click()
    page.locator(f"dd.batch:text-is('{step + 1:,}')").wait_for()
    now = view(server)
    assert (now.step, now.table.name, now.table.columns) == (step + 1, "ring.csv", ("a", "b"))
    np.testing.assert_allclose(now.table.X, points, rtol=1e-6)

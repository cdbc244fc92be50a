"""Reports in a real browser, with JavaScript off and the network off: nothing is missing, and nothing is in the way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fallline as fl
from fallline.fit import fit
from fallline.report import report_of_fit, report_of_run, write
from fallline.table import load_bundled

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, for example Debian's package of that name")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    iris, digits = load_bundled("iris"), load_bundled("digits")
    settings = {"hidden": (16,), "epochs": 10, "starts": 3}
    write(report_of_fit(fit(iris, settings, [fl.Recorder()]), iris), folder / "iris.html")
    net = fl.Network([64, 16, 10], output="softmax")
    run = fl.descend(net, digits.X[:600], digits.y[:600], epochs=5, callbacks=fl.Recorder())
    write(report_of_run(run), folder / "run.html")
    return {path.stem: path for path in folder.glob("*.html")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 390])
@pytest.mark.parametrize("name", ["iris", "run"])
def test_it_can_be_read_without_javascript_and_network(
    browser: Any, reports: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    context = browser.new_context(
        java_script_enabled=False, offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(reports[name].as_uri())
    assert not said
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert page.locator("h1").inner_text()
    images = page.locator("img")
    assert images.count() >= 5
    for i in range(images.count()):
        box = images.nth(i).bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["x"] + box["width"] <= width, "nothing stands out to the right"
        assert images.nth(i).get_attribute("alt")
    tables = page.locator("figure details")
    assert tables.count() == images.count()
    for i in range(tables.count()):
        tables.nth(i).locator("summary").click()
        box = tables.nth(i).locator("table").locator("xpath=..").bounding_box()
        assert box is not None
        assert box["width"] > 0
        assert box["x"] + box["width"] <= width, "a wide table scrolls in its place"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["iris", "run"])
def test_axe_finds_nothing_serious(browser: Any, reports: dict[str, Path], name: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(offline=True, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(reports[name].as_uri())
    for i in range(page.locator("details").count()):
        page.locator("details").nth(i).evaluate("node => { node.open = true }")
    found = Axe().run(page).response
    grave = [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found["violations"]]
    assert not [violation for violation in grave if violation[1] in ("serious", "critical")], grave
    assert len(found["passes"]) > 10
    context.close()


def test_all_pictures_load(browser: Any, reports: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(reports["iris"].as_uri())
    widths = page.evaluate("() => [...document.images].map(image => image.naturalWidth)")
    assert min(widths) > 100
    page.close()

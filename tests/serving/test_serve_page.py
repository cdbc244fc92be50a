"""The page for people in a browser: styled under its own policy, nothing asked of others, easy to reach for all."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, for example Debian's package of that name")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page(browser, serving, scheme):
    from axe_playwright_python.sync_playwright import Axe

    client, said, asked = serving("numbers"), [], []
    page = browser.new_context(color_scheme=scheme, viewport={"width": 360, "height": 700}).new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{client.port}/")
    assert page.evaluate("getComputedStyle(document.body).marginTop") == "0px"  # the style is let in
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert [message for message in said if "favicon" not in message] == []
    assert {url.rpartition("/")[2] for url in asked} <= {"", "favicon.ico"}
    page.context.close()

"""A studio's server in a thread, and what talks to it as a browser would, or as an attacker."""

import http.client
import threading

import pytest
from pages import CHROMIUM, Page

from fallline.live.experiment import Experiment
from fallline.live.server import Server
from fallline.live.studio import Studio
from fallline.live.trainer import Trainer
from fallline.table import load_bundled


@pytest.fixture
def server():
    server = Server(Studio(Trainer(Experiment(load_bundled("digits")))))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    server.stop()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def page(server):
    page = Page(server)
    yield page
    page.close()


@pytest.fixture
def ask(server):
    """`ask(method, path, headers, body) -> status, headers, body`, with the right Host and token unless told."""

    def ask(path, method="GET", body=None, host=None, token=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", f"127.0.0.1:{server.port}" if host is None else host)
        told = server.url.rpartition("=")[2] if token is None else token
        if told:
            connection.putheader("Authorization", f"Bearer {told}")
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        try:
            with connection.getresponse() as answer:
                return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    return ask


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, server):
    """`opened(**options) -> page` at rest, and nothing may be said on its console or asked of others."""
    contexts, said, asked = [], [], []

    def opened(ready="button.go:enabled", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.locator(ready).wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not said
    assert all(url.startswith(f"http://127.0.0.1:{server.port}/") for url in asked)

"""A tab's socket, as a page has one; and what tests of pages in Chromium share."""

import json
import shutil
import struct
import time
from contextlib import ExitStack

import numpy as np
import pytest
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium, for example Debian's package of that name"
)


class Page:
    """A tab's socket."""

    def __init__(self, server, **options):
        token = server.url.rpartition("=")[2]
        told = {"subprotocols": ["fallline", token], "origin": f"http://127.0.0.1:{server.port}"} | options
        self._stack = ExitStack()
        address = f"ws://127.0.0.1:{server.port}/socket"
        self.socket = self._stack.enter_context(connect(address, max_size=None, compression=None, **told))
        self.n = 0

    def tell(self, do, **arguments):
        """Send a command and wait for its answer; frames that come between are dropped."""
        self.n += 1
        self.socket.send(json.dumps({"id": self.n, "do": do, **arguments}))
        while True:
            message = self.socket.recv(20)
            if isinstance(message, str) and json.loads(message)["id"] == self.n:
                return json.loads(message)

    def frame(self, topic, until=lambda header: True):
        """The next frame of a topic, decoded."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            message = self.socket.recv(20)
            if isinstance(message, bytes):
                header, arrays = decoded(message)
                if header["topic"] == topic and until(header):
                    return header, arrays
        raise TimeoutError(topic)

    def close(self):
        self._stack.close()


def decoded(message):
    """A frame as docs/design/studio.md says it is."""
    (length,) = struct.unpack_from("<I", message)
    header, start = json.loads(message[4 : 4 + length]), 4 + length
    assert start % 8 == 0
    arrays = {
        name: np.frombuffer(message, a["dtype"], int(np.prod(a["shape"])), start + a["offset"]).reshape(a["shape"])
        for name, a in header["arrays"].items()
    }
    return header, arrays


def go(page, name):
    page.evaluate("name => { location.hash = `#/${name}` }", name)
    page.locator(f"nav a[aria-current][href='#/{name.partition('?')[0]}']").wait_for()


def view(server):
    return server.studio.control.ask(lambda experiment: experiment.view()).result()


def grave(page):
    """What axe finds serious or critical: rules and where they are broken."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response
    assert len(found["passes"]) > 10
    return [
        (v["id"], [node["html"][:150] for node in v["nodes"][:3]])
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]

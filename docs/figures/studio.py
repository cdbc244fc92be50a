"""The picture of the studio: the page Train, some epochs into a descent on digits. `python docs/figures/studio.py`."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from fallline.live.experiment import Experiment
from fallline.live.server import Server
from fallline.live.studio import Studio
from fallline.live.trainer import Trainer
from fallline.table import load_bundled


def main() -> None:
    """Draw it beside this file."""
    server = Server(Studio(Trainer(Experiment(load_bundled("digits")))))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
            page.goto(server.url)
            for _ in range(12):
                page.get_by_role("button", name="Step one epoch").click()
                page.wait_for_timeout(300)
            page.mouse.move(0, 0)
            page.wait_for_timeout(2000)
            path = Path(__file__).with_suffix(".png")
            page.screenshot(path=path)
            browser.close()
        Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    finally:
        server.stop()
        thread.join()


if __name__ == "__main__":
    main()

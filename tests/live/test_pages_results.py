"""The page Results in Chromium: scores, cells, files and the command line are Python's."""

import json

import pytest
from pages import go, needs_chromium, view

from fallline.live.topics.cell import cell
from fallline.live.topics.results import results
from fallline.wording import score

pytestmark = needs_chromium


@pytest.fixture
def shown(opened):
    page = opened()
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    go(page, "results")
    page.locator(".confusion button:enabled").first.wait_for()
    return page


def test_scores_and_cells_are_python_s(shown, server):
    now = view(server)
    data, arrays = results(now, {})
    for name, metric in data["metrics"].items():
        row = shown.get_by_role("row", name=metric["name"]).first
        assert row.get_by_role("cell").first.inner_text() == score(name, metric["value"])
    counts = arrays["confusion"]
    assert [button.inner_text() for button in shown.locator(".confusion button").all()] == [
        str(n) if n else "·" for n in counts.ravel().tolist()
    ]
    off = counts.copy()
    off[range(10), range(10)] = 0
    truth, answer = divmod(int(off.argmax()), 10)
    shown.locator(".confusion button").nth(10 * truth + answer).press("Enter")
    rows = shown.get_by_role("region", name="Rows of the cell").locator("tbody th")
    rows.first.wait_for()
    expected, _ = cell(now, {"truth": truth, "answer": answer})
    assert expected["count"] == off.max() > 0
    assert rows.all_inner_texts() == [str(row["number"]) for row in expected["rows"]]
    shown.get_by_role("button", name="Close", exact=True).press("Enter")
    assert shown.evaluate("() => document.activeElement.closest('.confusion') !== null")


def test_files_and_the_command_line(shown, server):
    now = view(server)
    assert shown.locator(".command").inner_text() == results(now, {})[0]["command"]
    for label, name in (("Model", "model.fallline"), ("History", "history.csv"), ("Journal", "journal.json")):
        with shown.expect_download() as download:
            shown.get_by_role("button", name=label, exact=True).click()
        assert download.value.suggested_filename == name
    assert json.loads(download.value.path().read_text("utf-8"))["step"] == now.step

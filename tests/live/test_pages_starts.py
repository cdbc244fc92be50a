"""The page Starts in Chromium: what it prints of a race is what `descend`, `measure` and `barrier` give."""

import numpy as np
import pytest
from pages import go, grave, needs_chromium, view

import fallline as fl
from fallline.live.ruler import some_rows
from fallline.network import Network
from fallline.wording import number, score

pytestmark = needs_chromium


def race(page, starts, epochs):
    go(page, "starts")
    page.get_by_label("Starts", exact=True).fill(str(starts))
    page.get_by_label("Epochs", exact=True).fill(str(epochs))
    page.get_by_role("button", name="Race", exact=True).click()


def cells(page, table):
    """A twin's table, opened: its rows as texts."""
    page.locator(f"{table} > summary").click()
    page.locator(f"{table} tbody tr").first.wait_for()
    return [row.locator("th, td").all_inner_texts() for row in page.locator(f"{table} tbody tr").all()]


def test_a_race_s_printed_numbers_are_python_s(opened, server):
    page = opened()
    race(page, 4, 3)
    page.get_by_text("4 starts, down after 3 epochs").wait_for(timeout=60_000)
    page.locator("#barriers").wait_for()
    now = view(server)
    first, job = now.job.networks[0], now.job
    networks = [
        Network(
            first.layer_sizes, first.activation, first.output, seed=seed, dtype=first.dtype, inputs=first.shape.inputs
        )
        for seed in range(4)
    ]
    X, y = job.data
    run = fl.descend(networks, X, y, optimizer=fl.SGD(0.1), batch_size=32, epochs=3, keep="last")
    rows = some_rows(now.data, 1000)
    losses = [now.engine.loss(now.plan, network.parameters, rows) for network in run.networks]
    order = np.argsort(losses).tolist()
    shown = cells(page, ".ends")
    assert [row[:2] for row in shown] == [[str(i + 1), str(k)] for i, k in enumerate(order)]
    for row, k in zip(shown, order, strict=True):
        assert float(row[2]) == pytest.approx(losses[k], rel=2e-4)
        said = run.networks[k].forward(now.validation.X).A[-1].argmax(axis=1)
        assert row[3] == score("accuracy", float(np.mean(said == now.validation.Y.argmax(axis=1))))
    assert page.get_by_text(f"Seed {order[0]} ended lowest, at {number(losses[order[0]], 3)}").count() == 1
    by_epoch = cells(page, "section[aria-labelledby=race] .twin")
    assert [row[0] for row in by_epoch] == ["3", "2", "1"], "the last first"
    printed = np.array([[float(text) for text in row[1:]] for row in reversed(by_epoch)])
    np.testing.assert_allclose(printed, run.history["loss"], rtol=1e-3)
    top, *others = order
    for row, k in zip(cells(page, ".barriers"), others, strict=True):
        assert row[0] == f"seed {top} to seed {k}"
        raw = fl.barrier(run.networks[top], run.networks[k], X, y, engine="reference").height
        assert float(row[1]) == pytest.approx(raw, rel=0.02)
        matched = fl.match_neurons(run.networks[k], run.networks[top])
        found = fl.barrier(run.networks[top], matched, X, y, engine="reference").height
        assert float(row[2]) == pytest.approx(found, rel=0.02, abs=1e-3)


def test_a_race_is_stopped_by_its_button(opened, server):
    page = opened()
    race(page, 10, 1000)
    page.get_by_text("10 starts on their way down: epoch ").wait_for()
    assert page.get_by_role("button", name="Race", exact=True).is_disabled()
    page.get_by_role("progressbar").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("10 starts, stopped after epoch ").wait_for(timeout=60_000)
    assert len(cells(page, ".ends")) == 10
    assert page.locator("#barriers").is_hidden()
    assert page.get_by_role("progressbar").is_hidden()
    assert not server.studio.race.is_running


def test_starts_that_diverge_are_said_to(opened, server):
    page = opened()
    page.get_by_label("Step size").fill("1e30")
    page.keyboard.press("Tab")
    race(page, 3, 2)
    page.get_by_text("3 diverged and are shown at the last good point").wait_for(timeout=60_000)
    assert all(row[1].endswith(" (diverged)") for row in cells(page, ".ends"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_once_a_race_is_over(opened, scheme):
    page = opened(color_scheme=scheme, reduced_motion="reduce", viewport={"width": 800, "height": 800})
    race(page, 4, 2)
    page.locator("#barriers").wait_for(timeout=60_000)
    page.get_by_text("4 starts, down after 2 epochs").wait_for(timeout=60_000)
    for summary in page.locator("main details > summary").all():
        summary.click()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 800
    assert not grave(page)

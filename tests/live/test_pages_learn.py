"""The page Learn in Chromium: steps are reached by keyboard, buttons do what they say, the numbers are Python's."""

import re

import numpy as np
import pytest
from pages import go, grave, needs_chromium, view

import fallline as fl
from fallline.network import Network
from fallline.wording import number

pytestmark = needs_chromium

STEPS = (
    "A neuron weighs what goes in",
    "A layer is many neurons at once",
    "The loss says how wrong it is",
    "One step down the slope",
    "A step too large",
    "Not every valley is the lowest",
    "Learning by heart",
    "Your own data",
)


def step(page, k):
    go(page, f"learn?step={k}")
    page.get_by_role("heading", name=STEPS[k - 1], exact=True).wait_for()


def press(page, name):
    page.locator("#main").get_by_role("button", name=name, exact=True).click()


def told(page, *texts):
    """Wait until the live numbers have all of these texts."""
    for text in texts:
        try:
            page.locator(".now", has_text=text).wait_for(timeout=15_000)
        except Exception:
            raise AssertionError(f"{text!r} is not in {page.locator('.now').inner_text()!r}") from None


def tab_to(page, text):
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == text:
            return
    raise AssertionError(f"{text!r} is not reached by the Tab key")


def test_all_steps_are_reached_by_keyboard_alone(opened):
    page = opened()
    tab_to(page, "Learn")
    page.keyboard.press("Enter")
    for k, heading in enumerate(STEPS, 1):
        page.get_by_role("heading", name=heading, exact=True).wait_for()
        assert page.locator("[aria-current=step]").inner_text().startswith(str(k))
        if k > 1:
            assert page.evaluate("() => document.activeElement.textContent") == heading
        if k < len(STEPS):
            tab_to(page, "Next")
            page.keyboard.press("Enter")
    tab_to(page, "Back")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=STEPS[-2], exact=True).wait_for()
    page.keyboard.press("Shift+Tab")  # to the last in the list of steps, which is before the text
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=STEPS[-1], exact=True).wait_for()


def test_numbers_that_come_late_move_no_button(opened):
    page = opened()
    for k in range(1, len(STEPS)):  # the last has only a link
        step(page, k)
        before, after = page.evaluate("""() => {
            const buttons = Array.from(document.querySelectorAll('.lesson button'))
            const tops = () => buttons.map((b) => b.getBoundingClientRect().top)
            const told = (text) => { document.querySelector('.now').textContent = text; return tops() }
            return [told(''), told('Row 0 in the first neuron: '.repeat(9))]
        }""")
        assert before, STEPS[k - 1]
        assert before == after, STEPS[k - 1]


def test_looking_at_the_steps_changes_nothing(opened, server):
    page = opened()
    page.get_by_role("button", name="Step one batch").click()
    page.locator("dd.batch:text-is('1')").wait_for()
    before = view(server)
    for k in range(1, len(STEPS) + 1):
        step(page, k)
        page.locator(".shown .panel:visible").first.wait_for()
    page.get_by_text("Rows change only when you choose others there").wait_for()
    now = view(server)
    assert (now.table.name, now.step, now.journal.to_dict(1)) == ("digits", 1, before.journal.to_dict(1))
    np.testing.assert_array_equal(now.network.parameters, before.network.parameters)


@pytest.fixture
def flowers(opened, server):
    """The page on the set that the first steps are made for."""
    page = opened()
    step(page, 1)
    page.get_by_text("This step is made for the set iris, 3 hidden neurons (tanh) and steps of size 0.1.").wait_for()
    page.get_by_text("The descent on digits ends.").wait_for()
    press(page, "Open iris and begin anew")
    page.locator(".name:text-is('iris')").wait_for()
    page.get_by_role("button", name="Open iris and begin anew").wait_for(state="hidden")
    page.wait_for_function("() => document.activeElement.textContent === 'Next row'")
    assert list(view(server).network.layer_sizes) == [4, 3, 3]
    return page


def test_a_neuron(flowers, server):
    now = view(server)
    for row in (0, 1):
        x = now.network.forward(now.measured.X[[row]]).A[0]  # of the first layer: what it makes
        taken, w, b = now.measured.X[row].astype(float), now.network.W[0][:, 0].astype(float), now.network.b[0][0]
        terms = [
            f"{number(p, 3)} × {f'({number(q, 3)})' if q < 0 else number(q, 3)}" for p, q in zip(taken, w, strict=True)
        ]
        told(
            flowers,
            f"Row {row} in the first neuron: {' + '.join(terms)} = {number(float(taken @ w))}.",
            f"With the bias {number(float(b))}",
            f"a = tanh(z) = {number(float(x[0, 0]))}",
        )
        press(flowers, "Next row")


def test_a_layer(flowers, server):
    step(flowers, 2)
    press(flowers, "Take one epoch")
    flowers.locator("dd.epoch:text-is('1.00')").wait_for()
    now = view(server)
    assert now.step == 4
    hidden, shares = (A[0] for A in now.network.forward(now.measured.X[[0]]).A)
    told(
        flowers,
        f"4 numbers go in, layer 1 makes {', '.join(number(float(a), 3) for a in hidden)} of them",
        f"{100 * shares[0]:.0f} % for setosa",
    )


def test_the_loss(flowers, server):
    step(flowers, 3)
    now = view(server)
    A = now.network.forward(now.measured.X).A[-1].astype(float)
    losses = -np.log(A[np.arange(len(A)), now.measured.Y.argmax(axis=1)])
    counts = np.unique(now.table.y, return_counts=True)[1]
    assert counts.tolist() == [50, 50, 50]
    for row in (0, 1):
        told(
            flowers,
            f"Row {row} is {now.measured_table.y[row]} in truth",
            f"= {number(losses[row])}.",
            f"The mean over the 30 rows held back is {number(losses.mean())}",
            f"has {number(np.log(3))}.",
        )
        press(flowers, "Next row")


def test_one_step_down(flowers, server):
    step(flowers, 4)
    told(flowers, "No step is taken yet.")
    seen = []
    for k in (1, 2):
        before = view(server)
        told(flowers, number(float(before.network.W[0][0, 0])))
        press(flowers, "Take one step")
        flowers.locator(f"dd.batch:text-is('{k}')").wait_for()
        after = view(server)
        w, new_w = (float(now.network.W[0][0, 0]) for now in (before, after))
        loss, new_loss = (now.engine.loss(now.plan, now.network.parameters, now.data) for now in (before, after))
        told(
            flowers,
            f"Batch {k}: the loss of 120 rows went from {number(loss)} to {number(new_loss)}.",
            f"was {number(w)} and is {number(new_w)}: less η = 0.1 times a slope of",
        )
        slope = float(re.search(r"slope of (-?[\d.e-]+?)\.$", flowers.locator(".now").inner_text())[1])
        assert slope == pytest.approx((w - new_w) / 0.1, rel=6e-3)
        seen.append(new_loss)
    assert seen[1] < seen[0]
    flowers.get_by_role("img", name="The loss around the path, and the path").wait_for()


def test_a_step_too_large(opened, server):
    page = opened()
    step(page, 5)
    press(page, "Open diabetes and begin anew")
    page.locator(".name:text-is('diabetes')").wait_for()
    press(page, "Take five epochs")
    told(page, "With steps of size 0.1", "at batch 60")
    small = view(server)
    assert (small.step, small.plan.starts[0].learning_rate) == (60, 0.1)
    press(page, "Make steps ten times as large")
    page.locator(".status[data-is=diverged]").wait_for()
    told(page, "With steps of size 1 it is", "and at batch ", "no number any more")
    assert view(server).diverged
    assert not page.locator("#main").get_by_role("button", name="Take five epochs").is_enabled()
    rate = 1.0
    while rate > 0.2:
        rate /= 2
        page.get_by_text(f"Sets it to {number(rate)}, goes back to batch").wait_for()
        good = view(server)
        press(page, "Halve the step size and go back")
        page.get_by_text(f"Sets it to {number(rate / 2)}, goes back to batch").wait_for()
        told(page, f"steps of size {number(rate)}")
    now = view(server)
    assert now.plan.starts[0].learning_rate == rate == 0.125
    assert not now.diverged
    assert now.step > good.steps[0]
    loss, start = (now.engine.loss(now.plan, p, now.data) for p in (now.network.parameters, now.points[0]))
    told(page, f"{number(loss, 3)} at batch {now.step}")
    assert loss < start / 2


def test_bad_valleys(opened, server):
    page = opened()
    step(page, 6)
    assert not page.get_by_role("button", name="Send ten starts down").is_enabled()
    press(page, "Open xor and begin anew")
    page.locator(".name:text-is('xor')").wait_for()
    press(page, "Send ten starts down")
    page.get_by_text("10 starts, down after 1,000 epochs").wait_for(timeout=60_000)
    now = view(server)
    assert list(now.network.layer_sizes) == [2, 2, 1]
    assert now.step == 0, "the descent itself stays where it is"
    taken = now.network.shape.inputs
    networks = [Network([2, 2, 1], "tanh", "identity", seed=k, dtype="float32", inputs=taken) for k in range(10)]
    run = fl.descend(networks, *now.job.data, optimizer=fl.SGD(0.3), batch_size=None, epochs=1000, keep="last")
    losses = [now.engine.loss(now.plan, network.parameters, now.data) for network in run.networks]
    bad = sum(loss > 0.1 for loss in losses)
    assert 2 <= bad <= 4
    low, high = number(min(losses), 2), number(max(losses), 2)
    told(
        page,
        f"Of 10 starts {10 - bad} ended low (a loss of {low} to",
        f"and {bad} ended in a bad valley (",
        f"{high}).",
    )


def test_overfitting(opened, server):
    page = opened()
    step(page, 7)
    press(page, "Open diabetes and begin anew")
    page.locator(".name:text-is('diabetes')").wait_for()
    press(page, "Train 1,000 epochs")
    page.locator("dd.epoch:text-is('1,000')").wait_for(timeout=60_000)
    history = view(server).history
    loss, held = history["loss"], history["validation_loss"]
    best = int(held.argmin())
    assert held[-1] > 1.3 * held[best], "it rises on rows held back"
    assert loss[-1] < loss[best] / 3, "and goes on falling on rows learned from"
    told(
        page,
        "354 rows and 4,939 weights and biases to set.",
        f"lowest at epoch {number(history['epoch'][best])}, {number(held[best], 3)}, and is {number(held[-1], 3)} now",
        f"it was {number(loss[best], 3)} then and is {number(loss[-1], 3)} now.",
    )


def test_your_own_data(opened, server):
    page = opened()
    step(page, 8)
    now = view(server)
    told(page, f"Now it is digits: {len(now.data.X):,} rows learned from, {len(now.validation.X)} held back")
    page.get_by_role("link", name="Go to Data").press("Enter")
    page.get_by_role("heading", name="Data", exact=True).wait_for()


def test_a_descent_that_belongs_to_a_program_is_shown_and_not_replaced(opened, server, monkeypatch):
    monkeypatch.setattr(type(server.studio), "own", False)
    page = opened()
    for k in range(1, len(STEPS) + 1):
        step(page, k)
        page.get_by_text("The tour needs a studio of your own: start fallline studio").wait_for()
        assert page.get_by_role("button", name="begin anew").count() == 0
    step(page, 6)
    assert not page.get_by_role("button", name="Send ten starts down").is_enabled()
    step(page, 4)
    press(page, "Take one step")
    told(page, "Batch 1: the loss of")
    assert view(server).table.name == "digits"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_stands_out_of_a_step_and_axe_finds_nothing_serious(opened, scheme, width):
    page = opened(viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    step(page, 1)
    press(page, "Open iris and begin anew")
    page.locator(".name:text-is('iris')").wait_for()
    page.get_by_role("button", name="Step one epoch").click()
    page.locator("dd.epoch:text-is('1.00')").wait_for()
    for k in range(1, len(STEPS) + 1):
        step(page, k)
        page.locator(".panel .summary:not(:empty)").first.wait_for()
        page.wait_for_timeout(500)
        for summary in page.locator("main details > summary:visible").all():
            summary.click()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert not grave(page), STEPS[k - 1]

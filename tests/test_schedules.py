"""Schedules against closed forms by the math module, and what single schedules promise."""

import math

import numpy as np
import pytest
from scipy.signal import find_peaks

import fallline as fl
from fallline.errors import ParameterError
from fallline.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Coslog4,
    Exponential,
    OneCycle,
    Step,
    WarmUp,
    as_schedule,
)

T = np.unique([*np.linspace(0, 1, 1000, endpoint=False), 1e-9, 0.3, 0.5, 0.75, 1 - 1e-12])


def half_cosine(start, end, share):
    return end + (start - end) * math.cos(math.pi * share / 2) ** 2  # cos^2(x/2) = (1 + cos x) / 2


def _one_cycle(t, s):
    if t < s.peak:
        return half_cosine(s.first, 1, t / s.peak)
    return half_cosine(1, s.final, (t - s.peak) / (1 - s.peak))


# The law of one moment. A new schedule fails until its law stands here.
LAWS = {
    "constant": lambda t, s: 1.0,
    "step": lambda t, s: math.prod(s.drop for moment in s.at if t >= moment),
    "exponential": lambda t, s: math.exp(t * math.log(s.final)),
    "cosine": lambda t, s: half_cosine(1, s.final, t),
    "one_cycle": _one_cycle,
    "coslog4": lambda t, s: math.sin(math.pi * math.log(1 + 15 * t, 2)) ** 2,
    "warm_up": lambda t, s: min(1, t / s.share) * LAWS[s.then.name](t, s.then),
}

CASES = [
    *(schedule() for schedule in SCHEDULES.values()),
    Step(at=(0.1, 0.2, 0.9), drop=0.5),
    Step(at=()),
    Step(at=[0.3], drop=2.0),
    Exponential(final=1.0),
    Exponential(final=3.0),
    Cosine(final=0.2),
    OneCycle(peak=0.9, first=0.5, final=0.0),
    WarmUp(share=0.2, then="cosine"),
    WarmUp(share=0.5, then=WarmUp(share=0.25, then=Exponential())),
]


@pytest.mark.parametrize("schedule", CASES, ids=repr)
def test_factor_is_the_closed_form(schedule):
    factor = schedule.factor(T)
    assert (factor.shape, factor.dtype) == (T.shape, np.float64)
    assert (factor >= 0).all()
    np.testing.assert_allclose(factor, [LAWS[schedule.name](t, schedule) for t in T], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", [schedule() for schedule in SCHEDULES.values()], ids=lambda s: s.name)
def test_defaults_never_exceed_the_learning_rate(schedule):
    assert schedule.factor(T).max() <= 1 + 1e-15
    assert schedule.factor(T).max() == pytest.approx(1, abs=1e-5)


def test_every_schedule_has_a_law():
    assert set(LAWS) == set(SCHEDULES)


def at(schedule, *t):
    return schedule.factor(np.array(t)).tolist()


def test_cosine_begins_at_1_and_ends_at_its_final():
    assert at(Cosine(), 0.0, 0.5, 1.0) == pytest.approx([1, 0.5, 0], abs=1e-15)
    assert at(Cosine(final=0.1), 0.0, 0.5, 1.0) == pytest.approx([1, 0.55, 0.1], rel=1e-15)
    assert (np.diff(Cosine().factor(T)) <= 0).all()


def test_exponential_ends_at_its_final_and_falls_by_one_share():
    assert at(Exponential(0.01), 0.0, 0.5, 1.0) == pytest.approx([1, 0.1, 0.01], rel=1e-14)
    factor = Exponential(0.3).factor(np.linspace(0, 1, 11))
    np.testing.assert_allclose(factor[1:] / factor[:-1], 0.3**0.1, rtol=1e-12)


def test_one_cycle_rises_to_its_peak_and_falls_to_its_final():
    schedule = OneCycle(peak=0.4, first=0.1, final=1e-3)
    assert at(schedule, 0.0, 0.2, 0.4, 0.7, 1.0) == pytest.approx([0.1, 0.55, 1, 0.5005, 1e-3], rel=1e-12)
    t = np.linspace(0, 1, 1001)
    factor = schedule.factor(t)
    assert factor.argmax() == 400
    assert (np.diff(factor[:401]) > 0).all()
    assert (np.diff(factor[400:]) < 0).all()


def test_step_drops_at_its_moments_themselves():
    below = np.nextafter(0.5, 0)
    assert at(Step(), 0.0, below, 0.5, 0.74, 0.75, 0.99) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert Step(at=[0.5]) == Step(at=(0.5,))


def test_coslog4_has_four_peaks():
    t = np.linspace(0, 1, 200_001)
    factor = Coslog4().factor(t)
    peaks = find_peaks(factor)[0]
    expected = [(2 ** (k + 0.5) - 1) / 15 for k in range(4)]  # 0.0276, 0.1219, 0.3105, 0.6876
    np.testing.assert_allclose(t[peaks], expected, atol=1e-5)
    np.testing.assert_allclose(factor[peaks], 1, atol=1e-8)
    assert at(Coslog4(), *((2**k - 1) / 15 for k in range(5))) == pytest.approx([0] * 5, abs=1e-12)


def test_warm_up_multiplies_another():
    schedule = WarmUp(share=0.1, then="cosine")
    assert schedule == WarmUp(share=0.1, then=Cosine())
    np.testing.assert_array_equal(schedule.factor(T[T >= 0.1]), Cosine().factor(T[T >= 0.1]))
    assert at(schedule, 0.0, 0.05) == pytest.approx([0, 0.5 * 0.5 * (1 + math.cos(math.pi * 0.05))])
    assert at(WarmUp(), 0.0, 0.025, 0.05, 0.9) == pytest.approx([0, 0.5, 1, 1])


@pytest.mark.parametrize("schedule", CASES, ids=repr)
def test_a_descent_follows_it(schedule, engine):
    """One row, so a step an epoch: step i of n has the rate's factor at i / n, and moves the bias by it exactly."""
    net = fl.Network([1, 1], parameters=[0, 0], dtype="float64")
    n, rate = 40, 2.0**-6
    biases = []

    class Watch(fl.Listener):
        def on_epoch(self, epoch):
            biases.append(epoch.parameters()[0, 1])

    run = fl.descend(
        net,
        [[0.0]],
        [-1e6],
        loss="absolute_error",  # the slope is 1 all the way
        optimizer=fl.SGD(rate),
        schedule=schedule,
        epochs=n,
        callbacks=[Watch()],
        engine=engine,
    )
    expected = [rate * LAWS[schedule.name](i / n, schedule) for i in range(n)]
    np.testing.assert_allclose(run.history["learning_rate"][:, 0], expected, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(-np.diff([0, *biases]), expected, rtol=1e-9, atol=1e-14)


ERRORS = [
    (Step, {"at": (0.5, 1.0)}, "step's at is (0.5, 1.0); it must be moments between 0 and 1"),
    (Step, {"at": (0,)}, "step's at is (0,); it must be moments between 0 and 1"),
    (Step, {"drop": 0}, "step's drop is 0; it must be positive"),
    (Exponential, {"final": 0}, "exponential's final is 0; it must be positive"),
    (Exponential, {"final": math.nan}, "exponential's final is nan; it must be positive"),
    (Cosine, {"final": -0.1}, "cosine's final is -0.1; it must be 0 or more"),
    (OneCycle, {"peak": 0}, "one_cycle's peak is 0; it must be between 0 and 1"),
    (OneCycle, {"peak": 1.0}, "one_cycle's peak is 1.0; it must be between 0 and 1"),
    (OneCycle, {"first": -1}, "one_cycle's first is -1; it must be 0 or more"),
    (OneCycle, {"final": -1}, "one_cycle's final is -1; it must be 0 or more"),
    (WarmUp, {"share": 0}, "warm_up's share is 0; it must be between 0 and 1"),
    (WarmUp, {"share": 1.5}, "warm_up's share is 1.5; it must be between 0 and 1"),
]


@pytest.mark.parametrize(("schedule", "kwargs", "message"), ERRORS, ids=[row[-1] for row in ERRORS])
def test_out_of_range(schedule, kwargs, message):
    with pytest.raises(ParameterError) as raised:
        schedule(**kwargs)
    assert str(raised.value) == message


def test_names():
    for name, schedule in SCHEDULES.items():
        assert (schedule.name, bool(schedule.source)) == (name, True)
        assert as_schedule(name) == schedule()
    given = Constant()
    assert as_schedule(given) is given
    known = ", ".join(sorted(SCHEDULES))
    with pytest.raises(ParameterError) as raised:
        as_schedule("cosin")
    assert str(raised.value) == f"schedule 'cosin' is unknown; did you mean 'cosine'? choose from {known}"
    with pytest.raises(ParameterError, match="schedule 'linear' is unknown"):
        WarmUp(then="linear")

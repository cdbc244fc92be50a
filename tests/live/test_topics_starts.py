"""The race: against `descend`, `loss_surface` and `barrier`; it stops when told, and refuses what it cannot do."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import fallline as fl
from fallline.errors import ParameterError
from fallline.live.experiment import Experiment
from fallline.live.race import Race
from fallline.live.topics.starts import starts
from fallline.surfaces import Plane
from fallline.table import load_bundled


def finished(experiment, n, epochs):
    race = Race(experiment.view(), n, epochs)
    race.wait(60)
    assert not race.is_running
    return race.snapshot()


@pytest.mark.parametrize(("hidden", "least", "most"), [(2, 7, 11), (8, 0, 0)])
def test_of_xor_a_fifth_of_the_starts_of_two_neurons_end_in_a_bad_valley(hidden, least, most):
    settings = {
        "task": "regression",
        "hidden": (hidden,),
        "activation": "tanh",
        "learning_rate": 0.3,
        "batch_size": 512,
    }
    experiment = Experiment(load_bundled("xor"), settings)
    assert experiment.state()["layer_sizes"] == [2, hidden, 1]
    losses = np.array([each["loss"] for each in finished(experiment, 50, 1000)[0]["each"]])
    bad = losses[losses > 0.1]
    assert least <= len(bad) <= most
    assert (abs(bad - 0.5) < 0.03).all()  # two corners right, one half for the others: half of the variance


def test_the_first_start_goes_where_the_experiment_goes():
    experiment = Experiment(load_bundled("iris"), {"dropout": 0.2, "l2": 1e-3, "seed": 4})
    numbers, arrays = finished(experiment, 3, 6)
    experiment.advance(6 * experiment.steps_per_epoch)
    view = experiment.view()
    np.testing.assert_allclose(arrays["losses"][0], view.history["loss"], rtol=1e-12)
    np.testing.assert_array_equal(arrays["epoch"], np.arange(6) + 1)
    assert numbers["phase"] == "finished"
    assert (numbers["done"], numbers["epoch"], numbers["seeds"]) == (1.0, 6, [4, 5, 6])
    first = next(each for each in numbers["each"] if each["start"] == 0)
    assert first["loss"] == pytest.approx(view.engine.loss(view.plan, view.network.parameters, view.data))
    assert (numbers["score_name"], first["score"]) == ("accuracy", pytest.approx(view.history["accuracy"][-1]))
    losses = [each["loss"] for each in numbers["each"]]
    assert losses == sorted(losses)
    assert not any(each["diverged"] for each in numbers["each"])


def test_what_lies_between_the_ends():
    """The same descents by hand, and the plane and the barriers between them."""
    experiment = Experiment(load_bundled("iris"), {"hidden": (8,), "learning_rate": 0.2})
    experiment.apply("set", learning_rate=0.1, batch_size=20)  # a race has the settings of the moment
    numbers, arrays = finished(experiment, 4, 40)
    job = experiment.job
    networks = [job.networks[0].__class__([4, 8, 3], "relu", "softmax", seed=k, inputs=job.networks[0].shape.inputs)
                for k in range(4)]  # fmt: skip
    X, y = job.data
    run = fl.descend(networks, X, y, optimizer=fl.SGD(0.1), batch_size=20, epochs=40, keep="last")
    ends = [run.networks[each["start"]] for each in numbers["each"]]
    assert numbers["minima"] == [each["start"] for each in numbers["each"]][:3]
    points = np.stack([network.parameters for network in ends[:3]]).astype(float)
    plane = Plane.through(*points)
    np.testing.assert_allclose(arrays["corners"], plane.coordinates(points), atol=1e-5)
    a, b = arrays["a"][::16], arrays["b"][::16]
    surface = fl.loss_surface(ends[0], plane, a, b, X, y, engine="reference")
    np.testing.assert_allclose(arrays["surface"][::16, ::16], surface, rtol=1e-3)
    assert len(numbers["barriers"]) == 3
    for i, found in enumerate(numbers["barriers"]):
        raw = fl.barrier(ends[0], ends[i + 1], X, y, engine="reference")
        matched = fl.barrier(ends[0], fl.match_neurons(ends[i + 1], ends[0]), X, y, engine="reference")
        assert (found["from"], found["to"]) == (numbers["each"][0]["start"], numbers["each"][i + 1]["start"])
        assert found["raw"] == pytest.approx(raw.height, abs=1e-4)
        assert found["matched"] == pytest.approx(matched.height, abs=1e-4)
        np.testing.assert_allclose(arrays["raw"][i], raw.losses, rtol=1e-3)


def test_stops_when_told_and_can_be_watched_on_the_way():
    view = Experiment(load_bundled("digits")).view()
    race = Race(view, 10, 1000)
    watched = replace(view, race=race)
    deadline = time.monotonic() + 30
    while starts(watched, {})[0]["epoch"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    numbers, arrays = starts(watched, {})
    assert numbers["phase"] == "racing"
    assert 0 < numbers["done"] < 1
    assert arrays["losses"].shape == (10, len(arrays["epoch"]))
    before = race.version
    race.stop()
    race.wait(30)
    numbers, _ = race.snapshot()
    assert numbers["phase"] == "stopped"
    assert len(numbers["each"]) == 10
    assert "barriers" not in numbers
    assert race.version > before
    assert "fallline-race" not in {thread.name for thread in threading.enumerate()}


def test_starts_that_diverge_are_said_to():
    numbers, _ = finished(Experiment(load_bundled("diabetes"), {"learning_rate": 1e6, "activation": "relu"}), 2, 3)
    assert numbers["phase"] == "finished"
    assert [each["diverged"] for each in numbers["each"]] == [True, True]


def test_long_races_show_some_of_their_epochs():
    _, arrays = finished(Experiment(load_bundled("iris"), {"hidden": (2,)}), 2, 900)
    assert 150 <= len(arrays["epoch"]) <= 400
    assert np.unique(np.diff(arrays["epoch"])).size == 1


def test_no_race():
    assert starts(Experiment(load_bundled("iris")).view(), {}) == ({"phase": "none"}, {})


@pytest.mark.parametrize(
    ("n", "epochs", "message"),
    [
        (1, 5, "starts is 1; it must be a whole number from 2 to 50"),
        (51, 5, "starts is 51"),
        ("3", 5, "starts is '3'"),
        (3.0, 5, "starts is 3"),
        (True, 5, "starts is True"),
        (3, 0, "epochs is 0; it must be a whole number from 1 to 1000"),
        (3, 1001, "epochs is 1001"),
        (3, None, "epochs is None"),
    ],
)
def test_bad_numbers(n, epochs, message):
    with pytest.raises(ParameterError, match=message):
        Race(Experiment(load_bundled("iris")).view(), n, epochs)


def test_networks_too_large_for_so_many():
    with pytest.raises(ParameterError, match="at most 9 race"):
        Race(Experiment(load_bundled("digits"), {"hidden": (2000, 1000)}).view(), 50, 1)

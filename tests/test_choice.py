"""`engine="auto"`: the accelerator is taken where there is one and the work pays for it, and a line says so."""

import logging

import numpy as np
import pytest

import fallline as fl
from fallline.engines import choice
from fallline.fit import fit
from fallline.table import load_bundled

WIDE = fl.Network([256, 512, 512, 1], seed=1)
LONG = {"rows_of_step": 1024, "n_steps": 1_000_000, "threads": 2}


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(choice, "accelerator", lambda: "a GPU")


def test_much_work_goes_to_the_accelerator_with_a_line(gpu, caplog):
    with caplog.at_level(logging.INFO, "fallline"):
        assert choice.suited(WIDE.shape, WIDE.dtype, **LONG) == "xla"
    # 1e6 steps of 6 * 1024 * (256 * 512 + 512 * 512 + 512) operations, at 120e9 a second: 336 minutes
    assert caplog.messages == ["engine xla, on a GPU: the processor would take about 336 minutes"]


@pytest.mark.parametrize(
    ("net", "changed"),
    [
        (WIDE, {"n_steps": 1000}),  # over in half a minute
        (fl.Network([8, 16, 1], seed=1), {"rows_of_step": 32}),  # steps too small
        (fl.Network([256, 512, 512, 1], seed=1, dtype=np.float64), {}),
        (WIDE, {"n_steps": 3000, "threads": 64}),
    ],
)
def test_the_rest_stays(gpu, caplog, net, changed):
    with caplog.at_level(logging.INFO, "fallline"):
        assert choice.suited(net.shape, net.dtype, **LONG | changed) == "native"
    assert not caplog.messages


def test_without_an_accelerator_it_is_the_core(monkeypatch):
    choice.accelerator.cache_clear()
    assert choice.accelerator() is None  # JAX is here, but has a processor alone
    assert choice.suited(WIDE.shape, WIDE.dtype, **LONG) == "native"
    choice.accelerator.cache_clear()
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert choice.accelerator() is None
    choice.accelerator.cache_clear()


def test_jax_that_does_not_begin_is_none(monkeypatch, caplog):
    def devices():
        raise RuntimeError("Unable to initialize backend 'cuda'\nsee the log")

    choice.accelerator.cache_clear()
    monkeypatch.setattr("jax.devices", devices)
    with caplog.at_level(logging.INFO, "fallline"):
        assert choice.suited(WIDE.shape, WIDE.dtype, **LONG) == "native"
    choice.accelerator.cache_clear()
    assert caplog.messages == ["engine native: JAX does not begin (Unable to initialize backend 'cuda')"]


@pytest.mark.parametrize("taken", ["native", "xla"])
def test_descents_and_fits_take_what_is_chosen(monkeypatch, taken):
    seen = []

    def suited(shape, dtype, rows_of_step, n_steps, threads=None):
        seen.append((rows_of_step, n_steps))
        return taken

    monkeypatch.setattr("fallline.descent.call.suited", suited)
    monkeypatch.setattr("fallline.fit.job.suited", suited)
    x = np.linspace(-1, 1, 50)[:, None]
    net = fl.Network([1, 4, 1], "tanh", seed=1)
    told = {"starts": 2, "batch_size": 16, "epochs": 3}
    auto, named = (fl.descend(net, x, x[:, 0] ** 2, engine=engine, **told) for engine in ("auto", taken))
    assert seen == [(32, 12)]
    np.testing.assert_array_equal(auto.network.parameters, named.network.parameters)
    model = fit(
        load_bundled("iris"), {"engine": "auto", "starts": 2, "epochs": 2, "validation": 0, "hidden": (8,)}
    ).model
    assert model.engine == model.training["settings"]["engine"] == taken
    size = model.training["settings"]["batch_size"]
    assert seen[1:] == [(2 * size, 2 * -(-150 // size))]

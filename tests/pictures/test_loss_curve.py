"""The loss by epoch."""

import numpy as np
import pytest

import fallline as fl
from fallline.errors import ParameterError
from fallline.estimators import MLPRegressor
from fallline.pictures import LossCurveDisplay

X = np.linspace(-1, 1, 64)[:, None]
Y = X[:, 0] ** 2


def run_of(starts=1, **settings):
    return fl.descend(fl.Network([1, 8, 1], "tanh"), X, Y, starts=starts, **settings)


def test_one_start():
    run = run_of(epochs=30, validation=(X[::3], Y[::3]), measure_every=4)
    display = LossCurveDisplay.from_run(run)
    (training,), (validation,) = display.lines_["training"], display.lines_["validation"]
    np.testing.assert_array_equal(training.get_ydata(), run.history["loss"][:, 0])
    assert validation.get_xdata().tolist() == [4, 8, 12, 16, 20, 24, 28, 30]  # no line through what was not measured
    epoch = run.kept_epochs[0]
    assert [float(at[0]) for at in display.kept_.get_data()] == [epoch, run.history["validation_loss"][epoch - 1, 0]]
    assert display.ax_.get_title(loc="left") == "All 30 epochs were done"
    assert training.get_linestyle() != validation.get_linestyle()
    assert display.medians_ == {}


def test_many_starts_and_their_median():
    run = run_of(starts=9, epochs=15)
    display = LossCurveDisplay.from_run(run)
    assert len(display.lines_["training"]) == 9
    assert display.lines_["training"][0].get_linewidth() < display.medians_["training"].get_linewidth()
    np.testing.assert_allclose(display.medians_["training"].get_ydata(), np.median(run.history["loss"], axis=1))


@pytest.mark.parametrize(("lowest", "scale"), [(0.5, "linear"), (1e-3, "log"), (0.0, "linear")])
def test_the_scale_is_logarithmic_where_that_helps(lowest, scale):
    display = LossCurveDisplay(loss=np.linspace(1, lowest, 10)[:, None]).plot()
    assert display.ax_.get_yscale() == scale


def test_a_model_remembers(iris):
    display = LossCurveDisplay.from_model(iris[0])
    assert display.loss.shape == (30, 1)
    assert display.why == "all epochs were done"
    assert display.kept_epochs == iris[0].training["kept_epochs"]


def test_estimators():
    ours = fl.NetworkRegressor(epochs=5, starts=2, random_state=0).fit(X, Y)
    assert LossCurveDisplay.from_estimator(ours).loss.shape == (5, 2)
    theirs = MLPRegressor(max_iter=300, tol=1e-3, random_state=0).fit(X, Y)
    assert LossCurveDisplay.from_estimator(theirs).lines_["training"][0].get_ydata().tolist() == theirs.loss_curve_
    with pytest.raises(ParameterError, match="fit it first"):
        LossCurveDisplay.from_estimator(fl.NetworkRegressor())


def test_a_history_alone_and_an_empty_one():
    run = run_of(epochs=3)
    assert LossCurveDisplay.from_history(run.history).kept_ is None
    told = LossCurveDisplay.from_history(run.history, kept_epochs=run.kept_epochs, why=run.message)
    assert told.caption == LossCurveDisplay.from_run(run).caption
    assert told.kept_.get_xdata().tolist() == list(run.kept_epochs)
    with pytest.raises(ParameterError, match="no epochs"):
        LossCurveDisplay.from_history(fl.History())

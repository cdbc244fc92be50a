"""What may be wrong with a descent: each finding produced on purpose, and nothing said of runs that are well."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris

import fallline as fl
from fallline.diagnosis import Course
from fallline.errors import DivergenceWarning

RNG = np.random.default_rng(0)
X, Y = load_digits(return_X_y=True)
X = X / 16
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([0, 1, 1, 0.0])
LABELS = RNG.integers(0, 10, 900)


def digits(optimizer="adam", activation="relu", hidden=(32,), epochs=20, scale=1.0, **settings):
    net = fl.Network([64, *hidden, 10], activation, "softmax", seed=1)
    return fl.descend(net, X * scale, Y, optimizer=optimizer, epochs=epochs, **settings)


def diverged():
    net = fl.Network([64, 32, 10], seed=1)
    with pytest.warns(DivergenceWarning):
        return fl.descend(net, X, np.eye(10)[Y], optimizer=fl.SGD(100), epochs=3)


def halved():
    with pytest.warns(DivergenceWarning):
        return curve(lambda x: np.sin(4 * x), optimizer=fl.SGD(2.8), batch_size=8, epochs=30)


def dead():
    net = fl.Network([64, 32, 10], output="softmax", seed=1)
    net.b[0] = -100
    return fl.descend(net, X, Y, epochs=8)


def random_labels():
    net = fl.Network([64, 256, 10], output="softmax")
    held_back = X[600:900], LABELS[600:]
    return fl.descend(net, X[:600], LABELS[:600], validation=held_back, optimizer=fl.Adam(0.003), epochs=50)


def xor(n_hidden):
    net = fl.Network([2, n_hidden, 1], "tanh", "sigmoid")
    return fl.descend(net, *XOR, starts=50, optimizer=fl.Adam(0.05), epochs=300)


def unrelated():
    targets = RNG.normal(size=2000)
    return fl.descend(fl.Network([3, 4, 1]), RNG.normal(size=(2000, 3)), targets, epochs=20)


# Name, what the one thing to do or the evidence must hold, and a run that it is said of.
PROVOKED = {
    "diverged": ("learning rate of 1.25", diverged),
    "step_halved": ("begin with a learning rate of 0.35", halved),
    "step_too_large": ("learning rate of 10", lambda: digits(fl.SGD(100))),
    "step_too_large, tanh": ("learning rate of 1", lambda: digits(fl.SGD(10), "tanh")),
    "step_too_large, jumps": (
        "jumps up and down",
        lambda: curve(lambda x: np.sin(4 * x), optimizer=fl.SGD(0.4), batch_size=8, epochs=30),
    ),
    "step_too_small": ("learning rate of 1e-05", lambda: digits(fl.SGD(1e-6))),
    "step_too_small, ever smaller": ("learning rate of 1e-05", lambda: digits(fl.Adam(1e-6), schedule="cosine")),
    "step_too_small, Adam": ("learning rate of 1e-05", lambda: digits(fl.Adam(1e-6))),
    "dead_units": ("32 of 32, relu", dead),
    "saturated_units": ("of 32, tanh", lambda: digits(activation="tanh", scale=1000)),
    "saturated_units, sigmoid": ("of 32, sigmoid", lambda: digits(activation="sigmoid", scale=1000)),
    "vanishing_gradients": ("'relu'", lambda: digits(fl.SGD(0.1), "sigmoid", (32,) * 8)),
    "plateaued": ("since epoch", unrelated),
    "overfitting": ("dropout", random_labels),
    "too_few_epochs": ("5 now", lambda: digits(epochs=5)),
    "starts_disagree": ("more than 50 starts", lambda: xor(2)),
}


@pytest.mark.parametrize("case", PROVOKED)
def test_each_finding_where_it_is_due(case):
    words, run = PROVOKED[case]
    found = run().diagnose()
    assert found[0].name == case.split(",")[0], [str(finding) for finding in found]
    assert words in str(found[0])
    assert "\n" not in str(found[0])
    assert json.loads(json.dumps(asdict(found[0]))) == asdict(found[0])


def standardised(load):
    A, b = load(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(A))
    A, b, n = ((A - A.mean(axis=0)) / A.std(axis=0))[order], b[order], len(A) * 4 // 5
    b = b if b.dtype.kind == "i" else (b - b.mean()) / b.std()
    return A[:n], b[:n], (A[n:], b[n:])


def small(load, sizes, output="identity", **settings):
    A, b, held_back = standardised(load)
    net = fl.Network([A.shape[1], *sizes], "tanh", output)
    return fl.descend(net, A, b, validation=held_back, optimizer=fl.Adam(3e-3), starts=5, **settings)


def curve(function, **settings):
    x = np.linspace(-1, 1, 64)[:, None]
    return fl.descend(fl.Network([1, 32, 1], "tanh", seed=1), x, function(x[:, 0]), **settings)


HELD_BACK = {"validation": (X[1400:], Y[1400:])}
HEALTHY = {
    "digits": lambda: digits(fl.Adam(0.003), epochs=30, **HELD_BACK),
    "digits, large steps": lambda: digits(fl.Adam(0.01), epochs=30, **HELD_BACK),
    "digits, momentum": lambda: digits(fl.SGD(0.03, momentum=0.9), "tanh", schedule="cosine", **HELD_BACK),
    "digits, dropout": lambda: digits(hidden=(128,), dropout=0.5, epochs=40, **HELD_BACK),
    "few rows, dropout": lambda: small(load_diabetes, [8, 1], dropout=0.3, l2=1e-2, epochs=60),
    "digits, stopped early": lambda: digits(epochs=200, callbacks=fl.EarlyStopping(10), starts=3, **HELD_BACK),
    "a sweep": lambda: digits(fl.Adam([1e-6, 1e-4, 3e-3]), epochs=30),
    "iris": lambda: small(load_iris, [16, 3], "softmax", epochs=150),
    "breast cancer": lambda: small(load_breast_cancer, [16, 2], "softmax", epochs=50),
    "diabetes": lambda: small(load_diabetes, [8, 1], l2=1e-2, epochs=50),
    "diabetes, absolute error": lambda: small(load_diabetes, [8, 1], l2=1e-2, epochs=50, loss="absolute_error"),
    "a parabola": lambda: curve(np.square, optimizer=fl.SGD(0.1, momentum=0.9), epochs=200),
    "a wave": lambda: curve(lambda x: np.sin(4 * x), optimizer=fl.Adam(0.01), epochs=500),
    "XOR with neurons to spare": lambda: xor(8),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_silence_where_all_is_well(case):
    assert [str(finding) for finding in HEALTHY[case]().diagnose()] == []


def test_the_best_constant_answer_and_the_least_loss():
    """What losses are compared with, against scikit-learn's constant answers and entropies by hand."""
    from sklearn.dummy import DummyClassifier
    from sklearn.metrics import log_loss

    weight = RNG.uniform(0.5, 2, len(X))
    course = Course(digits(epochs=1, sample_weight=weight))
    prior = DummyClassifier().fit(X, Y, weight)
    assert course.guess == pytest.approx(log_loss(Y, prior.predict_proba(X), sample_weight=weight), rel=1e-5)
    assert course.least == pytest.approx(0, abs=1e-6)

    smooth = Course(digits(epochs=1, loss=fl.losses.CategoricalCrossEntropy(label_smoothing=0.2)))
    p = np.array([0.82, *[0.02] * 9])
    assert smooth.least == pytest.approx(-(p * np.log(p)).sum(), rel=1e-5)

    y = RNG.exponential(size=400)
    net, rows = fl.Network([2, 3, 3]), RNG.normal(size=(400, 2))
    quantiles = Course(fl.descend(net, rows, y, loss=fl.losses.Quantile((0.1, 0.5, 0.9)), epochs=1))
    best = {p: np.quantile(y, p, method="inverted_cdf") for p in (0.1, 0.5, 0.9)}
    pinball = [max(p * (v - q), (p - 1) * (v - q)) for p, q in best.items() for v in y]
    assert (quantiles.guess, quantiles.least) == pytest.approx((np.mean(pinball), 0), rel=1e-5, abs=1e-6)

    counts = RNG.poisson(3.0, 400)
    poisson = Course(fl.descend(fl.Network([2, 3, 1]), rows, counts, loss="poisson", epochs=1))
    m = counts.mean()
    assert poisson.guess == pytest.approx(m - m * np.log(m), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "error"),
    [
        ("absolute_error", np.abs),
        (fl.losses.Quantile((0.8,)), lambda left: np.maximum(0.8 * left, -0.2 * left)),
        (fl.losses.Huber(0.01), lambda left: 0.01 * np.abs(left)),
    ],
)
def test_no_constant_answer_is_better_than_the_best(loss, error):
    """Weights count: they pull the best answer far to one side of the plain median."""
    y, rows = RNG.exponential(size=500), RNG.normal(size=(500, 2))
    weight = np.where(y > 1, 8.0, 0.5)
    course = Course(fl.descend(fl.Network([2, 3, 1]), rows, y, loss=loss, sample_weight=weight, epochs=1))
    best = min(np.average(error(y - constant), weights=weight) for constant in y)
    assert course.guess == pytest.approx(best, rel=0.01 if isinstance(loss, fl.losses.Huber) else 1e-5)


def test_what_is_said_is_measured():
    """The numbers of a finding, recomputed from the history."""
    run = digits(epochs=5)
    losses = run.history["loss"][:, 0]
    assert run.diagnose()[0].evidence == f"training loss {losses[2]:.3g} at epoch 3, {losses[4]:.3g} at epoch 5"
    run = random_labels()
    held_back, learned = run.history["validation_loss"][:, 0], run.history["loss"][:, 0]
    best, end = int(held_back.argmin()), float(np.median(held_back[-5:]))
    assert run.diagnose()[0].says.startswith(f"overfitting since epoch {best + 1}:")
    assert run.diagnose()[0].evidence == (
        f"validation loss {held_back[best]:.3g} then, {end:.3g} at the end; "
        f"training loss {learned[best]:.3g} then, {learned[-1]:.3g} at the end"
    )


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_nothing_is_said_of_targets_that_are_all_alike(epochs):
    run = fl.descend(fl.Network([2, 3, 1]), RNG.normal(size=(20, 2)), np.ones(20), epochs=epochs)
    assert run.diagnose() == []


def test_a_run_is_left_as_it_was():
    run = digits(fl.SGD(0.1), "sigmoid", (32,) * 3, epochs=5, dropout=0.1)
    before = run.network.parameters.copy()
    assert run.diagnose() == run.diagnose()
    assert np.array_equal(run.network.parameters, before)
    assert np.array_equal(run.begun_at[0], fl.Network([64, *(32,) * 3, 10], "sigmoid", "softmax", seed=1).parameters)

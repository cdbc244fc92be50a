"""Pictures: weights, mistakes and drawings, against the network asked by hand."""

import numpy as np
import pytest

from fallline.errors import ParameterError
from fallline.live.experiment import Experiment
from fallline.live.topics.drawn import drawn
from fallline.live.topics.images import images
from fallline.table import Table, load_bundled
from fallline.table.table import pixel_names


@pytest.fixture(scope="module")
def view():
    experiment = Experiment(load_bundled("digits"))
    experiment.advance(2 * experiment.steps_per_epoch)
    return experiment.view()


def test_weights(view):
    data, arrays = images(view, {})
    assert (data["shape"], data["neurons"]) == ((8, 8), 32)
    assert arrays["weights"].shape == (32, 8, 8)
    for image, neuron in zip(arrays["weights"], arrays["shown"], strict=True):
        np.testing.assert_array_equal(image.ravel(), view.network.W[0][:, neuron])


def test_mistakes_are_the_worst_there_are(view):
    data, arrays = images(view, {})
    held_back = view.job.rows.held_back
    A, codes = view.network(held_back.X), held_back.y
    wrong = np.flatnonzero(A.argmax(axis=1) != codes)
    assert len(wrong) > 24
    right = A[np.arange(len(A)), codes]
    np.testing.assert_allclose([row["chance_of_truth"] for row in data["mistakes"]], np.sort(right[wrong])[:24])
    for row, picture in zip(data["mistakes"], arrays["mistakes"], strict=True):
        i = row["row"]
        assert (row["truth"], row["answer"]) == (codes[i], A[i].argmax())
        assert row["chance"] == pytest.approx(A[i].max(), rel=1e-5)
        np.testing.assert_allclose(picture / 255, held_back.X[i].reshape(8, 8), atol=1 / 255)


def test_a_row(view):
    data, arrays = images(view, {"row": 5})
    held_back = view.job.rows.held_back
    np.testing.assert_allclose(arrays["chances"], view.network(held_back.X[[5]])[0], rtol=1e-5)
    hidden = view.network.forward(held_back.X[[5]]).A[0][0]
    np.testing.assert_array_equal(arrays["values"], hidden[arrays["shown"]])
    assert (data["truth"], data["answer"]) == (held_back.y[5], arrays["chances"].argmax())
    assert data["classes"] == [str(k) for k in range(10)]


def test_a_drawing(view):
    pixels = np.round(view.job.rows.held_back.X[7].astype(float), 3)
    data, arrays = drawn(view, {"pixels": pixels.tolist()})
    np.testing.assert_allclose(arrays["chances"], view.network(pixels[None])[0], rtol=1e-4)
    assert data["answer"] == arrays["chances"].argmax()
    assert arrays["chances"].sum() == pytest.approx(1, abs=1e-5)


def test_numbers_out_of_pictures():
    rng = np.random.default_rng(0)
    X = rng.random((80, 6), np.float32)
    table = Table("bright", X, X.sum(axis=1).astype(np.float64), pixel_names((2, 3)), "light", (2, 3))
    experiment = Experiment(table, {"hidden": (4,)})
    experiment.advance(50)
    view = experiment.view()
    data, arrays = images(view, {"row": 0})
    held_back = view.job.rows.held_back
    said = view.job.encoder.target.decode(view.network(held_back.X))
    worst = np.argmax(np.abs(said - held_back.y))
    assert data["mistakes"][0]["row"] == worst
    assert data["mistakes"][0]["answer"] == pytest.approx(said[worst], rel=1e-5)
    assert data["mistakes"][0]["chance"] is None
    assert arrays["weights"].shape == (4, 2, 3)
    assert drawn(view, {"pixels": [0, 1, 0, 0.5, 1, 1]})[0]["classes"] is None


@pytest.mark.parametrize(
    "pixels",
    [None, "0", 3, [0.0] * 63, [0.0] * 65, [[0.0] * 8] * 8, [0.0] * 63 + [1.1], [0.0] * 63 + [float("nan")],
     [0.0] * 63 + ["1"], [0.0] * 63 + [True], [0.0] * 63 + [None], {"0": 1}],
)  # fmt: skip
def test_bad_pixels(view, pixels):
    with pytest.raises(ParameterError, match="pixels must be a list of 64 numbers from 0 to 1"):
        drawn(view, {"pixels": pixels})


@pytest.mark.parametrize("row", [-1, 10**6, "1", 1.5, [1], True])
def test_bad_rows(view, row):
    with pytest.raises(ParameterError, match="row is"):
        images(view, {"row": row})


@pytest.mark.parametrize("topic", [images, drawn])
def test_rows_that_are_no_pictures(topic):
    with pytest.raises(ParameterError, match="the rows of iris are no pictures"):
        topic(Experiment(load_bundled("iris")).view(), {"pixels": []})

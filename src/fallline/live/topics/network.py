"""The network: its neurons and connections, and what one row makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.explanation.answer import output_names
from fallline.explanation.first_layer import first_layer, first_layer_names
from fallline.live.topics.asked import whole
from fallline.live.view import View

Array = npt.NDArray[Any]

MOST_NEURONS = 256  # of a layer, however many a page asks for


def network(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Weights of the neurons that are drawn, with the values of one row.

    Of a layer with more than `most` neurons those are drawn that carry most of this row: the largest `|a|` times the
    norm of the weights that go out.
    """
    most = whole(asked, "most", 40, 2, MOST_NEURONS)
    row = whole(asked, "row", 0, 0, len(view.measured.X) - 1)
    net, encoder = view.network, view.job.encoder
    taken, values = row_values(view, row)
    into = [taken[0], *(A[0] for A in values.A)]
    shown = []
    for l, a in enumerate(into):
        weight = np.linalg.norm(net.W[l], axis=1) if l < len(net.W) else np.ones(len(a))
        shown.append(np.sort(np.argsort(-np.abs(a) * weight, kind="stable")[:most]))
    arrays: dict[str, Array] = {"shown0": shown[0], "A0": into[0][shown[0]]}
    for l, (W, b) in enumerate(zip(net.W, net.b, strict=True)):
        arrays |= {
            f"W{l}": W[np.ix_(shown[l], shown[l + 1])],
            f"b{l}": b[shown[l + 1]],
            f"A{l + 1}": into[l + 1][shown[l + 1]],
            f"shown{l + 1}": shown[l + 1],
        }
    names = [name for _, name in first_layer_names(encoder, net.shape.inputs)]
    data = {
        "layers": [
            {"n": len(into[0]), "activation": None, "names": [names[i] for i in shown[0]]},
            *({"n": layer.n_out, "activation": layer.activation.name, "names": None} for layer in net.layers),
        ],
        "row": row,
        **answer_of(view, row, values.A[-1]),
    }
    data["layers"][-1]["names"] = [output_names(encoder.target)[i] for i in shown[-1]]
    return data, arrays


def row_values(view: View, row: int) -> tuple[Array, Any]:
    """What the first layer takes of a row, shape (1, n), and `Network.forward` of it."""
    X = view.measured.X[[row]]
    return first_layer(view.network, X), view.network.forward(X)


def answer_of(view: View, row: int, A: Array) -> dict[str, Any]:
    """The truth of a row, and what the network answers."""
    target, measured = view.job.encoder.target, view.measured_table
    answer = target.decode(view.plan.loss.predictions(A, view.plan.shape.layers[-1].activation))
    assert measured.y is not None
    return {"truth": measured.y[row].tolist(), "answer": answer[0].tolist(), "n_rows": len(view.measured.X)}

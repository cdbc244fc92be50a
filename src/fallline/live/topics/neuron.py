"""One neuron's arithmetic for one row: times the weights, add the bias, activate; and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.engines import Start
from fallline.explanation.answer import output_names
from fallline.explanation.first_layer import first_layer_names
from fallline.live.topics.asked import whole
from fallline.live.topics.network import answer_of, row_values
from fallline.live.view import View
from fallline.network import views

Array = npt.NDArray[Any]

CURVE = 121  # points of the activation's curve


def neuron(view: View, asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """All numbers of a neuron, forward and backward, for one row; the step is one of this row alone."""
    net, encoder, rows = view.network, view.job.encoder, view.measured
    row = whole(asked, "row", 0, 0, len(rows.X) - 1)
    l = whole(asked, "layer", 0, 0, len(net.layers) - 1)
    j = whole(asked, "neuron", 0, 0, net.layers[l].n_out - 1)
    taken, values = row_values(view, row)
    x = (taken if l == 0 else values.A[l - 1])[0].astype(np.float64)
    w, b = net.W[l][:, j].astype(np.float64), float(net.b[l][j])
    plain = replace(view.plan, starts=(Start(),), dropout=())  # the loss of the row itself, no penalties
    loss, block = view.engine.gradient(plain, net.parameters, rows.rows(np.array([row])))
    db = views(net.shape, block)[1]  # of a single row, db is dZ
    delta, rate = float(db[l][j]), view.plan.starts[0].learning_rate
    last = l == len(net.layers) - 1
    dA = None if last else float(net.W[l + 1][j] @ db[l + 1])
    first = [name for _, name in first_layer_names(encoder, net.shape.inputs)]
    names = first if l == 0 else [f"neuron {i}" for i in range(len(x))]
    z = values.Z[l][0]
    reach = max(4.0, 1.25 * abs(float(z[j])))
    points = np.linspace(-reach, reach, CURVE)
    Z = np.repeat(z[None].astype(np.float64), CURVE, axis=0)
    Z[:, j] = points
    activation = net.layers[l].activation
    elementwise = activation.elementwise and not last
    slope = activation.derivative(values.Z[l], values.A[l])[0]
    data = {
        "layer": l,
        "neuron": j,
        "n_layers": len(net.layers),
        "n_neurons": net.layers[l].n_out,
        "name": output_names(encoder.target)[j] if last else None,
        "activation": net.layers[l].activation.name,
        "names": names,
        "bias": b,
        "sum": float(x @ w),
        "z": float(z[j]),
        "a": float(values.A[l][0, j]),
        "delta": delta,
        "dA": dA,
        "slope": float(slope[j]) if elementwise else None,
        "learning_rate": rate,
        "new_bias": b - rate * delta,
        "loss": loss,
        "row": row,
        **answer_of(view, row, values.A[-1]),
    }
    step = delta * x
    arrays = {"x": x, "w": w, "products": x * w, "gradient": step, "new_w": w - rate * step}
    return data, arrays | {"curve_z": points, "curve_a": net.layers[l].activation.value(Z)[:, j]}

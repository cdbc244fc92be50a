"""What a page may watch: each topic works out numbers and arrays from a view of the experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fallline.live.topics.answers import answers
from fallline.live.topics.cell import cell
from fallline.live.topics.curve import curve
from fallline.live.topics.data import data
from fallline.live.topics.descent import descent
from fallline.live.topics.drawn import drawn
from fallline.live.topics.images import images
from fallline.live.topics.layers import layers
from fallline.live.topics.network import network
from fallline.live.topics.neuron import neuron
from fallline.live.topics.results import results
from fallline.live.topics.starts import starts
from fallline.live.view import View


@dataclass(frozen=True)
class Topic:
    """How a topic is worked out, and how often at most.

    Attributes
    ----------
    work_out : callable
        `(view, asked) -> (numbers, arrays)`.
    seconds : float
        Between two messages.
    """

    work_out: Callable[[View, Mapping[str, Any]], tuple[dict[str, Any], dict[str, Any]]]
    seconds: float


TOPICS = {
    "curve": Topic(curve, 0.25),
    "network": Topic(network, 0.2),
    "neuron": Topic(neuron, 0.2),
    "answers": Topic(answers, 0.5),
    "data": Topic(data, 5.0),
    "descent": Topic(descent, 2.0),
    "starts": Topic(starts, 0.5),
    "layers": Topic(layers, 1.0),
    "images": Topic(images, 1.0),
    "results": Topic(results, 1.0),
    "cell": Topic(cell, 2.0),
    "drawn": Topic(drawn, 0.2),
}

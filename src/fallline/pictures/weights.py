"""First-layer weights as images: what each neuron looks for in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isqrt
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import ParameterError
from fallline.model import Model
from fallline.network import Network
from fallline.pictures import names, style
from fallline.pictures.numbers import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

MOST_IMAGES = 32
QUANTILE = 0.998  # of |W| is where the colours end: a few large weights would make all others pale


@final
class WeightImagesDisplay:
    """The weights that each neuron of the first layer gives to the pixels, as a picture of them.

    A neuron's sum is large for pictures that are bright where its weights are above zero (blue) and dark where they are
    below (orange). All images have one scale, symmetric around zero.

    Parameters
    ----------
    images : array of shape (n_images, height, width)
    neurons : array of int, shape (n_images,)
        Whose they are.
    n_neurons : int
        Of the layer.

    Attributes
    ----------
    im_ : AxesImage
        All images, side by side.
    colorbar_ : Colorbar
    ax_, figure_
        Where it is drawn.

    Examples
    --------
    >>> display = WeightImagesDisplay.from_network(Network([64, 5, 10], seed=1), neurons=[0, 4])
    >>> display.images.shape
    (2, 8, 8)
    """

    def __init__(self, *, images: Array, neurons: Array, n_neurons: int) -> None:
        self.images, self.neurons, self.n_neurons = images, neurons, n_neurons

    @classmethod
    def from_network(
        cls,
        network: Network,
        image_shape: tuple[int, int] | None = None,
        *,
        neurons: Sequence[int] | None = None,
        ax: Axes | None = None,
    ) -> WeightImagesDisplay:
        """Draw a network's first weights.

        Parameters
        ----------
        network : Network
            It takes pixels, line by line, as they are.
        image_shape : (int, int), optional
            Height and width; square if it is not given.
        neurons : sequence of int, optional
            Of the first layer; by default the 32 with the largest weights, in their order.
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        WeightImagesDisplay

        Raises
        ------
        ParameterError
            The network has learned inputs, or its columns are not the pixels of such a picture; there is no such
            neuron.
        """
        W = network.W[0]
        n_in, n_out = W.shape
        if network.shape.inputs is not None:
            raise ParameterError("this network's numbers are embedded before the first layer; only pixels make images")
        side = isqrt(n_in)
        if image_shape is None and side**2 != n_in:
            raise ParameterError(f"{n_in} columns are no square picture; give image_shape, its height and width")
        height, width = (side, side) if image_shape is None else image_shape
        if height * width != n_in:
            raise ParameterError(f"image_shape is {height} by {width}, but the network takes {n_in} columns")
        if neurons is None:
            chosen = np.sort(np.argsort(-np.square(W).sum(axis=0), kind="stable")[:MOST_IMAGES])
        else:
            chosen = np.array(neurons, dtype=np.int64).reshape(-1)
            if not len(chosen) or chosen.min() < 0 or chosen.max() >= n_out:
                raise ParameterError(f"neurons is {list(neurons)}; they are numbered from 0 to {n_out - 1}")
        return cls(images=W.T[chosen].reshape(-1, height, width), neurons=chosen, n_neurons=n_out).plot(ax)

    @classmethod
    def from_model(
        cls, model: Model, *, start: int = 0, neurons: Sequence[int] | None = None, ax: Axes | None = None
    ) -> WeightImagesDisplay:
        """Draw the first weights of one of a model's networks; the model knows how large its pictures are.

        Parameters
        ----------
        model : Model
        start : int, default 0
            Which of its networks.
        neurons, ax
            As in `from_network`.

        Returns
        -------
        WeightImagesDisplay

        Raises
        ------
        ParameterError
            As in `from_network`; or there is no such network.
        """
        network = names.network_of(model, start)
        return cls.from_network(network, model.encoder.image_shape, neurons=neurons, ax=ax)

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        _, height, width = self.images.shape
        low, high = number(self.images.min()), number(self.images.max())
        return (
            f"Weights of {self._which} of the first layer as images of {height} by {width} pixels, from {low} to "
            f"{high}: blue above zero, orange below."
        )

    @property
    def _which(self) -> str:
        n = len(self.images)
        return f"all {n} neurons" if n == self.n_neurons else f"{n} of {self.n_neurons:,} neurons"

    def plot(self, ax: Axes | None = None) -> WeightImagesDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.

        Returns
        -------
        WeightImagesDisplay
        """
        n, height, width = self.images.shape
        few = max(1, isqrt(int(1.3 * n * height / width)))
        columns = min(n, min(range(few, few + 3), key=lambda columns: (-n % columns, -columns)))
        rows = ceil(n / columns)
        gap = max(1, round(0.12 * height))
        tile, step = height + 2 * gap, width + gap  # the number stands over its image
        mosaic = np.full((rows * tile, columns * step), np.nan)
        for k, image in enumerate(self.images):
            i, j = divmod(k, columns)
            top, left = i * tile + 2 * gap, j * step
            mosaic[top : top + height, left : left + width] = image
        size = 7.2
        ax = style.axes_for(ax, 8.0, min(9.0, size * mosaic.shape[0] / mosaic.shape[1] + 0.6))
        self.ax_, self.figure_ = ax, ax.figure
        limit = float(np.quantile(np.abs(self.images), QUANTILE)) or 1.0
        self.im_ = ax.imshow(
            mosaic, cmap=style.signed_colours(), vmin=-limit, vmax=limit, interpolation="nearest", aspect="equal"
        )
        letters = float(np.clip(size * 72 * step / mosaic.shape[1] / 7, 5, 9))
        for k, neuron in enumerate(self.neurons):
            i, j = divmod(k, columns)
            ax.text(
                j * step - 0.5, i * tile + 1.8 * gap - 0.5, str(neuron), fontsize=letters, color="#777777", va="bottom"
            )
        ax.set_axis_off()
        beyond = np.abs(self.images).max() > limit
        self.colorbar_ = ax.figure.colorbar(
            self.im_, ax=ax, shrink=0.7, aspect=30, pad=0.02, extend="both" if beyond else "neither"
        )
        self.colorbar_.outline.set_visible(False)
        self.colorbar_.ax.tick_params(labelsize=8)
        self.colorbar_.set_label("weight", fontsize=9)
        style.title(ax, "What the first layer looks for", f"weights of {self._which}, {height} by {width} pixels each")
        return self

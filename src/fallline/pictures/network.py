"""A network drawn: its neurons, the connections between them, and what it makes of one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.errors import DataError, ParameterError
from fallline.explanation.answer import output_names as output_names_of
from fallline.model import Model
from fallline.network import Network
from fallline.pictures import names, style
from fallline.pictures.numbers import MINUS, number
from fallline.table import Table
from fallline.wording import listed_briefly, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.lines import Line2D

Array = npt.NDArray[Any]

WIDEST, THINNEST = 4.5, 0.4  # points, of connections
LARGEST_NEURON = 34.0  # points across
HEADING, FOOTING = 34.0, 38.0  # points over the neurons and under them
WIDE, LETTER = 400.0, 5.2  # points: of axes where the legend is one line; on average of a letter
SMALLEST_LETTERS = 5.0


@final
class NetworkDisplay:
    """Neurons in columns, from the inputs on the left to the outputs on the right, and the weights between them.

    A weight is a line: blue and solid above zero, orange and dashed below, the wider the larger; how much the widest
    line of a layer means stands below it. A bias is a dot on its neuron's rim, blue and full above zero, orange and
    hollow below. Of a layer that is too large the neurons with the largest weights are drawn, and the picture says how
    many more there are.

    Parameters
    ----------
    layer_sizes : sequence of int
        Columns of X, and neurons of each layer.
    n_parameters : int
    W, b : list of arrays
        Weights `(n_in_l, n_out_l)` and biases `(n_out_l,)` of each layer.
    activations : list of str
        Of each layer.
    input_names, output_names : list of str, optional
        Of what the first layer takes, and of what the last one gives.
    values : list of arrays, optional
        For one row: what the first layer takes, and what each layer gives.

    Attributes
    ----------
    shown_ : list of arrays of int
        Which neurons of each column are drawn.
    edges_ : LineCollection
        The connections that are drawn, the strongest last.
    edge_weights_ : array
        Their weights.
    neurons_ : list of PathCollection
        One for each column.
    ax_, figure_
        Where it is drawn.

    Examples
    --------
    >>> display = NetworkDisplay.from_network(Network([2, 3, 1], seed=1), input_names=["width", "height"])
    >>> len(display.edges_.get_segments())
    9
    """

    def __init__(
        self,
        *,
        layer_sizes: Sequence[int],
        n_parameters: int,
        W: list[Array],
        b: list[Array],
        activations: list[str],
        input_names: list[str] | None = None,
        output_names: list[str] | None = None,
        values: list[Array] | None = None,
    ) -> None:
        self.layer_sizes, self.n_parameters = tuple(layer_sizes), n_parameters
        self.W, self.b, self.activations = W, b, activations
        self.input_names, self.output_names, self.values = input_names, output_names, values

    @classmethod
    def from_network(
        cls,
        network: Network,
        X: npt.ArrayLike | None = None,
        *,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        ax: Axes | None = None,
        **plot: Any,
    ) -> NetworkDisplay:
        """Draw a network, with its values if a row is given.

        Parameters
        ----------
        network : Network
        X : array of shape (n_in,) or (1, n_in), optional
            A row.
        input_names, output_names : sequence of str, optional
            Of the columns of X, and of the outputs.
        ax, plot
            As in `plot`.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        DataError
            There is more than one row, or it does not fit the network.
        ParameterError
            There are too many names, or too few.
        """
        values = None
        if X is not None:
            rows = network.checked_rows(np.atleast_2d(np.asarray(X)))
            if len(rows) != 1:
                raise DataError(f"X has {len(rows)} rows; values are drawn for one")
            before = network.shape.inputs
            taken = rows if before is None else before.forward(network.parameters, rows)
            values = [taken[0], *(A[0] for A in network.forward(rows).A)]
        known = names.checked_names(input_names, network.layer_sizes[0], "input_names")
        display = cls(
            layer_sizes=network.layer_sizes,
            n_parameters=len(network.parameters),
            W=[W.copy() for W in network.W],
            b=[b.copy() for b in network.b],
            activations=[layer.activation.name for layer in network.layers],
            input_names=None if known is None else names.taken_names(network.shape.inputs, known),
            output_names=names.checked_names(output_names, network.layer_sizes[-1], "output_names"),
            values=values,
        )
        return display.plot(ax, **plot)

    @classmethod
    def from_model(
        cls,
        model: Model,
        X: Table | npt.ArrayLike | None = None,
        *,
        row: int = 0,
        start: int = 0,
        ax: Axes | None = None,
        **plot: Any,
    ) -> NetworkDisplay:
        """Draw one of a model's networks, in the words of the table it learned from.

        Parameters
        ----------
        model : Model
        X : Table, data frame or array of shape (n, n_columns), optional
            As in `Model.predict`; the values are those for one of its rows.
        row : int, default 0
            Which.
        start : int, default 0
            Which of the model's networks.
        ax, plot
            As in `plot`.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        DataError, ParameterError
            There is no such row or network; X does not fit the model.
        """
        return cls.from_network(
            names.network_of(model, start),
            None if X is None else names.encoded_row(model, X, row),
            input_names=names.encoded_names(model.encoder),
            output_names=output_names_of(model.encoder.target),
            ax=ax,
            **plot,
        )

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: npt.ArrayLike | None = None, *, ax: Axes | None = None, **options: Any
    ) -> NetworkDisplay:
        """Draw one of the networks of a fitted `NetworkClassifier` or `NetworkRegressor`; see `from_model`."""
        return cls.from_model(estimator.model_, X, ax=ax, **options)

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        words = (
            f"A {self._sizes} network ({', '.join(self.activations)}) with {self.n_parameters:,} weights and biases: "
            "blue and solid lines are weights above zero, orange and dashed ones below, the wider the larger."
        )
        if self.values is None:
            return words
        outputs = self.output_names or [f"output {k}" for k in range(len(self.values[-1]))]
        said = [f"{name} {number(value)}" for name, value in zip(outputs, self.values[-1], strict=True)]
        return f"{words} For the row whose values are in it, it gives {listed_briefly(said)}."

    @property
    def _sizes(self) -> str:
        return "-".join(map(str, self.layer_sizes))

    def plot(self, ax: Axes | None = None, *, most_neurons: int = 12, most_edges: int = 1500) -> NetworkDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Of a new figure by default.
        most_neurons : int, default 12
            Drawn of a layer.
        most_edges : int, default 1500
            Connections drawn, the strongest of those between neurons that are drawn.

        Returns
        -------
        NetworkDisplay

        Raises
        ------
        ParameterError
            One of the numbers is below 1.
        """
        if min(most_neurons, most_edges) < 1:
            raise ParameterError("most_neurons and most_edges must be 1 or more")
        sizes = [len(self.W[0]), *(W.shape[1] for W in self.W)]
        self.shown_ = [self._strongest(l, most_neurons) for l in range(len(sizes))]
        rows = max(len(shown) + (len(shown) < n) for shown, n in zip(self.shown_, sizes, strict=True))
        ax = style.axes_for(ax, 8.0, float(np.clip(0.47 * rows + 1.6, 3.2, 8.0)))
        self.ax_: Axes = ax
        self.figure_: Any = ax.figure
        places = [self._places(l, n) for l, n in enumerate(sizes)]
        self._draw_edges(places, most_edges)
        n_weights, n_drawn = sum(W.size for W in self.W), len(self.edge_weights_)
        notes = [f"{self.n_parameters:,} weights and biases"]
        if n_drawn < n_weights:
            notes.append(f"the strongest {n_drawn:,} of {n_weights:,} connections are drawn")
        if self.values is not None:
            notes.append("neurons show their values for one row, in colours of each layer's own scale")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        width, _ = self._size_in_points()
        style.title(ax, f"{self._sizes} network", "; ".join(notes), width=int(width / LETTER))
        legend = ax.legend(
            handles=_legend(), loc="lower center", borderaxespad=0.0, ncols=4 if width > WIDE else 2, frameon=False,
            fontsize=9, handlelength=2.2, columnspacing=1.6,
        )  # fmt: skip
        legend.set_in_layout(False)
        self._draw_neurons(places, sizes, rows)
        return self

    def _strongest(self, column: int, most: int) -> Array:
        """The neurons of a column with the largest weights, in their own order."""
        n = len(self.W[0]) if column == 0 else self.W[column - 1].shape[1]
        weight = np.zeros(n)
        if column > 0:
            weight += np.square(self.W[column - 1]).sum(axis=0)
        if column < len(self.W):
            weight += np.square(self.W[column]).sum(axis=1)
        return np.sort(np.argsort(-weight, kind="stable")[:most])

    def _places(self, column: int, n: int) -> Array:
        """Where the neurons of a column are drawn, shape (n_shown, 2); below there is room to say how many are not."""
        n_shown = len(self.shown_[column])
        top = (n_shown + (n_shown < n) - 1) / 2
        return np.column_stack([np.full(n_shown, float(column)), top - np.arange(n_shown)])

    def _draw_edges(self, places: list[Array], most: int) -> None:
        """The connections that are strongest beside the others of their layer, the strongest on top."""
        from matplotlib.collections import LineCollection

        segments, weights, shares = [], [], []
        self._largest = [float(np.abs(W[np.ix_(*self.shown_[l : l + 2])]).max()) for l, W in enumerate(self.W)]
        for l, W in enumerate(self.W):
            drawn = W[np.ix_(self.shown_[l], self.shown_[l + 1])]
            i, j = (index.ravel() for index in np.indices(drawn.shape))
            segments.append(np.stack([places[l][i], places[l + 1][j]], axis=1))
            weights.append(drawn.ravel().astype(float))
            shares.append(np.abs(weights[-1]) / (self._largest[l] or 1.0))
        share = np.concatenate(shares)
        order = np.argsort(share, kind="stable")[-most:]
        share, self.edge_weights_ = share[order], np.concatenate(weights)[order]
        widest = float(np.clip(20 / np.sqrt(len(order) / len(self.W)), 1.4, WIDEST))
        width = THINNEST + (widest - THINNEST) * share
        looks = [style.sign_style(weight) for weight in self.edge_weights_]
        self.edges_ = LineCollection(
            list(np.concatenate(segments)[order]),
            colors=[look["color"] for look in looks],
            linewidths=width,
            # Dashes are measured in widths of their line: thin lines need longer ones to be seen.
            linestyles=[
                "-" if weight >= 0 else (0, (max(3.5, 5 / w), max(1.8, 2.5 / w)))
                for weight, w in zip(self.edge_weights_, width, strict=True)
            ],
            alpha=0.15 + 0.75 * share,
            capstyle="butt",
            zorder=1,
        )
        self.ax_.add_collection(self.edges_)

    def _draw_neurons(self, places: list[Array], sizes: list[int], rows: int) -> None:
        """Neurons with what stands in them, beside them and over them."""
        ax, (width, height) = self.ax_, self._size_in_points()
        footing = FOOTING if width > WIDE else FOOTING + 14
        spacing = max(1.0, height - HEADING - footing) / rows
        ax.set_ylim(-rows / 2 - footing / spacing, rows / 2 + HEADING / spacing)
        across = min(LARGEST_NEURON, 0.8 * spacing)
        self._make_room(across / 2 + 6, width, lines=2 if spacing > 26 else 1)
        grey: Any = {"fontsize": 9, "color": "#666666", "ha": "center"}
        self.neurons_: list[PathCollection] = []
        for column, (at, shown, n) in enumerate(zip(places, self.shown_, sizes, strict=True)):
            self._fill(column, at, across, partly=n > len(shown))
            if column > 0:
                self._draw_biases(column, at, across)
                largest = f"widest line: {number(self._largest[column - 1])}"
                ax.annotate(
                    largest, (column - 0.5, -rows / 2), (0, -6), textcoords="offset points", fontsize=8,
                    color="#888888", ha="center", va="top",
                )  # fmt: skip
                below = self.activations[column - 1]
            else:
                below = "" if n == self.layer_sizes[0] else f"from {self.layer_sizes[0]:,} columns"
            if n > len(shown):
                y = at[-1, 1] - 1
                ax.scatter([column] * 3, y + np.array([0.4, 0.26, 0.12]), s=0.01 * spacing**2, color="#888888")
                ax.text(column, y, f"{n - len(shown):,} more", va="top", **grey)
            kind = "input" if column == 0 else "output" if column == len(sizes) - 1 else "neuron"
            heading = f"{n:,} {kind}{'s' * (n > 1)}\n{below}"
            ax.text(column, rows / 2 + 4 / spacing, heading, va="bottom", **grey)

    def _size_in_points(self) -> tuple[float, float]:
        """Width and height of the axes as they will be drawn, as far as it is known."""
        engine = self.figure_.get_layout_engine()
        if engine is not None:
            engine.execute(self.figure_.canvas.figure)
        box, point = self.ax_.get_window_extent(), self.figure_.dpi / 72
        return box.width / point, box.height / point

    def _fill(self, column: int, at: Array, across: float, partly: bool) -> None:
        """Circles with values in them; without values, where not all are shown, with the neurons' numbers."""
        shown, letters = self.shown_[column], min(9.0, 0.29 * across)
        share, texts = np.zeros(len(shown)), [str(j) if partly else "" for j in shown]
        if self.values is not None:
            values = self.values[column]
            share = values[shown] / (float(np.abs(values).max()) or 1.0)
            texts = [_in_a_neuron(float(values[j])) for j in shown]
        face: Any = style.signed_colours()(0.5 + 0.42 * share)
        x, y = at.T
        self.neurons_.append(
            self.ax_.scatter(x, y, s=across**2, c=face, edgecolors=style.INK, linewidths=1.1, zorder=3, clip_on=False)
        )
        if letters < SMALLEST_LETTERS:
            return
        for place, text, part in zip(at, texts, share, strict=True):
            color = "#999999" if self.values is None else "white" if abs(part) > 0.4 else style.INK
            self.ax_.text(place[0], place[1], text, fontsize=letters, color=color, ha="center", va="center", zorder=4)

    def _draw_biases(self, column: int, at: Array, across: float) -> None:
        """Dots on the neurons' rims."""
        from matplotlib.transforms import offset_copy

        bias = self.b[column - 1][self.shown_[column]]
        largest = max(float(np.abs(b).max()) for b in self.b) or 1.0
        x, y = at.T
        self.ax_.scatter(
            x,
            y,
            s=(0.32 * across) ** 2 * np.abs(bias) / largest,
            c=[style.POSITIVE if value >= 0 else "white" for value in bias],
            edgecolors=[style.POSITIVE if value >= 0 else style.NEGATIVE for value in bias],
            linewidths=[1.3 * bool(value) for value in bias],
            transform=offset_copy(self.ax_.transData, self.figure_, -0.37 * across, 0.37 * across, units="points"),
            zorder=5,
            clip_on=False,
        )

    def _make_room(self, gap: float, width: float, lines: int) -> None:
        """Names beside the first and the last column, and limits of the axes that leave room for them; in points."""
        ax, last, needed = self.ax_, len(self.W), [gap, gap]
        best = int(np.argmax(self.values[-1])) if self.values is not None and self.activations[-1] == "softmax" else -1
        for side, (column, known) in enumerate(((0, self.input_names), (last, self.output_names))):
            if known is None:
                continue
            for (x, y), j in zip(self._places(column, len(known)), self.shown_[column], strict=True):
                text = ax.annotate(
                    shortened(known[j], 22, lines), (x, y), (gap if side else -gap, 0),
                    textcoords="offset points", fontsize=9, color=style.INK, ha="left" if side else "right",
                    va="center", weight="bold" if side and j == best else "normal", annotation_clip=False,
                )  # fmt: skip
                needed[side] = max(needed[side], gap + text.get_window_extent().width * 72 / self.figure_.dpi)
        left, right = (min(0.4, points / width) for points in needed)
        whole = last / (1 - left - right)
        ax.set_xlim(-left * whole, last + right * whole)


def _in_a_neuron(value: float) -> str:
    """A number in the room that there is."""
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.3g}"
    return text.replace("-", MINUS)


def _legend() -> list[Line2D]:
    """Lines and dots that say what the sign looks like."""
    from matplotlib.lines import Line2D

    signs: Any = ((1.0, "above", style.POSITIVE), (-1.0, "below", "white"))
    lines = [
        Line2D([], [], linewidth=2.5, label=f"weight {side} 0", **style.sign_style(sign)) for sign, side, _ in signs
    ]
    dots = [
        Line2D([], [], linestyle="", marker="o", markersize=6, label=f"bias {side} 0", markerfacecolor=face,
               markeredgecolor=style.sign_style(sign)["color"])
        for sign, side, face in signs
    ]  # fmt: skip
    return lines + dots

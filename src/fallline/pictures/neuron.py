"""One neuron's arithmetic for one row: forward to its value, and back to its new weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from fallline.activations import Activation
from fallline.backpropagation import gradient
from fallline.errors import DataError, ParameterError
from fallline.explanation.answer import output_names as output_names_of
from fallline.losses import LOSSES, Loss
from fallline.model import Model
from fallline.network import Network
from fallline.pictures import names, style
from fallline.pictures.numbers import number, numbers
from fallline.table import Table
from fallline.wording import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

MOST_NEXT = 4  # neurons named that a value goes on to


@final
class NeuronDisplay:
    """Inputs times weights, their sum with the bias, the activation; and the step of gradient descent, if asked for.

    The bars above begin where the one before ended, so that the last ends at z. Right below it stands the point (z, a)
    on the activation's curve.

    Parameters
    ----------
    layer, neuron : int
        Which one it is, counted from 0; layer 0 is the first that has weights.
    inputs, weights : array of shape (n_in,)
    bias, z, a : float
        `z = inputs @ weights + bias`, `a = activation(z)`.
    activation : str
    curve : callable
        `z -> a`, arrays of shape (n,). Of softmax with the other neurons' z as they are.
    input_names : list of str
    goes_to : list of (str, float)
        The neurons that take a, and by which weight they multiply it; of an output its own name, and 1.
    n_next : int
        How many neurons take it; 0 for an output.
    delta : float, optional
        `dL/dz`: how the loss of this row changes with z.
    dA, slope : float, optional
        `dL/da` and `da/dz`, of hidden neurons: their product is delta.
    learning_rate : float, optional

    Attributes
    ----------
    gradient : array of shape (n_in,) or None
        `dL/dw = delta * inputs`; of the bias it is delta.
    new_weights : array of shape (n_in,) or None
        `weights - learning_rate * gradient`.
    new_bias : float or None
    bars_ : BarContainer
        Of the products, the others together, the bias.
    line_, point_
        The activation's curve, and the neuron on it.
    cells_ : list of list of Text
        The columns of numbers: value, weight, product; then gradient and new weight.
    ax_, axes_, figure_
        Where it is drawn: the bars' axes; all of them.

    Examples
    --------
    >>> net = Network([2, 1], parameters=[2.0, -1.0, 0.5])
    >>> display = NeuronDisplay.from_network(net, [3.0, 1.0], y=5.0, loss="quadratic", learning_rate=0.1)
    >>> display.z, display.delta, display.new_weights.round(3).tolist()
    (5.5, 0.5, [1.85, -1.05])
    """

    def __init__(
        self,
        *,
        layer: int,
        neuron: int,
        inputs: Array,
        weights: Array,
        bias: float,
        z: float,
        a: float,
        activation: str,
        curve: Callable[[Array], Array],
        input_names: list[str],
        goes_to: list[tuple[str, float]],
        n_next: int,
        delta: float | None = None,
        dA: float | None = None,
        slope: float | None = None,
        learning_rate: float | None = None,
    ) -> None:
        self.layer, self.neuron, self.inputs, self.weights, self.bias = layer, neuron, inputs, weights, bias
        self.z, self.a, self.activation, self.curve = z, a, activation, curve
        self.input_names, self.goes_to, self.n_next = input_names, goes_to, n_next
        self.delta, self.dA, self.slope, self.learning_rate = delta, dA, slope, learning_rate

    @property
    def gradient(self) -> Array | None:
        """Of the loss of this row for the weights."""
        return None if self.delta is None else self.delta * self.inputs

    @property
    def new_weights(self) -> Array | None:
        """After a step of gradient descent on this row alone."""
        return None if self.gradient is None else self.weights - self.learning_rate * self.gradient

    @property
    def new_bias(self) -> float | None:
        """The same of the bias."""
        if self.delta is None or self.learning_rate is None:
            return None
        return self.bias - self.learning_rate * self.delta

    @classmethod
    def from_network(
        cls,
        network: Network,
        X: npt.ArrayLike,
        layer: int = 0,
        neuron: int = 0,
        *,
        y: npt.ArrayLike | None = None,
        loss: Loss | str = "auto",
        learning_rate: float = 0.1,
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        ax: Axes | None = None,
        **plot: Any,
    ) -> NeuronDisplay:
        """Draw the arithmetic of one neuron.

        Parameters
        ----------
        network : Network
        X : array of shape (n_in,) or (1, n_in)
            The row.
        layer, neuron : int, default 0
            Which neuron, counted from 0: that of `W[layer][:, neuron]`. Negative ones count from the last.
        y : optional
            The row's target: then the way back is shown as well.
        loss : Loss or str, default "auto"
            See `fallline.losses`; "auto" follows the output.
        learning_rate : float, default 0.1
            Of the step that is shown: plain gradient descent on this row alone.
        input_names, output_names : sequence of str, optional
            Of the columns of X, and of the outputs.
        ax, plot
            As in `plot`.

        Returns
        -------
        NeuronDisplay

        Raises
        ------
        DataError
            There is more than one row; row or target do not fit.
        ParameterError
            There is no such neuron; there are too many names, or too few.
        """
        rows = network.checked_rows(np.atleast_2d(np.asarray(X)))
        if len(rows) != 1:
            raise DataError(f"X has {len(rows)} rows; a neuron's arithmetic is shown for one")
        n_layers = len(network.layers)
        layer = _counted("layer", layer, n_layers)
        neuron = _counted("neuron", neuron, network.layers[layer].n_out, f" in layer {layer}")
        values, before = network.forward(rows), network.shape.inputs
        if layer > 0:
            taken, known = values.A[layer - 1], [f"neuron {i}" for i in range(network.layers[layer].n_in)]
        else:
            taken = rows if before is None else before.forward(network.parameters, rows)
            given = names.checked_names(input_names, network.layer_sizes[0], "input_names")
            known = names.taken_names(before, given or [f"x{i}" for i in range(network.layer_sizes[0])])
        outputs = names.checked_names(output_names, network.layer_sizes[-1], "output_names")
        if layer == n_layers - 1:
            goes_to = [(f"output {neuron}" if outputs is None else outputs[neuron], 1.0)]
        else:
            following = network.W[layer + 1][neuron]
            called = [f"neuron {k}" for k in range(len(following))]
            if layer == n_layers - 2 and outputs is not None:
                called = [f"output {name!r}" for name in outputs]
            order = np.argsort(-np.abs(following), kind="stable")[:MOST_NEXT]
            goes_to = [(called[k], float(following[k])) for k in order]
        delta = dA = slope = None
        if y is not None:
            target = np.asarray(y)
            found = gradient(network, rows, target if target.ndim else target[None], loss)
            delta = float(found.db[layer][neuron])  # of a single row, db is dZ
            if layer < n_layers - 1:
                dA = float(network.W[layer + 1][neuron] @ found.db[layer + 1])
                Z, A = values.Z[layer], values.A[layer]
                slope = float(network.layers[layer].activation.derivative(Z, A)[0, neuron])
        display = cls(
            layer=layer,
            neuron=neuron,
            inputs=taken[0].astype(float),
            weights=network.W[layer][:, neuron].astype(float),
            bias=float(network.b[layer][neuron]),
            z=float(values.Z[layer][0, neuron]),
            a=float(values.A[layer][0, neuron]),
            activation=network.layers[layer].activation.name,
            curve=_curve(network.layers[layer].activation, values.Z[layer][0].astype(float), neuron),
            input_names=known,
            goes_to=goes_to,
            n_next=0 if layer == n_layers - 1 else network.layers[layer + 1].n_out,
            delta=delta,
            dA=dA,
            slope=slope,
            learning_rate=None if y is None else float(learning_rate),
        )
        return display.plot(ax, **plot)

    @classmethod
    def from_model(
        cls,
        model: Model,
        X: Table | npt.ArrayLike,
        layer: int = 0,
        neuron: int = 0,
        *,
        row: int = 0,
        start: int = 0,
        learning_rate: float = 0.1,
        ax: Axes | None = None,
        **plot: Any,
    ) -> NeuronDisplay:
        """Draw a neuron of one of a model's networks, in the words of the table it learned from.

        Parameters
        ----------
        model : Model
        X : Table, data frame or array of shape (n, n_columns)
            As in `Model.predict`. Of a Table with targets the way back is shown as well.
        layer, neuron, learning_rate
            As in `from_network`.
        row : int, default 0
            Which of the rows.
        start : int, default 0
            Which of the model's networks.
        ax, plot
            As in `plot`.

        Returns
        -------
        NeuronDisplay

        Raises
        ------
        DataError, ParameterError
            There is no such row, network or neuron; X does not fit the model.
        """
        encoded = names.encoded_row(model, X, row)
        y = model.encoder.target.encode(X.y[[row]]) if isinstance(X, Table) and X.y is not None else None
        return cls.from_network(
            names.network_of(model, start),
            encoded,
            layer,
            neuron,
            y=y,
            loss=_loss_of(model),
            learning_rate=learning_rate,
            input_names=names.encoded_names(model.encoder),
            output_names=output_names_of(model.encoder.target),
            ax=ax,
            **plot,
        )

    @property
    def caption(self) -> str:
        """What the picture shows, in a sentence or two."""
        n = len(self.inputs)
        words = (
            f"Neuron {self.neuron} of layer {self.layer} for one row: {n:,} input{'s' * (n > 1)} times the weights "
            f"and the bias {number(self.bias)} add up to z = {number(self.z)}, of which {self.activation} makes "
            f"a = {number(self.a)}."
        )
        if self.delta is None or self.new_bias is None:
            return words
        return (
            f"{words} Back comes delta = {number(self.delta)}, so a step of gradient descent at a learning rate of "
            f"{self.learning_rate:g} makes the bias {number(self.new_bias)}."
        )

    def plot(self, ax: Axes | None = None, *, most: int = 8) -> NeuronDisplay:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            From a grid; several take its place. Of a new figure by default.
        most : int, default 8
            Inputs with a line of their own, those with the largest products; the others are drawn together.

        Returns
        -------
        NeuronDisplay

        Raises
        ------
        ParameterError
            `most` is below 1.
        """
        if most < 1:
            raise ParameterError(f"most is {most}; it must be 1 or more")
        products = self.inputs * self.weights
        own = np.argsort(-np.abs(products), kind="stable")
        own = np.sort(own[:most] if len(own) > most + 1 else own)  # a single other has a line as well
        n_others = len(products) - len(own)
        labels, lengths = [self.input_names[i] for i in own], [*products[own]]
        if n_others:
            labels.append(f"the other {n_others:,} together")
            lengths.append(products.sum() - products[own].sum())
        labels, lengths = [*labels, "bias"], [*lengths, self.bias]
        n_lines = len(labels) + 1
        panels = style.panels(
            ax, 2, 2, (8.6, 0.29 * n_lines + 3.4), width_ratios=[1.0, 1.7 if self.delta is not None else 0.9],
            height_ratios=[n_lines + 1.6, 7.5],
        )  # fmt: skip
        self.axes_, self.ax_, self.figure_ = panels, panels[0], panels[0].figure
        self._draw_bars(panels[0], labels, np.array(lengths))
        self._draw_cells(panels[1], own, np.array(lengths))
        self._draw_curve(panels[2], panels[0], np.cumsum(lengths))
        self._say(panels[3])
        back = "" if self.delta is None else "; then back, for a step of gradient descent"
        style.title(
            panels[0], f"Neuron {self.neuron} of layer {self.layer}",
            f"one row: times the weights, add the bias, activate{back}",
        )  # fmt: skip
        return self

    def _draw_bars(self, ax: Axes, labels: list[str], lengths: Array) -> None:
        """Bars of which each begins where the one before ended."""
        ends = np.cumsum(lengths)
        begins, lines = ends - lengths, np.arange(len(lengths))
        colours = [style.POSITIVE if length >= 0 else style.NEGATIVE for length in lengths]
        hatches = ["" if length >= 0 else "////" for length in lengths]
        self.bars_ = ax.barh(
            lines, lengths, left=begins, height=0.62, color=colours, hatch=hatches, edgecolor="white", linewidth=0
        )
        for line in lines:
            ax.plot([ends[line]] * 2, [line - 0.31, line + 1.31], color=style.INK, linewidth=0.8, zorder=3)
        ax.plot([self.z], [len(lengths)], marker="D", markersize=6, color=style.INK, zorder=4)
        ax.axvline(0, color=style.FAINT, linewidth=1, zorder=0)
        shown = [shortened(label, 26) for label in labels]
        ax.set_yticks([*lines, len(lengths)], [*shown, "sum: z"])
        ax.get_yticklabels()[-1].set_fontweight("bold")
        ax.set_ylim(len(lengths) + 0.6, -1.4)
        style.quiet(ax)
        ax.grid(axis="y", visible=False)
        ax.tick_params(axis="y", length=0, labelsize=9)
        ax.tick_params(axis="x", labelbottom=False, length=0)
        ax.spines[["left", "bottom"]].set_visible(False)

    def _draw_cells(self, ax: Axes, own: Array, lengths: Array) -> None:
        """The numbers beside the bars, in columns: of the inputs that have a line, of all others, the bias, the sum."""
        others = [""] * (len(lengths) - len(own) - 1)
        weights, back = np.append(self.weights[own], self.bias), []
        digits = 3
        if self.gradient is not None and self.new_weights is not None and self.new_bias is not None:
            new = np.append(self.new_weights[own], self.new_bias)
            change, largest = np.abs(new - weights).max(), np.abs([*weights, *new]).max()
            if change > 0:  # as many digits as show it
                digits = int(np.clip(2 + np.floor(np.log10(largest)) - np.floor(np.log10(change)), 3, 7))
            back = [
                ("gradient", numbers([*self.gradient[own], self.delta], signed=True)),
                ("new weight", numbers(new, digits, signed=True)),
            ]
        columns = [
            ("value", [*numbers(self.inputs[own]), "1"]),
            ("weight", numbers(weights, digits, signed=True)),
            ("product", numbers([*lengths, self.z], signed=True)),
            *back,
        ]
        right = np.cumsum([0.9, 1.25, 1.15, 1.45, 1.5][: len(columns)])
        self.cells_ = []
        for place, (head, texts) in zip(right / right[-1] - 0.01, columns, strict=True):
            if head != "product":
                texts = [*texts[:-1], *others, texts[-1], ""]
            ax.text(place, -0.85, head, fontsize=9, ha="right", va="center", color="#666666")
            column = [
                ax.text(place, line, text, fontsize=9, ha="right", va="center", color=style.INK)
                for line, text in enumerate(texts)
            ]
            column[-1].set_fontweight("bold")
            self.cells_.append(column)
        if back:
            place = (right[2] + 0.12) / right[-1]
            ax.plot([place] * 2, [-1.2, len(lengths) + 0.4], color=style.FAINT, linewidth=0.8)
        ax.set(xlim=(0, 1), ylim=(len(lengths) + 0.6, -1.4))
        ax.set_axis_off()

    def _draw_curve(self, ax: Axes, bars: Axes, ends: Array) -> None:
        """The activation, with the neuron on it, right below the end of the sum."""
        low, high = min(-1.0, ends.min()), max(1.0, ends.max())
        low, high = low - 0.07 * (high - low), high + 0.07 * (high - low)
        z = np.linspace(low, high, 401)
        (self.line_,) = ax.plot(z, self.curve(z), color=style.INK, linewidth=1.6)
        if self.slope is not None:
            near = self.z + np.array([-0.11, 0.11]) * (high - low)
            ax.plot(near, self.a + self.slope * (near - self.z), color=style.NEGATIVE, linewidth=1.6, linestyle="--")
        (self.point_,) = ax.plot([self.z], [self.a], marker="o", markersize=8, color=style.POSITIVE, zorder=4)
        bottom, top = ax.get_ylim()
        for panel in (ax, bars):
            panel.set_xlim(low, high)
        ax.set_ylim(bottom, top)
        dotted: Any = {"color": style.POSITIVE, "linewidth": 1.2, "linestyle": ":"}
        ax.plot([self.z, self.z, low], [top, self.a, self.a], **dotted)
        bars.plot([self.z] * 2, [len(ends), len(ends) + 0.6], clip_on=False, **dotted)
        ax.set_xlabel("z", fontsize=9)
        ax.set_ylabel(f"a = {self.activation}(z)", fontsize=9)
        ax.tick_params(labelsize=8)
        style.quiet(ax)

    def _say(self, ax: Axes) -> None:
        """What a is, where it goes, and what comes back."""
        ax.set_axis_off()
        lines = [f"z = {number(self.z)}", f"a = {self.activation}(z) = {number(self.a)}"]
        if self.n_next:
            lines += ["", f"a goes on to {self.n_next:,} neuron{'s' * (self.n_next > 1)} of layer {self.layer + 1}:"]
            lines += [f"   times {number(w, signed=True)} to {shortened(to, 26)}" for to, w in self.goes_to]
            if self.n_next > len(self.goes_to):
                lines.append(f"   and {self.n_next - len(self.goes_to):,} more")
        else:
            lines += ["", f"a is the network's answer for {shortened(self.goes_to[0][0], 30)!r}"]
        if self.delta is not None:
            lines += ["", f"coming back: delta = dL/dz = {number(self.delta, signed=True)}"]
            if self.dA is not None:
                slope = "" if self.slope is None else f" times the slope {number(self.slope)}"
                lines.append(f"   = dL/da {number(self.dA, signed=True)}{slope}")
            lines.append("gradient = delta times value")
            lines.append(f"new weight = weight − {self.learning_rate:g} times gradient")
        ax.text(0.04, 1, "\n".join(lines), fontsize=9, va="top", linespacing=1.4, color=style.INK)


def _counted(what: str, index: int, n: int, where: str = "") -> int:
    """An index from 0 on; ParameterError where there is none."""
    if not -n <= index < n:
        raise ParameterError(f"there is no {what} {index}{where}; they are 0 to {n - 1}")
    return index % n


def _curve(activation: Activation, Z: Array, neuron: int) -> Callable[[Array], Array]:
    """What a neuron gives for other z of its own, those of its neighbours as they are."""

    def curve(z: Array) -> Array:
        rows = np.repeat(Z[None], len(z), axis=0)
        rows[:, neuron] = z
        return np.asarray(activation.value(rows)[:, neuron])

    return curve


def _loss_of(model: Model) -> Loss | str:
    """The loss that a model was trained with, as far as it is known."""
    known = dict(model.training.get("loss", {}))
    record = LOSSES.get(known.pop("name", ""))
    return "auto" if record is None else record(**{k: tuple(v) if isinstance(v, list) else v for k, v in known.items()})

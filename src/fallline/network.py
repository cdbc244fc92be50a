"""Networks: layers, all parameters as one flat block with views, and the random starts that descents begin from.

What a network says about some rows comes from the compiled core; `Network.forward` is NumPy, and keeps what every layer
gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline import _core, activations
from fallline.activations import Activation
from fallline.errors import DataError, ParameterError, did_you_mean
from fallline.inputs import Inputs
from fallline.params import PARAMS
from fallline.rates import EQUAL_RATES, Rates
from fallline.threads import available

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """Shape and activation of one layer: `A = activation(A_prev @ W + b)` with W of shape `(n_in, n_out)`."""

    n_in: int
    n_out: int
    activation: Activation

    @property
    def n_parameters(self) -> int:
        """Numbers in W and b."""
        return (self.n_in + 1) * self.n_out


@dataclass(frozen=True)
class Shape:
    """A network without its numbers.

    Attributes
    ----------
    layers : tuple of Layer
    inputs : Inputs or None
        What stands before the first layer.
    """

    layers: tuple[Layer, ...]
    inputs: Inputs | None = None

    @property
    def n_in(self) -> int:
        """Columns of X."""
        return self.layers[0].n_in if self.inputs is None else self.inputs.n_in

    @property
    def n_parameters(self) -> int:
        """Numbers in all that is learned, P."""
        before = 0 if self.inputs is None else self.inputs.n_parameters
        return before + sum(layer.n_parameters for layer in self.layers)


@dataclass(frozen=True)
class LayerValues:
    """What a forward pass computed: `Z[l]` and `A[l]` of every layer, each of shape `(n, n_out_l)`."""

    Z: list[Array]
    A: list[Array]


def views(shape: Shape, block: Array) -> tuple[list[Array], list[Array]]:
    """`W[l]` and `b[l]` of every layer as views into one flat block: W row by row, then b, layer after layer.

    Parameters
    ----------
    shape : Shape
    block : array of shape (P,)
        Parameters, or anything that goes with them: a gradient, a moment.

    Returns
    -------
    W : list of arrays of shape (n_in_l, n_out_l)
    b : list of arrays of shape (n_out_l,)
    """
    W, b, at = [], [], 0 if shape.inputs is None else shape.inputs.n_parameters
    for layer in shape.layers:
        n_weights = layer.n_in * layer.n_out
        W.append(block[at : at + n_weights].reshape(layer.n_in, layer.n_out))
        b.append(block[at + n_weights : at + layer.n_parameters])
        at += layer.n_parameters
    return W, b


def check_core() -> None:
    """Let the compiled core choose its instruction set; ParameterError where FALLLINE_ISA names none."""
    try:
        _core.instruction_set()  # chosen at the first call
    except ValueError as error:
        raise ParameterError(str(error)) from None


def core_shape(shape: Shape, dropout: Sequence[float] = (), rates: Rates = EQUAL_RATES) -> dict[str, Any]:
    """A shape as the compiled core takes it, with what a step needs to know of each layer."""
    dropped = [*(dropout or (0.0,) * (len(shape.layers) - 1)), 0.0]
    before = shape.inputs
    return {
        "layers": [
            (layer.n_in, layer.n_out, layer.activation.name, share, rates.weights(layer.n_in), rates.bias)
            for layer, share in zip(shape.layers, dropped, strict=True)
        ],
        "inputs": (0, 0, 0, 1, [], 1.0, 1.0)
        if before is None
        else (
            before.embedded,
            before.plain,
            before.frequencies,
            before.size,
            list(before.tables),
            rates.embedding,
            rates.scale,
        ),
    }


def predictor(shape: Shape, dtype: np.dtype[Any]) -> Callable[[Array, Array, Array, int], bool]:
    """The forward pass of a network in the compiled core.

    Parameters
    ----------
    shape : Shape
    dtype : dtype

    Returns
    -------
    callable
        `(parameters, X, out, threads) -> bool` with arrays of shapes `(P,)`, `(n, n_in)` and `(n, n_out)`. False: X has
        another dtype, order or shape, and nothing was done; or it holds a number that is not finite, or no code.
    """
    check_core()
    made = _core.PredictorFloat32 if dtype == np.float32 else _core.PredictorFloat64
    return made(**core_shape(shape)).__call__  # bound once: it is called for single rows


class Views(Sequence[Array]):
    """A list of views of a block that stay views: what is assigned to an item is copied into the block."""

    def __init__(self, views: Sequence[Array]) -> None:
        self._views = tuple(views)

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, l: Any) -> Any:
        return self._views[l]

    def __setitem__(self, l: int, values: npt.ArrayLike) -> None:
        self._views[l][...] = values

    def __repr__(self) -> str:
        return repr(list(self._views))


class Network:
    """A dense network at a random start.

    Parameters
    ----------
    layer_sizes : sequence of int
        Neurons from the inputs to the outputs, for example `[784, 30, 10]`; two numbers mean no hidden layer. The first
        is the number of columns of X.
    activation : str or sequence of str, default "relu"
        Activation of the hidden layers, or one for each; see `fallline.activations.HIDDEN`.
    output : {"identity", "sigmoid", "softmax"}, default "identity"
        Activation of the last layer.
    start : str, default "auto"
        Law of the random start, see `STARTS`; "auto" follows each layer's activation.
    seed : int, default 0
        Of the random start. The same seed gives the same start, with the same NumPy on every machine.
    dtype : {"float32", "float64"}, default "float32"
    parameters : array of shape (P,), optional
        Take these instead of a random start.
    inputs : Inputs, optional
        What stands before the first layer: embeddings of numbers and of categories, and a learned scale.

    Attributes
    ----------
    parameters : array of shape (P,)
        Everything that is learned, in one block.
    W, b : list of arrays
        Weights `(n_in_l, n_out_l)` and biases `(n_out_l,)` of each layer: views of `parameters`, and what is assigned
        to one of them is copied into the block.
    shape : Shape
        The layers, and the inputs before them.

    Raises
    ------
    ParameterError
        A size, name or number of parameters does not fit.

    Examples
    --------
    >>> net = Network([2, 3, 1], activation="tanh", seed=1)
    >>> [W.shape for W in net.W], net.parameters.shape
    ([(2, 3), (3, 1)], (13,))
    >>> net([[0.0, 1.0]]).shape
    (1, 1)
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: str | Sequence[str] = "relu",
        output: str = "identity",
        start: str = "auto",
        seed: int = 0,
        dtype: npt.DTypeLike = "float32",
        parameters: npt.ArrayLike | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        sizes = _checked_sizes(layer_sizes)
        if inputs is not None and inputs.n_in != sizes[0]:
            raise ParameterError(f"layer_sizes begins with {sizes[0]}, but inputs has {inputs.n_in} columns")
        n_hidden = len(sizes) - 2
        if not isinstance(activation, Sequence):
            raise ParameterError(f"activation is {activation!r}; choose from {', '.join(sorted(activations.HIDDEN))}")
        names = (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
        for name in names if n_hidden else (activation,) if isinstance(activation, str) else ():
            activations.hidden(name)
        if len(names) != n_hidden:
            raise ParameterError(f"activation names {len(names)} layers, but layer_sizes has {n_hidden} hidden ones")
        if output == "softmax" and sizes[-1] == 1:
            raise ParameterError("output 'softmax' needs two outputs or more; one yes-or-no question takes 'sigmoid'")
        if start != "auto" and start not in STARTS:
            raise ParameterError(f"start {start!r} is unknown{did_you_mean(start, [*STARTS, 'auto'])}")
        self.layer_sizes, self.dtype = sizes, _checked_dtype(dtype)
        self.activation, self.output, self.start = names, output, start
        self.seed = PARAMS["seed"].check(seed)
        records = [activations.hidden(name) for name in names] + [activations.output(output)]
        taken = sizes if inputs is None else (inputs.n_out, *sizes[1:])
        layers = tuple(Layer(*pair, record) for pair, record in zip(pairwise(taken), records, strict=True))
        self.shape = Shape(layers, inputs)
        n_parameters = self.shape.n_parameters
        if n_parameters > 2**40:
            raise ParameterError(f"layer_sizes {list(sizes)} means {n_parameters:,} parameters, more than can be held")
        self._parameters: Array = np.empty(n_parameters, dtype=self.dtype)
        W, b = views(self.shape, self._parameters)
        self.W, self.b = Views(W), Views(b)
        self._predict: Callable[[Array, Array, Array, int], bool] | None = None  # made when first needed
        if parameters is None:
            self._draw(0)
        else:
            self.parameters = parameters

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of its shape."""
        return self.shape.layers

    @property
    def parameters(self) -> Array:
        """Everything that is learned, one block of shape (P,); what is assigned to it is copied into the block."""
        return self._parameters

    @parameters.setter
    def parameters(self, values: npt.ArrayLike) -> None:
        try:
            given = np.asarray(values, dtype=self.dtype)
        except (TypeError, ValueError):
            raise ParameterError("parameters must be one row of numbers") from None
        if given.shape != self._parameters.shape:
            raise ParameterError(f"parameters has shape {given.shape}; this network takes {self._parameters.shape}")
        self._parameters[...] = given

    def settings(self) -> dict[str, Any]:
        """All of it but the parameters, as JSON can hold it; the names are those of the constructor."""
        return {
            "layer_sizes": list(self.layer_sizes),
            "activation": list(self.activation),
            "output": self.output,
            "start": self.start,
            "seed": self.seed,
            "dtype": self.dtype.name,
            "inputs": None if self.shape.inputs is None else self.shape.inputs.settings(),
        }

    def __reduce__(self) -> tuple[type[Network], tuple[Any, ...]]:
        """Copies and pickles are made anew from the settings and the block, so that the views belong to the block."""
        settings = (self.layer_sizes, self.activation, self.output, self.start, self.seed, self.dtype.name)
        return Network, (*settings, self.parameters.copy(), self.shape.inputs)

    def _draw(self, index: int) -> None:
        """Fill the block with random start number `index` of the seed."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(index,))))
        if self.shape.inputs is not None:
            self.shape.inputs.draw(rng, self._parameters)
        for layer, W, b in zip(self.shape.layers, self.W, self.b, strict=True):
            law = layer.activation.start if self.start == "auto" else self.start
            W[...], b[...] = STARTS[law](rng, layer.n_in, layer.n_out, layer.activation.start_gain)

    def copy(self, parameters: npt.ArrayLike | None = None) -> Network:
        """A network of the same shape with its own block: these parameters, by default a copy of this one's.

        Parameters
        ----------
        parameters : array of shape (P,), optional

        Returns
        -------
        Network
        """
        return Network(
            self.layer_sizes,
            self.activation,
            self.output,
            self.start,
            self.seed,
            self.dtype,
            self.parameters if parameters is None else parameters,
            self.shape.inputs,
        )

    def restart(self, index: int) -> Network:
        """Random start number `index` of this network's seed; number 0 is the start it was made with."""
        if index < 0:
            raise ParameterError(f"index is {index}; starts are numbered from 0")
        network = self.copy()
        network._draw(index)
        return network

    def forward(self, X: npt.ArrayLike) -> LayerValues:
        """Every layer's values for some rows.

        Parameters
        ----------
        X : array of shape (n, n_in)

        Returns
        -------
        LayerValues
            `.Z[l]`, `.A[l]` of shape `(n, n_out_l)`; `.A[-1]` is the network's output.

        Raises
        ------
        DataError
            X does not have n_in columns.
        """
        A, before = self.checked_rows(X), self.shape.inputs
        if before is not None:
            A = before.forward(self._parameters, A)
        values = LayerValues([], [])
        for layer, W, b in zip(self.shape.layers, self.W, self.b, strict=True):
            Z = A @ W + b
            A = layer.activation.value(Z)
            values.Z.append(Z)
            values.A.append(A)
        return values

    def __call__(self, X: npt.ArrayLike) -> Array:
        """The network's output for some rows, from the compiled core and with as many threads as the process may use.

        Parameters
        ----------
        X : array of shape (n, n_in)
            In the network's dtype and C order it is taken as it is; anything else is converted first.

        Returns
        -------
        array of shape (n, n_out)

        Raises
        ------
        DataError
            X does not have n_in columns, or holds something that is not a finite number.
        """
        predict = self._predict
        if predict is None:
            predict, self._threads = predictor(self.shape, self.dtype), available()
            self._predict = predict
        if type(X) is np.ndarray and X.ndim == 2:  # most often it is as it should be, which the core sees soonest
            A = np.empty((len(X), self.layer_sizes[-1]), self.dtype)
            if predict(self._parameters, X, A, self._threads):
                return A
        X = self.checked_rows(X)
        A = np.empty((len(X), self.layer_sizes[-1]), self.dtype)
        predict(self._parameters, X, A, self._threads)
        return A

    def checked_rows(self, X: npt.ArrayLike) -> Array:
        """X as this network takes it: its dtype, C order, shape `(n, n_in)`, all finite; DataError otherwise."""
        try:
            X = np.asarray(X)
            if X.dtype.kind == "c":
                raise DataError("X holds complex numbers; inputs must be real")
            with np.errstate(over="ignore"):  # beyond the dtype is infinite, and found below
                X = np.ascontiguousarray(X, dtype=self.dtype)
        except (TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError("X must be a table of numbers, one row an example") from None
        if X.ndim != 2 or X.shape[1] != self.layer_sizes[0]:
            raise DataError(f"X has shape {X.shape}, but the network takes (n, {self.layer_sizes[0]})")
        if not np.isfinite(X).all():
            row, column = (int(i) for i in np.argwhere(~np.isfinite(X))[0])
            raise DataError(f"X has {X[row, column]} in row {row}, column {column}; inputs must be finite numbers")
        if self.shape.inputs is not None:
            self.shape.inputs.check(X)
        return X

    def __repr__(self) -> str:
        names = [*self.activation, self.output]
        return f"Network({'-'.join(map(str, self.layer_sizes))}, {', '.join(names)}, {len(self.parameters)} parameters)"


def _checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    for known in (np.dtype("float32"), np.dtype("float64")):
        if dtype is not None and dtype in (known, known.name, known.type):
            return known
    raise ParameterError(f"dtype is {dtype!r}; it must be 'float32' or 'float64'")


def _checked_sizes(layer_sizes: Sequence[int]) -> tuple[int, ...]:
    sizes = tuple(layer_sizes) if isinstance(layer_sizes, (Sequence, np.ndarray)) else (layer_sizes,)
    if len(sizes) < 2 or not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
        raise ParameterError(f"layer_sizes is {list(sizes)}; it must list two or more whole numbers above 0")
    return tuple(int(size) for size in sizes)


# Random starts: (generator, n_in, n_out, gain) -> W of shape (n_in, n_out), b of shape (n_out,). The gain is that of
# the layer's own activation, in the first layer too, as He et al. chose and as PyTorch and Keras have it.
_Start = Callable[[np.random.Generator, int, int, float], tuple[Array, Array]]


def _xavier(rng: np.random.Generator, n_in: int, n_out: int, gain: float) -> tuple[Array, Array]:
    """Uniform with variance 2 / (n_in + n_out): Glorot & Bengio 2010."""
    bound = math.sqrt(6.0 / (n_in + n_out))
    return rng.uniform(-bound, bound, (n_in, n_out)), np.zeros(n_out)


def _he(rng: np.random.Generator, n_in: int, n_out: int, gain: float) -> tuple[Array, Array]:
    """Normal with variance gain^2 / n_in: He et al. 2015."""
    return rng.normal(0.0, gain / math.sqrt(n_in), (n_in, n_out)), np.zeros(n_out)


def _lecun(rng: np.random.Generator, n_in: int, n_out: int, gain: float) -> tuple[Array, Array]:
    """Normal with variance 1 / n_in: LeCun et al. 1998."""
    return rng.normal(0.0, 1.0 / math.sqrt(n_in), (n_in, n_out)), np.zeros(n_out)


def _normal(rng: np.random.Generator, n_in: int, n_out: int, gain: float) -> tuple[Array, Array]:
    """Standard normal, biases too: Nielsen 2015, chapter 1."""
    return rng.normal(size=(n_in, n_out)), rng.normal(size=n_out)


def _uniform(rng: np.random.Generator, n_in: int, n_out: int, gain: float) -> tuple[Array, Array]:
    """Uniform within 1 / sqrt(n_in), biases too: LeCun et al. 1998; PyTorch's default."""
    bound = 1.0 / math.sqrt(n_in)
    return rng.uniform(-bound, bound, (n_in, n_out)), rng.uniform(-bound, bound, n_out)


def _orthogonal(rng: np.random.Generator, n_in: int, n_out: int, gain: float) -> tuple[Array, Array]:
    """Orthonormal rows or columns times the gain: Saxe, McClelland & Ganguli 2014."""
    Q, R = np.linalg.qr(rng.normal(size=(max(n_in, n_out), min(n_in, n_out))))
    Q = Q * np.where(np.diag(R) < 0, -1.0, 1.0)  # makes the law uniform over the orthogonal matrices
    return gain * (Q if n_in >= n_out else Q.T), np.zeros(n_out)


STARTS: dict[str, _Start] = {
    "xavier": _xavier,
    "he": _he,
    "lecun": _lecun,
    "normal": _normal,
    "uniform": _uniform,
    "orthogonal": _orthogonal,
}

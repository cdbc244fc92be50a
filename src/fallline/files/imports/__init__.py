"""Networks that others have trained: scikit-learn's perceptrons, PyTorch's state dicts, ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from fallline.errors import ParameterError
from fallline.files.imports.chain import Chain
from fallline.network import Network


def import_network(source: Any, activation: str | Sequence[str] | None = None, output: str | None = None) -> Network:
    """Make a network of one that another library has trained; no code in a file is run.

    Parameters
    ----------
    source : fitted estimator, path, or mapping of str to array
        A fitted `MLPClassifier` or `MLPRegressor` of scikit-learn. Or the state dict of a PyTorch `Sequential` of
        `Linear` layers and activations, as it is or as a safetensors file (`.safetensors`). Or an ONNX file (`.onnx`)
        of products with weights, biases and activations; that takes the package `onnx`.
    activation : str or sequence of str, optional
        Of the hidden layers of a state dict, which does not say: one for all or one for each, by this library's names
        or PyTorch's, such as "ReLU". The other sources say it themselves.
    output : {"identity", "sigmoid", "softmax"}, optional
        Of the last layer of a state dict; "identity" if nothing is said.

    Returns
    -------
    Network
        In float64 where all weights are, else in float32. Of a classifier of two classes of scikit-learn it gives the
        probability of the second.

    Raises
    ------
    ModelFileError
        The file is missing or damaged, or holds what is no chain of dense layers.
    ParameterError
        The source is none of these or not fitted, it has an activation that is unknown here, or a state dict comes
        without a word on its activations.

    Examples
    --------
    >>> state = {"0.weight": [[1.0, -1.0]], "0.bias": [0.5], "2.weight": [[2.0], [3.0]], "2.bias": [0.0, 0.0]}
    >>> import_network(state, activation="ReLU")([[3.0, 1.0]]).tolist()
    [[5.0, 7.5]]
    """
    if isinstance(source, Mapping):
        chain = _of_state(source, "the state dict", activation, output)
    elif isinstance(source, (str, PathLike)) and Path(source).suffix == ".safetensors":
        from fallline.files.imports.state import tensors

        chain = _of_state(tensors(source), str(source), activation, output)
    else:
        if activation is not None or output is not None:
            raise ParameterError("activation and output are for state dicts; other sources say theirs themselves")
        if hasattr(source, "coefs_") and hasattr(source, "out_activation_"):
            chain = _of_estimator(source)
        elif hasattr(source, "hidden_layer_sizes"):
            raise ParameterError(f"the {type(source).__name__} is not fitted; fit it first")
        elif isinstance(source, (str, PathLike)) and Path(source).suffix == ".onnx":
            from fallline.files.imports import onnx

            chain = onnx.read(source)
        else:
            what = repr(source) if isinstance(source, (str, PathLike)) else f"a {type(source).__name__}"
            raise ParameterError(
                f"{what} is no network to import: a .onnx or .safetensors file, a state dict, or a fitted "
                "MLPClassifier or MLPRegressor is needed"
            )
    return chain.network()


def _of_state(state: Mapping[str, Any], name: str, activation: Any, output: str | None) -> Chain:
    from fallline.files.imports.state import chain

    if activation is None:
        raise ParameterError("a state dict does not say its activations; say them, such as activation='relu'")
    return chain(state, name, activation, output or "identity")


def _of_estimator(estimator: Any) -> Chain:
    """Weights are (n_in, n_out) there, too."""
    names = {"logistic": "sigmoid"}
    hidden, last = (names.get(name, name) for name in (estimator.activation, estimator.out_activation_))
    layers = [(np.asarray(W), np.asarray(b)) for W, b in zip(estimator.coefs_, estimator.intercepts_, strict=True)]
    return Chain(type(estimator).__name__, layers, [hidden] * (len(layers) - 1), last)

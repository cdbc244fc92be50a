"""The one table of hyper-parameters: type, default, range and one line of doc; validation, help and reference read it.

Only plain Python is imported here, so that `fallline --help` costs nothing. `"auto"` as a default means that the recipe
decides when it has seen the table (see `fallline.recipes`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from fallline.errors import ParameterError, did_you_mean

_WORDS = {"auto": "'auto'", None: "none"}


@dataclass(frozen=True)
class Param:
    """One hyper-parameter.

    Parameters
    ----------
    name : str
        The name that users type; with dashes on the command line.
    type : {int, float, str, tuple}
        tuple means whole numbers.
    default : object
        What holds where nobody says otherwise.
    allowed : callable or tuple of str
        Whether a value of that type is in range; or the names to choose from.
    words : str
        The range in words, after "it must be".
    doc : str
        One line for help and reference.
    group : {"data", "network", "descent", "regularisation", "run"}
    special : tuple
        Values that stand beside the type: "auto" or None.
    item : {int, float}
        What a tuple holds.
    from_text : callable, optional
        Reads what a person typed, where it is more than the type's own words; ValueError where it cannot.
    option : str
        The name on the command line, where it is another.
    """

    name: str
    type: type
    default: Any
    allowed: Callable[[Any], bool] | tuple[str, ...]
    words: str
    doc: str
    group: str
    special: tuple[Any, ...] = ()
    item: Callable[[Any], Any] = int
    from_text: Callable[[str], Any] | None = None
    option: str = ""

    def check(self, value: Any) -> Any:
        """Give the value as its type, if it is in range.

        Parameters
        ----------
        value : object

        Returns
        -------
        int, float, str, tuple of int, "auto" or None

        Raises
        ------
        ParameterError
            Names the parameter, its value and what is allowed.

        Examples
        --------
        >>> PARAMS["hidden"].check([64, 32]), PARAMS["epochs"].check("auto")
        ((64, 32), 'auto')
        """
        if (value is None or isinstance(value, str)) and value in self.special:
            return value
        if isinstance(self.allowed, tuple):
            if not isinstance(value, str) or value not in self.allowed:
                known = [*self.allowed, *(name or "none" for name in self.special)]
                raise ParameterError(f"{self.name} {value!r} is unknown{did_you_mean(value, known)}")
            return value
        converted = _converted(self.type, value, self.item)
        if converted is None or not self.allowed(converted):
            raise ParameterError(f"{self.name} is {value!r}; it must be {self.range}")
        return converted

    def number(self, value: Any) -> Any:
        """Give the value as `check` does, but for "auto", which is for recipes: they have seen the rows."""
        if isinstance(value, str):
            raise ParameterError(f"{self.name} is {value!r}; it must be {self.words}")
        return self.check(value)

    def parse(self, text: str) -> Any:
        """Give the value that a person typed, such as `256,256` or `none`; ParameterError as in `check`.

        Examples
        --------
        >>> PARAMS["hidden"].parse("256,128"), PARAMS["learning_rate"].parse("1e-2")
        ((256, 128), 0.01)
        """
        if text.lower() == "none":
            return self.check(() if self.type is tuple else None)
        if text in self.special:
            return text
        try:
            if self.type is tuple:
                return self.check(tuple(self.item(part) for part in text.split(",")))
            return self.check((self.from_text or self.type)(text))
        except (ValueError, OverflowError) as error:
            if isinstance(error, ParameterError):
                raise
            raise ParameterError(f"{self.name} is {text!r}; it must be {self.range}") from None

    def text(self, value: Any) -> str:
        """What one would type for a value; `parse` reads it.

        Examples
        --------
        >>> PARAMS["hidden"].text((64, 32)), PARAMS["learning_rate"].text(1e-3), PARAMS["patience"].text(None)
        ('64,32', '0.001', 'none')
        """
        if value is None or value == ():
            return "none"
        if isinstance(value, tuple):
            return ",".join(_shortest(item) for item in value)
        return value if isinstance(value, str) else _shortest(value)

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return f"--{(self.option or self.name).replace('_', '-')}"

    @property
    def range(self) -> str:
        """What is allowed, in words, the special values included."""
        return ", or ".join([self.words, *(_WORDS[value] for value in self.special)])


def _converted(kind: type, value: Any, item: Callable[[Any], Any] = int) -> Any:
    """Give the value as int, float or tuple of items; None where it is something else."""
    if kind is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            return None
        numbers = tuple(_converted(float if item is float else int, part) for part in value)
        return None if None in numbers else numbers
    if isinstance(value, bool):
        return None
    if kind is int:
        return int(value) if isinstance(value, Integral) else None
    return float(value) if isinstance(value, Real) else None


def _shortest(value: float) -> str:
    """A number that is read back as the same one."""
    return text if float(text := f"{value:g}") == value else repr(value)


def _whole(least: int) -> Callable[[int], bool]:
    return lambda value: value >= least


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _not_negative(value: float) -> bool:
    return 0 <= value < math.inf


def _share(value: float) -> bool:
    return 0 <= value < 1


def _seconds(text: str) -> float:
    """What "90", "90s", "1.5m" or "2h" means; ValueError for anything else."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    return float(text[:-1]) * unit if unit else float(text)


TASKS = ("classification", "regression")
ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus")
INPUTS = ("embedded", "plain")
OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw")
SCHEDULES = ("constant", "step", "exponential", "cosine", "one_cycle", "coslog4", "warm_up")
LOSSES = (
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "categorical_cross_entropy",
    "binary_cross_entropy",
)
TRANSFORMS = ("log",)
HELD_BACK = ("random", "last")
ENGINES = ("native", "reference", "xla", "auto")
_ENGINE = (
    "What computes. native: the compiled core; reference: NumPy to be read; xla: JAX, for GPUs and TPUs; auto: "
    "xla where there is one and the work is large enough to pay, otherwise native."
)


def _one_of(names: Sequence[str]) -> str:
    return f"one of {', '.join(names)}"


_TABLE = (
    Param(
        "task",
        str,
        "auto",
        TASKS,
        _one_of(TASKS),
        "What is learned: classes or a number. auto: classes for text and for at most 20 different whole numbers.",
        "data",
        ("auto",),
    ),
    Param(
        "validation",
        float,
        "auto",
        _share,
        "at least 0 and below 1",
        "Share of the rows held back to measure on. auto: with several starts each holds back other rows, else 0.2.",
        "data",
        ("auto",),
    ),
    Param(
        "hold_back",
        str,
        "random",
        HELD_BACK,
        _one_of(HELD_BACK),
        "Which rows are held back. last: those at the end, of rows that are in the order of time.",
        "data",
    ),
    Param(
        "target_transform",
        str,
        None,
        TRANSFORMS,
        _one_of(TRANSFORMS),
        "log: the logarithm of the target is learned, so errors count relative to its size; it must be above 0.",
        "data",
        (None,),
    ),
    Param(
        "hidden",
        tuple,
        "auto",
        lambda sizes: all(1 <= size <= 10_000_000 for size in sizes),
        "whole numbers from 1 to 10,000,000, such as 256,256 (none: no hidden layer)",
        "Neurons of each hidden layer. auto: 128,128; 256,256,256 from 100,000 rows on; for pictures 256,256.",
        "network",
        ("auto",),
    ),
    Param(
        "activation",
        str,
        "auto",
        ACTIVATIONS,
        _one_of(ACTIVATIONS),
        "Activation of the hidden layers. auto: relu for classes, silu for numbers.",
        "network",
        ("auto",),
    ),
    Param(
        "inputs",
        str,
        "embedded",
        INPUTS,
        _one_of(INPUTS),
        "How numbers go in. embedded: as learned waves of each; plain: as they are, scaled.",
        "network",
    ),
    Param(
        "loss",
        str,
        "auto",
        LOSSES,
        _one_of(LOSSES),
        "What is minimised. auto: categorical_cross_entropy for classes, squared_error for numbers.",
        "descent",
        ("auto",),
    ),
    Param(
        "quantiles",
        tuple,
        (0.05, 0.5, 0.95),
        lambda quantiles: len(quantiles) > 0 and all(0 < quantile < 1 for quantile in quantiles),
        "numbers above 0 and below 1, such as 0.05,0.5,0.95",
        "Which quantiles the loss quantile learns.",
        "descent",
        item=float,
    ),
    Param(
        "epochs",
        int,
        "auto",
        _whole(1),
        "a whole number, 1 or more",
        "Times that every row is visited. auto: 32, from 100,000 rows on 24; at least 2000 steps.",
        "descent",
        ("auto",),
    ),
    Param(
        "batch_size",
        int,
        "auto",
        _whole(1),
        "a whole number, 1 or more",
        "Rows in a batch. auto: 64, from 100,000 rows on 512; for pictures 32.",
        "descent",
        ("auto",),
    ),
    Param("optimizer", str, "adamw", OPTIMIZERS, _one_of(OPTIMIZERS), "How a gradient becomes a step.", "descent"),
    Param(
        "learning_rate",
        float,
        "auto",
        _positive,
        "a positive number",
        "Length of a step relative to the gradient. auto: what suits the optimizer and the task.",
        "descent",
        ("auto",),
    ),
    Param(
        "schedule",
        str,
        "auto",
        SCHEDULES,
        _one_of(SCHEDULES),
        "What the learning rate is multiplied by as the training goes on. auto: coslog4, for pictures cosine.",
        "descent",
        ("auto",),
    ),
    Param(
        "clip_norm",
        float,
        None,
        _positive,
        "a positive number",
        "Gradients longer than this are shortened to it.",
        "descent",
        (None,),
    ),
    Param(
        "weight_decay",
        float,
        "auto",
        _not_negative,
        "0 or more",
        "Share of each weight, times the learning rate, taken away a step. auto: what suits the optimizer.",
        "regularisation",
        ("auto",),
    ),
    Param("l1", float, 0.0, _not_negative, "0 or more", "Penalty on the sum of |W|.", "regularisation"),
    Param("l2", float, 0.0, _not_negative, "0 or more", "Penalty on half the sum of W^2.", "regularisation"),
    Param(
        "dropout",
        float,
        0.0,
        _share,
        "at least 0 and below 1",
        "Share of the neurons dropped after each hidden layer in a step.",
        "regularisation",
    ),
    Param(
        "label_smoothing",
        float,
        "auto",
        _share,
        "at least 0 and below 1",
        "Share of each target that is spread evenly over the classes. auto: 0.05; for pictures, and many rows, 0.",
        "regularisation",
        ("auto",),
    ),
    Param(
        "patience",
        int,
        None,
        _whole(1),
        "a whole number, 1 or more",
        "Stop after this many epochs in which no start got better on the rows it did not see.",
        "regularisation",
        (None,),
    ),
    Param(
        "starts",
        int,
        "auto",
        _whole(1),
        "a whole number, 1 or more",
        "Random starts to train together. auto: 12, from 100,000 rows on 2; for pictures 1.",
        "run",
        ("auto",),
    ),
    Param(
        "combine",
        str,
        "average",
        ("average", "best"),
        "'average' or 'best'",
        "Whether the starts answer together, or only the one that is best on the rows it did not see.",
        "run",
    ),
    Param(
        "time_budget",
        float,
        None,
        _positive,
        "a positive number of seconds, such as 60 or 60s, 5m, 1h",
        "Time to train in: more than the recipe wants means more starts and epochs, less time fewer.",
        "run",
        (None,),
        from_text=_seconds,
        option="time",
    ),
    Param(
        "seed",
        int,
        0,
        lambda value: 0 <= value < 2**63,
        "a whole number from 0 up to 2^63",
        "Of everything random: the same seed gives the same model.",
        "run",
    ),
    Param(
        "threads",
        int,
        "auto",
        _whole(1),
        "a whole number, 1 or more",
        "Threads of the native engine; the result is the same for any number. auto: as many as this process may use.",
        "run",
        ("auto",),
    ),
    Param(
        "precision",
        str,
        None,
        ("bf16",),
        "'bf16'",
        "bf16: matrix products of numbers with 8 binary digits, on processors with AVX-512 BF16. Weights stay float32.",
        "run",
        (None,),
    ),
    Param(
        "repair",
        int,
        3,
        _whole(0),
        "a whole number, 0 or more",
        "Times that a start whose loss became infinite goes back and on with half the step size. 0: an error instead.",
        "run",
    ),
    Param("engine", str, "native", ENGINES, _one_of(ENGINES), _ENGINE, "run"),
)

PARAMS: dict[str, Param] = {param.name: param for param in _TABLE}


def check(settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All settings: those given, checked, and the defaults for the others, in the order of the table.

    Parameters
    ----------
    settings : mapping from names to values, optional

    Returns
    -------
    dict

    Raises
    ------
    ParameterError
        A name is unknown or a value is out of range.

    Examples
    --------
    >>> settings = check({"epochs": 5})
    >>> settings["epochs"], settings["optimizer"], settings["starts"]
    (5, 'adamw', 'auto')
    """
    given = dict(settings or {})
    for name in given:
        if name not in PARAMS:
            raise ParameterError(f"setting {name!r} is unknown{did_you_mean(name, PARAMS)}")
    return {name: param.check(given.get(name, param.default)) for name, param in PARAMS.items()}

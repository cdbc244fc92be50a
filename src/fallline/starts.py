"""The starts of a descent: for each a network to begin from and, where a sweep asks for it, settings of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fallline.engines import Start
from fallline.errors import ParameterError
from fallline.network import Network
from fallline.optimizers import PerStart, StepRule, as_per_start
from fallline.params import PARAMS


def as_starts(
    net: Network | Sequence[Network], rule: StepRule, starts: int | range = 1, l1: PerStart = 0.0, l2: PerStart = 0.0
) -> tuple[list[Network], tuple[Start, ...]]:
    """Give each start its network, a copy, and its settings.

    Parameters
    ----------
    net : Network or sequence of Network
        Start number 0, the others being random starts of its seed; or each start as given.
    rule : StepRule
    starts : int or range, default 1
        How many, or which numbers; 1 leaves it to the sequences.
    l1, l2 : float or sequence of float, default 0

    Returns
    -------
    list of Network
    tuple of Start

    Raises
    ------
    ParameterError
        Sequences differ in length from each other or from `starts`, a number or a range is out of range, or networks
        differ in their layers.

    Examples
    --------
    >>> from fallline.optimizers import SGD
    >>> networks, settings = as_starts(Network([2, 1]), SGD([0.1, 0.3]), l2=0.01)
    >>> [start.learning_rate for start in settings], [start.l2 for start in settings]
    ([0.1, 0.3], [0.01, 0.01])
    """
    given = {
        "learning_rate": rule.learning_rate,
        "weight_decay": rule.weight_decay,
        "l1": _checked("l1", l1),
        "l2": _checked("l2", l2),
    }
    networks = [] if isinstance(net, Network) else _alike(net)
    n_starts = len(_numbers(starts)) if isinstance(starts, range) else PARAMS["starts"].number(starts)
    lengths = {f"starts is {starts}": n_starts} if starts != 1 else {}
    if not isinstance(net, Network):
        lengths[f"net has {len(networks)} networks"] = len(networks)
    lengths |= {f"{name} has {len(value)} numbers": len(value) for name, value in given.items() if _several(value)}
    for length, n in lengths.items():
        first, n_starts = next(iter(lengths.items()))
        if n != n_starts:
            raise ParameterError(f"{first}, but {length}; each start takes one")
    numbers = starts if isinstance(starts, range) else range(n_starts)
    if isinstance(net, Network):
        networks = [net.restart(k) if k else net.copy() for k in numbers]
    columns = [value if _several(value) else (value,) * n_starts for value in given.values()]
    return networks, tuple(Start(k, *own) for k, *own in zip(numbers, *columns, strict=True))


def _numbers(starts: range) -> range:
    if not starts or starts.step != 1 or starts.start < 0:
        raise ParameterError(f"starts is {starts}; it must have numbers from 0 on, one after the other")
    return starts


def _several(value: object) -> bool:
    return isinstance(value, tuple)


def _checked(name: str, value: PerStart) -> Any:
    """A number, or a tuple of them, each in the range of the table of parameters."""
    numbers = as_per_start(value)
    if not _several(numbers):
        return PARAMS[name].check(numbers)
    if not numbers:
        raise ParameterError(f"{name} is empty; it must be a number, or one for each start")
    try:
        return tuple(PARAMS[name].check(number) for number in numbers)
    except ParameterError as error:
        raise ParameterError(f"{error}, for each start") from None


def _alike(nets: Sequence[Network]) -> list[Network]:
    """Copies of networks that may go down together."""
    if not isinstance(nets, Sequence) or not nets or not all(isinstance(net, Network) for net in nets):
        raise ParameterError(f"net is {nets!r}; it must be a Network, or a sequence of one for each start")
    for k, net in enumerate(nets):
        if (net.shape, net.dtype) != (nets[0].shape, nets[0].dtype):
            raise ParameterError(
                f"net[{k}] is {net!r} in {net.dtype}, but net[0] is {nets[0]!r} in {nets[0].dtype}; they must be alike"
            )
    return [net.copy() for net in nets]

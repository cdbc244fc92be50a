"""`spread`: a descent whose starts go down on joblib's workers, in processes or on a cluster."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fallline.descent import descend, words
from fallline.descent.call import held_back
from fallline.engines import Data
from fallline.errors import DivergenceWarning, ParameterError
from fallline.listeners import History
from fallline.losses import as_loss
from fallline.network import Network
from fallline.optimizers import as_rule
from fallline.run import Run
from fallline.starts import as_starts

Array = npt.NDArray[Any]


def spread(
    net: Network | Sequence[Network],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    n_jobs: int | None = None,
    **settings: Any,
) -> Run:
    """Gradient descent from many starts, which joblib's workers share among them.

    The run is that of `descend(net, X, y, **settings)`, to the same bits: each start goes its own way, whoever else
    goes down beside it.

    Parameters
    ----------
    net, X, y
        As in `descend`.
    n_jobs : int or None, default None
        How many workers, as scikit-learn has it: None is 1, or what the `joblib.parallel_config` around the call says;
        -1 is all. Each worker trains its part of the starts together.
    **settings
        All others of `descend`, but `callbacks` and `checkpoint`: nobody hears of all starts while they go down.

    Returns
    -------
    Run

    Raises
    ------
    ParameterError, DataError, DivergenceError
        As in `descend`; or there are callbacks, or a checkpoint.

    Warns
    -----
    DivergenceWarning
        As in `descend`.

    Notes
    -----
    Ctrl-C raises KeyboardInterrupt. All workers see the same rows; joblib's backends send them once to each, or share
    them through the disk, where they are large.

    Examples
    --------
    >>> import numpy as np
    >>> from fallline import Network, descend
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net, settings = Network([1, 8, 1], "tanh", seed=1), {"starts": 4, "epochs": 5}
    >>> run = spread(net, x, x[:, 0] ** 2, n_jobs=2, **settings)
    >>> together = descend(net, x, x[:, 0] ** 2, **settings)
    >>> run.best_start == together.best_start, bool((run.losses == together.losses).all())
    (True, True)
    """
    from joblib import Parallel, delayed, effective_n_jobs  # type: ignore[import-untyped]

    for name in ("callbacks", "checkpoint"):
        if name in settings:
            raise ParameterError(f"{name} is for a descent in one process; leave it out, or call descend")
    rule = as_rule(settings.pop("optimizer", "adam"))
    own = {"l1": settings.pop("l1", 0.0), "l2": settings.pop("l2", 0.0)}
    networks, starts = as_starts(net, rule, settings.pop("starts", 1), **own)
    data, measured = _rows(networks, X, y, settings)
    parts = np.array_split(np.arange(len(starts)), min(len(starts), effective_n_jobs(n_jobs)))
    tasks = []
    for first, last in ((int(part[0]), int(part[-1]) + 1) for part in parts):
        some = starts[first:last]
        told = _of_starts(settings, first, last) | {
            "starts": range(some[0].number, some[-1].number + 1),
            "optimizer": replace(  # type: ignore[type-var]
                rule,
                learning_rate=[start.learning_rate for start in some],
                weight_decay=[start.weight_decay for start in some],
            ),
            "l1": [start.l1 for start in some],
            "l2": [start.l2 for start in some],
        }
        tasks.append(delayed(_part)(networks[first:last], data.X, y, told))
    runs = Parallel(n_jobs=n_jobs)(tasks)
    if any(run.stop_reason == "interrupted" for run in runs):
        raise KeyboardInterrupt
    run = _together(runs, networks)
    return replace(run, plan=replace(run.plan, optimizer=rule), data=data, validation=measured)


def _rows(
    networks: list[Network], X: npt.ArrayLike, y: npt.ArrayLike, settings: Mapping[str, Any]
) -> tuple[Data, list[Data] | None]:
    """Rows to train on and to measure on, checked, as a descent from all starts has them."""
    net, n_starts, validation = networks[0], len(networks), settings.get("validation")
    loss = as_loss(settings.get("loss", "auto"), net.output)
    data = Data.of(net, loss, X, y, settings.get("sample_weight"), n_starts)
    return data, None if validation is None else held_back(net, loss, validation, n_starts)


def _of_starts(settings: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
    """The settings of some of the starts: where each has weights of its own, only theirs."""
    some, weight, validation = dict(settings), settings.get("sample_weight"), settings.get("validation")
    if weight is not None and np.ndim(weight) == 2:
        some["sample_weight"] = np.asarray(weight)[first:last]
    if validation is not None and len(validation) == 3 and np.ndim(validation[2]) == 2:
        some["validation"] = (*validation[:2], np.asarray(validation[2])[first:last])
    return some


def _part(networks: list[Network], X: npt.ArrayLike, y: npt.ArrayLike, settings: Mapping[str, Any]) -> Run:
    """A worker's share: the run of some starts, without the rows, which the caller has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)  # the caller will say it
        run = descend(networks, X, y, **settings)
    return replace(run, data=run.data.rows(slice(0)), validation=None)


def _together(runs: Sequence[Run], networks: list[Network]) -> Run:
    """One run of the runs of its parts, still without the rows."""
    begins = np.cumsum([0, *(len(run.networks) for run in runs)])
    for network, trained in zip(networks, (network for run in runs for network in run.networks), strict=True):
        network.parameters = trained.parameters
    longest = max(runs, key=lambda run: run.history.n_epochs)  # a part ends early where all its starts have diverged
    history = _history(runs, longest, begins)
    losses = np.concatenate([run.losses for run in runs])
    kept_steps = [step for run in runs for step in run.kept_steps]
    lost = [run for run in runs if run.stop_reason == "diverged" or np.isnan(run.history["loss"][-1:]).any()]
    if lost:
        message = lost[0].message
    else:
        message = words.ended(longest.stop_reason, history.n_epochs, "", kept_steps)
        message += words.repaired(history.repairs, len(networks))
    if lost or history.repairs:
        warnings.warn(message, DivergenceWarning, stacklevel=3)
    return replace(
        longest,
        networks=networks,
        best_start=int(np.argmin(np.where(np.isnan(losses), np.inf, losses))),
        history=history,
        message=message,
        kept_steps=kept_steps,
        kept_epochs=[epoch for run in runs for epoch in run.kept_epochs],
        losses=losses,
        plan=replace(longest.plan, starts=tuple(start for run in runs for start in run.plan.starts)),
        begun_at=np.concatenate([run.begun_at for run in runs]),
    )


def _history(runs: Sequence[Run], longest: Run, begins: Array) -> History:
    """The columns side by side, NaN where a part ended early, and the repairs in their order."""
    states, n_epochs = [run.history.state() for run in runs], longest.history.n_epochs
    columns = {name: np.asarray(values) for name, values in longest.history.state().items()}
    for name, values in columns.items():
        if name == "start":
            columns[name] = np.tile(np.arange(begins[-1]), (n_epochs, 1))
        elif values.ndim == 2:
            columns[name] = np.full((n_epochs, begins[-1]), np.nan)
            for state, begin, end in zip(states, begins, begins[1:], strict=False):
                own = np.asarray(state.get(name, np.empty((0, end - begin))))
                columns[name][: len(own), begin:end] = own
    history = History()
    history.resume(columns)
    repairs = [
        repair | {"start": repair["start"] + begin}
        for run, begin in zip(runs, begins.tolist(), strict=False)
        for repair in run.history.repairs
    ]
    history.repairs = sorted(repairs, key=lambda repair: (repair["epoch"], repair["start"]))
    return history

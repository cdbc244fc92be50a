"""`resume`: a descent that was cut short goes on, with what its checkpoint knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy.typing as npt

from fallline import losses, optimizers, schedules
from fallline.checkpoint import Checkpoint
from fallline.descent.call import descend
from fallline.errors import CheckpointError, ParameterError
from fallline.inputs import Inputs
from fallline.listeners import Listener
from fallline.losses import Loss
from fallline.metrics import Metric
from fallline.network import Network
from fallline.rates import Rates
from fallline.run import Run
from fallline.schedules import Schedule


def resume(
    folder: str | PathLike[str],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    validation: tuple[npt.ArrayLike, ...] | None = None,
    sample_weight: npt.ArrayLike | None = None,
    metrics: str | Sequence[str] | Mapping[str, Metric] | None = None,
    callbacks: Listener | Sequence[Listener] = (),
    loss: Loss | None = None,
    schedule: Schedule | None = None,
    seconds: float = 30.0,
    threads: int | str | None = None,
) -> Run:
    """Go on with a descent that was kept in a folder, and end at the same bits as if it had not been cut short.

    Networks and settings are in the checkpoint; rows are not, and are given again.

    Parameters
    ----------
    folder : str or path
        As in `descend`'s `checkpoint`.
    X, y, validation, sample_weight
        The same as then: a fingerprint of them is in the checkpoint.
    metrics : str, sequence of str or mapping of str to callable, optional
        Needed where one of them was your own.
    callbacks : Listener or sequence of Listener, default ()
        Those that remember something, such as `EarlyStopping`, must be the same as then; the others may be any.
    loss : Loss, optional
        Needed where it was your own.
    schedule : Schedule, optional
        Needed where it was your own.
    seconds : float, default 30
        Between the checkpoints from now on.
    threads : int, "auto" or None, default None
        As in `descend`.

    Returns
    -------
    Run
        Of a descent that was over already the same one, at once.

    Raises
    ------
    CheckpointError
        There is no checkpoint, or none that is good.
    ParameterError, DataError
        The rows or callbacks are not those of the checkpoint; something of your own is needed.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from fallline import EarlyStopping
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> class PowerCut(Listener):
    ...     def on_epoch(self, epoch):
    ...         if epoch.progress.epoch == 7:
    ...             raise OSError("no more power")
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         run = descend(Network([1, 8, 1]), x, x[:, 0] ** 2, epochs=20, checkpoint=folder, callbacks=PowerCut())
    ...     except OSError as error:
    ...         print(error)
    ...     run = resume(folder, x, x[:, 0] ** 2)
    no more power
    >>> alone = descend(Network([1, 8, 1]), x, x[:, 0] ** 2, epochs=20)
    >>> len(run.history), bool((run.network.parameters == alone.network.parameters).all())
    (20, True)
    """
    checkpoint = Checkpoint(folder, seconds, resume=True)
    found = checkpoint.last()
    if found is None:
        raise CheckpointError(f"{folder}: there is no checkpoint of a descent to go on with")
    known = dict(found.header["descent"])
    if found.header["about"].get("settings"):
        raise ParameterError(
            f"{folder}: of a training of a table, which goes on with the same command, and --resume; or with "
            "fallline.fit.fit and its checkpoint"
        )
    shape = known.pop("network")
    inputs = None if shape["inputs"] is None else Inputs(**shape["inputs"])
    networks = [Network(**shape | {"inputs": inputs, "parameters": block}) for block in found.tensors["begun_at"]]
    rule = known.pop("optimizer")
    told: dict[str, Any] = {
        "optimizer": optimizers.RULES[rule.pop("name")](**rule),
        "loss": loss or _loss(known.pop("loss")),
        "schedule": schedule or _schedule(known.pop("schedule")),
        "rates": Rates(**known.pop("rates")),
        "metrics": known.pop("metrics") if metrics is None else metrics,
    }
    for name in ("rows", "validation_rows", "begun_at", "starts", *told):
        known.pop(name, None)
    return descend(
        networks,
        X,
        y,
        validation=validation,
        sample_weight=sample_weight,
        callbacks=callbacks,
        threads=threads,
        checkpoint=checkpoint,
        **told,
        **known,
    )


def _loss(settings: dict[str, Any]) -> Loss:
    name = settings.pop("name", None)
    if name not in losses.LOSSES:
        raise ParameterError("the descent had a loss of your own; give it as loss=")
    return losses.LOSSES[name](**_tuples(settings))


def _schedule(settings: dict[str, Any]) -> Schedule:
    name = settings.pop("name", None)
    if name not in schedules.SCHEDULES:
        raise ParameterError("the descent had a schedule of your own; give it as schedule=")
    inner = {key: _schedule(value) for key, value in settings.items() if isinstance(value, dict)}
    return schedules.SCHEDULES[name](**_tuples(settings) | inner)


def _tuples(settings: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}

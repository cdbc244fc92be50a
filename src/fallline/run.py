"""What a descent came to, and the parameters that it keeps on the way."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fallline.engines import Data, Plan
from fallline.listeners import History, Recorder
from fallline.network import Network

if TYPE_CHECKING:
    from fallline.diagnosis import Finding

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Run:
    """What a descent came to.

    Attributes
    ----------
    networks : list of Network
        One for each start, each at its kept parameters.
    best_start : int
        The start whose kept parameters have the lowest loss.
    history : History
        Rows of every epoch.
    stop_reason : {"finished", "stopped", "interrupted", "diverged"}
        All epochs done; a listener asked for it; Ctrl-C; every start's loss was no longer finite.
    message : str
        The same in words, with what to do about it.
    kept_steps : list of int
        The step after which each start's parameters were kept; 0 is the random start.
    kept_epochs : list of int
        Whole epochs up to that step.
    losses : array of shape (K,)
        Loss of each start at its kept parameters: on the validation rows (or what the descent monitored there), or,
        without any, the training loss of an epoch next to them. NaN where it was not measured.
    monitor : str
        The history's column that "best" went by, smallest; with a minus before it, largest.
    plan : Plan
        What the engine was told.
    data : Data
        The rows trained on.
    validation : list of Data or None
        For each start the rows that it was measured on.
    recorder : Recorder or None
        A copy of the first recorder among the callbacks, with the path that was taken: another descent that the
        recorder listens to leaves it as it is.
    begun_at : array of shape (K, P)
        The parameters that each start began at.
    stopped_because : str
        What the listener that stopped the descent says of it (`Listener.stops_because`); empty where none did.
    """

    networks: list[Network]
    best_start: int
    history: History
    stop_reason: str
    message: str
    kept_steps: list[int]
    kept_epochs: list[int]
    losses: Array
    monitor: str
    plan: Plan
    data: Data
    validation: list[Data] | None
    recorder: Recorder | None
    begun_at: Array
    stopped_because: str

    @property
    def network(self) -> Network:
        """The network of the best start."""
        return self.networks[self.best_start]

    def diagnose(self) -> list[Finding]:
        """What was wrong with the descent, if anything, in plain words: each with its evidence and one thing to do.

        Returns
        -------
        list of Finding
            The most telling first; empty where all seems well. docs/diagnosis.md lists all that there are.

        Examples
        --------
        >>> from fallline import SGD, Network, descend
        >>> x = np.linspace(-1, 1, 64)[:, None]
        >>> run = descend(Network([1, 8, 1], seed=1), x, x[:, 0] ** 2, optimizer=SGD(1e-6), epochs=10)
        >>> finding = run.diagnose()[0]
        >>> finding.name, finding.advice
        ('step_too_small', 'try a learning rate of 1e-05')
        """
        from fallline.diagnosis import diagnose

        return diagnose(self)

    def report(self, path: str | PathLike[str]) -> None:
        """Write the run as one HTML file to look at: the network, the way down, where each start ended.

        The path over the loss surface is in it if a `Recorder` was among the callbacks.

        Parameters
        ----------
        path : str or path
            Ends in `.html`.

        Raises
        ------
        ParameterError
            It ends otherwise.
        """
        room = _report_room()
        room.write(room.report_of_run(self), path)

    def _repr_html_(self) -> str:
        """Show a notebook the loss curve."""
        return str(_report_room().html_of_run(self))


def _report_room() -> Any:
    """What writes reports stands far above this room: it is asked for by its name, and only when it is wanted."""
    return import_module("fallline.report")


@dataclass
class Snapshot:
    """Parameters of every start at some moment of its own: their block (K, P), the step after which, their loss."""

    parameters: Array
    step: Array
    loss: Array

    def take(self, where: Array, parameters: Array, step: int | Array, loss: Array | float) -> None:
        """Replace the starts that `where`, shape (K,), names."""
        if where.all():  # the usual case, several times as fast
            np.copyto(self.parameters, parameters)
        else:
            np.copyto(self.parameters, parameters, where=where[:, None])
        np.copyto(self.step, step, where=where)
        np.copyto(self.loss, loss, where=where)

    def exchange(self, where: Array, parameters: Array, step: int | Array, loss: Array | float) -> Array:
        """Do the same, without copying where all are replaced: the caller goes on with the block that this gives."""
        if not where.all():
            self.take(where, parameters, step, loss)
            return parameters
        free, self.parameters = self.parameters, parameters
        self.step[:], self.loss[:] = step, loss
        return free

"""Where `fallline train` keeps its checkpoints, and what it says of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fallline.checkpoint import Checkpoint
from fallline.errors import ParameterError
from fallline.listeners import Listener, Progress

if TYPE_CHECKING:
    from fallline.listeners.progress_bar import ProgressBar

LONG = 60.0  # seconds after which a training is kept though nobody asked for it


def checkpoint_of(
    asked: str | None, out: Path, seconds: float, resume: bool, at_once: bool = False
) -> Checkpoint | None:
    """Where to keep a training.

    Parameters
    ----------
    asked : str or None
        A folder, or "none"; None: beside the model, if it takes long.
    out : Path
        Of the model.
    seconds : float
    resume : bool
    at_once : bool
        Whether it is kept from the beginning though nobody asked for it.

    Returns
    -------
    Checkpoint or None

    Raises
    ------
    ParameterError
        The folder cannot be one, or there is none to go on from.
    """
    if asked is None:
        return Checkpoint(f"{out}.checkpoint", seconds, resume, after=0.0 if at_once else LONG)
    if asked == "none":
        if resume:
            raise ParameterError("--resume needs a checkpoint, but --checkpoint is none")
        return None
    try:
        Path(asked).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"--checkpoint {asked}: cannot be a folder ({error.strerror or error})") from None
    return Checkpoint(asked, seconds, resume)


class Keeping(Listener):
    """Says in a line what has to be known of the checkpoints: from where it goes on, and where they are.

    Parameters
    ----------
    checkpoint : Checkpoint
    bar : ProgressBar
        That has the terminal.
    """

    def __init__(self, checkpoint: Checkpoint, bar: ProgressBar) -> None:
        self.checkpoint, self.bar = checkpoint, bar
        self._said = checkpoint.after == 0  # who named a folder knows it, and a group says it when it ends
        if checkpoint.files and not checkpoint.resume:
            self._say(f"there is a checkpoint of an earlier training in {checkpoint.folder}; --resume goes on from it")

    def on_begin(self, progress: Progress) -> None:
        """From where it goes on."""
        if progress.step:
            self._said = True
            where = f"epoch {progress.epoch} of {progress.n_epochs}"
            self._say(f"going on after {where}, from the checkpoint in {self.checkpoint.folder}")
        elif self.checkpoint.resume:
            self._say(f"there is no checkpoint in {self.checkpoint.folder}; the training begins")

    def on_checkpoint(self, path: Path) -> None:
        """Where the first one is."""
        if not self._said:
            self._said = True
            self._say(f"this takes a while: checkpoints are in {path.parent}, from where --resume goes on")

    def _say(self, message: str) -> None:
        self.bar.say(f"fallline: {message}")

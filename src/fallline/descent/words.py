"""What a descent says of itself when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fallline.engines import Plan


def diverged(plan: Plan, k: int, step: int, epoch: int, halvings: int) -> str:
    """Of a start whose loss was no longer finite: where, why, and what to do.

    Parameters
    ----------
    plan : Plan
        As it was asked for.
    k, step, epoch : int
        The start's place in the plan; the step and its epoch, from 0.
    halvings : int
        How often half the step size did not help.

    Examples
    --------
    >>> from fallline import Network, losses
    >>> from fallline.engines import Start
    >>> from fallline.optimizers import SGD
    >>> plan = Plan(Network([1, 1]).shape, losses.SquaredError(), SGD(), starts=(Start(0, 8.0),), clip_norm=1.0)
    >>> diverged(plan, 0, 41, 3, 3)[61:]
    'the learning rate 8 is too large for these data, and 1 still is; try 0.1, scale the inputs'
    """
    rate = plan.starts[k].learning_rate
    last = rate / 2**halvings
    number = plan.starts[k].number
    who = f"the loss of start {number}" if number or len(plan.starts) > 1 else "the loss"
    clip = "" if plan.clip_norm else ", or set clip_norm"
    tried = f", and {last:g} still is" if halvings else ""
    return (
        f"{who} was no longer a finite number at step {step + 1} (epoch {epoch + 1}): "
        f"the learning rate {rate:g} is too large for these data{tried}; try {last / 10:g}, scale the inputs{clip}"
    )


def kept(step: int) -> str:
    """Which parameters were kept."""
    return f"the parameters after step {step} were kept" if step else "the random start was kept"


def repaired(repairs: Sequence[Mapping[str, Any]], n_starts: int) -> str:
    """Of starts that were set back, or nothing where none was.

    Examples
    --------
    >>> repaired([{"start": 0, "step": 41, "epoch": 3, "back_to": 30, "learning_rate": 0.5}], 1)
    '; its loss was no longer finite in epoch 3, so it went back to step 30 and on with the learning rate 0.5'
    """
    if not repairs:
        return ""
    last = repairs[-1]
    who = "its loss" if n_starts == 1 else f"the loss of start {last['start']}"
    several = f", the last of {len(repairs)} such times" if len(repairs) > 1 else ""
    return (
        f"; {who} was no longer finite in epoch {last['epoch']}, so it went back to step {last['back_to']} and on "
        f"with the learning rate {last['learning_rate']:g}{several}"
    )


def ended(reason: str, n_epochs: int, stopped_because: str, kept_steps: Sequence[int], folder: Any = None) -> str:
    """Of a descent that did not diverge; `folder` has the checkpoint to go on from, where there is one."""
    epochs = f"{n_epochs} epoch{'s' * (n_epochs != 1)}"
    where = "" if len(set(kept_steps)) > 1 else f", those after step {kept_steps[0]}"
    leads_on = "" if folder is None else f"; the checkpoint in {folder} leads on"
    return {
        "finished": f"all {epochs} were done",
        "stopped": f"stopped after {epochs}: {stopped_because}",
        "interrupted": f"interrupted after {epochs}{leads_on}; the best parameters so far were kept{where}",
    }[reason]

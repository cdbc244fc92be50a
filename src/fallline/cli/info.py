"""`fallline info`: what is installed here, or what is in a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fallline.cli.output import aligned
from fallline.wording import listed_briefly, score_text


def info(
    model: Annotated[Path | None, typer.Argument(metavar="MODEL", help="Model file to look into.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is installed here, or what is in a model."""
    if as_json:
        from fallline.files.model_file import to_json

        print(to_json(_installation() if model is None else _contents(model)))
    elif model is None:
        print(aligned([[name.replace("_", " "), _text(value)] for name, value in _installation().items()]))
    else:
        print(aligned([[name.replace("_", " "), _text(value)] for name, value in _contents(model).items()]))


def _installation() -> dict[str, Any]:
    import platform
    from importlib.util import find_spec

    from fallline import __version__, _core
    from fallline.engines import ALWAYS
    from fallline.threads import available, limits

    return {
        "fallline": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "engines": [*ALWAYS, *(["xla"] if find_spec("jax") else [])],
        "instruction_set": _core.instruction_set(),
        "instruction_sets": _core.instruction_sets(),
        "threads": available(),
        "thread_limits": limits(),
    }


def _contents(path: Path) -> dict[str, Any]:
    from fallline.files.model_file import read_header
    from fallline.model import load

    model, header = load(path), read_header(path)
    training = model.training
    return {
        "model": str(path),
        "format": header["format"],
        "sha256": header["sha256"],
        "task": model.task,
        "target": model.encoder.target.name,
        "classes": None if model.classes is None else model.classes.tolist(),
        "inputs": list(model.encoder.columns),
        "networks": len(model.networks),
        "layers": list(model.network.layer_sizes),
        "activation": list(model.network.activation),
        "output": model.network.output,
        "parameters": len(model.network.parameters),
        "dtype": model.network.dtype.name,
        **{
            name: training.get(name)
            for name in ("linear_share", "table", "rows", "scores", "recipe", "settings", "command", "versions")
        },
    }


def _text(value: Any) -> str:
    """Put a value into one line for people."""
    if isinstance(value, dict):
        if value and all(isinstance(item, float) for item in value.values()) and "seed" not in value:
            return score_text(value)
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list):
        return (
            "-".join(map(str, value)) if value and all(type(item) is int for item in value) else listed_briefly(value)
        )
    return "none" if value is None else str(value)

"""`fallline studio`: a live page on which a network learns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline.cli.columns import Column, Drop, Target, kinds_of
from fallline.cli.output import complain
from fallline.cli.settings import parse, setting
from fallline.errors import ParameterError

if TYPE_CHECKING:
    from fallline.live.experiment import Experiment

SETTINGS = ("hidden", "optimizer", "learning_rate", "batch_size", "inputs", "seed")
WHAT = (
    "A table or bundled set, as of train; a model file, whose first network goes on learning; or a journal that was "
    "downloaded from the page, which is done again, to the same bits."
)
ROWS = "Rows for a model or a journal, where those that it names are not there or not meant."


def studio(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="[DATA|MODEL|JOURNAL]", help=WHAT)] = "digits",
    rows: Annotated[str | None, typer.Argument(metavar="[DATA]", help=ROWS)] = None,
    target: Target = None,
    drop: Drop = None,
    column: Column = None,
    hidden: Annotated[str, setting("hidden")] = "32,16",
    optimizer: Annotated[str, setting("optimizer")] = "sgd",
    learning_rate: Annotated[str, setting("learning_rate")] = "0.1",
    batch_size: Annotated[str, setting("batch_size")] = "32",
    inputs: Annotated[str, setting("inputs")] = "plain",
    seed: Annotated[str, setting("seed")] = "0",
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to serve; others can reach it if not loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> int:
    """Watch a network learn, on a page in the browser.

    Step by step if you like, on your own rows. The address that is printed has a token; without it nobody gets in.
    Ctrl-C ends the server.
    """
    settings = parse({name: text for name, text in locals().items() if name in SETTINGS})
    kinds = kinds_of(column or ())
    from fallline.live.program import needs_extra

    needs_extra()
    from fallline.live import begin
    from fallline.live.server import Server, open_browser
    from fallline.live.studio import Studio
    from fallline.live.trainer import Trainer

    suffix = Path(what).suffix.lower()
    experiment: Experiment
    if suffix in (begin.MODEL, begin.JOURNAL):
        _has_its_own(context, "a model" if suffix == begin.MODEL else "a journal")
        experiment = begin.from_model(what, rows) if suffix == begin.MODEL else _replayed(what, rows)
    elif rows is not None:
        raise ParameterError(f"{what} and {rows}: one table is enough; a second goes with a model or a journal")
    else:
        experiment = begin.from_table(what, target, drop or (), kinds, settings)
    server = Server(Studio(Trainer(experiment)), host, port)
    print(f"studio  {server.url}", flush=True)
    if host not in ("127.0.0.1", "::1", "localhost"):
        complain("other machines can reach this page; whoever has the address can use it, so keep it to yourself")
    shown = open_browser(server.url) if browser else None
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        if shown is not None:
            shown.unlink(missing_ok=True)
    return 0


def _has_its_own(context: typer.Context, who: str) -> None:
    """Raise ParameterError for options that a model or a journal settles."""
    for param in context.command.params:
        name = param.name or ""
        source = context.get_parameter_source(name)
        if name in (*SETTINGS, "target", "drop", "column") and source is not None and source.name == "COMMANDLINE":
            raise ParameterError(f"{who} has settings of its own; leave {param.opts[0]} out")


def _replayed(path: str, rows: str | None) -> Any:
    """Do a journal again, and say how far it is where that takes a while."""
    from fallline.live import begin

    shows = sys.stderr.isatty()

    def tell(step: int) -> None:
        print(f"\r{path}: batch {step:,}", end="", file=sys.stderr, flush=True)

    experiment = begin.from_journal(path, rows, tell if shows else lambda step: None)
    if shows:
        print("\r\x1b[K", end="", file=sys.stderr)
    return experiment

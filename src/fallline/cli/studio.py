"""`fallline studio`: a live page on which a network learns."""

from __future__ import annotations

from typing import Annotated

import typer

from fallline.cli.output import complain
from fallline.cli.settings import parse, setting
from fallline.cli.train import DATA, Column, Drop, Target, kinds_of
from fallline.errors import ParameterError


def studio(
    data: Annotated[str, typer.Argument(metavar="[DATA]", help=DATA)] = "digits",
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
    """Watch a network learn, on a page in the browser: step by step if you like, on your own rows.

    The address that is printed has a token; without it nobody gets in. Ctrl-C ends the server.
    """
    names = ("hidden", "optimizer", "learning_rate", "batch_size", "inputs", "seed")
    settings = parse({name: text for name, text in locals().items() if name in names})
    kinds = kinds_of(column or ())
    try:
        from fallline.studio.server import Server, open_browser
    except ImportError as error:
        raise ParameterError(
            f"the studio needs the package {error.name}; install it with: pip install 'fallline[studio]'"
        ) from None
    from fallline.studio.experiment import Experiment
    from fallline.studio.studio import Studio
    from fallline.table import read

    table = read(data, target, drop=drop or (), kinds=kinds)
    server = Server(Studio(Experiment(table, settings)), host, port)
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

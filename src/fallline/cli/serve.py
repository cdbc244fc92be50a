"""`fallline serve`: a model as a small HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fallline.cli.output import complain
from fallline.errors import ParameterError


def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that train wrote.")],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to serve; others can reach it if not loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0: any that is free.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A name by which it may be asked, beside loopback ones. May be repeated."),
    ] = None,
    threads: Annotated[
        str, typer.Option(metavar="N", help="Requests computed at a time, or auto: as many as there are processors.")
    ] = "auto",
    max_rows: Annotated[int, typer.Option(metavar="N", min=1, help="Most rows of a request.")] = 10_000,
    max_bytes: Annotated[int, typer.Option(metavar="N", min=1, help="Most bytes of a request.")] = 8_000_000,
    max_requests: Annotated[int, typer.Option(metavar="N", min=1, help="Most requests at the same time.")] = 128,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.001, max=86_400, help="Most time of a request.")
    ] = 30.0,
) -> int:
    """Serve a model's predictions over HTTP, as JSON.

    POST /predict takes {"rows": [{"column": value, ...}, ...]} and answers {"predictions": [...]}, the same as predict.
    The address that is printed is a page that says more; /openapi.json and /schema say it to programs, /health and
    /metrics how the service is. SIGTERM and Ctrl-C end it when what is being asked is answered.

    There is no password and no encryption: on another address than loopback put a server that has them before it.
    """
    needs_extra()
    from fallline.cli.settings import parse
    from fallline.model import load
    from fallline.serving.limits import Limits
    from fallline.serving.server import LOOPBACK, Server, name_of
    from fallline.threads import as_threads

    n_threads = as_threads(parse({"threads": threads})["threads"])
    limits = Limits(max_rows, max_bytes, timeout, max_requests)
    server = Server(load(model, threads=1), name_of(model), host, port, limits, n_threads, allow_host or ())
    print(f"serving  {server.url}", flush=True)
    if host not in LOOPBACK:
        complain("other machines can reach this service, and there is no password")
    server.run()
    return 0


def needs_extra() -> None:
    """Raise ParameterError, with what to do, where the packages of the service are not installed."""
    try:
        import fallline.serving.server  # noqa: F401
    except ImportError as error:
        raise ParameterError(
            f"serve needs the package {error.name}; install it with: pip install 'fallline[serve]'"
        ) from None

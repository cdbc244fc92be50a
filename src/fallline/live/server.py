"""The server: the page's own files, one socket a tab, uploads and downloads."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import re
import secrets
import tempfile
import webbrowser
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from fallline.errors import FalllineError, ParameterError
from fallline.live.guard import Guard, hosts_of
from fallline.live.result import model_of
from fallline.live.studio import Studio
from fallline.live.tab import Tab
from fallline.live.view import View
from fallline.ports import bound

LARGEST_UPLOAD = 64 << 20  # bytes
LARGEST_COMMAND = 64 << 10  # bytes
BACKLOG = 128
MOST_TABS = 32
MOST_CONNECTIONS = 200
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def app(studio: Studio) -> Starlette:
    """The routes; `Guard` stands before them."""

    async def page(request: Request) -> Response:
        return _static("index.html")

    async def static(request: Request) -> Response:
        return _static(request.path_params["name"])

    async def socket(socket: WebSocket) -> None:
        if studio.n_tabs >= MOST_TABS:
            await socket.close(1013, "too many tabs are open")
            return
        studio.n_tabs += 1
        studio.n_tabs_ever += 1
        try:
            await Tab(socket, studio).serve()
        finally:
            studio.n_tabs -= 1

    async def data(request: Request) -> Response:
        if int(request.headers.get("content-length", "0") or 0) > LARGEST_UPLOAD:
            return _too_large()
        content = bytearray()
        try:
            async for part in request.stream():
                content += part
                if len(content) > LARGEST_UPLOAD:
                    return _too_large()
        except ClientDisconnect:
            return PlainTextResponse("", 400)
        name = re.sub(r"[\x00-\x1f/\\]", "", request.query_params.get("name", ""))[:200] or "table.csv"
        try:
            return JSONResponse(await run_in_threadpool(studio.keep, name, bytes(content)))
        except FalllineError as error:
            return JSONResponse({"error": str(error)}, 422)

    async def journal(request: Request) -> Response:
        if not studio.own:
            raise ParameterError("this descent belongs to a program, which repeats it; there is no journal")
        written = await _asked(studio, lambda experiment: experiment.journal.to_dict(experiment.step))
        return _download(json.dumps(written, indent=2).encode(), "application/json", "journal.json")

    async def history(request: Request) -> Response:
        view = await _asked(studio, lambda experiment: experiment.view())
        text = io.StringIO()
        writer = csv.DictWriter(text, list(view.history))
        writer.writeheader()
        writer.writerows(view.rows)
        return _download(text.getvalue().encode(), "text/csv", "history.csv")

    async def model(request: Request) -> Response:
        view = await _asked(studio, lambda experiment: experiment.view())
        return _download(await run_in_threadpool(_saved, view), "application/octet-stream", "model.fallline")

    async def report(request: Request) -> Response:
        view = await _asked(studio, lambda experiment: experiment.view())
        return _download(await run_in_threadpool(_reported, view), "text/html", "report.html")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name:path}", static),
            WebSocketRoute("/socket", socket),
            Route("/data", data, methods=["POST"]),
            Route("/journal", journal),
            Route("/model", model),
            Route("/report", report),
            Route("/history.csv", history),
        ],
        exception_handlers={FalllineError: _said},
    )


async def _said(request: Request, error: Exception) -> Response:
    """What cannot be done, in its one line."""
    return JSONResponse({"error": str(error)}, 422)


async def _asked(studio: Studio, look: Any) -> Any:
    return await asyncio.wrap_future(studio.control.ask(look))


def _download(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _saved(view: View) -> bytes:
    """A model file of the network as it is now."""
    with tempfile.TemporaryDirectory(prefix="fallline-") as folder:
        path = Path(folder, "model.fallline")
        model_of(view).save(path)
        return path.read_bytes()


def _reported(view: View) -> bytes:
    """A report of the network as it is now, on the rows held back."""
    from fallline.report import report_of_model, write

    with tempfile.TemporaryDirectory(prefix="fallline-") as folder:
        path = Path(folder, "report.html")
        write(report_of_model(model_of(view), view.job.rows.measured if view.validation else view.table), path)
        return path.read_bytes()


def _too_large() -> Response:
    most = LARGEST_UPLOAD >> 20
    return JSONResponse({"error": f"the file is larger than {most} MB; start with 'fallline studio FILE'"}, 413)


def _static(name: str) -> Response:
    found = _files().get(name)
    if found is None:
        return PlainTextResponse("there is no such file\n", 404)
    content, kind = found
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """The page's own files by their names; nothing else can be asked for."""
    found = {}
    folders = [("", files("fallline.live").joinpath("static"))]
    while folders:
        before, folder = folders.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append((f"{before}{entry.name}/", entry))
            elif (suffix := Path(entry.name).suffix) in TYPES:
                found[before + entry.name] = entry.read_bytes(), TYPES[suffix]
    return found


@final
class Server:
    """A studio's server, bound to a port and ready to run.

    Parameters
    ----------
    studio : Studio
    host : str, default "127.0.0.1"
    port : int, default 0
        0: any that is free.

    Attributes
    ----------
    url : str
        With the token in its fragment, which browsers do not send.

    Raises
    ------
    ParameterError
        The port is taken, or the host is not this machine's.
    """

    def __init__(self, studio: Studio, host: str = "127.0.0.1", port: int = 0) -> None:
        self.studio = studio
        try:
            self._socket, address = bound(host, port, BACKLOG)
        except ParameterError:
            studio.close()
            raise
        self.port = int(self._socket.getsockname()[1])
        token = secrets.token_urlsafe(32)
        self.url = f"{address}#t={token}"
        config = uvicorn.Config(
            Guard(app(studio), hosts_of(host, self.port), token),
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=LARGEST_COMMAND,
            ws_per_message_deflate=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until Ctrl-C, or `stop` from another thread."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self.studio.close()

    def stop(self) -> None:
        """Have `run` end."""
        self._server.should_exit = True


def open_browser(url: str) -> Path:
    """Open a page without its token in any list of processes: by way of a file that only this user may read.

    Returns
    -------
    Path
        Of that file; delete it in the end.
    """
    with tempfile.NamedTemporaryFile("w", prefix="fallline-", suffix=".html", delete=False) as file:  # mode 0600
        file.write(f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={url}">')
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(Path(file.name).as_uri())
    return Path(file.name)

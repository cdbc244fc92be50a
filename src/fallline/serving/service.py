"""The routes: what is asked is checked, computed in a thread, and answered in one line of JSON."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, final

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fallline.errors import FalllineError
from fallline.model import Model
from fallline.serving.answers import answers
from fallline.serving.contract import DIALECT, openapi, row_schema
from fallline.serving.limits import Limits
from fallline.serving.metrics import Metrics
from fallline.serving.page import page_of
from fallline.serving.rows import shown, table_of

PATHS = ("/", "/predict", "/health", "/metrics", "/schema", "/openapi.json")
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def app(
    model: Model, name: str, limits: Limits, threads: int, hosts: Iterable[str] | None = None
) -> tuple[ASGIApp, ThreadPoolExecutor]:
    """The service as an ASGI application, and the threads in which it computes.

    Parameters
    ----------
    model : Model
        Used by several threads at once, so it should itself use one.
    name : str
        Of the model, for people.
    limits : Limits
    threads : int
        How many requests are computed at a time.
    hosts : iterable of str or None
        The names, without a port, by which it may be asked; None means any.

    Returns
    -------
    ASGI application
    ThreadPoolExecutor
    """
    pool, metrics = ThreadPoolExecutor(threads, "fallline-serve"), Metrics()
    document = openapi(model, name, limits)
    fixed = {"/openapi.json": _json(document), "/health": _json({"status": "ok", "model": name})}
    fixed["/schema"] = _json({"$schema": DIALECT, "title": name, **row_schema(model.encoder)})
    html, policy = page_of(model, document, limits)
    n_asked = 0

    async def predict(request: Request) -> Response:
        nonlocal n_asked
        if n_asked >= limits.requests:
            raise _error(503, f"{n_asked} requests are under way, which is the most; try again later")
        n_asked += 1
        began = time.perf_counter()
        metrics.in_progress.set(n_asked)
        try:
            answered, n_rows = await _predicted(request, began + limits.seconds)
        except Exception:
            metrics.failures.inc()
            raise
        finally:
            n_asked -= 1
            metrics.in_progress.set(n_asked)
            metrics.seconds.observe(time.perf_counter() - began)
        metrics.rows.inc(n_rows)
        return Response(answered, media_type="application/json")

    async def _predicted(request: Request, deadline: float) -> tuple[bytes, int]:
        _check_kind(request)
        too_long = f"took longer than {limits.seconds:g} seconds"
        try:
            body = await asyncio.wait_for(_body(request, limits.bytes), deadline - time.perf_counter())
        except asyncio.TimeoutError:
            raise _error(408, f"the body {too_long} to come") from None
        work = asyncio.get_running_loop().run_in_executor(pool, _work, model, limits, body)
        try:
            return await asyncio.wait_for(work, deadline - time.perf_counter())
        except asyncio.TimeoutError:
            raise _error(503, f"the answer {too_long}; ask for fewer rows, or again when less is asked") from None
        except Refusal as refusal:
            raise _error(refusal.status, str(refusal)) from None
        except FalllineError as error:
            raise _error(422, str(error)) from None

    async def told(request: Request) -> Response:
        kind = "application/schema+json" if request.url.path == "/schema" else "application/json"
        return Response(fixed[request.url.path], media_type=kind)

    async def counts(request: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": metrics.content_type})

    async def page(request: Request) -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    routes = [Route("/", page), Route("/predict", predict, methods=["POST"]), Route("/metrics", counts)]
    routes += [Route(path, told) for path in fixed]
    inner = Starlette(routes=routes, exception_handlers={HTTPException: _said, Exception: _failed})
    inner.router.redirect_slashes = False
    return Door(inner, metrics, hosts), pool


class Refusal(Exception):
    """A request that is not what it should be, with the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _work(model: Model, limits: Limits, body: bytes) -> tuple[bytes, int]:
    """From a request's body to its answer's, and how many rows it has."""
    rows = _rows(body, limits.rows)
    return _json(answers(model, table_of(rows, model.encoder))), len(rows)


def _rows(body: bytes, most: int) -> list[Any]:
    """What a body asks for."""
    try:
        asked = json.loads(body.decode(), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8 (byte {error.start + 1})") from None
    except RecursionError:
        raise Refusal(400, "the body is not JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None
    if not isinstance(asked, dict):
        raise Refusal(422, f'the body is {shown(asked)}; an object such as {{"rows": [{{column: value}}]}} is needed')
    if list(asked) != ["rows"]:
        other = next((name for name in asked if name != "rows"), None)
        raise Refusal(422, "'rows' is missing" if other is None else f"{shown(other)} is unknown; there is only 'rows'")
    rows = asked["rows"]
    if not isinstance(rows, list):
        raise Refusal(422, f"'rows' is {shown(rows)}; a list is needed")
    if len(rows) > most:
        raise Refusal(422, f"{len(rows):,} rows are more than {most:,}; ask for them in several requests")
    return rows


def _no_number(constant: str) -> None:
    raise ValueError(f"{constant} is no number; null says that a value is missing")


def _check_kind(request: Request) -> None:
    """JSON and nothing else: what a page of another site may send unasked is something else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _error(415, "the body's Content-Type must be application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise _error(415, "the body must come as it is, without a Content-Encoding")


async def _body(request: Request, most: int) -> bytes:
    too_large = _error(413, f"the body is larger than {most:,} bytes; ask for the rows in several requests")
    said = request.headers.get("content-length", "0")
    if said.isdigit() and int(said) > most:
        raise too_large
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise too_large
    except ClientDisconnect:
        raise _error(400, "the client left") from None
    return bytes(body)


def _json(value: Any) -> bytes:
    """ASCII alone, so that no text of a user's can be in the way."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _error(status: int, message: str) -> HTTPException:
    return HTTPException(status, " ".join(message.split()), {"Retry-After": "1"} if status == 503 else None)


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow", "another method")
    what = {404: f"there is no such page; there are {', '.join(PATHS)}", 405: f"{request.url.path} takes {allowed}"}
    message = what.get(error.status_code, error.detail)
    return Response(_json({"error": message}), error.status_code, error.headers, "application/json")


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of ours: its details go to standard error, not to the client."""
    return Response(_json({"error": "an error inside the service"}), 500, media_type="application/json")


@final
class Door:
    """ASGI middleware: who asks by a name that is not the service's is not let in; all that is answered is counted.

    A name can be made to point to this machine (DNS rebinding), so that another site's page may read what is answered.
    """

    def __init__(self, inner: ASGIApp, metrics: Metrics, hosts: Iterable[str] | None) -> None:
        self._inner, self._metrics = inner, metrics
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say why not."""
        if scope["type"] != "http":
            return
        status = 500

        async def send_and_note(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        answer = self._inner
        if self._hosts is not None and _named(Headers(scope=scope).getlist("host")) not in self._hosts:
            wrong = {"error": "this service does not answer to that host; --allow-host NAME lets it"}
            answer = Response(_json(wrong), 421, media_type="application/json")
        try:
            await answer(scope, receive, send_and_note)
        finally:
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._metrics.requests.labels(path, status).inc()


def _named(hosts: list[str]) -> str | None:
    """The name in a Host header, without its port."""
    if len(hosts) != 1:
        return None
    name, colon, port = hosts[0].rpartition(":")
    return (name if colon and port.isdigit() else hosts[0]).lower()

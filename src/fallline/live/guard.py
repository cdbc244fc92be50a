"""Who may speak to the server: only pages that it served itself, and only with its token.

A page of another site can make a browser send requests here, and a name can be made to point to this machine (DNS
rebinding). So the Host is compared exactly on every request and socket, then what the browser says of who is asking
(Sec-Fetch-Site, Origin), then the token, which only the page's own URL has, in its fragment.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, MutableMapping
from typing import Any, final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN = ("/",)  # to be had without a token, and what is in ...
OPEN_FOLDER = "/static/"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def hosts_of(host: str, port: int) -> list[str]:
    """What a browser may have in its address line for a server bound to a host."""
    named = f"[{host}]" if ":" in host else host
    loopback = ["127.0.0.1", "localhost", "[::1]"]
    names = loopback if host in ("127.0.0.1", "::1", "localhost") else [named, *loopback]
    return [f"{name}:{port}" for name in dict.fromkeys(names)]


@final
class Guard:
    """ASGI middleware that lets nobody else through.

    Parameters
    ----------
    app : ASGI application
    hosts : iterable of str
        `name:port`, exactly.
    token : str
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str) -> None:
        self.app, self.token = app, token
        self.hosts = frozenset(hosts)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say why not."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refused(scope)
        if scope["type"] == "websocket":
            if refused is None:
                await self.app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refused[1]})
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if not self._is_open(scope):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        answer = self.app if refused is None else PlainTextResponse(f"{refused[1]}\n", refused[0])
        await answer(scope, receive, send_with_headers)

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        return scope["type"] == "http" and (path in OPEN or path.startswith(OPEN_FOLDER))

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason, or None."""
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self.hosts]:
            return 421, "this server does not answer to that host"
        if any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
            return 403, "a page of another site may not ask"
        if any(origin not in self.origins for origin in headers.getlist("origin")):
            return 403, "a page of another origin may not ask"
        if self._is_open(scope):
            return None
        if scope["type"] == "websocket":
            given = ",".join(headers.getlist("sec-websocket-protocol")).split(",")
            said = given[1].strip() if len(given) == 2 and given[0].strip() == "fallline" else ""
        else:
            kind, _, said = headers.get("authorization", "").partition(" ")
            said = said if kind == "Bearer" else ""
        if not secrets.compare_digest(said.encode(), self.token.encode()):
            return 401, "the token is missing or wrong; open the address that the terminal shows"
        return None

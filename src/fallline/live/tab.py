"""One browser tab: what it watches is sent as it changes, and its commands are carried out."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from fallline.errors import FalllineError, ParameterError
from fallline.live.commands import VERBS, checked
from fallline.live.frames import frame, to_json
from fallline.live.topics import TOPICS
from fallline.live.view import View

if TYPE_CHECKING:
    from fallline.live.studio import Studio

LOG = logging.getLogger(__name__)
TICK_SECONDS = 0.1
ANSWER_SECONDS = 60.0  # for a command to take effect


@final
class Tab:
    """One socket's two tasks: to send the newest of what is watched, and to read commands.

    There is no queue: a frame is worked out, sent and waited for, then the next, so a slow reader gets fewer of them.
    """

    def __init__(self, socket: WebSocket, studio: Studio) -> None:
        self.socket, self.studio = socket, studio
        self.watched: dict[str, dict[str, Any]] = {"tick": {}}
        self.visible = True
        self.sent: dict[str, tuple[Any, float]] = {}  # version and time of each topic's last frame
        self.stir = asyncio.Event()

    async def serve(self) -> None:
        """Until one side hangs up."""
        await self.socket.accept(subprotocol="fallline")
        sender = asyncio.create_task(self._send())
        try:
            while True:
                await self._hear(await self.socket.receive_text())
        except (WebSocketDisconnect, KeyError):  # a binary message has no text
            pass
        finally:
            sender.cancel()

    async def _send(self) -> None:
        """Frames of what is watched, ten times a second at most."""
        try:
            while True:
                if self.visible:
                    await self._send_due()
                    await asyncio.sleep(TICK_SECONDS)
                else:
                    self.stir.clear()
                    await self.stir.wait()
        except (WebSocketDisconnect, RuntimeError):  # it was closed while something was on its way
            return

    async def _send_due(self) -> None:
        control, now = self.studio.control, time.monotonic()
        version = control.version, self.studio.race_version
        due = {
            name: asked
            for name, asked in self.watched.items()
            if self.sent.get(name, (None, 0.0))[0] != version
            and now - self.sent.get(name, (None, -1e9))[1] >= (TICK_SECONDS if name == "tick" else TOPICS[name].seconds)
        }
        if not due:
            return
        wants_view = set(due) != {"tick"}
        state, view = await self._of(lambda e: (e.state(), e.view() if wants_view else None))
        if view is not None:
            view = replace(view, race=self.studio.race)
        for name, asked in due.items():
            header = {"topic": name, "step": state["step"]}
            if name == "tick":  # a few numbers: done before another thread would have begun
                message = frame(header | {"data": self.studio.shown(state)}, {})
            else:
                message = await run_in_threadpool(_framed, header, view, asked)
            await self.socket.send_bytes(message)
            if self.watched.get(name) is asked:  # else something else was asked meanwhile, which is still to be sent
                self.sent[name] = version, time.monotonic()

    async def _of(self, look: Callable[[Any], Any]) -> Any:
        return await asyncio.wrap_future(self.studio.control.ask(look))

    async def _hear(self, text: str) -> None:
        """Do as told and answer."""
        answer: dict[str, Any] = {"id": None}
        try:
            try:
                message = json.loads(text, parse_constant=_refuse)
            except (ValueError, RecursionError):
                raise ParameterError("a command is JSON: an object with 'id' and 'do'") from None
            if isinstance(message, dict) and isinstance(message.get("id"), int):
                answer["id"] = message["id"]
            do, arguments = checked(message)
            if VERBS[do].owner and not self.studio.own:
                raise ParameterError("this descent belongs to a program; it can be watched, paused and stepped here")
            await asyncio.wait_for(self._do(do, arguments), ANSWER_SECONDS)
            answer["state"] = self.studio.shown(await self._of(lambda experiment: experiment.state()))
        except FalllineError as error:
            answer["error"] = str(error)
        except asyncio.TimeoutError:
            answer["error"] = "it takes longer than a minute; it goes on"
        await self.socket.send_text(to_json(answer))

    async def _do(self, do: str, arguments: dict[str, Any]) -> None:
        control = self.studio.control
        if do == "watch":
            self.watched = arguments["topics"]
            self.sent = {}
        elif do == "visible":
            self.visible = arguments["visible"]
            self.stir.set()
        elif do == "run":
            await asyncio.wrap_future(control.run())
        elif do == "pause":
            await asyncio.wrap_future(control.pause())
        elif do == "step":
            rest = control.step(arguments.get("n", 1), arguments.get("unit", "batch"))
            await asyncio.shield(asyncio.wrap_future(rest))
        elif do == "race":
            await asyncio.wrap_future(control.pause())
            self.studio.begin_race(await self._of(lambda experiment: experiment.view()), **arguments)
        elif do == "stop_race":
            self.studio.end_race()
        elif do == "open":
            await run_in_threadpool(self.studio.open, **arguments)
        else:
            done = control.ask(lambda experiment: experiment.apply(do, **arguments), changes=True)
            await asyncio.wrap_future(done)


def _framed(header: dict[str, Any], view: View, asked: dict[str, Any]) -> bytes:
    """A topic's numbers and arrays as a message, or why there are none; the other topics go on."""
    data: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    try:
        with np.errstate(all="ignore"):  # of a descent that is about to diverge, or has
            data, arrays = TOPICS[header["topic"]].work_out(view, asked)
    except FalllineError as error:
        data = {"error": str(error)}
    except Exception as error:
        LOG.exception("the topic %s could not be worked out", header["topic"])
        data = {"error": f"{type(error).__name__}: {error}"}
    return frame(header | {"data": data}, arrays)


def _refuse(constant: str) -> float:
    raise ValueError(constant)

"""Processes that find each other and watch over each other, without JAX: whoever is lost, all others hear of it.

JAX notices a lost process late, and tells of it by aborting the others. Here each process has a connection with the
first one, over which both say every second that they live; one that closes, or is silent, is lost, and the first
process tells all others which it was.
"""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, final

from fallline.errors import ParameterError

BEAT = 1.0  # seconds between signs of life
SILENT = 20.0  # seconds without one after which a process is lost
FAREWELL = 5.0  # seconds that the others have to hear of a loss, or of the end
ALIVE, DONE, LOST = ".", "done", "lost "
LONGEST = 1 << 16  # bytes of a line


@final
class Watch:
    """Of one process over the others; see `meet`.

    Parameters
    ----------
    process, n_processes : int
    peers : dict of int to socket
        Of process 0 all others, of the others process 0.
    """

    def __init__(self, process: int, n_processes: int, peers: dict[int, socket.socket]) -> None:
        self.process, self.n_processes, self._peers = process, n_processes, peers
        self._seen = dict.fromkeys(peers, time.monotonic())
        self._rest = dict.fromkeys(peers, "")
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, lost: Callable[[str], None], on_beat: Callable[[], None] = lambda: None) -> None:
        """Watch from now on, in a thread; `lost` hears, there, what was lost, and is not to come back.

        `on_beat` is called every second.
        """
        self._seen = dict.fromkeys(self._peers, time.monotonic())
        self._thread = threading.Thread(target=self._watch, args=(lost, on_beat), daemon=True)
        self._thread.start()

    def end(self, done: bool) -> None:
        """Watch no longer. If all is done the others hear that, otherwise that this process is gone."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()
        if done:
            self._say(DONE)
            last = time.monotonic() + FAREWELL
            while self._peers and time.monotonic() < last:
                self._listen()
        self._close()

    def _close(self) -> None:
        while self._peers:
            self._peers.popitem()[1].close()

    def _watch(self, lost: Callable[[str], None], on_beat: Callable[[], None]) -> None:
        said = 0.0
        while not self._ends.is_set():
            if time.monotonic() - said >= BEAT:
                said = time.monotonic()
                self._say(ALIVE)
                on_beat()
            what = self._listen()
            now = time.monotonic()
            silent = [i for i, at in self._seen.items() if i in self._peers and now - at > SILENT]
            if not what and silent:
                self._peers.pop(silent[0]).close()
                what = self._told(silent[0], f"has not been heard of for {SILENT:g} seconds")
            if what:
                self._say(LOST + what)
                last = time.monotonic() + FAREWELL
                if self.process:
                    self._close()
                while self._peers and time.monotonic() < last:  # JAX needs process 0 until they are gone
                    self._listen()
                lost(what)
                return

    def _say(self, word: str) -> None:
        for peer in self._peers.values():
            with suppress(OSError):  # whoever reads from it will see
                peer.send(f"{word}\n".encode())

    def _listen(self) -> str:
        """Hear what the others say for a moment; what was lost, if something was."""
        with selectors.DefaultSelector() as ready:
            for i, peer in self._peers.items():
                ready.register(peer, selectors.EVENT_READ, i)
            heard = [key.data for key, _ in ready.select(BEAT / 4)]
        for i in heard:
            try:
                data = self._peers[i].recv(LONGEST)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            *lines, self._rest[i] = (self._rest[i] + data.decode(errors="replace")).split("\n")
            self._seen[i] = time.monotonic()
            if DONE in lines or not data:
                self._peers.pop(i).close()
            for line in lines:
                if line.startswith(LOST):
                    return line.removeprefix(LOST)
            if not data and DONE not in lines:
                return self._told(i, "is gone")
        return ""

    def _told(self, process: int, how: str) -> str:
        return f"process {process} of {self.n_processes} {how}"


def meet(address: str, n_processes: int, process: int, settings: dict[str, Any], seconds: float) -> tuple[Watch, int]:
    """Wait until all processes are there.

    Parameters
    ----------
    address : str
        HOST:PORT, where process 0 waits for the others.
    n_processes, process : int
    settings : dict
        What must be the same for all, as JSON can hold it.
    seconds : float
        Until when all must be there.

    Returns
    -------
    (Watch, int)
        And a port of process 0 that is free, for JAX.

    Raises
    ------
    ParameterError
        The address is none, or was not reached; processes are missing or have other settings.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        host.encode("idna")  # as Python does when it asks for it
        is_one = host != "" and 0 < int(port) < 1 << 16
    except ValueError:
        is_one = False
    if not is_one:
        raise ParameterError(
            f"coordinator is {address!r}; it must be HOST:PORT, the machine of process 0 and a free port"
        )
    place = (host, int(port))
    hello = {"process": process, "processes": n_processes, "settings": settings}
    deadline = time.monotonic() + seconds
    if process == 0:
        return _gather(place, hello, deadline, seconds)
    peer = _reach(place, deadline, seconds)
    wrong = f"process 0 at {address} went before all {n_processes} processes were there; see what it says"
    try:
        _send(peer, hello)
        told = _receive(peer, deadline + FAREWELL)
        if "error" not in told:
            peer.setblocking(False)
            return Watch(process, n_processes, {0: peer}), int(told["port"])
        wrong = str(told["error"])
    except (OSError, ValueError):
        pass
    peer.close()
    raise ParameterError(wrong)


def _gather(place: tuple[str, int], hello: dict[str, Any], deadline: float, seconds: float) -> tuple[Watch, int]:
    """Process 0: wait for the others."""
    n, peers, wrong = hello["processes"], dict[int, socket.socket](), ""
    try:
        family, _, _, _, found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0]
        own = str(found[0]) if ip_address(found[0]).is_loopback else ""
        server = socket.create_server((own, place[1]), family=family)
    except OSError as error:
        raise ParameterError(f"process 0 cannot wait at {place[0]}:{place[1]} ({error.strerror or error})") from None
    with server:
        server.settimeout(BEAT / 4)
        while len(peers) < n - 1 and not wrong:
            if time.monotonic() >= deadline:
                missing = ", ".join(str(i) for i in range(1, n) if i not in peers)
                wrong = f"of {n} processes {missing} did not come within {seconds:g} seconds; start all of them"
                break
            try:
                peer, _ = server.accept()
            except OSError:
                continue  # nobody
            try:
                told = _receive(peer, time.monotonic() + FAREWELL)
                wrong, i = _misfit(hello, told, peers), told["process"]
                peers[-1 if wrong else i] = peer
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                peer.close()  # somebody else
    with socket.create_server(("", 0)) as free:
        port = int(free.getsockname()[1])
    for peer in peers.values():
        try:
            peer.settimeout(FAREWELL)
            _send(peer, {"error": wrong} if wrong else {"port": port})
            peer.setblocking(False)
        except OSError:
            wrong = wrong or "a process went before all were there; start all of them again"
    if wrong:
        for peer in peers.values():
            peer.close()
        raise ParameterError(wrong)
    return Watch(0, n, peers), port


def _misfit(mine: dict[str, Any], told: dict[str, Any], peers: dict[int, socket.socket]) -> str:
    """What is wrong with what a process says, or nothing."""
    i, n = told["process"], mine["processes"]
    if told["processes"] != n:
        return f"process {i} was told of {told['processes']} processes, process 0 of {n}; give all the same number"
    if not isinstance(i, int) or not 0 < i < n or i in peers:
        return f"there are two processes {i}; each of {n} must have a number of its own"
    for name, value in mine["settings"].items():
        other = told["settings"].get(name)
        if other != value:
            return f"{name} is {other} for process {i}, but {value} for process 0; give all the same command"
    return ""


def _reach(place: tuple[str, int], deadline: float, seconds: float) -> socket.socket:
    reason: OSError | None = None
    while (left := deadline - time.monotonic()) > 0:
        try:
            return socket.create_connection(place, timeout=min(left, FAREWELL))
        except OSError as error:
            reason = error
            time.sleep(min(left, BEAT / 4))
    raise ParameterError(
        f"process 0 was not reached at {place[0]}:{place[1]} within {seconds:g} seconds "
        f"({(reason and reason.strerror) or reason}); start it there"
    )


def _send(peer: socket.socket, what: dict[str, Any]) -> None:
    peer.sendall(json.dumps(what).encode() + b"\n")


def _receive(peer: socket.socket, deadline: float) -> dict[str, Any]:
    """One line; ValueError where it is none."""
    data = b""
    while not data.endswith(b"\n"):
        peer.settimeout(max(0.01, deadline - time.monotonic()))
        more = peer.recv(1)
        if not more or len(data) > LONGEST:
            raise ValueError("no line")
        data += more
    told = json.loads(data)
    if not isinstance(told, dict):
        raise ValueError("no account of a process")
    return told

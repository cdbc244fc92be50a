"""Processes find each other and watch over each other: here threads of one, whose devices nobody asks for."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fallline import _core
from fallline.cli.group import check_group
from fallline.engines.xla import hosts, watch
from fallline.engines.xla.watch import Watch, meet
from fallline.errors import ParameterError


@pytest.fixture
def address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def all_of(calls: list[Callable[[], Any]]) -> list[Any]:
    """What they give, or what they raise."""

    def caught(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except ParameterError as error:
            return str(error)

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(caught, calls))


def together(address: str, n: int) -> list[Watch]:
    return [found[0] for found in all_of([lambda i=i: meet(address, n, i, {"--seed": 1}, 20) for i in range(n)])]


def test_all_come_together_and_part(address: str) -> None:
    watches, lost = together(address, 3), []
    for one in watches:
        one.begin(lost.append)
    time.sleep(0.5)
    all_of([lambda one=one: one.end(done=True) for one in watches])
    assert lost == []


def test_an_address_may_be_of_version_6(address: str) -> None:
    if not socket.has_ipv6 or not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    watches = together(f"[::1]:{address.rpartition(':')[2]}", 2)
    all_of([lambda one=one: one.end(done=True) for one in watches])
    assert [one.process for one in watches] == [0, 1]


@pytest.mark.parametrize("who", [0, 2])
def test_whoever_goes_is_named_to_all_others(who: int, address: str) -> None:
    watches = together(address, 3)
    heard: list[str] = []
    for i, one in enumerate(watches):
        if i != who:
            one.begin(heard.append)
    began = time.monotonic()
    watches[who].end(done=False)
    while len(heard) < 2 and time.monotonic() < began + 20:
        time.sleep(0.01)
    assert heard == [f"process {who} of 3 is gone"] * 2
    for i, one in enumerate(watches):
        if i != who:
            one.end(done=False)


@pytest.mark.parametrize("who", [0, 1])
def test_whoever_is_silent_is_named(who: int, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SILENT", 1.0)
    monkeypatch.setattr(watch, "BEAT", 0.2)
    watches, heard = together(address, 3), threading.Event()
    said: list[str] = []
    for i, one in enumerate(watches):
        if i != who:
            one.begin(lambda what: (said.append(what), heard.set()))
    assert heard.wait(20)
    assert said[0] == f"process {who} of 3 has not been heard of for 1 seconds"
    for one in watches:
        one.end(done=False)


def test_other_settings_numbers_and_processes_are_refused(address: str) -> None:
    for others, message in (
        ([(2, 1, {"--seed": 2})], "--seed is 2 for process 1, but 1 for process 0; give all the same command"),
        ([(3, 1, {"--seed": 1})], "process 1 was told of 3 processes, process 0 of 2; give all the same number"),
    ):
        calls = [lambda: meet(address, 2, 0, {"--seed": 1}, 20)]
        calls += [lambda told=told: meet(address, told[0], told[1], told[2], 20) for told in others]
        assert all_of(calls) == [message] * 2
    calls = [lambda i=i: meet(address, 3, i, {}, 20) for i in (0, 1, 1)]
    assert "there are two processes 1; each of 3 must have a number of its own" in all_of(calls)


def test_who_does_not_come_is_named(address: str) -> None:
    with pytest.raises(ParameterError, match=r"of 3 processes 1, 2 did not come within 0.5 seconds"):
        meet(address, 3, 0, {}, 0.5)
    with pytest.raises(ParameterError, match=re.escape(f"process 0 was not reached at {address} within 0.5 seconds")):
        meet(address, 2, 1, {}, 0.5)
    for none in ("nowhere", ":80", "host:", "host:²", "a..b:80", "host:65536", "host:" + "9" * 5000):
        with pytest.raises(ParameterError, match="it must be HOST:PORT"):
            meet(none, 2, 1, {}, 0.5)


def test_whoever_else_calls_is_not_heard(address: str) -> None:
    """A port is open to all: what is no process of the group does not disturb it."""
    host, port = address.split(":")

    def intrude() -> None:
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'{"process": "x"}\n', b""):
            for _ in range(100):
                try:
                    with socket.create_connection((host, int(port))) as peer:
                        peer.sendall(words)
                    break
                except OSError:
                    time.sleep(0.02)

    found = all_of([lambda: meet(address, 2, 0, {}, 20), intrude, lambda: (time.sleep(1), meet(address, 2, 1, {}, 20))])
    assert found[0][0].n_processes == 2
    found[0][0].end(done=False)
    found[2][1][0].end(done=False)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ((None, 2, None, "xla", "a.csv", None), "--processes and --process need --coordinator HOST:PORT"),
        (("h:1", 2, 0, "native", "a.csv", None), "--coordinator needs --engine xla; the engine is native"),
        (("h:1", None, 0, "xla", "a.csv", None), "--coordinator needs --processes N and --process I"),
        (("auto", 2, None, "xla", "a.csv", None), "the environment says --processes and --process; leave them out"),
        (("h:1", 2, 0, "xla", "-", None), "several processes cannot read one standard input"),
        (("h:1", 2, 0, "xla", "a.parquet", "2GB"), "--memory is for one process"),
    ],
)
def test_options_that_do_not_go_together(told: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        check_group(*told)


def test_what_is_said_on_standard_error_arrives_however_the_process_ends(tmp_path: Path) -> None:
    """Each line at once; and the last words, should JAX abort the process after it has left its group."""
    code = """
import os, sys
from fallline import _core
from fallline.engines.xla.hosts import _apart
with _apart():
    print("a line", file=sys.stderr)
    if sys.argv[1] == "at once":
        os._exit(7)
    os.write(2, b"what a library says")
    _core.last_words("last words", sys.stderr.fileno(), 7)
os.abort()
"""
    for when, said in (("at once", "a line\n"), ("after", "a line\nlast words")):
        told: Any = {"env": os.environ | {"TMPDIR": str(tmp_path)}, "capture_output": True, "text": True}
        done = subprocess.run([sys.executable, "-c", code, when], check=False, **told)
        assert (done.returncode, done.stderr) == (7, said)


def test_jax_that_does_not_begin_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def initialize(*told: Any, **others: Any) -> None:
        raise RuntimeError("DEADLINE_EXCEEDED: Barrier timed out\nand much more")

    monkeypatch.setattr(hosts, "meet", lambda *_: (Watch(1, 2, {}), 4321))
    monkeypatch.setattr(hosts, "FAREWELL", 0.0)
    monkeypatch.setattr(hosts.atexit, "register", lambda call: None)
    monkeypatch.setattr("jax.distributed.initialize", initialize)
    line = "JAX does not begin in process 1, with process 0 at host:4321 (DEADLINE_EXCEEDED: Barrier timed out); "
    with (
        pytest.raises(ParameterError, match=re.escape(line) + "the machines must let processes connect .* on any port"),
        hosts.joined("host:1234", 2, 1),
    ):
        pass
    _core.last_words("", 2, 1)

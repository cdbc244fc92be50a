"""`python -m benchmarks.studio`: what a page costs the descent that it shows, and how soon a pause is answered.

A client in a process of its own, as a browser is one, watches the state ten times a second in every other window of
half a second, and is hidden in those between. Counted are the trainer's steps by the second in which it could have run:
the time that the machine gave others instead (Linux says how long a thread waited for a processor) is left out, the
time that it waited for the server's Python is not. Before, the descent that is watched must come to the same bits as
one that nobody looks at.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fallline.live.experiment import Experiment
from fallline.live.server import Server
from fallline.live.studio import Studio
from fallline.live.trainer import Trainer
from fallline.table import load_bundled

WINDOW_SECONDS = 0.5
PAUSES = 40


def client(url: str) -> None:
    """In a process of its own: one tab, as light as it can be, which does what standard input says, line by line."""
    from websockets.sync.client import connect

    where, _, token = url.partition("#t=")
    address = where.replace("http", "ws", 1) + "socket"
    told: dict[str, Any] = {"subprotocols": ["fallline", token], "origin": where.rstrip("/")}
    with connect(address, max_size=None, compression=None, **told) as socket:
        threading.Thread(target=_commands, args=(socket,), daemon=True).start()
        for message in socket:
            if isinstance(message, str):
                print(message, flush=True)


def _commands(socket: Any) -> None:
    for line in sys.stdin:
        socket.send(line)
    socket.close()


class Tab:
    """What is said to the client, and what it hears."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.n = process, 0

    def tell(self, do: str, **arguments: Any) -> dict[str, Any]:
        """The state after a command."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.n += 1
        self.process.stdin.write(json.dumps({"id": self.n, "do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["state"]


@contextmanager
def opened() -> Iterator[tuple[Trainer, Tab]]:
    """A studio on the digits, with one tab."""
    trainer = Trainer(Experiment(load_bundled("digits")))
    server = Server(Studio(trainer))
    thread = threading.Thread(target=server.run)
    thread.start()
    command = [sys.executable, "-m", "benchmarks.studio", "--client", server.url]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield trainer, Tab(process)
            process.terminate()
    finally:
        server.stop()
        thread.join()


def check(trainer: Trainer, tab: Tab) -> None:
    """A descent that is watched comes to the same bits."""
    tab.tell("watch", topics={"tick": {}, "curve": {}})
    tab.tell("step", unit="epoch", n=20)
    view = trainer.ask(lambda experiment: experiment.view()).result()
    alone = Experiment(load_bundled("digits"))
    alone.advance(view.step)
    np.testing.assert_array_equal(view.network.parameters, alone.view().network.parameters)


def rate(trainer: Trainer) -> float:
    """Steps by the second in which the trainer could have run, in one window."""

    def now() -> tuple[int, float]:
        step = trainer.ask(lambda experiment: experiment.step).result()
        return step, time.perf_counter() - _waited(trainer._thread.native_id)

    first, began = now()
    time.sleep(WINDOW_SECONDS)
    last, ended = now()
    return (last - first) / (ended - began)


def _waited(thread: int | None) -> float:
    """Seconds that a thread has waited for a processor; 0 where the system does not say."""
    told = Path(f"/proc/self/task/{thread}/schedstat")
    return int(told.read_text().split()[1]) / 1e9 if told.exists() else 0.0


def ratios(trainer: Trainer, tab: Tab, pairs: int) -> list[float]:
    """Steps watched over steps hidden, pair by pair; which comes first changes, so that a drift favours neither."""
    found = []
    for i in range(pairs):
        rates = {}
        for visible in (i % 2 == 0, i % 2 == 1):
            tab.tell("visible", visible=visible)
            rates[visible] = rate(trainer)
        found.append(rates[True] / rates[False])
    return found


def pauses(tab: Tab) -> list[float]:
    """Milliseconds until a pause is answered, while the state is watched."""
    found = []
    tab.tell("visible", visible=True)
    for _ in range(PAUSES):
        tab.tell("run")
        time.sleep(0.05)
        began = time.perf_counter()
        tab.tell("pause")
        found.append(1e3 * (time.perf_counter() - began))
    return found


def main() -> None:
    """Check, time, print."""
    parser = argparse.ArgumentParser("python -m benchmarks.studio", description=str(__doc__).partition("\n\n")[2])
    parser.add_argument("--pairs", type=int, default=60, help="of windows; default %(default)s")
    parser.add_argument(
        "--topics", default="", metavar="NAME,...", help="watched beside the state, such as curve,network"
    )
    parser.add_argument("--client", metavar="URL", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.client:
        client(asked.client)
        return
    with opened() as (trainer, tab):
        check(trainer, tab)
        tab.tell("watch", topics={"tick": {}, **{name: {} for name in asked.topics.split(",") if name}})
        tab.tell("run")
        time.sleep(1)
        of_steps, of_pauses = sorted(ratios(trainer, tab, asked.pairs)), pauses(tab)
    low, middle, high = statistics.quantiles(of_steps)
    n = len(of_steps)
    reach = round(n**0.5)  # of the median: half of n plus or minus one root of n, by the sign test
    interval = of_steps[max(0, n // 2 - reach)], of_steps[min(n - 1, n // 2 + reach)]
    print(f"steps watched over steps hidden, {n} pairs of {WINDOW_SECONDS} s: median {middle:.3f}")
    print(f"  95 % interval of the median {interval[0]:.3f} to {interval[1]:.3f}, quartiles {low:.3f} and {high:.3f}")
    print(f"a pause is answered after {statistics.median(of_pauses):.1f} ms (median of {PAUSES}), ", end="")
    print(f"{max(of_pauses):.1f} at most")


if __name__ == "__main__":
    main()

"""The process of one contender: it is asked over a pipe, does as it is told, and answers with seconds.

One process each means its own thread pools, its own memory and its own environment. `Child` is the parent's side.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.contenders import Array, Entry, Predictor, Trainer
from benchmarks.workloads import Workload

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 900.0  # seconds after which a contender that does not answer is given up
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # somebody's choice of NumPy's kernels; theirs is better


class ContenderError(Exception):
    """A contender that failed, with the last of what it said."""


class Child:
    """A contender in its own process.

    Parameters
    ----------
    entry : Entry
    workload : Workload
    initial : array of shape (K, P)
        Parameters to begin from.

    Attributes
    ----------
    start_seconds : float
        From the start of the process until its library is imported.
    """

    def __init__(self, entry: Entry, workload: Workload, initial: Array) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in UNSET} | entry.environment
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        began = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"], cwd=ROOT, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._said,
        )  # fmt: skip
        try:
            self.ask("load", entry.module)
            self.start_seconds = time.perf_counter() - began
            self.first: dict[str, Any] = self.ask("open", workload, entry, initial)
        except BaseException:
            self.close()
            raise

    def ask(self, *request: Any) -> Any:
        """Send a request and wait for the answer; ContenderError if there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(LIMIT, self._process.kill)
        watchdog.start()
        try:
            pickle.dump(request, self._process.stdin)
            self._process.stdin.flush()
            answer, error = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as end:
            self._process.wait()
            self._said.seek(0)
            last = self._said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise ContenderError(f"its process ended ({self._process.returncode}): {' '.join(last)}") from end
        finally:
            watchdog.cancel()
        if error:
            raise ContenderError(error)
        return answer

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # it is gone already
                    pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class Worker:
    """The child's side: one method for each request."""

    def __init__(self) -> None:
        self._module: Any = None
        self._contender: Any = None
        self._waited, self._used = 0.0, 0.0
        self._set_ups: list[float] = []
        asks = (self.load, self.open, self.check, self.round, self.peak, self.idle, self.set_up)
        self._answers = {ask.__name__: ask for ask in asks}

    def serve(self, requests: BinaryIO, answers: BinaryIO) -> None:
        """Answer requests until there are no more."""
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                name, *arguments = pickle.load(requests)
            except EOFError:
                return
            if name == "round":
                self._waited += time.perf_counter() - wall
                self._used += time.process_time() - cpu
            try:
                answer = self._answers[name](*arguments), None
            except Exception as error:
                traceback.print_exc()
                answer = None, f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
            pickle.dump(answer, answers)
            answers.flush()

    def idle(self) -> float:
        """Cores in use while it waited for its turns: threads that spin would slow the others."""
        return self._used / self._waited if self._waited else 0.0

    def set_up(self) -> float:
        """Seconds that a round spent before its first step and that do not count, the median; 0 where not known."""
        return statistics.median(self._set_ups) if self._set_ups else 0.0

    def load(self, module: str) -> None:
        """Import the contender's library."""
        self._module = importlib.import_module(f"benchmarks.contenders.{module}")

    def open(self, workload: Workload, entry: Entry, initial: Array) -> dict[str, Any]:
        """Make the contender and run it once: the seconds, compiling included, and what it says about itself."""
        self._contender = self._module.build(workload, entry, initial)
        seconds = self._train() if isinstance(self._contender, Trainer) else self._call()
        return {"seconds": seconds, "memory": peak_memory(), "details": self._contender.details()}

    def check(self) -> Array:
        """What the parent compares: parameters after some steps in a given order, or outputs."""
        if isinstance(self._contender, Predictor):
            return self._contender.predict(self._contender.X)
        self._contender.begin()
        found: Array = self._contender.train_in_order(self._contender.workload.checked_rows)
        return found

    def round(self) -> float:
        """Seconds of one round of training, its set-up left out, or of the median call."""
        gc.collect()
        if isinstance(self._contender, Trainer):
            return self._train()
        return statistics.median(self._call() for _ in range(self._contender.workload.calls))

    def peak(self, threads: int, seconds: float) -> float | None:
        """The machine's multiply-adds, in FLOP/s; of fallline alone."""
        found: float | None = self._module.peak(threads, seconds)
        return found

    def _train(self) -> float:
        self._contender.begin()
        began = time.perf_counter()
        self._contender.train()
        seconds = time.perf_counter() - began
        self._set_ups.append(self._contender.set_up)
        return seconds - self._contender.set_up

    def _call(self) -> float:
        began = time.perf_counter()
        self._contender.predict(self._contender.X)
        return time.perf_counter() - began


def peak_memory() -> int | None:
    """The most memory that this process has used, in bytes; None where the system does not say.

    Linux's own figure for the program, since ru_maxrss goes through exec and may be that of the parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    try:
        import resource
    except ImportError:
        return None
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


if __name__ == "__main__":
    # The pipe is ours alone: whatever a library prints goes where errors go.
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(KeyboardInterrupt):
        Worker().serve(sys.stdin.buffer, pipe)

"""Who takes part: fallline and every installed peer, each at each of its settings; the best of a peer counts."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from benchmarks.contenders import Entry
from benchmarks.contenders.fallline import TAKES_THREADS
from benchmarks.workloads import Workload

OURS = "fallline"


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Attributes
    ----------
    name : str
        As people write it.
    packages : tuple of str
        What it needs.
    install : str
        The command that installs it.
    """

    name: str
    packages: tuple[str, ...]
    install: str

    @property
    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if importlib.util.find_spec(package) is None]


GROUP = "make .venv/.bench"
PEERS = {
    "torch": Peer(
        "PyTorch", ("torch",), ".venv/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu"
    ),
    "jax": Peer("JAX", ("jax", "jaxlib"), GROUP),
    "sklearn": Peer("scikit-learn", ("sklearn", "threadpoolctl"), GROUP),
    "onnxruntime": Peer("onnxruntime", ("onnxruntime", "onnx"), GROUP),
}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts(n: int) -> tuple[int, ...]:
    """Numbers of threads that everybody is tried with, on n cores."""
    return tuple(sorted({1, min(2, n), n}))


def versions(peers: Iterable[str]) -> dict[str, str]:
    """Version of each distribution that takes part."""
    names = {"sklearn": "scikit-learn"}
    packages = ["fallline", "numpy", *(package for key in peers for package in PEERS[key].packages)]
    return {names.get(package, package): version(names.get(package, package)) for package in packages}


def entries(
    workload: Workload, peers: Sequence[str], threads: Sequence[int], compiled: bool, isa: str, caches: str
) -> list[Entry]:
    """All entries of a workload, fallline's first.

    Parameters
    ----------
    workload : Workload
    peers : sequence of str
        Keys of `PEERS`.
    threads : sequence of int
        Numbers of threads to try.
    compiled : bool
        With PyTorch compiled, which takes a while to compile.
    isa : str
        Cap of fallline's instruction set; empty for none. The peers use all that the processor has.
    caches : str
        A folder for what compilers keep, new in each run, so that compiling is timed in full.
    """
    found = []
    for count in threads if TAKES_THREADS or not workload.trains else (1,):
        cap = {"FALLLINE_ISA": isa} if isa else {}
        found.append(Entry(OURS, "fallline", "", count, _numpy(count) | cap))
    if "torch" in peers:
        compiler = {"TORCHINDUCTOR_CACHE_DIR": caches, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
        ways = ("eager", "compiled") if compiled else ("eager",)
        found += [Entry("PyTorch", "torch", way, count, compiler) for way in ways for count in threads]
    if "jax" in peers:
        found += [Entry("JAX", "jax", "", count, _xla(count)) for count in threads]
    if "sklearn" in peers:
        found += [Entry("scikit-learn", "sklearn", "", count, _numpy(count)) for count in threads]
    if "onnxruntime" in peers and not workload.trains:
        found += [Entry("onnxruntime", "onnxruntime", "", count) for count in threads]
    return found


def on_device(device: str, threads: int, compiled: bool, peers: Sequence[str], caches: str) -> list[Entry]:
    """The engine xla and PyTorch, each on the same GPU, or on the processor with all its threads.

    Parameters
    ----------
    device : {"cpu", "cuda"}
    threads : int
        Of the processor.
    compiled : bool
        With PyTorch compiled.
    peers : sequence of str
    caches : str
        As in `entries`.
    """
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # or the first would take the GPU's memory from the others
    environment = _xla(threads) if device == "cpu" else shared
    found = [Entry(OURS, "fallline", "xla", threads, environment, device)]
    if "torch" in peers:
        ways = ["eager", *(["compiled"] if compiled else []), *(["graphs"] if device == "cuda" else [])]
        compiler = {"TORCHINDUCTOR_CACHE_DIR": caches, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
        found += [Entry("PyTorch", "torch", way, threads, compiler, device) for way in ways]
    if device == "cpu":
        found.append(Entry("the native engine", "fallline", "", threads, _numpy(threads)))
    return found


def _numpy(count: int) -> dict[str, str]:
    """NumPy's products on so many threads."""
    return {"OPENBLAS_NUM_THREADS": str(count), "OMP_NUM_THREADS": str(count), "MKL_NUM_THREADS": str(count)}


def _xla(count: int) -> dict[str, str]:
    """XLA's pool, which goes by NPROC; on one thread it had better not split its products at all."""
    alone = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"} if count == 1 else {}
    return {"JAX_PLATFORMS": "cpu", "NPROC": str(count)} | alone

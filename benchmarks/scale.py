"""`python -m benchmarks.scale`: one, two and four processes on this machine, against what the cost model says of them.

What a step costs one process, with a full batch and with a few rows, and what a sum over all processes costs, are
measured by themselves; from these the model says what two and four processes will take, and then they are timed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cost_model import Work, widest
from benchmarks.entrants import cores
from benchmarks.figures import unit
from benchmarks.machine import machine
from benchmarks.report import table

ROOT = Path(__file__).resolve().parent.parent
FEW = 8  # rows of a batch that are next to no work
NETWORKS = {
    (64, 256, 256, 256, 1): (1024, 4096),
    (784, 512, 512, 10): (1024,),
    (8, 64, 64, 1): (256, 8192),
}
STEPS, EPOCHS = 25, 3  # an epoch's steps; of the epochs the first compiles


def seconds_of_step(sizes: tuple[int, ...], rows: int) -> float:
    """The median over epochs of a step's time, in this process and those that train with it."""
    import fallline as fl

    class Clock(fl.Listener):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_epoch(self, epoch: Any) -> None:
            self.ends.append(time.perf_counter())

    clock, rng = Clock(), np.random.default_rng(0)
    X = rng.standard_normal((rows * STEPS, sizes[0]), dtype=np.float32)
    y = rng.integers(sizes[-1], size=len(X)) if sizes[-1] > 1 else X[:, 0] * X[:, 1]
    net = fl.Network(list(sizes), "relu", "softmax" if sizes[-1] > 1 else "identity", seed=1)
    fl.descend(net, X, y, optimizer=fl.Adam(1e-4), batch_size=rows, epochs=EPOCHS, engine="xla", callbacks=clock)
    return float(np.median(np.diff(clock.ends))) / STEPS


def seconds_of_sum(n: int) -> float:
    """Of a sum of n numbers over all devices, as it is within a step: many in one call."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec

    from fallline.engines.xla.mesh import AXIS, everywhere, mesh

    def body(x: Any) -> Any:
        return jax.lax.fori_loop(0, STEPS, lambda i, x: jax.lax.psum(x, AXIS) / jax.device_count(), x)

    spread = jax.jit(jax.shard_map(body, mesh=mesh(), in_specs=PartitionSpec(), out_specs=PartitionSpec()))
    x, taken = everywhere(np.ones(n, np.float32)), []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        jax.block_until_ready(spread(x))
        taken.append(time.perf_counter() - began)
    assert bool(jnp.isfinite(spread(x).addressable_data(0)).all())
    return float(np.median(taken[1:])) / STEPS


def measured() -> dict[str, Any]:
    """All times of this group."""
    times = {
        "-".join(map(str, sizes)): {str(rows): seconds_of_step(sizes, rows) for rows in (FEW, *batches)}
        for sizes, batches in NETWORKS.items()
    }
    return {"steps": times, "sums": {name: seconds_of_sum(numbers_of(name)) for name in times}}


def group(n: int) -> dict[str, Any]:
    """Times of so many processes, each on a core as far as there are some."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
    command = [sys.executable, "-m", "benchmarks.scale", "--address", address, "--processes", str(n)]
    began = [
        subprocess.Popen(
            [*command, "--process", str(i)],
            cwd=ROOT,
            env=os.environ | flags,
            stdout=subprocess.PIPE if i == 0 else subprocess.DEVNULL,
            text=True,
        )
        for i in range(n)
    ]
    said = began[0].communicate()[0]
    if any(process.wait() for process in began):
        raise SystemExit(f"a process of {n} failed; see above")
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def predicted(alone: dict[str, Any], sums: dict[str, float], name: str, rows: int, n: int) -> float:
    """What the model says of a step of n processes, from times of one and from those of sums."""
    few, full = alone["steps"][name][str(FEW)], alone["steps"][name][str(rows)]
    compute = (full - few) / (rows - FEW)  # of a row
    crowd = max(1.0, n / cores())  # processes that take turns on a core
    return crowd * (few + compute * (widest(rows, n) - FEW)) + sums[name]


def numbers_of(name: str) -> int:
    """Parameters of a network."""
    return Work.of([int(size) for size in name.split("-")], 1).numbers


def main() -> None:
    """Measure, predict, compare."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--most", type=int, default=4, help="processes, a power of two; default %(default)s")
    for name in ("--address", "--processes", "--process"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scale.json")
    asked = parser.parse_args()
    if asked.address:
        from fallline.engines.xla.hosts import joined

        n, process = int(asked.processes), int(asked.process)
        if hasattr(os, "sched_setaffinity"):
            there = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {there[process % len(there)]})
        with joined(asked.address, n, process):
            found = measured()
        print(json.dumps(found))
        return
    counts = [2**k for k in range(int(math.log2(asked.most)) + 1)]
    groups = {n: group(n) for n in counts}
    rows = [["", *(f"{n} processes, {what}" for n in counts[1:] for what in ("predicted", "measured")), "1 process"]]
    for sizes, batches in NETWORKS.items():
        name = "-".join(map(str, sizes))
        for batch in batches:
            cells = []
            for n in counts[1:]:
                said = predicted(groups[1], groups[n]["sums"], name, batch, n)
                cells += [unit(said), unit(groups[n]["steps"][name][str(batch)])]
            rows.append([f"{name}, {batch} rows", *cells, unit(groups[1]["steps"][name][str(batch)])])
    print("\n".join(table(rows)))
    for n in counts[1:]:
        each = ", ".join(f"{numbers_of(name):,} numbers {unit(taken)}" for name, taken in groups[n]["sums"].items())
        print(f"a sum over {n} processes: {each}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"machine": machine(), "groups": groups}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

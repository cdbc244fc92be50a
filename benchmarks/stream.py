"""`python -m benchmarks.stream`: training on a table larger than memory; how much it takes, and how fast it is.

A table is made up, in several Parquet files, and removed again. `fallline train --memory` goes over it in a process of
its own, of which the peak of memory is measured; then `fallline train` over so many of the files as fit into memory,
with the same network, for the rate without streaming. Ends with status 1 where the peak is above the memory given and
0.5 GB, or the rate below 70 % of that in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import machine

N_NUMBERS, N_HOLED, FILE_ROWS = 24, 4, 500_000
ROW_BYTES = 190  # about what a row takes in a file
MOST_ABOVE, LEAST_SHARE = 0.5e9, 0.7


def write_table(folder: Path, n_rows: int) -> None:
    """Numbers, some missing, a category and a target that depends on a few of them."""
    for i, first in enumerate(range(0, n_rows, FILE_ROWS)):
        rng, n = np.random.default_rng(i), min(FILE_ROWS, n_rows - first)
        X, code = rng.normal(size=(n, N_NUMBERS)), rng.integers(0, 12, n)
        y = X[:, 0] * X[:, 1] + np.sin(2 * X[:, 2]) + X[:, 3] + 0.2 * code + 0.3 * rng.normal(size=n)
        columns = {f"number {j}": pl.Series(X[:, j]) for j in range(N_NUMBERS)}
        for j in range(N_HOLED):
            columns[f"number {j}"] = pl.Series(np.where(rng.random(n) < 0.1, np.nan, X[:, j])).fill_nan(None)
        columns["label"] = pl.Series([f"label {k}" for k in range(12)])[code]
        pl.DataFrame(columns | {"y": pl.Series(y)}).write_parquet(folder / f"part-{i:04}.parquet")


def train(data: str, out: Path, epochs: int, hidden: str, *more: str) -> dict[str, Any]:
    """Train in a process of its own: rows a second, seconds, and the peak of memory in bytes."""
    told = ["--target", "y", "--hidden", hidden, "--starts", "1", "--batch-size", "512", "--validation", "0.2"]
    command = [sys.executable, "-m", "fallline", "train", data, *told, "--epochs", str(epochs), "--out", str(out)]
    with subprocess.Popen([*command, "--checkpoint", "none", "--json", *more], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    found = json.loads(text)
    return {
        "rows": found["rows_trained"],
        "epochs": epochs,
        "seconds": found["seconds"],
        "seconds_training": found["seconds_training"],
        "rows_per_second": round(found["rows_trained"] * epochs / found["seconds_training"]),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_bytes": used.ru_maxrss << 10,
        "rmse": found["scores"]["rmse"],
    }


def main() -> int:
    """Make the table, train, compare."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.stream", description="Training on tables larger than memory."
    )
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of the table's files; default %(default)g")
    parser.add_argument("--memory", default="1GB", help="as fallline train takes it; default %(default)s")
    parser.add_argument("--hidden", default="256,256", help="neurons of the hidden layers; default %(default)s")
    parser.add_argument("--epochs", type=int, default=1, help="over the whole table; default %(default)d")
    asked = parser.parse_args()
    memory = float(re.sub("[A-Za-z ]", "", asked.memory)) * (1e9 if "G" in asked.memory.upper() else 1e6)
    n_rows = int(asked.gigabytes * 1e9 / ROW_BYTES)
    with tempfile.TemporaryDirectory(prefix="fallline-stream-") as name:
        folder = Path(name, "table")
        folder.mkdir()
        write_table(folder, n_rows)
        n_bytes = sum(path.stat().st_size for path in folder.iterdir())
        out = Path(name, "model.fallline")
        few = (str(folder / "part-000[01].parquet"), out, 2 * asked.epochs, asked.hidden)
        at_hand = [train(*few)]
        streamed = train(str(folder), out, asked.epochs, asked.hidden, "--memory", asked.memory)
        at_hand.append(train(*few))  # before and after, as a machine may have other things to do
    share = streamed["rows_per_second"] / float(np.mean([each["rows_per_second"] for each in at_hand]))
    found = {
        "machine": machine(),
        "table_bytes": n_bytes,
        "table_rows": n_rows,
        "memory": asked.memory,
        "hidden": asked.hidden,
        "streamed": streamed,
        "in_memory": at_hand,
        "share_of_rate_in_memory": round(share, 3),
    }
    print(json.dumps(found, indent=2))
    return int(streamed["peak_bytes"] > memory + MOST_ABOVE or share < LEAST_SHARE)


if __name__ == "__main__":
    sys.exit(main())

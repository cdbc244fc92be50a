"""`python -m benchmarks.tables FOLDER`: train everybody on every table, each in its own process, and report."""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.tables import report
from benchmarks.tables.contenders import CONTENDERS
from benchmarks.tables.tables import load, names, scores

HERE = Path(__file__).resolve().parent.parent


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.tables", description="Errors, log losses, seconds and memory on a folder of tables."
    )
    parser.add_argument("folder", type=Path, help="with tables.json, tabular/ and splits/: see tables.py here")
    parser.add_argument("--peers", default=",".join(CONTENDERS), help="of %(default)s")
    parser.add_argument("--only", help="tables, by commas; default all that have a split")
    parser.add_argument("--seeds", default="0", help="of fallline, by commas; the peers have the first")
    parser.add_argument("--known", type=Path, help="CSV of peers' results from before (table, model, error, ...)")
    parser.add_argument("--out", type=Path, default=HERE / "results", metavar="DIR", help="default %(default)s")
    parser.add_argument("--one", nargs=3, metavar=("PEER", "TABLE", "SEED"), help=argparse.SUPPRESS)
    return parser.parse_args()


def one(folder: Path, peer: str, table: str, seed: int) -> dict[str, Any]:
    """Train one contender on one table, in this process."""
    split = load(folder, table)
    fit, _ = CONTENDERS[peer]
    began = time.perf_counter()
    predict = fit(split, seed)
    fitted = time.perf_counter()
    predicted = predict()
    done = time.perf_counter()
    return {
        "table": table,
        "model": peer,
        "seed": seed,
        "regression": split.regression,
        "train_rows": split.train.height,
        "fit_seconds": fitted - began,
        "predict_seconds": done - fitted,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **scores(split, predicted),
    }


def main() -> None:
    """Everybody on every table, one at a time."""
    asked = arguments()
    if asked.one:
        peer, table, seed = asked.one
        print(json.dumps(one(asked.folder, peer, table, int(seed))))
        return
    peers = [peer for peer in asked.peers.split(",") if peer]
    for peer in list(peers):
        missing = [package for package in CONTENDERS[peer][1] if importlib.util.find_spec(package) is None]
        if missing:
            print(f"{peer} is skipped: {', '.join(missing)} not installed")
            peers.remove(peer)
    asked.out.mkdir(parents=True, exist_ok=True)
    results: list[dict[str, Any]] = report.known(asked.known) if asked.known else []
    for table in asked.only.split(",") if asked.only else names(asked.folder):
        for peer in peers:
            for seed in asked.seeds.split(",") if peer == "fallline" else asked.seeds.split(",")[:1]:
                command = [sys.executable, "-m", "benchmarks.tables", str(asked.folder), "--one", peer, table, seed]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{table}: {peer} failed: {done.stderr.strip().splitlines()[-1]}")
                    continue
                results.append(json.loads(done.stdout.splitlines()[-1]))
                print(report.line(results[-1]), flush=True)
    (asked.out / "tables.json").write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")
    print(report.summary(results))
    report.draw(asked.out / "tables.png", results)
    print(f"\nwritten to {asked.out}")


if __name__ == "__main__":
    main()

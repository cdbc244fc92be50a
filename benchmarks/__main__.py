"""`python -m benchmarks`: check, time and report; see `--help`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import report, sweeps
from benchmarks.entrants import PEERS, cores, entries, on_device, thread_counts, versions
from benchmarks.figures import record
from benchmarks.machine import machine
from benchmarks.race import Race, race
from benchmarks.workloads import WORKLOADS, Workload

HERE = Path(__file__).resolve().parent
MANY = 1000  # starts: work for a GPU


def arguments() -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description="Checks every contender, then times them in turn."
    )
    of_races, of_sweeps = [workload.name for workload in WORKLOADS], [sweep.name for sweep in sweeps.SWEEPS]
    several = f"one workload, or several by several: {', '.join(of_races)}; with --sweeps: {', '.join(of_sweeps)}"
    parser.add_argument("--only", action="append", metavar="NAME", help=several)
    parser.add_argument("--rounds", type=int, help="rounds that count; 7, or 3 with --quick, or 3 in a sweep")
    parser.add_argument(
        "--quick", action="store_true", help="a minute or two: fewer workloads, rounds and epochs, PyTorch not compiled"
    )
    parser.add_argument(
        "--sweeps", action="store_true", help="instead: the time of a step against rows, width, batch, starts, threads"
    )
    parser.add_argument(
        "--xla", action="store_true",
        help="instead: the engine xla against PyTorch on the GPU, or, where there is none, on the processor",
    )  # fmt: skip
    parser.add_argument("--peers", default=",".join(PEERS), help="of %(default)s; fallline always takes part")
    parser.add_argument("--threads", help="numbers of threads to try, by default 1, 2 and all cores")
    parser.add_argument("--isa", default="", help="cap of fallline's instruction set, for example avx2; not the peers'")
    parser.add_argument("--out", type=Path, default=HERE / "results", metavar="DIR", help="default %(default)s")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (3 if asked.quick or asked.sweeps else 7)
    asked.threads = [int(n) for n in asked.threads.split(",")] if asked.threads else thread_counts(cores())
    unknown = [f"--peers {name}" for name in asked.peers.split(",") if name and name not in PEERS]
    unknown += [f"--only {name}" for name in asked.only or [] if name not in (of_sweeps if asked.sweeps else of_races)]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    return asked


def installed(names: list[str]) -> list[str]:
    """The peers that can take part; says of each other how to install it."""
    for name in names:
        if PEERS[name].missing:
            print(f"{PEERS[name].name} is not installed and is skipped; to install it: {PEERS[name].install}")
    return [name for name in names if not PEERS[name].missing]


def chosen(asked: argparse.Namespace) -> list[Workload]:
    """The workloads asked for; in a hurry, with one epoch a round."""
    found = [w for w in WORKLOADS if (w.name in asked.only if asked.only else w.quick or not asked.quick)]
    if asked.xla:
        found = [workload for workload in found if workload.trains]
    elif not asked.only:
        found = [workload for workload in found if workload.starts < MANY]
    return [replace(w, epochs=1) for w in found] if asked.quick else found


def write(path: Path, results: dict[str, Any]) -> None:
    """All results so far, so that what was measured outlives an interruption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


def main() -> None:
    """Run what was asked for."""
    asked = arguments()
    peers = installed([name for name in asked.peers.split(",") if name])
    results: dict[str, Any] = {
        "machine": machine(), "versions": versions(peers), "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "rounds": asked.rounds, "threads": list(asked.threads), "isa": asked.isa or None,
    }  # fmt: skip
    found = results["machine"]
    say(f"{found['processor']}, {found['cores']} cores, {', '.join(found['instruction sets'])}; {results['versions']}")
    if found["load"] is not None and found["load"] > 0.2 * found["cores"]:
        say(f"The machine has other work to do (load {found['load']:.1f}): take these figures for noise.")
    device = "cpu" if found["gpu"] is None else "cuda"
    if asked.xla:
        say(f"on {found['gpu']}" if found["gpu"] else "There is no GPU here: the engine xla runs on the processor.")
    with tempfile.TemporaryDirectory() as caches:

        def run(workload: Workload, threads: list[int], fast: bool = False) -> Race:
            among = [peer for peer in peers if not (fast and peer == "sklearn")]
            if asked.xla:
                lanes = on_device(device, cores(), not asked.quick, among, caches)
            else:
                lanes = entries(workload, among, threads, not asked.quick, asked.isa, caches)
            say(f"\n{workload.name}: {workload.title}")
            done = race(workload, lanes, asked.rounds, say)
            for line in report.of_race(done):
                say(line)
            return done

        if asked.sweeps:
            wanted = [sweep for sweep in sweeps.SWEEPS if not asked.only or sweep.name in asked.only]
            sweeps.run(wanted, results, run, asked.threads, lambda: write(asked.out / "sweeps.json", results))
        else:
            races, name = [], f"xla-{device}" if asked.xla else "results"
            for workload in chosen(asked):
                races.append(run(workload, asked.threads))
                results["races"] = [record(done) for done in races]
                write(asked.out / f"{name}.json", results)
            say("\nTimes as long as fallline, the best setting of each (from the least of any round to the greatest):")
            say("\n".join(report.summary(races)))
    say(f"\nwritten to {asked.out}")
    if not asked.xla:
        draw(asked.out, results)


def draw(folder: Path, results: dict[str, Any]) -> None:
    """The picture, where matplotlib is installed."""
    try:
        from benchmarks import picture
    except ImportError:
        say("no picture: matplotlib is not installed; to install it: make .venv/.bench")
        return
    (picture.draw_sweeps if "sweeps" in results else picture.draw_races)(folder, results)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the races that were over are in the JSON file")

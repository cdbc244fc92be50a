"""`python -m benchmarks.serve`: how many requests a served model answers, and how soon.

The load is wrk (https://github.com/wg/wrk; `apt-get install wrk`), on the loopback of the same machine, so that it
takes processor time from the service. First the answers are compared with the model's own, to the last bit.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from fallline.fit import fit
from fallline.model import Model, load
from fallline.serving.contract import example
from fallline.serving.rows import table_of
from fallline.table import load_bundled

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = io.open("{body}"):read("*a")
failed = 0
response = function(status) if status ~= 200 then failed = failed + 1 end end
threads = {{}}
setup = function(thread) table.insert(threads, thread) end
done = function(summary, latency)
  local e, wrong = summary.errors, 0
  for _, thread in ipairs(threads) do wrong = wrong + thread:get("failed") end
  io.write(string.format("RESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
    wrong + e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99), latency.max))
end
"""


def model_at(path: Path) -> Model:
    """The model to serve: of the iris set by the recipe, a few epochs, unless there is one already."""
    if not path.exists():
        fit(load_bundled("iris"), {"epochs": 20}).model.save(path)
    return load(path, threads=1)


def ask(url: str, body: bytes) -> Any:
    """One answer."""
    request = urllib.request.Request(f"{url}predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def check(url: str, model: Model, rows: list[dict[str, Any]]) -> None:
    """What is served is what the model says."""
    table, told = table_of(rows, model.encoder), ask(url, json.dumps({"rows": rows}).encode())
    assert told["predictions"] == model.predict(table).tolist()
    if model.task == "classification":
        assert [list(one.values()) for one in told["probabilities"]] == model.predict_proba(table).tolist()


def load_of(url: str, body: bytes, connections: int, seconds: int, folder: Path) -> list[int]:
    """Requests, microseconds, failures, and the median, the 99th percentile and the longest time in microseconds."""
    (folder / "body").write_bytes(body)
    (folder / "post.lua").write_text(SCRIPT.format(body=folder / "body"))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(folder / "post.lua"), f"{url}predict"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"^RESULT (.*)$", told, re.MULTILINE)
    assert found, told
    return list(map(int, found[1].split()))


def main() -> None:
    """Check, load, print."""
    parser = argparse.ArgumentParser("python -m benchmarks.serve", description=str(__doc__).partition("\n\n")[2])
    parser.add_argument("--model", type=Path, help="a model file; otherwise one is trained on the iris set")
    parser.add_argument("--connections", type=int, default=64, help="default %(default)s")
    parser.add_argument("--seconds", type=int, default=30, help="default %(default)s")
    parser.add_argument("--rows", default="1,100", help="of a request, one measurement each; default %(default)s")
    asked = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed; apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = asked.model or folder / "iris.fallline"
        model = model_at(path)
        command = [sys.executable, "-m", "fallline", "serve", str(path), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            one, rng = example(model.encoder), np.random.default_rng(0)
            sizes = [len(network.parameters) for network in model.networks]
            print(f"{len(sizes)} networks of {np.mean(sizes):,.0f} parameters on average")
            for n in map(int, asked.rows.split(",")):
                rows = [{k: v + rng.normal() if isinstance(v, float) else v for k, v in one.items()} for _ in range(n)]
                check(url, model, rows)
                body = json.dumps({"rows": rows}).encode()
                requests, took, failures, *times = load_of(url, body, asked.connections, asked.seconds, folder)
                median, p99, longest = (time / 1e3 for time in times)
                print(
                    f"{n} rows a request, {asked.connections} connections, {took / 1e6:.0f} s: {requests} answers, "
                    f"{failures} failures; {1e6 * requests / took:,.0f} requests and {1e6 * n * requests / took:,.0f} "
                    f"rows a second; median {median:.0f} ms, 99 % within {p99:.0f} ms, longest {longest:.0f} ms"
                )
            process.send_signal(signal.SIGTERM)
            print(f"ended with {process.wait()}")


if __name__ == "__main__":
    main()

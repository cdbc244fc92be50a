"""`python -m benchmarks`: run every benchmark and write the figures to benchmarks/results.json."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks import small_network
from fallline import _core

if __name__ == "__main__":
    machine = {
        "processor": platform.processor() or platform.machine(),
        "instruction set": _core.instruction_set(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("fallline", "numpy", "scikit-learn")},
    }
    print(f"instruction set {machine['instruction set']}, {machine['versions']}")
    results = {"machine": machine, "benchmarks": [small_network.run()]}
    path = Path(__file__).parent / "results.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")

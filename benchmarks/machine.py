"""The machine that the figures are of."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.entrants import cores
from fallline import _core


def machine() -> dict[str, Any]:
    """Processor, cores, system, instruction sets and load, as far as they can be known."""
    return {
        "processor": processor(),
        "cores": cores(),
        "instruction sets": _core.instruction_sets(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "gpu": gpu(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def gpu() -> str | None:
    """The first GPU and its driver, as NVIDIA's own tool names them; None without it."""
    if shutil.which("nvidia-smi") is None:
        return None
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    return said.stdout.splitlines()[0] if said.returncode == 0 and said.stdout else None


def processor() -> str:
    """Its name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

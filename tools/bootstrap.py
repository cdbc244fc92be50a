"""Make ``.venv`` and install fallline into it, from nothing but Python and a C++ compiler.

``python3 tools/bootstrap.py`` installs fallline from this folder (editable, with its dependencies);
``python3 tools/bootstrap.py test`` installs the dependency group ``test`` of pyproject.toml beside it.
Both make the environment first if need be, and both change nothing outside ``.venv`` and ``build``.

Debian and Ubuntu split Python: pip is in python3-venv, the C headers in python3-dev. Where one is missing, its package
is fetched with ``apt-get download``, which needs no root and follows the machine's own apt settings, and unpacked into
``.venv``; pip then brings itself up to date from the package index, by the user's own pip settings. What cannot be had
that way is said in one sentence, with the command that installs it.

Only the standard library is used here, and nothing newer than Python 3.7, so that an old Python gets a sentence too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST_PYTHON = (3, 10)
OLDEST_PIP = (25, 1)  # the first with --group

LOOK = """
import importlib.util, json, sys, sysconfig
pip = importlib.util.find_spec("pip") and __import__("pip").__version__
print(json.dumps({"python": sys.version_info[:2], "pip": pip, "include": sysconfig.get_path("include")}))
"""
TRY_CXX20 = "#include <concepts>\n#include <cstdint>\ntemplate <std::integral T> T same(T x) { return x; }\n"


class CannotGoOn(Exception):
    """What is missing and how to get it, in one sentence for the user."""


def main(groups: list[str]) -> int:
    """Install the project, or the named dependency groups, into ``.venv``."""
    try:
        check_python()
        if not groups:
            check_compiler()
        make_venv()
        if groups:
            install_groups(groups)
        else:
            install_project()
    except CannotGoOn as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def check_python() -> None:
    """Refuse a Python that fallline does not support."""
    if sys.version_info < OLDEST_PYTHON:
        found, oldest = dotted(sys.version_info[:2]), dotted(OLDEST_PYTHON)
        raise CannotGoOn(
            f"fallline needs Python {oldest} or newer and this is {found}: name a newer one, for example with "
            f"`make PYTHON=python{oldest}`."
        )


def check_compiler() -> None:
    """Refuse to start where the compiler that CMake would choose is absent or too old."""
    if os.name == "nt":
        # The kernels are written with the vector types of GCC and Clang, which MSVC lacks.
        os.environ.setdefault("CC", "clang-cl")
        os.environ.setdefault("CXX", "clang-cl")
        os.environ.setdefault("CMAKE_GENERATOR", "Ninja")
        if not shutil.which(os.environ["CXX"]):
            raise CannotGoOn("fallline needs clang-cl: install it, for example with `winget install LLVM.LLVM`.")
        return
    install = "xcode-select --install" if sys.platform == "darwin" else "sudo apt install g++"
    present = [name for name in ("c++", "g++", "clang++") if shutil.which(name)]  # in CMake's order
    chosen = shlex.split(os.environ.get("CXX", "")) or present[:1]
    if not chosen or not shutil.which(chosen[0]):
        found = f" ({chosen[0]}, named in CXX, is not there)" if chosen else ""
        raise CannotGoOn(f"fallline needs a C++20 compiler{found}: install one, for example with `{install}`.")
    command = [*chosen, "-std=c++20", "-fsyntax-only", "-x", "c++", "-"]
    if subprocess.run(command, input=TRY_CXX20, text=True, capture_output=True, check=False).returncode:
        raise CannotGoOn(
            f"fallline needs a C++20 compiler and {chosen[0]} does not compile C++20: install a newer one, for example "
            f"with `{install}`, and name it in CXX."
        )


def make_venv() -> None:
    """Make sure that ``.venv`` has a Python that runs and a pip that knows dependency groups."""
    if not look():
        say("making .venv")
        if not importlib.util.find_spec("venv"):
            raise CannotGoOn("Python comes without venv: install it with `sudo apt install python3-venv python3-dev`.")
        import venv

        venv.create(VENV, clear=True, symlinks=os.name != "nt")
    if not look()["pip"]:
        install_pip()
    if numbers(look()["pip"]) < OLDEST_PIP:
        pip("install", "--upgrade", f"pip>={dotted(OLDEST_PIP)}")


def look() -> dict:
    """Return what the Python in ``.venv`` says about itself, or an empty dict where it does not run."""
    try:
        seen = subprocess.run([str(PYTHON), "-c", LOOK], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return json.loads(seen.stdout)


def install_pip() -> None:
    """Put pip into ``.venv``: Python's own copy, or Debian's where Python comes without."""
    if importlib.util.find_spec("ensurepip"):
        run([PYTHON, "-m", "ensurepip"])
        return
    with tempfile.TemporaryDirectory() as folder:
        if not unpack_debian_package("python3-pip-whl", Path(folder)):
            raise CannotGoOn("Python comes without pip: install it with `sudo apt install python3-venv python3-dev`.")
        (wheel,) = Path(folder).glob("usr/share/python-wheels/pip-*.whl")
        run([PYTHON, wheel / "pip", "install", f"pip>={dotted(OLDEST_PIP)}"])


def find_headers() -> Path | None:
    """Return the folder with Python.h where CMake has to be told of it, after fetching it if need be."""
    seen = look()
    if (Path(seen["include"]) / "Python.h").exists():
        return None
    version = dotted(seen["python"])
    headers = VENV / "include" / f"python{version}"
    if (headers / "Python.h").exists():
        return headers
    with tempfile.TemporaryDirectory() as folder:
        if not unpack_debian_package(f"libpython{version}-dev", Path(folder)):
            raise CannotGoOn(
                f"Python {version} is installed without its C headers (Python.h): install them, for example with "
                "`sudo apt install python3-dev`."
            )
        include = Path(folder) / "usr" / "include"
        shutil.copytree(include / f"python{version}", headers, dirs_exist_ok=True)
        # Debian's pyconfig.h only points to one for each architecture; that one takes its place.
        for config in include.glob(f"*/python{version}/pyconfig.h"):
            shutil.copy(config, headers)
    return headers


def unpack_debian_package(name: str, folder: Path) -> bool:
    """Download the Debian package ``name`` and unpack it below ``folder``; False where that cannot be done."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    with tempfile.TemporaryDirectory() as scratch:
        # Package lists that are missing or out of date are fetched to a place of our own: the machine's stay.
        ours = ["-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"]
        download, update = ["apt-get", "-q", "download", name], ["apt-get", "-q", *ours, "update"]
        if not works(download, scratch):
            for part in ("lists/partial", "cache/archives/partial"):
                (Path(scratch) / part).mkdir(parents=True)
            if not (works(update, scratch) and works([*download, *ours], scratch)):
                return False
        (package,) = Path(scratch).glob("*.deb")
        return works(["dpkg-deb", "-x", str(package), str(folder)], scratch)


def install_project() -> None:
    """Install fallline, editable: what is compiled stays in ``build``, so that the next time only changes are."""
    headers = find_headers()
    if any((ROOT / "build").glob("*/CMakeCache.txt")):
        say("building what has changed")
        pip("install", "--group", "build")
    else:
        say("installing the build tools")
        pip("install", "--group", "build")
        say("installing what fallline needs, and building it (a minute or two)")
    told = ["--config-settings", f"cmake.define.Python_INCLUDE_DIR={headers}"] if headers else []
    pip("install", "--no-build-isolation", *told, "--editable", ".[serve,studio]")


def install_groups(groups: list[str]) -> None:
    """Install dependency groups of pyproject.toml."""
    say(f"installing the {' and '.join(groups)} tools")
    pip("install", *(word for group in groups for word in ("--group", group)))


def pip(*words: str) -> None:
    """Run the pip of ``.venv``."""
    run([PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check", *words])


def run(command: list[str | Path]) -> None:
    """Run a command quietly; show all that it said only if it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        raise CannotGoOn(f"This step failed, and the lines above say why: {' '.join(map(str, command[1:]))}")


def works(command: list[str], folder: str) -> bool:
    """Run a command in ``folder`` without a word, and return whether it succeeded."""
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def say(stage: str) -> None:
    """Print one line for a stage of the work."""
    print(stage, flush=True)


def dotted(version: tuple) -> str:
    """Return ``(3, 10)`` as ``3.10``."""
    return ".".join(map(str, version))


def numbers(version: str) -> tuple:
    """Return the first two numbers of a version: ``25.1.1`` as ``(25, 1)``."""
    return tuple(int("".join(filter(str.isdigit, part))) for part in version.split(".")[:2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The house stays a house: imports run downwards, core rooms need NumPy alone, names load when first used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fallline as fl

PACKAGE = Path(fl.__file__).parent

# From the top down; a room may import from its own line and from lines below it.
ORDER = [
    ["cli"],
    ["live", "serving"],
    ["report"],
    ["pictures"],
    ["estimators"],
    ["fit"],
    ["model"],
    ["files", "explanation"],
    ["table"],
    ["spreading"],
    ["recipes"],
    ["descent", "minimization", "backpropagation", "surfaces", "matching"],
    ["starts", "run", "diagnosis", "units"],
    ["listeners"],
    ["engines"],
    ["optimizers", "schedules", "metrics", "evaluation", "network"],
    ["losses"],
    ["activations", "inputs", "rates", "sharpness", "philox", "interrupt", "threads"],
    ["params", "wording", "checkpoint", "ports"],
    ["atomic", "errors", "control_groups", "_core"],
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
# Asked for by its name, and only when it is wanted: what a run or a model is to look like in a notebook.
UPWARDS = {("run", "report"), ("model", "report")}
CORE = [room for rooms in ORDER[ORDER.index(["recipes"]) + 1 :] for room in rooms if room != "_core"]


def imports(path: Path) -> list[tuple[str, bool]]:
    """Every module that a file imports, and whether it does so as soon as it is loaded."""
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, at_load: bool) -> None:
        for child in ast.iter_child_nodes(node):
            lazy = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            )
            if isinstance(child, ast.Import):
                found.extend((alias.name, at_load) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path} imports relatively"
                if child.module == "fallline":
                    found.extend((f"fallline.{alias.name}", at_load) for alias in child.names)
                else:
                    found.append((child.module or "", at_load))
            elif isinstance(child, ast.Call) and "import_module" in ast.dump(child.func):
                found.extend((arg.value, at_load) for arg in child.args if isinstance(arg, ast.Constant))
            visit(child, at_load and not lazy)

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) not in ("__init__", "__main__"))


def test_every_room_has_its_place() -> None:
    assert {room_of(path) for path in FILES} | {"_core"} == set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    for module, _ in imports(path):
        package, _, rest = module.partition(".")
        if package == "fallline" and rest:
            other = rest.split(".")[0]
            if other in RANK:
                is_right = RANK[other] >= RANK[room] or (room, other) in UPWARDS
                assert is_right, f"{room} imports {other}, which stands above it"


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in CORE], ids=lambda path: path.stem)
def test_core_rooms_load_numpy_and_the_standard_library_alone(path: Path) -> None:
    for module, at_load in imports(path):
        package = module.split(".")[0]
        if at_load and package not in sys.stdlib_module_names:
            known = ("numpy", "fallline", *(("jax",) if path.parent.name == "xla" else ()))
            assert package in known, f"{path.name} imports {module} when it is loaded"


def test_the_public_names_load_when_first_used() -> None:
    """`import fallline` loads not even NumPy; every name of the contents page is there."""
    code = "import sys, fallline; print('numpy' in sys.modules, [getattr(fallline, n) for n in fallline.__all__])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")
    assert set(fl.__all__) <= set(dir(fl))
    with pytest.raises(AttributeError, match="has no attribute 'Netwrk'"):
        fl.Netwrk  # noqa: B018


def test_no_module_hides_a_public_function() -> None:
    """A module that is imported becomes an attribute of the package, in place of a function of the same name."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert not {name for name in fl.__all__ if callable(getattr(fl, name))} & modules


def test_the_stub_of_the_compiled_core_is_the_one_that_was_generated() -> None:
    """So that its signatures cannot change unseen; if they were meant to, copy the built stub over the kept one."""
    from fallline import _core

    built = Path(_core.__file__).with_name("_core.pyi")
    kept = PACKAGE / "_core.pyi"
    assert ast.dump(ast.parse(built.read_text())) == ast.dump(ast.parse(kept.read_text())), f"{built} differs"


def test_the_version_is_the_package_s() -> None:
    from importlib.metadata import version

    assert fl.__version__ == version("fallline")

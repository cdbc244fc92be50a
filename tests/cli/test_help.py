"""Help: it says what the table of parameters says, and costs no waiting."""

import inspect
import subprocess
import sys
from typing import get_type_hints

import pytest

import fallline
from fallline.cli.settings import help_text
from fallline.cli.train import train
from fallline.params import PARAMS


def test_the_options_of_train_are_the_table_s():
    hints = get_type_hints(train, include_extras=True)
    signature = inspect.signature(train).parameters
    for name, param in PARAMS.items():
        assert signature[name].default == param.text(param.default)
        (option,) = hints[name].__metadata__
        if name != "validation":  # the command line takes a file, too
            assert option.help == help_text(param)
    others = {"data", "target", "out", "history", "drop", "column", "group", "report", "quiet", "as_json"}
    others |= {"checkpoint", "checkpoint_every", "resume", "studio", "memory"}
    others |= {"coordinator", "processes", "process", "wait"}
    assert set(signature) == {*PARAMS, *others}
    assert [name for name in signature if name in PARAMS][1:] == [name for name in PARAMS if name != "validation"]


def test_the_defaults_as_typed_mean_the_defaults():
    for param in PARAMS.values():
        assert param.parse(param.text(param.default)) == param.default


@pytest.mark.parametrize("command", ["train", "predict", "evaluate", "explain", "export", "serve", "info", "datasets"])
def test_every_command_explains_itself(run, command):
    status, out, err = run(command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: fallline {command} [OPTIONS]")
    assert command in run("--help").out


def test_the_list_of_commands_cuts_no_sentence_short(run):
    assert "..." not in run("--help").out.partition("Commands:")[2]


def test_every_parameter_is_in_the_help(run):
    words = " ".join(run("train", "--help").out.split())
    for param in PARAMS.values():
        assert f"{param.flag} " in words
        assert f"[default: {param.text(param.default)}]" in words


def test_version(run):
    assert run("--version") == (0, f"fallline {fallline.__version__}\n", "")


def cpu_ratio(arguments, others):
    """What the processor spends on one command over what it spends on another: the least of some runs in turn."""
    resource = pytest.importorskip("resource")

    def once(words):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    runs = [(once(arguments), once(others)) for _ in range(5)]
    return min(one for one, _ in runs) / min(other for _, other in runs)


def test_help_costs_little_beside_the_library_that_reads_commands():
    assert cpu_ratio(["-m", "fallline.cli", "--help"], ["-c", "import typer"]) < 2  # about 1: 0.15 s


def test_import_costs_little():
    assert cpu_ratio(["-c", "import fallline"], ["-c", "import numpy"]) < 0.6  # about 0.2: 0.04 s


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv[1:] = ['train', '--help']; from fallline.cli.__main__ import main; main();"
        "print({'numpy', 'polars', 'rich', 'sklearn', 'safetensors'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == "set()\n"

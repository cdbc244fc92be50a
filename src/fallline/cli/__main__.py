"""`fallline`: the commands, and the one place where what goes wrong becomes one line and an exit status."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from fallline import __version__
from fallline.cli.datasets import datasets
from fallline.cli.evaluate import evaluate
from fallline.cli.explain import explain
from fallline.cli.export import export
from fallline.cli.group import ended
from fallline.cli.info import info
from fallline.cli.output import complain
from fallline.cli.predict import predict
from fallline.cli.report import report
from fallline.cli.serve import serve
from fallline.cli.studio import studio
from fallline.cli.train import train
from fallline.errors import DivergenceError, FalllineError

STATUS = "Exit status: 0 done; 1 every start diverged, or out of memory; 2 wrong use or bad input; 130 interrupted."
COMMANDS = (train, predict, evaluate, explain, report, export, studio, serve, info, datasets)


def _telling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say that Ctrl-C was heard; Typer would leave without a word."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except KeyboardInterrupt:
            return complain("interrupted", 130)

    return run


def _listed(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command's name and help without its options, which take long to make: enough for the list of commands."""

    def listed() -> None:
        pass

    listed.__name__, listed.__doc__ = command.__name__, command.__doc__
    return listed


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"fallline {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _app(asked: str) -> typer.Typer:
    """The command line, with all that belongs to the command that was asked for."""
    app = typer.Typer(
        name="fallline",
        help="Train dense neural networks by gradient descent, on your own tables.",
        epilog=STATUS,
        rich_markup_mode=None,  # Rich takes longer to import than the help to read
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for command in COMMANDS:
        app.command()(_telling(command) if command.__name__ == asked else _listed(command))
    return app


def main() -> int:
    """Run the command that `sys.argv` asks for.

    Returns
    -------
    int
        Exit status.
    """
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter gets an escape
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        return ended(_run())


def _run() -> int:
    try:
        app = _app(_asked())
        status = int(app(sys.argv[1:] or ["--help"], prog_name="fallline", standalone_mode=False) or 0)
        sys.stdout.flush()
        return status
    except DivergenceError as error:
        return complain(str(error), 1)
    except FalllineError as error:
        return complain(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return complain("interrupted", 130)
    except MemoryError as error:
        return complain(
            f"out of memory ({error}); try a smaller network, or fewer rows" if str(error) else "out of memory", 1
        )
    except BrokenPipeError:  # the reader of standard output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if not hasattr(error, "format_message"):  # Typer's usage errors have it, but no public name
            raise
        return complain(_usage(error))


def _asked() -> str:
    """The command's name, as typed."""
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _usage(error: Any) -> str:
    """Typer's complaint, in the voice of the others, with where to read on."""
    message = str(error.format_message()).rstrip(".?")
    message = re.sub(r": Input should be (.*?)(, unable to parse .*)?$", r"; it must be \1", message)
    message = message.replace("a valid integer", "a whole number").replace("a valid number", "a number")
    if near := getattr(error, "possibilities", None):  # options, the nearest first
        message = re.sub(r" \(Possible options?: .*", f", did you mean '{near[0]}'", message)
    message = message.replace(". Did you mean", ", did you mean").replace("requires an argument", "needs a value")
    context, asked = getattr(error, "ctx", None), _asked()
    known = any(command.__name__ == asked for command in COMMANDS)
    path = context.command_path if context else f"fallline {asked}" if known else "fallline"
    see = "? See" if "did you mean" in message else "; see"
    return f"{message[:1].lower()}{message[1:]}{see} '{path} --help'"


def _show_warning(message: Warning | str, *_: object) -> None:
    complain(str(message))


if __name__ == "__main__":
    sys.exit(main())

"""`fallline datasets`: the data sets that are there without a download."""

from __future__ import annotations

from typing import Annotated

import typer

from fallline.cli.output import aligned


def datasets(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the bundled data sets.

    Their names stand for a file wherever DATA is asked for.
    """
    from dataclasses import asdict

    from fallline.files.model_file import to_json
    from fallline.table import BUNDLED

    if as_json:
        print(to_json({name: asdict(known) for name, known in BUNDLED.items()}))
        return
    rows = [
        [name, str(known.rows), str(known.inputs), known.task, known.target, known.description]
        for name, known in BUNDLED.items()
    ]
    print(aligned([["name", "rows", "inputs", "task", "target", "what it is"], *rows]))

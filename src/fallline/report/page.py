"""A page of a report: sections of text, tables and pictures, as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str
    kind: str = "text"


@dataclass(frozen=True)
class Code:
    """Lines that stand as they are, for example a command; with a summary they are folded away."""

    lines: str
    summary: str = ""
    kind: str = "code"


@dataclass(frozen=True)
class Grid:
    """A table: what its columns are called, and rows of text; numbers are not broken over lines.

    Parameters
    ----------
    caption : str
    header : sequence of str
    rows : sequence of sequences of str
    folded : bool
        Shown when it is asked for.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    kind: str = "grid"


@dataclass(frozen=True)
class Figure:
    """A picture, what it shows in words, and its numbers as a table.

    Parameters
    ----------
    image : bytes
    media : {"svg+xml", "png"}
    alt : str
        For whoever does not see it.
    caption : str
    numbers : Grid
    wide : bool
        Whether it takes the page's whole width.
    """

    image: bytes
    media: str
    alt: str
    caption: str
    numbers: Grid
    wide: bool = False
    kind: str = "figure"

    @property
    def source(self) -> str:
        """The picture as a URL that holds it."""
        return f"data:image/{self.media};base64,{base64.b64encode(self.image).decode('ascii')}"


@dataclass(frozen=True)
class Note:
    """A finding: what is the case in bold, what speaks for it, what to do."""

    says: str
    evidence: str
    advice: str
    kind: str = "note"


Block = Text | Code | Grid | Figure | Note


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; `name` is its address within the page."""

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The whole report.

    Parameters
    ----------
    title, subtitle : str
    numbers : sequence of (str, str, str)
        The few that matter most: what, how much, and beside what.
    sections : sequence of Section
    foot : str
        What made it.
    """

    title: str
    subtitle: str
    numbers: Sequence[tuple[str, str, str]]
    sections: Sequence[Section] = field(default_factory=tuple)
    foot: str = ""

    def html(self) -> str:
        """One file: no script, no outside reference; all text of the user's is escaped."""
        return str(_template().render(page=self, sections=[s for s in self.sections if s.blocks], number=is_number))


def is_number(text: str) -> bool:
    """Whether a cell of a table reads as a number, perhaps with a unit or an interval."""
    return bool(text) and (text[0].isdigit() or (text[0] in "+-−±<" and len(text) > 1 and text[1].isdigit()))


@cache
def _template() -> Any:
    import jinja2

    source = resources.files("fallline.report")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (source / name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.jinja")

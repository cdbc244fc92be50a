"""Drawings as pictures of a page, each with its numbers: the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fallline.report.page import Figure, Grid
from fallline.report.twins import twin

DOTS = 130  # an inch, of pictures in pixels


@contextmanager
def drawing() -> Iterator[None]:
    """Settings for pictures that are written into a page, whatever the user's own are.

    Letters that matplotlib's font lacks are no cause for a warning: the browser has them.
    """
    import matplotlib as mpl

    own: Any = {"svg.hashsalt": "fallline", "svg.fonttype": "none", "figure.dpi": 100}
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(own)
        yield


def scratch_axes() -> Any:
    """Axes that nobody sees, for a Display that is drawn again later."""
    from matplotlib.figure import Figure as Drawing

    return Drawing().subplots()


def figure(
    draw: Callable[[Any], Any],
    alt: str,
    caption: str,
    numbers: Grid | Callable[[Any], Grid],
    size: tuple[float, float] = (6.4, 4.2),
    wide: bool = False,
    pixels: bool = False,
) -> Figure:
    """Draw something on a figure of its own and keep it as bytes.

    Parameters
    ----------
    draw : callable
        Takes a matplotlib figure, which has no axes yet.
    alt, caption : str
    numbers : Grid or callable
        What the picture says, as a table; or what makes it of what `draw` gives.
    size : (float, float), default (6.4, 4.2)
        Width and height in inches.
    wide : bool, default False
    pixels : bool, default False
        Draw pixels, which is smaller where there are very many marks.

    Returns
    -------
    Figure
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    with drawing():
        paper = Drawing(figsize=size, layout="constrained")
        FigureCanvasAgg(paper)
        drawn = draw(paper)
        _take_words_as_they_are(paper)
        image = io.BytesIO()
        if pixels:
            _paletted(paper).save(image, format="png", optimize=True)
        else:
            paper.savefig(image, format="svg", metadata={"Date": None, "Creator": None})
    table = numbers if isinstance(numbers, Grid) else numbers(drawn)
    # XML has no way to write a control character
    written = image.getvalue() if pixels else re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", b"?", image.getvalue())
    return Figure(written, "png" if pixels else "svg+xml", alt, caption, table, wide)


def displayed(make: Callable[[Any], Any], **options: Any) -> Figure:
    """A Display as a figure of the page; its caption says what it shows, its twin is its table.

    Parameters
    ----------
    make : callable
        Takes axes, draws on them, and gives the Display back.
    options
        As `figure` takes them.

    Returns
    -------
    Figure
    """
    made: list[Any] = []

    def draw(paper: Any) -> Any:
        made.append(make(paper.subplots()))
        return made[0]

    drawn = figure(draw, "", "", twin, **options)
    return replace(drawn, alt=made[0].caption, caption=made[0].caption)


def _take_words_as_they_are(paper: Any) -> None:
    """Dollars in names and labels are dollars, not mathematics; but for the ticks of a logarithmic axis."""
    from matplotlib.text import Text

    for words in paper.findobj(Text):
        if "$" in words.get_text() and "\\mathdefault" not in words.get_text():
            words.set_parse_math(False)


def _paletted(paper: Any) -> Any:
    """The pixels of a figure in 256 colours, a third of the bytes."""
    from PIL import Image

    paper.set_dpi(DOTS)
    paper.canvas.draw()
    width, height = paper.canvas.get_width_height()
    pixels = Image.frombuffer("RGBA", (width, height), paper.canvas.buffer_rgba().tobytes(), "raw", "RGBA", 0, 1)
    return pixels.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)

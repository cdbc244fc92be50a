"""Displays as pictures of a page: the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fallline.report.page import Figure, Grid


@contextmanager
def drawing() -> Iterator[None]:
    """Settings for pictures that are written into a page, whatever the user's own are."""
    import matplotlib as mpl

    fonts = ["DejaVu Sans", "Verdana", "sans-serif"]
    own: Any = {"svg.hashsalt": "fallline", "svg.fonttype": "none", "font.family": fonts, "figure.dpi": 100}
    with mpl.rc_context():
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
    numbers: Grid | None = None,
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
    numbers : Grid, optional
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
        draw(paper)
        image = io.BytesIO()
        if pixels:
            paper.savefig(image, format="png", dpi=160, metadata={"Software": None})
        else:
            paper.savefig(image, format="svg", metadata={"Date": None, "Creator": None})
    return Figure(image.getvalue(), "png" if pixels else "svg+xml", alt, caption, numbers, wide)

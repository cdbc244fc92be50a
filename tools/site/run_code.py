"""The pictures of the site: a page's Python is run while the site is built, and what it draws follows the block.

The code on a page is what a reader would type. All blocks of a page run one after the other, and every figure that is
open after a block is written below it (below its printed answer, where it has one) as an SVG. Pages that draw nothing
are left alone: the tests run their code, and compare what it prints.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
from collections.abc import Callable
from typing import Any

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$\n(?P<answer>\n*```text\n.*?^```$\n)?", re.DOTALL | re.MULTILINE)
DRAWS = "fallline import pictures"
SETTINGS = {"svg.hashsalt": "fallline", "figure.max_open_warning": 0, "savefig.facecolor": "white"}


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Run the page's blocks and put its pictures into it."""
    from mkdocs.exceptions import PluginError
    from mkdocs.structure.files import File

    if page.file.generated_by or DRAWS not in markdown:
        return markdown
    stem = page.file.src_uri.removesuffix(".md")
    name = stem.rpartition("/")[2]

    def keep(picture: bytes, k: int) -> str:
        files.append(File.generated(config, f"{stem}-{k}.svg", content=picture))
        return f"{name}-{k}.svg"

    try:
        return with_pictures(markdown, page.file.src_uri, keep)
    except Exception as error:
        raise PluginError(f"the code in {page.file.src_uri} does not run: {error!r}") from error


def with_pictures(text: str, page: str, keep: Callable[[bytes, int], str]) -> str:
    """Run the Python of a page and return the page with its pictures.

    Parameters
    ----------
    text : str
        Markdown.
    page : str
        Its name, for tracebacks.
    keep : callable
        Takes the SVG of a picture and its number on the page, from 1 on, and returns where the page finds it.

    Returns
    -------
    str
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    variables: dict[str, Any] = {"__name__": page}
    parts, end, k = [], 0, 0
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.use("agg")
        mpl.rcParams.update(SETTINGS)
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            shown = run("\n" * line + block["code"], page, variables)
            parts.append(text[end : block.end()])
            end = block.end()
            for figure in map(plt.figure, plt.get_fignums()):
                k += 1
                image = io.BytesIO()
                figure.savefig(image, format="svg", metadata={"Date": None, "Creator": None})
                where = keep(image.getvalue(), k)
                parts.append(f"\n[![{words(figure, shown)}]({where})]({where}){{ .picture }}\n")
            plt.close("all")
    return "".join([*parts, text[end:]])


def run(code: str, page: str, variables: dict[str, Any]) -> list[Any]:
    """Run a block, and return the values of its bare expressions, which a notebook would show."""
    shown: list[Any] = []
    hook, sys.displayhook = sys.displayhook, shown.append
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for statement in ast.parse(code, page).body:
                exec(compile(ast.Interactive([statement]), page, "single"), variables)
    finally:
        sys.displayhook = hook
    return [*shown, *variables.values()]


def words(figure: Any, shown: list[Any]) -> str:
    """What a figure says to those who do not see it: the caption of its Display, or else its titles."""
    of_figure = [value for value in shown if getattr(value, "figure_", None) is figure]
    captions = [value.caption for value in of_figure if hasattr(value, "caption")]
    titles = [ax.get_title(where) for ax in figure.axes for where in ("left", "center")]
    said = captions[0] if captions else ". ".join(filter(None, titles))
    return re.sub(r"([\[\]\\`*_<>|])", r"\\\1", " ".join(said.split()))

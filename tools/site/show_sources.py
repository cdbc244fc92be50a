"""Links from pages to files outside `docs` work on the site too: each such file becomes a page of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
LANGUAGES = {".py": "python", ".pyi": "python", ".cpp": "cpp", ".hpp": "cpp", ".toml": "toml"}
HEAD = "---\nsearch:\n  exclude: true\n---\n"
AT = "source/"


def on_files(files: Any, *, config: Any) -> Any:
    """Add a page for every file outside `docs` that a page links to."""
    from mkdocs.structure.files import File

    pages = files.documentation_pages()
    waiting = [("docs/" + page.src_uri, Path(page.abs_src_path).read_text("utf-8")) for page in pages]
    while waiting:
        page, text = waiting.pop()
        for target in sorted(outside(text, page)):
            if not files.get_file_from_path(AT + target + ".md") and (ROOT / target).is_file():
                source = (ROOT / target).read_text("utf-8")
                files.append(File.generated(config, AT + target + ".md", content=as_page(target, source)))
                if target.endswith(".md"):
                    waiting.append((target, source))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Lead links to files outside `docs` to their pages."""
    if not page.file.generated_by:
        return rewritten(markdown, "docs/" + page.file.src_uri)
    name = page.file.src_uri.removeprefix(AT).removesuffix(".md")
    return rewritten(markdown, name) if name.endswith(".md") else markdown


def as_page(name: str, text: str) -> str:
    """A file as a page: Markdown as it is, code with its name above."""
    suffix = PurePosixPath(name).suffix
    if suffix == ".md":
        return HEAD + text
    fence = f"~~~~~ {LANGUAGES.get(suffix, 'text')}\n{text.rstrip()}\n~~~~~\n"
    return f"{HEAD}# {PurePosixPath(name).name}\n\n`{name}`\n\n{fence}"


def resolved(link: str, page: str) -> str:
    """Where a link leads, as a path from the root of the repository."""
    return os.path.normpath(PurePosixPath(page).parent / link).replace(os.sep, "/")


def outside(text: str, page: str) -> set[str]:
    """The files outside `docs` that a page, named from the root of the repository, links to."""
    return {path for link in LINK.finditer(text) if not (path := resolved(link["path"], page)).startswith("docs/")}


def rewritten(text: str, page: str) -> str:
    """The page's text with the links that lead out of `docs`, or stand on a page from outside, as the site has them."""

    def lead(link: re.Match[str]) -> str:
        target = resolved(link["path"], page)
        place = target.removeprefix("docs/") if target.startswith("docs/") else AT + target + ".md"
        here = page.removeprefix("docs/") if page.startswith("docs/") else AT + page + ".md"
        return os.path.relpath(place, PurePosixPath(here).parent).replace(os.sep, "/") + (link["anchor"] or "")

    return LINK.sub(lead, text)

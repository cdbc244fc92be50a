"""The page: one file, nothing from elsewhere, whatever the user's text holds."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from fallline.report.page import Code, Figure, Grid, Note, Page, Section, Text, is_number

EVIL = "<script>alert('x')</script> & \"quotes\""


class Outline(HTMLParser):
    """Tags and their attributes, in order; the text between them."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page() -> Page:
    picture = Figure(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg+xml", EVIL, EVIL, Grid(EVIL, [EVIL], [[EVIL]]))
    blocks = [Text(EVIL), Code(EVIL), Code(EVIL, EVIL), Grid(EVIL, [EVIL, "b"], [[EVIL, "1.5"]], True), picture]
    sections = [Section("one", EVIL, [*blocks, Note(EVIL, EVIL, EVIL)]), Section("empty", "nothing", [])]
    return Page(EVIL, EVIL, [(EVIL, EVIL, EVIL)], sections, EVIL)


def test_what_users_write_is_text() -> None:
    outline = Outline(page().html())
    assert "script" not in {tag for tag, _ in outline.tags}
    assert outline.text.count(EVIL) >= 15
    (image,) = (attributes for tag, attributes in outline.tags if tag == "img")
    assert image["alt"] == EVIL
    assert base64.b64decode((image["src"] or "").split(",")[1]).startswith(b"<svg")


def test_nothing_comes_from_elsewhere() -> None:
    html = page().html()
    for _, attributes in Outline(html).tags:
        for name in ("src", "href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "url(" not in html
    assert "@import" not in html
    assert re.search(r"Content-Security-Policy\" content=\"default-src 'none'", html)


def test_empty_sections_are_left_out() -> None:
    html = page().html()
    assert 'id="one"' in html
    assert "empty" not in html


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5", True),
        ("97.77 %", True),
        ("-3", True),
        ("−0.2", True),
        ("<0.1", True),
        ("a", False),
        ("-", False),
        ("", False),
    ],
)
def test_numbers_are_told_from_words(text: str, number: bool) -> None:
    assert is_number(text) == number

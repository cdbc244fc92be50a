"""The pages say what is so: their code runs, their numbers are recomputed, their links resolve. Docstrings too."""

import contextlib
import doctest
import importlib
import io
import re
import shlex
from itertools import zip_longest
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import typer

from fallline import Network, philox, pictures
from fallline.cli.__main__ import _app

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
LINKED = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
SOURCES = sorted((ROOT / "src" / "fallline").rglob("*.py"))

# Pages on which every number in a sentence has to stand in a code block, or below one, before its section ends.
RECOMPUTED = ["how-it-works.md"]

# Packages that come with an extra only: the doctests of a module that needs one are skipped where it is missing.
EXTRAS = {"jax"}

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$\n?", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.])-?\d[\d_]*(?:\.\d+)?(?:e-?\d+)?")
COMMAND = re.compile(r"(?:^ *|`|\| |srun |mpirun -n 4 )fallline (?P<command>[a-z]+)(?P<rest>[^`|\n]*)", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def name(path):
    return path.relative_to(ROOT).as_posix()


def blocks(text):
    """Each Python block of a page: its line, its code, and what it prints, which is the `text` block right below it."""
    fences = list(FENCE.finditer(text))
    for fence, below in zip_longest(fences, fences[1:]):
        if fence["language"] == "python":
            answered = below and below["language"] == "text" and not text[fence.end() : below.start()].strip()
            yield text.count("\n", 0, fence.start()) + 1, fence["body"], below["body"] if answered else ""


def numbers(text):
    return {float(number) for number in NUMBER.findall(text)}


def not_recomputed(text):
    """The numbers in a page's sentences and drawings that no block of the page, up to the end of the section, holds."""
    known, missing = set(), []
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        prose, computed, end = "", "", 0
        for fence in FENCE.finditer(section):
            prose += section[end : fence.start()] + ("" if fence["language"] else fence["body"])
            computed += fence["body"] if fence["language"] else ""
            end = fence.end()
        prose += section[end:]
        known |= numbers(computed)
        missing += sorted(numbers(LINK.sub("", prose)) - known)
    return missing


def anchors(text):
    """What `#...` may name in a page: its headings, in GitHub's spelling."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_prints_what_the_page_says(page, tmp_path, monkeypatch):
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    variables = {"__name__": page.stem}
    for line, code, expected in blocks(page.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + code, page, "exec"), variables)  # so that a traceback names the page's own lines
        plt.close("all")
        assert printed.getvalue().splitlines() == expected.splitlines(), f"{name(page)}, line {line}"


def refused(page):
    """The lines for a shell that the command line would not take: an option that is not there, or lacks its value."""
    for match in COMMAND.finditer(re.sub(r"\$\w+", "0", page.replace("\\\n", " "))):
        command = typer.main.get_command(_app(match["command"])).commands[match["command"]]
        try:
            command.make_context(command.name, shlex.split(match["rest"], comments=True))
        except Exception as error:
            if type(error).__name__ != "MissingParameter":  # in a sentence DATA may be left out
                yield f"{match[0].strip()}: {error.format_message()}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_commands_on_a_page_are_taken(page):
    assert list(refused(page.read_text(encoding="utf-8"))) == []


def test_a_command_that_is_not_taken():
    page = "`fallline train iris --report`, or\n\n    fallline train iris --epochs 3 \\\n        --sede 1  # so\n"
    said = list(refused(page))
    assert len(said) == 2
    assert "'--report' requires" in said[0]
    assert "--sede" in said[1]


@pytest.mark.parametrize("page", RECOMPUTED)
def test_numbers_in_sentences_are_recomputed(page):
    assert not_recomputed((DOCS / page).read_text(encoding="utf-8")) == []


def test_what_the_pages_are_read_with():
    page = "# A\nIt is 0.25 or 7.\n\n```python\nprint(1 / 4)\n```\n\n```text\n0.25\n```\n## B\n4\n```\na 9\n```\n"
    page += "```python\npass\n```\ntext\n```text\n3\n```\n"
    assert list(blocks(page)) == [(4, "print(1 / 4)\n", "0.25\n"), (16, "pass\n", "")]
    assert not_recomputed(page) == [7, 9]
    assert anchors("# A\n```\n# B\n```\n## L1, `W[0]` & co\n") == {"a", "l1-w0--co"}


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_the_contents_page_names_every_page():
    links = LINK.findall((DOCS / "index.md").read_text(encoding="utf-8"))
    assert {page.name for page in PAGES} - {"README.md", "index.md"} <= set(links)


def test_the_gallery_and_the_reference_have_every_picture():
    gallery = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert [each for each in pictures.__all__ if f"\npictures.{each}" not in gallery] == []
    reference = (DOCS / "reference" / "pictures.md").read_text(encoding="utf-8")
    homes = {getattr(pictures, each).__module__ + f".{each}" * each[0].isupper() for each in pictures.__all__}
    assert [home for home in homes if f"::: {home}\n" not in reference] == []


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_docstring_examples(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = source.relative_to(ROOT / "src").with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    assert "+SKIP" not in source.read_text(encoding="utf-8"), "an example that is not run may be wrong"
    try:
        results = doctest.testmod(importlib.import_module(module))
    except ModuleNotFoundError as missing:
        if missing.name.partition(".")[0] not in EXTRAS:
            raise
        pytest.skip(f"{module} needs {missing.name}, which comes with an extra")
    assert results.failed == 0


# What docs/notation.md says about random numbers, spelled out from its words.

SEED = 12345678901  # more than 32 bits


def philox_words(n, seed, a, b, purpose):
    """The first `n` words, one block at a time."""
    key = (seed % 2**32, seed // 2**32)
    counters = [np.array([[i], [a], [b], [purpose]]) for i in range(-(-n // 4))]
    return [int(word) for counter in counters for word in philox.philox(counter, key)[:, 0]][:n]


def test_row_order_is_as_the_notation_says():
    n, epoch = 11, 3
    order = list(range(n))
    for i, word in zip(range(n - 1, 0, -1), philox_words(n - 1, SEED, epoch, 0, 0), strict=True):
        j = (word * (i + 1)) >> 32
        order[i], order[j] = order[j], order[i]
    assert philox.row_order(n, SEED, epoch).tolist() == order


def test_dropout_masks_are_as_the_notation_says():
    n, n_out, rate, step, l, start = 3, 5, 0.3, 7, 1, 2
    words = philox_words(n * n_out, SEED, step, l + 65536 * start, 1)
    mask = [0 if word < rate * 2**32 else 1 / (1 - rate) for word in words]
    assert philox.dropout_mask((n, n_out), rate, SEED, step, l, start).reshape(-1).tolist() == mask


def test_random_starts_are_as_the_notation_says():
    k = 4
    net = Network([3, 2, 1], start="normal", seed=SEED, dtype="float64").restart(k)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(SEED, spawn_key=(k,))))
    drawn = [rng.normal(size=shape).reshape(-1) for shape in [(3, 2), (2,), (2, 1), (1,)]]
    assert net.parameters.tolist() == np.concatenate(drawn).tolist()

"""What the site does to a page: its code is run, its pictures follow, its links lead to what the site has."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "site"))

import run_code  # noqa: E402
import show_sources  # noqa: E402
import whole_options  # noqa: E402

PAGE = """# A page

```python
import matplotlib.pyplot as plt
numbers = [1, 2]
print("heard by nobody")
```

```text
heard by nobody
```

```python
figure, ax = plt.subplots()
ax.set_title("Two [numbers] in a row")
lines = ax.plot(numbers)
print(len(numbers))
```

```text
2
```

Words.

```python
plt.subplots()
plt.subplots()
```
"""


def test_pictures_follow_the_blocks_that_draw_them(capsys):
    kept = {}

    def keep(svg, k):
        kept[f"page-{k}.svg"] = svg
        return f"page-{k}.svg"

    page = run_code.with_pictures(PAGE, "page.md", keep)
    assert capsys.readouterr().out == ""
    assert list(kept) == ["page-1.svg", "page-2.svg", "page-3.svg"]
    assert all(b"<svg" in picture for picture in kept.values())
    first = "[![Two \\[numbers\\] in a row](page-1.svg)](page-1.svg){ .picture }"
    assert f"```text\n2\n```\n\n{first}\n\nWords." in page
    assert page.count("```python") == 3
    assert page.index("page-2.svg") < page.index("page-3.svg")
    assert plt.get_fignums() == []


def test_the_caption_of_a_display_is_what_its_picture_says():
    code = "import fallline as fl\nfrom fallline import pictures\n\n"
    code += "pictures.NetworkDisplay.from_network(fl.Network([2, 3, 1]))\n"
    page = run_code.with_pictures(f"```python\n{code}```\n", "page.md", lambda svg, k: "a.svg")
    variables = {}
    exec(code.replace("pictures.Net", "display = pictures.Net"), variables)
    assert f"![{run_code.words(variables['display'].figure_, [variables['display']])}](a.svg)" in page
    assert variables["display"].caption.split()[0] in page
    plt.close("all")


def test_the_same_bytes_each_time():
    runs = [[], []]
    for kept in runs:
        run_code.with_pictures(PAGE, "page.md", lambda svg, k, kept=kept: kept.append(svg) or "a.svg")
    assert runs[0] == runs[1]


def test_a_block_that_fails_names_its_line():
    with pytest.raises(ZeroDivisionError) as failure:
        run_code.with_pictures("# A\n\n```python\n1 / 0\n```\n", "page.md", lambda svg, k: "")
    assert failure.traceback[-1].lineno + 1 == 4


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("docs/index.md", "how-it-works.md#a", "how-it-works.md#a"),
        ("docs/index.md", "../src/fallline/run.py", "source/src/fallline/run.py.md"),
        ("docs/design/speed.md", "../figures/speed.png", "../figures/speed.png"),
        ("docs/design/speed.md", "../../CONTRIBUTING.md#rules", "../source/CONTRIBUTING.md.md#rules"),
        ("CONTRIBUTING.md", "docs/notation.md", "../notation.md"),
        ("native/kernels/contract.md", "../api.hpp", "../api.hpp.md"),
        ("docs/index.md", "https://keepachangelog.com", "https://keepachangelog.com"),
        ("docs/index.md", "#here", "#here"),
    ],
)
def test_links(page, link, expected):
    assert show_sources.rewritten(f"See [this]({link}).", page) == f"See [this]({expected})."


def test_a_source_file_as_a_page():
    page = show_sources.as_page("src/fallline/run.py", "x = 1\n")
    assert page.endswith("# run.py\n\n`src/fallline/run.py`\n\n~~~~~ python\nx = 1\n~~~~~\n")
    assert show_sources.outside("[a](b.md) [c](../src/c.py)", "docs/a.md") == {"src/c.py"}


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<code>--hold-back last</code>", '<code><span class="option">--hold-back</span> last</code>'),
        ("<pre><span></span><code>train --seed 1</code></pre>", "<pre><span></span><code>train --seed 1</code></pre>"),
        ("<code>a -- b</code> -- c", "<code>a -- b</code> -- c"),
    ],
)
def test_an_option_in_a_sentence_stays_whole(html, expected):
    assert whole_options.on_page_content(html, page=None, config=None, files=None) == expected

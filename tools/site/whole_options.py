"""An option such as `--hold-back` stays on one line: browsers would break it behind its hyphens."""

from __future__ import annotations

import re
from typing import Any

CODE = re.compile(r"(?<!<pre>)(?<!</span>)<code>[^<]*</code>")  # of a block, there is one of these before it
OPTION = re.compile(r"--\w[\w-]*")


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:
    """Put each option within a sentence into an element that `site.css` does not let break."""
    return CODE.sub(lambda code: OPTION.sub(r'<span class="option">\g<0></span>', code[0]), html)

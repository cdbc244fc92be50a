"""The page for people: what to ask, with this model's own example. It has no script and asks no other host."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import Any

from fallline.model import Model
from fallline.serving.contract import REFUSALS
from fallline.serving.limits import Limits
from fallline.wording import score_text


def page_of(model: Model, document: dict[str, Any], limits: Limits) -> tuple[str, str]:
    """Render the page.

    Parameters
    ----------
    model : Model
    document : dict
        From `contract.openapi`.
    limits : Limits

    Returns
    -------
    str
        The page.
    str
        Its content security policy: its own style and nothing else.
    """
    import jinja2

    source = resources.files("fallline.serving")
    style = source.joinpath("page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(source.joinpath("page.html.jinja").read_text(encoding="utf-8"))
    schemas = document["components"]["schemas"]
    scores = model.training.get("scores")
    html = template.render(
        style=style,
        title=document["info"]["title"],
        task=model.task,
        target=model.encoder.target.name,
        scores=score_text(scores) if isinstance(scores, dict) and scores else "",
        columns=[(name, _words(of), of["description"]) for name, of in schemas["Row"]["properties"].items()],
        request=_pretty(schemas["Request"]["examples"][0]),
        answer=_pretty(schemas["Answer"]["examples"][0]),
        routes=[
            (method.upper(), path, said["summary"])
            for path, methods in document["paths"].items()
            for method, said in methods.items()
        ],
        limits=limits,
        refusals=REFUSALS,
    )
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return html, f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'none'"


def _words(schema: dict[str, Any]) -> str:
    """What a column takes: number, boolean, null."""
    kinds: list[str] = []
    for part in schema.get("anyOf", [schema]):
        said = part.get("format", part["type"])
        kinds += said if isinstance(said, list) else [said]
    return ", ".join(kinds)


def _pretty(value: Any) -> str:
    """JSON that is short enough to read: of many columns the first ones."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    lines = text.splitlines()
    return text if len(lines) <= 40 else "\n".join([*lines[:36], "      ..."])

"""What may be asked and what is answered, as JSON Schema and as an OpenAPI document, made of a model's columns."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, TypeAlias

from fallline import __version__
from fallline.model import Model
from fallline.serving.answers import answers, class_names, quantile_names, target_names
from fallline.serving.limits import Limits
from fallline.serving.rows import LARGEST, table_of
from fallline.table import Encoder
from fallline.table.columns import ColumnEncoding
from fallline.table.frames import DAY_ZERO
from fallline.table.names import listed

Schema: TypeAlias = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
REFUSALS = {
    "400": "The body is not JSON.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is not said to be JSON.",
    "422": "It is JSON, but not what the model takes; the line says which row and column.",
    "503": "Too much is asked at once, or the answer took too long; try again later.",
}


def row_schema(encoder: Encoder) -> Schema:
    """JSON Schema of one row: a property for each column that the model uses, and all of them are needed.

    Parameters
    ----------
    encoder : Encoder

    Returns
    -------
    dict
    """
    used = [column for column in encoder.encodings if column.kind is not None]
    return {
        "type": "object",
        "description": "One value for each column; null where it is missing. Other columns are not looked at.",
        "properties": {column.name: _value(column) for column in used},
        "required": [column.name for column in used],
    }


def _value(column: ColumnEncoding) -> Schema:
    number = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
    null = {"type": "null"}
    if column.role == "pixel":
        return number | {"description": "A pixel, as in the rows trained on, most often from 0 to 1."}
    if column.role == "category":
        known = listed(filter(None, column.labels))
        said = f"A category. Known: {known}; any other counts as unknown."
        return {"type": ["string", "number", "boolean", "null"], "description": said}
    if column.role == "date":
        said = (
            "A day, such as 2024-12-31, or a moment, such as 2024-12-31T23:59:59Z; without a distance from UTC it is "
            "taken as it is."
        )
        day, moment = ({"type": "string", "format": form} for form in ("date", "date-time"))
        return {"anyOf": [day, moment, null], "description": said}
    said = f"Two numbers in the rows trained on: {column.reason}." if column.role == "yes/no" else "A number."
    return {"anyOf": [number, {"type": "boolean"}, null], "description": f"{said} true and false are 1 and 0."}


def example(encoder: Encoder) -> dict[str, Any]:
    """A row in the middle of those trained on.

    Parameters
    ----------
    encoder : Encoder

    Returns
    -------
    dict
    """
    return {column.name: _middle(column) for column in encoder.encodings if column.kind is not None}


def _middle(column: ColumnEncoding) -> Any:
    if column.role == "category":
        return next(filter(None, column.labels))
    if column.role == "date":
        moment = datetime.fromisoformat(DAY_ZERO) + timedelta(round(column.center))
        return f"{moment.isoformat()}Z" if column.timed else moment.date().isoformat()
    if column.role == "pixel":
        return 0
    number = column.center + 1 / column.scale if column.role == "yes/no" else column.center
    rounded = float(f"{number:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def answer_schema(model: Model) -> Schema:
    """JSON Schema of the answer to a request.

    Parameters
    ----------
    model : Model

    Returns
    -------
    dict
    """
    target = model.encoder.target
    share = {"type": "number", "minimum": 0, "maximum": 1}
    if target.task == "regression":
        one: Schema = {"type": "number"}
    else:
        one = {"enum": [0, 1] if target.classes is None else target.classes.tolist()}
    names = target_names(target)
    lists = {"predictions": one if target.n_targets == 1 else _object(names, one)}
    if target.task == "classification":
        lists["probabilities"] = _object(names if target.classes is None else class_names(target), share)
    if target.quantiles:
        several = _object(quantile_names(target), {"type": "number"})
        lists["quantiles"] = several if target.n_targets == 1 else _object(names, several)
    said = "For each row of the request, in its order."
    return _object(list(lists), {"type": "array", "description": said}, {k: {"items": v} for k, v in lists.items()})


def _object(names: list[str], schema: Schema, more: dict[str, Schema] | None = None) -> Schema:
    """An object that has all these properties and no others."""
    return {
        "type": "object",
        "properties": {name: schema | (more or {}).get(name, {}) for name in names},
        "required": names,
        "additionalProperties": False,
    }


def openapi(model: Model, name: str, limits: Limits) -> Schema:
    """All routes as an OpenAPI document.

    Parameters
    ----------
    model : Model
    name : str
        Of the model, for people.
    limits : Limits

    Returns
    -------
    dict
    """
    encoder = model.encoder
    rows = [example(encoder)]
    request: Schema = {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "maxItems": limits.rows, "items": {"$ref": "#/components/schemas/Row"}}
        },
        "required": ["rows"],
        "additionalProperties": False,
        "examples": [{"rows": rows}],
    }
    answer = answer_schema(model) | {"examples": [answers(model, table_of(rows, encoder))]}
    error = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
    health = _object(["status", "model"], {"type": "string"})
    refusals = {status: _content(said, _reference("Error")) for status, said in REFUSALS.items()}
    post = {
        "operationId": "predict",
        "summary": f"Predict {', '.join(target_names(encoder.target))} of some rows.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _reference("Request")}}},
        "responses": {"200": _content("One prediction for each row.", _reference("Answer"))} | refusals,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": __version__, "description": "A model that fallline trained."},
        "paths": {
            "/predict": {"post": post},
            "/health": {"get": _get("health", "Whether the service answers.", health)},
            "/metrics": {"get": _get("metrics", "Counts and times, for Prometheus.", {"type": "string"}, "text/plain")},
            "/schema": {"get": _get("schema", "JSON Schema of a row.", {"type": "object"}, "application/schema+json")},
            "/openapi.json": {"get": _get("openapi", "This document.", {"type": "object"})},
            "/": {"get": _get("page", "A page for people.", {"type": "string"}, "text/html")},
        },
        "components": {
            "schemas": {"Row": row_schema(encoder), "Request": request, "Answer": answer, "Error": error},
        },
    }


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(said: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"description": said, "content": {kind: {"schema": schema}}}


def _get(name: str, summary: str, schema: Schema, kind: str = "application/json") -> Schema:
    return {"operationId": name, "summary": summary, "responses": {"200": _content(summary, schema, kind)}}

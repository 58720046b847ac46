"""The description of the interface (OpenAPI): bodies, formats, errors."""

import importlib.resources
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from geoclip.serve.bodies import BYTES, MULTIPART, JsonPhotos
from geoclip.serve.formats import OFFERED, schema_of
from geoclip.serve.problems import PROBLEM, REFUSALS
from geoclip.serve.service import Embedded
from geoclip.serve.vector_bodies import JSON, NPY, PARQUET, JsonVectors

Schema = dict[str, Any]

_BINARY: Schema = {"schema": {"type": "string", "format": "binary"}}
_RETRY: Schema = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_TIMING: Schema = {"Server-Timing": {"description": "decode, clip, search, names.", "schema": {"type": "string"}}}


def _refusals(*statuses: int) -> dict[int | str, Schema]:
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": REFUSALS[status],
            "content": problem,
            **({"headers": _RETRY} if status in (429, 503) else {}),
        }
        for status in statuses
    }


def _operation(body: Schema | None, content: Schema, *, required: bool = True) -> dict[str, Any]:
    responses = {200: {"description": "The answer.", "content": content, "headers": _TIMING}}
    extra = {} if body is None else {"openapi_extra": {"requestBody": {"content": body, "required": required}}}
    return {"responses": responses | _refusals(400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 500, 503), **extra}


_PHOTOS: Schema = {
    "image/*": _BINARY,
    BYTES: _BINARY,
    MULTIPART: {
        "schema": {
            "type": "object",
            "properties": {"photos": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        }
    },
    JSON: {"schema": {"$ref": "#/components/schemas/JsonPhotos"}},
}
_VECTORS: Schema = {JSON: {"schema": {"$ref": "#/components/schemas/JsonVectors"}}, NPY: _BINARY, PARQUET: _BINARY}
_ANSWERS: Schema = {kind: {"schema": schema_of(kind)} for kind in OFFERED}
_EMBEDDED: Schema = {JSON: {"schema": {"$ref": "#/components/schemas/Embedded"}}}

LOCATE = _operation(_PHOTOS, _ANSWERS, required=False)
SEARCH = _operation(_VECTORS, _ANSWERS)
EMBED = _operation(_PHOTOS, _EMBEDDED)
INDEX: dict[str, Any] = {"responses": _refusals(401, 403)}
_STATUS: Schema = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}
PLAIN: dict[str, Any] = {
    "responses": {200: {"description": "It is.", "content": {JSON: {"schema": _STATUS}}}} | _refusals(403)
}


def described(app: FastAPI, *, key: bool) -> Schema:
    """Return the document of an application; made once.

    Args:
        app: the application.
        key: whether callers need one.
    """
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    parts = document.setdefault("components", {}).setdefault("schemas", {})
    for model in (JsonPhotos, JsonVectors, Embedded):
        own = model.model_json_schema(ref_template="#/components/schemas/{model}")
        parts |= own.pop("$defs", {})
        parts[model.__name__] = own
    answer = _answer_schema()
    parts |= {f"Answer{name}": schema for name, schema in answer.pop("$defs").items()} | {"Answer": answer}
    parts["Answers"] = {
        "type": "object",
        "properties": {
            "answers": {"type": "array", "items": {"$ref": "#/components/schemas/Answer"}},
            "vectors": {
                "type": "array",
                "description": "With `vector`: of each answer; null where there was an error.",
                "items": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "null"}]},
            },
        },
        "required": ["answers"],
        "additionalProperties": False,
    }
    parts["Problem"] = {
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "One sentence."},
        },
        "required": ["type", "title", "status", "detail"],
    }
    if key:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values() if path.startswith("/v1/") else ():
                operation["security"] = [{"key": []}]
    app.openapi_schema = document
    return document


def _answer_schema() -> Schema:
    """Return the published schema of an answer, its parts called `Answer...` among those of this document."""
    text = importlib.resources.files("geoclip.writers").joinpath("answer.schema.json").read_text(encoding="utf-8")
    schema: Schema = json.loads(text.replace('"#/$defs/', '"#/components/schemas/Answer'))
    for name in ("$schema", "$id"):
        del schema[name]
    return schema

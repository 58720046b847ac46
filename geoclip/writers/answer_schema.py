"""The JSON schema of records, made from the types of `geoclip.answers.answer` and the texts beneath them.

`python -m geoclip.writers.answer_schema > geoclip/writers/answer.schema.json` writes the file anew.
"""

import ast
import inspect
import json
import sys
from itertools import pairwise
from typing import Any

from geoclip.answers.answer import Answer
from geoclip.answers.record import SCHEMA, FieldKind, fields_of

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_LIMITS = {"least": "minimum", "most": "maximum", "above": "exclusiveMinimum", "pattern": "pattern"}


def answer_schema() -> dict[str, Any]:
    """Return the schema of a record (draft 2020-12)."""
    parts: dict[str, Any] = {}
    whole = _schema(FieldKind(Answer), parts)["$ref"].rpartition("/")[2]
    schema = parts.pop(whole)
    schema["properties"] = {"schema": {"const": SCHEMA}} | schema["properties"]
    schema["required"].insert(0, "schema")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:geoclip-planet:answer:3",
        "title": "Where a photo may have been taken",
        **schema,
        "$defs": parts,
    }


def _schema(kind: FieldKind, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a kind of value; those of classes with fields are added to `parts` by name."""
    if kind.many:
        return {"type": "array", "items": _schema(kind._replace(many=False), parts)}
    if kind.optional:
        return {"anyOf": [{"type": "null"}, _schema(kind._replace(optional=False), parts)]}
    if fields := fields_of(kind.base):
        texts = _texts(kind.base)
        properties = {
            each.written.name or name: {"description": texts[name]} | _schema(each, parts)
            if name in texts
            else _schema(each, parts)
            for name, each in fields.items()
        }
        parts[kind.base.__name__] = {
            "description": inspect.cleandoc(kind.base.__doc__ or ""),
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        return {"$ref": f"#/$defs/{kind.base.__name__}"}
    name = next(_NAMES[base] for base in kind.base.__mro__ if base in _NAMES)
    limits = {key: limit for field, key in _LIMITS.items() if (limit := getattr(kind.written, field)) not in (None, "")}
    return {"type": [name, "null"] if kind.written.unknown else name, **limits}


def _texts(kind: type) -> dict[str, str]:
    """Return the text beneath each field of a class, and of each property."""
    body = ast.parse(inspect.getsource(kind)).body[0].body  # type: ignore[attr-defined]
    texts = {each.name: ast.get_docstring(each) or "" for each in body if isinstance(each, ast.FunctionDef)}
    for each, below in pairwise(body):
        match each, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                texts[name] = " ".join(text.split())
    return texts


if __name__ == "__main__":
    json.dump(answer_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")

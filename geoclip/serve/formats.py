"""Answers in the format that a caller accepts."""

import io
import json
from collections.abc import Sequence
from typing import Any

from geoclip.answers.answer import Answer
from geoclip.answers.record import record
from geoclip.serve.problems import ProblemError
from geoclip.writers.formats import Format
from geoclip.writers.jsonl import json_text

JSON, LINES, HTML = "application/json", "application/x-ndjson", "text/html"
WRITTEN = {
    LINES: Format.JSONL,
    "application/geo+json": Format.GEOJSON,
    "application/vnd.google-earth.kml+xml": Format.KML,
    "text/csv": Format.CSV,
}
"""Media types that writers make."""
OFFERED = (JSON, *WRITTEN, HTML)
"""The first is what a caller gets who says nothing."""
_SAME = {"application/jsonl": LINES, "application/ndjson": LINES}


def chosen(accept: str) -> str:
    """Return the media type that a header `Accept` asks for.

    Raises:
        ProblemError: there is none of those.
    """
    wanted = []
    for position, part in enumerate(accept.lower().split(",")):
        kind, *parameters = (each.strip() for each in part.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            wanted.append((-float(quality), position, _SAME.get(kind, kind)))
        except ValueError:
            continue
    for negative, _, kind in sorted(wanted):
        found = next((each for each in OFFERED if kind in ("", "*/*", each, f"{each.partition('/')[0]}/*")), None)
        if found and negative < 0:
            return found
    raise ProblemError(406, f"{accept:.80} cannot be had; accept one of {', '.join(OFFERED)}.")


def written(kind: str, answers: Sequence[Answer], vectors: Sequence[list[float] | None] | None = None) -> bytes:
    """Return answers in a media type, as the command line writes them; `vectors` are added to JSON."""
    if kind == JSON:
        parts = [f'"answers": [{", ".join(json_text(record(answer)) for answer in answers)}]']
        if vectors is not None:
            parts.append(f'"vectors": {json.dumps(vectors)}')
        return f"{{{', '.join(parts)}}}\n".encode()
    if kind == HTML:
        from geoclip.map import map_html

        return map_html(answers).encode()
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding="utf-8", errors="surrogateescape", newline="")
    with WRITTEN[kind].writer(stream) as writer:
        for answer in answers:
            writer.write(answer)
    return content.getvalue()


def line(answer: Answer) -> bytes:
    """Return an answer as one line of JSON."""
    return f"{json_text(record(answer))}\n".encode()


def content_type(kind: str) -> str:
    """Return a media type as an answer says it."""
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def schema_of(kind: str) -> dict[str, Any]:
    """Return the schema of answers in a media type, with references into an OpenAPI document."""
    if kind == JSON:
        return {"$ref": "#/components/schemas/Answers"}
    return {"$ref": "#/components/schemas/Answer"} if kind == LINES else {"type": "string"}

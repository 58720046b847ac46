"""Answers as one HTML page that needs no network and holds all it shows.

MapLibre GL JS draws it. Its code, the base map and our own scripts lie in `browser/`, which the page of the server uses
too; here they are put into one file. A content security policy names the scripts of the file by their digests, so that
the browser runs no others, and refuses every request.
"""

import base64
import hashlib
import importlib.resources
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from geoclip.answers.answer import Answer
from geoclip.answers.record import record
from geoclip.files import written_whole
from geoclip.map.contents import thumbnail
from geoclip.map.towns import towns_near
from geoclip.writers.wording import one_line

MODULES = ("words", "geometry", "cells", "base_map", "answer_map", "panel", "viewer", "answer_page")
"""Our scripts, each after those that it imports."""


def write_map(answers: Sequence[Answer], path: str | Path, *, thumbnails: Mapping[str, bytes] | None = None) -> None:
    """Write answers as one HTML file, whole or not at all.

    Args:
        answers: in the order of the page's chooser; those with errors are listed with their error. With none at all
            the page says so.
        path: of the file.
        thumbnails: JPEG bytes of the photos, of any size, by `Answer.query`.

    Raises:
        InputError: the file cannot be written, or a thumbnail is not an image.
    """
    html = map_html(answers, thumbnails=thumbnails)
    with written_whole(Path(path)) as temporary:
        temporary.write_text(html, encoding="utf-8")


def map_html(answers: Sequence[Answer], *, thumbnails: Mapping[str, bytes] | None = None, notice: str = "") -> str:
    """Return the page that `write_map` writes.

    Args:
        answers: as in `write_map`.
        thumbnails: as in `write_map`.
        notice: a sentence to stand above everything.

    Raises:
        InputError: a thumbnail is not an image.
    """
    photos = thumbnails or {}
    content = {
        "answers": [_content(answer) for answer in answers],
        "photos": [_photo(photos.get(answer.query), answer.query) for answer in answers],
        "towns": towns_near(answers),
        "notice": notice,
    }
    # no character of the data can end the script element it is in
    encoded = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    before, after = _template()
    return before + encoded + after


def _content(answer: Answer) -> dict[str, Any]:
    """Return the record of an answer; of the index only its folder's own name, which tells nothing of the machine."""
    result = record(answer)
    result["query"] = one_line(answer.query)
    result["searched"]["index"] = PurePath(answer.searched.index).name
    return result


def _photo(photo: bytes | None, query: str) -> str | None:
    if photo is None:
        return None
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail(photo, one_line(query))).decode("ascii")


@cache
def _template() -> tuple[str, str]:
    """Return what stands before and after the content."""
    parts = {
        "style": asset("maplibre-gl.css").decode() + asset("style.css").decode(),
        "h3": asset("h3.js").decode(),
        "maplibre": asset("maplibre-gl.js").decode(),
        "script": joined_modules(),
    }
    scripts = " ".join(_digest(parts[name]) for name in ("h3", "maplibre", "script"))
    parts["policy"] = (
        f"default-src 'none'; script-src {scripts}; style-src {_digest(parts['style'])}; img-src data: blob:; "
        "worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    parts["base"] = base64.b64encode(asset("base.json.gz")).decode("ascii")
    before, _, after = asset("answer.html").decode().partition("{{content}}")
    return _filled(before, parts), _filled(after, parts)


def _filled(template: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def joined_modules() -> str:
    """Return our scripts as one: imports of each other fall away, and what was exported is known to all."""
    text = "\n".join(asset(f"{name}.js").decode() for name in MODULES)
    return re.sub(
        r"^export (?=async |function |class |const )",
        "",
        re.sub(r'^import \{.*\} from "\./.*"\n', "", text, flags=re.M),
        flags=re.M,
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def asset(name: str) -> bytes:
    """Return a file of the folder `browser`."""
    return importlib.resources.files("geoclip.map").joinpath("browser", name).read_bytes()

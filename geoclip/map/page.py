"""Answers as one HTML page that needs no network.

Bokeh draws it: its browser code comes with its package and goes into the page, it knows Web Mercator and patches, and
it asks for no tiles. The page's own script (`page.js`) chooses what is drawn. A content security policy in the page
makes the browser refuse every request but one: OpenStreetMap's tiles, when the reader switches them on.
"""

import base64
import importlib.resources
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.resources import INLINE

from geoclip.answers.answer import Answer, Prediction
from geoclip.files import written_whole
from geoclip.map.canvas import empty_map, web_mercator
from geoclip.map.contents import COLOURS, LEAST, LEAST_PIXELS, LEAST_REST, MOST, sentences, thumbnail, tree_of
from geoclip.map.outline import outlines
from geoclip.writers.rings import Line, circle_line
from geoclip.writers.wording import one_line, title


def map_html(answers: Sequence[Answer], *, thumbnails: Mapping[str, bytes] | None = None) -> str:
    """Return answers as one HTML page; arguments and errors as for `write_map`."""
    photos = thumbnails or {}
    content = {
        "answers": [_content(answer, photos.get(answer.query)) for answer in answers],
        "outlines": [_hundredths(ring) for ring in outlines()],
        "least_rest": LEAST_REST,
        "least_pixels": LEAST_PIXELS,
    }
    # no character of the data can end the script element it is in
    encoded = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    html: str = file_html(
        empty_map(),
        INLINE,
        title="geoclip",
        template=_asset("page.html"),
        template_variables={
            "content": encoded,
            "script": _asset("page.js"),
            "gradient": ", ".join(COLOURS[::17]),
            "scale": [f"{100 * LEAST * 10**step:g} %" for step in range(round(math.log10(MOST / LEAST)) + 1)],
        },
    )
    return html


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


def _content(answer: Answer, photo: bytes | None) -> dict[str, Any]:
    """Return an answer as the page's script reads it; coordinates are in metres of Web Mercator, to 0.1 m."""
    circles = []
    if answer.predictions:
        radii = (answer.radius_50_km, answer.radius_90_km)
        circles = [_metres(circle_line((answer.best.lat, answer.best.lng), radius)) for radius in radii]
    return {
        "query": one_line(answer.query),
        "error": answer.error,
        "photo": photo and _data_uri(thumbnail(photo, one_line(answer.query))),
        "predictions": [_prediction(prediction) for prediction in answer.predictions],
        "radius_50_km": _number(answer.radius_50_km),
        "radius_90_km": _number(answer.radius_90_km),
        "circles": circles,
        "cells": _cells(answer),
        "sentences": sentences(answer),
    }


def _prediction(prediction: Prediction) -> dict[str, Any]:
    x, y = web_mercator(np.array([(prediction.lat, prediction.lng)]))[0].tolist()
    return {
        **prediction._asdict(),
        "nearby": _number(prediction.nearby),
        "name": title(prediction),
        "x": x,
        "y": y,
    }


def _cells(answer: Answer) -> dict[str, list[Any]]:
    tree = tree_of(answer.cells)
    rings = [_metres(ring) for ring in tree.rings]
    return {
        "id": [f"{cell:x}" for cell in tree.cells.tolist()],
        "resolution": tree.resolutions.tolist(),
        "probability": tree.probabilities.tolist(),
        "rest": tree.rests.tolist(),
        "free": tree.free.tolist(),
        "xs": [ring[0] for ring in rings],
        "ys": [ring[1] for ring in rings],
    }


def _metres(line: Line) -> tuple[list[float], list[float]]:
    x, y = web_mercator(line).round(1).T.tolist() if len(line) else ([], [])
    return x, y


def _hundredths(ring: Line) -> list[int]:
    """Return a ring as longitude, latitude, longitude, ... in 0.01 degrees, each pair less the pair before it."""
    whole = np.round(ring[:, ::-1] * 100).astype(np.int64)
    flat: list[int] = np.diff(whole, axis=0, prepend=np.zeros((1, 2), dtype=np.int64)).ravel().tolist()
    return flat


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _asset(name: str) -> str:
    return importlib.resources.files("geoclip.map").joinpath(name).read_text(encoding="utf-8")

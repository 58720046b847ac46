"""An answer as plain values: what JSON Lines and Parquet hold. `answer.schema.json` beside this file describes it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from geoclip.answers.answer import Answer, Area, Prediction, RecordedGps

SCHEMA = "geoclip-answer/2"
"""Names the fields and their meaning; another number where a reader would have to change."""


def record(answer: Answer) -> dict[str, Any]:
    """Return an answer as strings, numbers, lists and dicts, in the order they are written.

    Degrees are rounded to 6 decimals (0.1 m), probabilities to 6 significant digits, kilometres to 3. What is not
    known, NaN in the answer, is None.
    """
    return {
        "schema": SCHEMA,
        "query": answer.query,
        "error": answer.error,
        "predictions": [_prediction(p) for p in answer.predictions],
        "radius_50_km": significant(answer.radius_50_km, 3),
        "radius_90_km": significant(answer.radius_90_km, 3),
        "countries": _areas(answer.countries),
        "regions": _areas(answer.regions),
        "cities": _areas(answer.cities),
        "cells": [{"cell": c.cell, "probability": significant(c.probability, 6)} for c in answer.cells],
        "entropy_bits": rounded(answer.entropy_bits, 4),
        "threshold_bits": rounded(answer.threshold_bits, 4),
        "localizable": answer.localizable,
        "estimated": significant(answer.estimated, 6),
        "gps": _gps(answer.gps),
        "calibrated": answer.searched.calibrated,
        "searched": asdict(answer.searched),
    }


def rounded(value: float, decimals: int) -> float | None:
    """Return a number to so many decimals; None where it is not finite."""
    return round(value, decimals) if math.isfinite(value) else None


def significant(value: float, digits: int) -> float | None:
    """Return a number to so many significant digits; None where it is not finite."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def json_text(value: Any) -> str:
    """Return one line of JSON in UTF-8; escaped to ASCII where a name holds bytes that are no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text


def _prediction(p: Prediction) -> dict[str, Any]:
    return {
        "lat": rounded(p.lat, 6),
        "lng": rounded(p.lng, 6),
        "probability": significant(p.probability, 6),
        "score": rounded(p.score, 6),
        "cell": p.cell,
        "nearby": significant(p.nearby, 6),
        "place": None if p.name is None else p.name._asdict(),
    }


def _areas(areas: Sequence[Area]) -> list[dict[str, Any]]:
    return [{**area._asdict(), "probability": significant(area.probability, 6)} for area in areas]


def _gps(gps: RecordedGps | None) -> dict[str, Any] | None:
    if gps is None:
        return None
    return {"lat": rounded(gps.lat, 6), "lng": rounded(gps.lng, 6), "distance_km": significant(gps.distance_km, 3)}

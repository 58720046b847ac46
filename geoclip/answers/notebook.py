"""An answer as a notebook shows it, and as programs take it that know `__geo_interface__`."""

import math
from html import escape

from geoclip.answers.answer import Answer
from geoclip.answers.figures import coordinates, distance, percent
from index.search.features import Features, collection, point, table


def features(answer: Answer) -> Features:
    """Return the answer's places as a GeoJSON FeatureCollection, best first; none where nothing is known."""
    return collection(
        point(
            p.lat,
            p.lng,
            query=answer.query,
            rank=rank,
            place=str(p.name or ""),
            country=p.name.code if p.name else "",
            share=_known(p.share),
            radius_km=_known(p.radius_km),
            score=p.score,
            cell=p.cell,
        )
        for rank, p in enumerate(answer.predictions, 1)
    )


def html(answer: Answer) -> str:
    """Return what is asked, the verdict and the places, with all text escaped."""
    head = f"<p><b>{escape(answer.query)}</b><br>{escape(answer.error or answer.verdict)}</p>"
    wide = any(math.isfinite(p.radius_km) for p in answer.predictions)
    rows = []
    for rank, p in enumerate(answer.predictions, 1):
        radius = [distance(p.radius_km) if math.isfinite(p.radius_km) else ""] if wide else []
        known_km = answer.radius_50_km if rank == 1 else p.radius_km  # as the terminal shows it
        where = coordinates(p.lat, p.lng, known_km)
        share = percent(p.probability if math.isnan(p.share) else p.share)
        rows.append((f"{rank}", str(p.name or ""), share, *radius, where))
    names = ("", "place", "share", *(("radius",) if wide else ()), "latitude, longitude")
    return head + (table(names, rows) if rows else "")


def _known(value: float) -> float | None:
    """Return a number as JSON has it, which knows none that is unknown."""
    return value if math.isfinite(value) else None

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
            share=p.share if math.isfinite(p.share) else None,  # JSON has no number that is none
            radius_km=p.radius_km if math.isfinite(p.radius_km) else None,
            score=p.score,
            cell=p.cell,
        )
        for rank, p in enumerate(answer.predictions, 1)
    )


def html(answer: Answer) -> str:
    """Return what is asked, the verdict and the places, with all text escaped."""
    head = f"<p><b>{escape(answer.query)}</b><br>{escape(answer.error or answer.verdict)}</p>"
    columns = {"share": [percent(p.share) if math.isfinite(p.share) else "" for p in answer.predictions]}
    columns["radius"] = [distance(p.radius_km) if math.isfinite(p.radius_km) else "" for p in answer.predictions]
    columns = {name: column for name, column in columns.items() if any(column)}  # a gallery's places have neither
    rows = []
    for rank, p in enumerate(answer.predictions, 1):
        known_km = answer.radius_50_km if rank == 1 else p.radius_km  # as the terminal shows it
        where = coordinates(p.lat, p.lng, known_km)
        rows.append((f"{rank}", str(p.name or ""), *(column[rank - 1] for column in columns.values()), where))
    return head + (table(("", "place", *columns, "latitude, longitude"), rows) if rows else "")

"""Answers as GeoJSON (RFC 7946): one FeatureCollection, written as a stream."""

from collections.abc import Iterator
from typing import Any

from geoclip.answers.answer import Answer
from geoclip.answers.record import rounded, significant
from geoclip.writers.formats import Writer
from geoclip.writers.jsonl import json_text
from geoclip.writers.map_shapes import circles, drawn_cells
from geoclip.writers.rings import Polygon, Ring


class GeoJsonWriter(Writer):
    """A Feature a line; the property `kind` says what it is.

    Of an answer: its predictions (`place`, a Point), its 50 % and 90 % circles (`circle`), and the leaves of its tree
    of cells (`cell`). An answer without predictions is a Feature without geometry, with its `error`.
    """

    _separator = "\n"

    head = '{"type": "FeatureCollection", "features": ['
    tail = "\n]}\n"

    def write(self, answer: Answer) -> None:
        """See `Writer.write`."""
        for feature in _features(answer):
            self._stream.write(self._separator + json_text(feature))
            self._separator = ",\n"


def _features(answer: Answer) -> Iterator[dict[str, Any]]:
    if not answer.predictions:
        yield _feature(None, query=answer.query, kind="nothing", error=answer.error)
    for rank, p in enumerate(answer.predictions, 1):
        yield _feature(
            {"type": "Point", "coordinates": [rounded(p.lng, 6), rounded(p.lat, 6)]},
            query=answer.query,
            kind="place",
            rank=rank,
            probability=significant(p.probability, 6),
            share=significant(p.share, 6),
            radius_km=significant(p.radius_km, 3),
            place=str(p.name) if p.name else None,
        )
    for one in circles(answer):
        radius_km = significant(one.radius_km, 3)
        yield _feature(_area(one.polygons), query=answer.query, kind="circle", share=one.share, radius_km=radius_km)
    for cell in drawn_cells(answer):
        probability = significant(cell.probability, 6)
        yield _feature(_area(cell.polygons), query=answer.query, kind="cell", cell=cell.cell, probability=probability)


def _feature(geometry: dict[str, Any] | None, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _area(polygons: list[Polygon]) -> dict[str, Any]:
    coordinates = [[_positions(ring) for ring in polygon] for polygon in polygons]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _positions(ring: Ring) -> list[list[float]]:
    return [[lng, lat] for lat, lng in ring]

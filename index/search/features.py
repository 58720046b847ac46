"""Places as other programs take them: `__geo_interface__` (https://gist.github.com/sgillies/2217756), tables, HTML."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from index.search.hits import FoundPlaces

Features = dict[str, Any]
"""A GeoJSON FeatureCollection."""
_SHOWN = 20


def collection(features: Iterable[Features]) -> Features:
    """Return features as one collection."""
    return {"type": "FeatureCollection", "features": list(features)}


def point(lat: float, lng: float, **properties: Any) -> Features:
    """Return a place as a feature; GeoJSON has the longitude first."""
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": [lng, lat]}, "properties": properties}


def places(found: "FoundPlaces") -> Features:
    """Return the places of all queries: `query` from 0, `rank` from 1, `cell`, `score`, `probability`."""
    return collection(
        point(
            *found.lat_lng[query, rank].tolist(),
            query=query,
            rank=rank + 1,
            cell=f"{found.cells[query, rank]:x}",
            score=float(found.scores[query, rank]),
            probability=float(found.probabilities[query, rank]),
        )
        for query, rank in np.argwhere(found.cells > 0).tolist()
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], more: int = 0) -> str:
    """Return an HTML table of text, which is escaped, and a line about rows that are left out."""
    lines = [f"<tr>{''.join(f'<th>{escape(each)}</th>' for each in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{escape(each)}</td>' for each in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>" + (f"<p>and {more:,} more</p>" if more > 0 else "")


def places_html(found: "FoundPlaces") -> str:
    """Return the first places as a table."""
    head = ("query", "rank", "latitude", "longitude", "score", "probability")
    own, both = np.argwhere(found.cells > 0), np.stack((found.scores, found.probabilities), axis=-1)
    rows = [
        (f"{q}", f"{r + 1}", *map("{:.5f}".format, found.lat_lng[q, r]), *map("{:.4f}".format, both[q, r]))
        for q, r in own[:_SHOWN].tolist()
    ]
    return table(head, rows, len(own) - _SHOWN)


def frame(features: Features) -> Any:
    """Return a GeoPandas GeoDataFrame of features, in WGS 84.

    Raises:
        ImportError: GeoPandas is not installed.
    """
    try:
        import geopandas
    except ImportError as error:
        raise ImportError("GeoPandas is not installed; run `pip install geopandas`.") from error
    return geopandas.GeoDataFrame.from_features(features, crs="EPSG:4326")

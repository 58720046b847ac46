"""What an outline on a map must be: a shape by RFC 7946 with the right area."""

from collections.abc import Sequence

import numpy as np
import shapely

from geoclip.distance import EARTH_RADIUS_KM
from geoclip.writers.rings import Line, Polygon


def area_km2(polygons: Sequence[Sequence[Line] | Polygon]) -> float:
    """The area on the sphere of polygons whose closed rings are straight on the map: -R^2 * integral sin(lat) dlng."""
    total = 0.0
    for ring in (ring for polygon in polygons for ring in polygon):
        lat, lng = np.radians(np.array(ring)).T
        step = np.diff(lat)
        flat = np.abs(step) < 1e-9
        mean = np.where(flat, np.sin(lat[:-1]), -np.diff(np.cos(lat)) / np.where(flat, 1.0, step))
        total -= float((mean * np.diff(lng)).sum())
    return total * EARTH_RADIUS_KM**2


def check_rfc_7946(polygons: list[Polygon]) -> shapely.MultiPolygon:
    """Closed rings on the map, outer ones counter-clockwise and holes clockwise; together a valid geometry."""
    for polygon in polygons:
        for i, ring in enumerate(polygon):
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert all(abs(lat) <= 90 and abs(lng) <= 180 for lat, lng in ring)
            assert shapely.LinearRing([(lng, lat) for lat, lng in ring]).is_ccw == (i == 0)
    flipped = [[[(lng, lat) for lat, lng in ring] for ring in polygon] for polygon in polygons]
    geometry = shapely.MultiPolygon([(outer, holes) for outer, *holes in flipped])
    assert shapely.is_valid_reason(geometry) == "Valid Geometry"
    return geometry

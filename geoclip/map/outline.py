"""The outlines of the countries, simplified for a map of the world."""

from functools import cache

import numpy as np
import shapely
from numpy.typing import NDArray

from index.grid.countries import countries

TOLERANCE_DEG = 0.03
"""Corners of triangles smaller than this squared are left out, 67,000 of 86,000 points stay."""

SMALLEST_DEG2 = 1e-4
"""Parts below this area, about a square kilometre, are left out."""

LONGEST_BOX_DEG = 1.0
"""Rectangles with a longer side are left out: the table has Tuvalu's waters as a box, for want of an outline."""


@cache
def outlines() -> tuple[NDArray[np.float64], ...]:
    """Return rings (V, 2) of latitude, longitude in degrees, within -180 to 180, largest first.

    Only outer rings: what lies in a hole of a country is another country, which is drawn over it.
    """
    shapes = shapely.coverage_simplify(shapely.from_wkb([country.wkb for country in countries()]), TOLERANCE_DEG)
    parts = shapely.get_parts(shapes)
    area = shapely.area(parts)
    west, south, east, north = shapely.bounds(parts).T
    boxes = (area > 0.99 * (east - west) * (north - south)) & (np.maximum(east - west, north - south) > LONGEST_BOX_DEG)
    drawn = np.flatnonzero((area >= SMALLEST_DEG2) & ~boxes)
    drawn = drawn[np.argsort(-area[drawn], kind="stable")]
    return tuple(shapely.get_coordinates(ring)[:, ::-1] for ring in shapely.get_exterior_ring(parts[drawn]))

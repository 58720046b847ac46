"""Distances on the Earth: on the sphere (`index.grid.sphere`) or the ellipsoid; the score of the guessing game."""

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.grid.sphere import EARTH_RADIUS_KM, GEOSCORE_KM, haversine_km

__all__ = ["EARTH_RADIUS_KM", "GEOSCORE_KM", "Distance", "geodesic_km", "geoscore", "haversine_km"]


class Distance(StrEnum):
    """How distances are measured."""

    HAVERSINE = "haversine"
    """On a sphere: what published accuracies mean."""
    GEODESIC = "geodesic"
    """On the WGS 84 ellipsoid: up to 0.6 % different."""

    def km(self, a_deg: ArrayLike, b_deg: ArrayLike) -> NDArray[np.float64]:
        """Return distances in km; see `haversine_km`."""
        return haversine_km(a_deg, b_deg) if self is Distance.HAVERSINE else geodesic_km(a_deg, b_deg)


def geodesic_km(a_deg: ArrayLike, b_deg: ArrayLike) -> NDArray[np.float64]:
    """Return distances in km along the WGS 84 ellipsoid (Karney, J. Geodesy 87, 2013).

    Args:
        a_deg: (..., 2), (lat, lng) in degrees.
        b_deg: (..., 2), broadcast against `a_deg`.
    """
    from pyproj import Geod

    a, b = np.broadcast_arrays(np.asarray(a_deg, dtype=np.float64), np.asarray(b_deg, dtype=np.float64))
    lng_a, lat_a, lng_b, lat_b = (np.ascontiguousarray(side) for side in (a[..., 1], a[..., 0], b[..., 1], b[..., 0]))
    metres = Geod(ellps="WGS84").inv(lng_a, lat_a, lng_b, lat_b)[2]
    return np.asarray(metres, dtype=np.float64) / 1000


def geoscore(km: ArrayLike) -> NDArray[np.float64]:
    """Return the GeoGuessr score, 0 to 5000, of distances (...) in km; 0 at infinity."""
    score: NDArray[np.float64] = 5000 * np.exp(-np.asarray(km, dtype=np.float64) / GEOSCORE_KM)
    return score

"""Great-circle distances."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_KM = 6371.0
"""The mean radius, as the field's benchmarks use it."""


def haversine_km(a_deg: ArrayLike, b_deg: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distances in km on the sphere, by the haversine formula (Sinnott 1984).

    Args:
        a_deg: (..., 2), (lat, lng) in degrees.
        b_deg: (..., 2), broadcast against `a_deg`.
    """
    lat_a, lng_a = np.moveaxis(np.radians(np.asarray(a_deg, dtype=np.float64)), -1, 0)
    lat_b, lng_b = np.moveaxis(np.radians(np.asarray(b_deg, dtype=np.float64)), -1, 0)
    h = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lng_b - lng_a) / 2) ** 2
    distance: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(h, 0.0, 1.0)))
    return distance

"""The Earth as a sphere: unit vectors, great-circle distances, points reached from points, areas.

Coordinates are (..., 2), latitude and longitude in degrees; distances are great-circle kilometres.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

EARTH_RADIUS_KM = 6371.0
"""The mean radius, as the field's benchmarks use it."""
SPHERE_KM2 = 4 * np.pi * EARTH_RADIUS_KM**2
GEOSCORE_KM = 1492.7
"""The scale of the GeoGuessr score 5000 * exp(-km / 1492.7), as OSV-5M (arXiv 2404.18873) and PLONK use it."""


def unit_vectors(lat_lng: ArrayLike) -> Floats:
    """Return coordinates as unit vectors (..., 3): x through (0, 0), y through (0, 90), z through the north pole."""
    lat, lng = np.moveaxis(np.radians(np.asarray(lat_lng, dtype=np.float64)), -1, 0)
    return np.stack((np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)), axis=-1)


def coordinates(vectors: Floats) -> Floats:
    """Return the coordinates of vectors (..., 3) of any length above 0; longitudes are -180 to 180."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    lat_lng: Floats = np.degrees(np.stack((np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)), axis=-1))
    return lat_lng


def haversine_km(a: ArrayLike, b: ArrayLike) -> Floats:
    """Return the distances between coordinates, broadcast, by the haversine formula (Sinnott 1984)."""
    lat_a, lng_a = np.moveaxis(np.radians(np.asarray(a, dtype=np.float64)), -1, 0)
    lat_b, lng_b = np.moveaxis(np.radians(np.asarray(b, dtype=np.float64)), -1, 0)
    h = np.sin((lat_b - lat_a) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lng_b - lng_a) / 2) ** 2
    return km_of_chords(2 * np.sqrt(h))


def km_of_chords(chords: ArrayLike) -> Floats:
    """Return the distances that go with the straight distances between unit vectors, 0 to 2; infinity is the most."""
    distance: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(np.asarray(chords) / 2, 0.0, 1.0))
    return distance


def chords_of_km(km: ArrayLike) -> Floats:
    """Return the straight distances between unit vectors that go with distances; the inverse of `km_of_chords`."""
    chord: Floats = 2 * np.sin(np.clip(np.asarray(km) / EARTH_RADIUS_KM, 0.0, np.pi) / 2)
    return chord


def km_of_cosines(cosines: ArrayLike) -> Floats:
    """Return the distances that go with dot products of unit vectors; below some 100 m they are rounding errors."""
    distance: Floats = EARTH_RADIUS_KM * np.arccos(np.clip(cosines, -1.0, 1.0))
    return distance


def moved(lat_lng: ArrayLike, north_km: ArrayLike, east_km: ArrayLike) -> Floats:
    """Return where one arrives along great circles.

    Args:
        lat_lng: where they start. North and east of a pole are those of its longitude.
        north_km: (...) how far north; negative is south. Broadcast.
        east_km: (...) how far east: the way is hypot(north, east) long and begins in that direction.
    """
    lat, lng = np.moveaxis(np.radians(np.asarray(lat_lng, dtype=np.float64)), -1, 0)
    zero = np.zeros_like(lat)
    north = np.stack((-np.sin(lat) * np.cos(lng), -np.sin(lat) * np.sin(lng), np.cos(lat)), axis=-1)
    east = np.stack((-np.sin(lng), np.cos(lng), zero), axis=-1)
    way_north, way_east = (np.asarray(km, dtype=np.float64)[..., None] / EARTH_RADIUS_KM for km in (north_km, east_km))
    angle = np.hypot(way_north, way_east)
    ahead = (north * way_north + east * way_east) * np.sinc(angle / np.pi)
    return coordinates(unit_vectors(lat_lng) * np.cos(angle) + ahead)


def circle(lat_lng: ArrayLike, radius_km: float, count: int) -> Floats:
    """Return points (count, 2) at a distance from a point (2,), evenly counter-clockwise, from the east."""
    turns = 2 * np.pi * np.arange(count) / count
    return moved(np.broadcast_to(lat_lng, (count, 2)), radius_km * np.sin(turns), radius_km * np.cos(turns))


def cap_km2(radius_km: ArrayLike) -> Floats:
    """Return the area within a distance of a point."""
    return SPHERE_KM2 / 4 * chords_of_km(radius_km) ** 2


def wrapped(lng: ArrayLike) -> Floats:
    """Return longitudes in [-180, 180)."""
    turned: Floats = np.mod(np.asarray(lng, dtype=np.float64) + 180.0, 360.0) - 180.0
    return turned

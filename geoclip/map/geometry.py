"""Cells and circles as lines on flat maps: right at the antimeridian and around the poles.

Longitudes are unwrapped: along a line they change by less than 180 degrees from vertex to vertex and may leave
[-180, 180). A map draws every line three times, 360 degrees apart, and its frame cuts off what is outside.
"""

import math

import numpy as np
from numpy.typing import NDArray

from geoclip.distance import EARTH_RADIUS_KM
from index.grid.cells import Cells, boundaries, resolutions

Line = NDArray[np.float64]
"""(V, 2) vertices: latitude, longitude in degrees; longitudes unwrapped."""

WEB_MERCATOR_RADIUS_M = 6378137.0
WEB_MERCATOR_LAT = 85.0511287798
"""Where Web Mercator (EPSG:3857) cuts the poles off, so that the world is a square."""

CIRCLE_VERTICES = 361


def cell_rings(cells: Cells) -> list[Line]:
    """Return the outline of each cell; the first vertex is not repeated.

    Edges of large cells follow great circles. The ring of a cell around a pole goes once around the map and back along
    the pole.
    """
    return [
        _ring(_subdivided(corners, _pieces(corners, res)))
        for corners, res in zip(boundaries(cells), resolutions(cells).tolist(), strict=True)
    ]


def circle_line(lat: float, lng: float, radius_km: float) -> Line:
    """Return the circle around a point on the sphere, as a line that starts and ends in its northernmost point.

    Around a pole it ends 360 degrees from where it started. Empty where the radius is not finite or reaches around
    the globe.
    """
    angle = radius_km / EARTH_RADIUS_KM
    if not angle < np.pi:
        return np.zeros((0, 2))
    bearing = np.linspace(0.0, 2 * np.pi, CIRCLE_VERTICES)
    phi, lam = np.radians((lat, lng))
    sine = np.sin(phi) * np.cos(angle) + np.cos(phi) * np.sin(angle) * np.cos(bearing)
    # the usual formula divided by cos(phi), which is nothing at a pole
    northward = np.cos(phi) * np.cos(angle) - np.sin(phi) * np.sin(angle) * np.cos(bearing)
    lngs = lam + np.arctan2(np.sin(bearing) * np.sin(angle), northward)
    return _centred(_unwrapped(np.degrees(np.stack((np.arcsin(np.clip(sine, -1.0, 1.0)), lngs), axis=1))))


def web_mercator(lat_lng: Line) -> NDArray[np.float64]:
    """Return (V, 2) metres east and north of (0, 0) in EPSG:3857; latitudes beyond its edge are put on the edge."""
    lat = np.radians(np.clip(lat_lng[:, 0], -WEB_MERCATOR_LAT, WEB_MERCATOR_LAT))
    metres: Line = WEB_MERCATOR_RADIUS_M * np.stack((np.radians(lat_lng[:, 1]), np.arcsinh(np.tan(lat))), axis=1)
    return metres


def _pieces(corners: Line, res: int) -> int:
    """Return into how many pieces edges are divided: of 160 km at most, or of 5 degrees of longitude near a pole."""
    steps = np.diff(corners[:, 1], append=corners[0, 1])
    widest = float(np.abs((steps + 180.0) % 360.0 - 180.0).max())
    return max(8 >> res, math.ceil(widest / 5.0))


def _subdivided(corners: Line, pieces: int) -> Line:
    """Return the ring with each edge divided along its great circle."""
    if pieces == 1:
        return corners
    lat, lng = np.radians(corners).T
    units = np.stack((np.cos(lat) * np.cos(lng), np.cos(lat) * np.sin(lng), np.sin(lat)), axis=1)
    along = np.arange(pieces)[None, :, None] / pieces
    x, y, z = (units[:, None] * (1 - along) + np.roll(units, -1, axis=0)[:, None] * along).reshape(-1, 3).T
    divided: Line = np.degrees(np.stack((np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)), axis=1))
    return divided


def _ring(vertices: Line) -> Line:
    closed = _unwrapped(np.concatenate((vertices, vertices[:1])))
    if abs(closed[-1, 1] - closed[0, 1]) < 180.0:
        return _centred(closed[:-1])
    edge = closed[::-1].copy()
    edge[:, 0] = np.copysign(90.0, vertices[:, 0].mean())
    return _centred(np.concatenate((closed, edge)))


def _unwrapped(vertices: Line) -> Line:
    return np.stack((vertices[:, 0], np.unwrap(vertices[:, 1], period=360.0)), axis=1)


def _centred(vertices: Line) -> Line:
    """Return the line moved by whole turns so that the middle of its longitudes is within -180 to 180."""
    middle = (vertices[:, 1].min() + vertices[:, 1].max()) / 2
    moved: Line = vertices - np.array((0.0, 360.0 * np.round(middle / 360.0)))
    return moved

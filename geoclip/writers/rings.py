"""Circles and outlines of cells as polygons or lines on maps: cut at the antimeridian or unwrapped, closed over poles.

Polygons follow RFC 7946 (GeoJSON), section 3.1.6 and 3.1.9: rings are closed, outer ones counter-clockwise and holes
clockwise; nothing crosses the antimeridian. Points are (lat, lng) in degrees.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index.grid import sphere
from index.grid.cells import Cells, boundaries

Point = tuple[float, float]
Ring = list[Point]
Polygon = list[Ring]
"""The outer ring, then holes."""

Line = NDArray[np.float64]
"""(V, 2) points whose longitudes go on beyond 180 degrees, so that no step is as long as 180. A map draws a line three
times, 360 degrees apart, and its frame cuts off what is outside."""

SMALLEST_KM = 0.01
"""Circles below this radius are not drawn: coordinates are rounded to 6 decimals, 0.1 m."""

_CIRCLE_POINTS = 72  # the chords leave out 0.1 % of the radius
_LINE_POINTS = 361
_STEP_DEG = 1.0  # between points: edges are straight on a map, but great circles on the globe, 0.5 km away at most
_SHORTEST = 1e-6  # radians, 6 m: near a pole, longitudes stay apart however near the points are
_POLE_DEG = 90 - 5e-6  # beyond it, within 0.6 m, a point's longitude means nothing
_DECIMALS = 6
_HALF_AROUND_KM = math.pi * sphere.EARTH_RADIUS_KM


def circle(centre: Point, radius_km: float) -> list[Polygon]:
    """Return the disk of points within a great-circle distance; no polygon if it is below `SMALLEST_KM`."""
    if radius_km < SMALLEST_KM:
        return []
    if radius_km > _HALF_AROUND_KM - SMALLEST_KM:
        return [[_closed(_around_the_world([], []))]]
    return outline(sphere.circle(centre, radius_km, _CIRCLE_POINTS))


def circle_line(centre: Point, radius_km: float) -> Line:
    """Return the circle as a line that starts and ends in its northernmost point.

    Around a pole it ends 360 degrees from where it started. Empty where the radius is not finite or reaches around
    the globe.
    """
    if not radius_km < _HALF_AROUND_KM:
        return np.zeros((0, 2))
    bearing = np.linspace(0.0, 2 * np.pi, _LINE_POINTS)
    starts = np.broadcast_to(centre, (_LINE_POINTS, 2))
    return _centred(_unwrapped(sphere.moved(starts, radius_km * np.cos(bearing), radius_km * np.sin(bearing))))


def cell_lines(cells: Cells) -> list[Line]:
    """Return the outlines of H3 cells; the first point is not repeated.

    That of a cell around a pole goes once around the map and back along the pole.
    """
    lines = []
    for corners in boundaries(cells):
        line = _once_around(corners)
        if abs(line[-1, 1] - line[0, 1]) < 180.0:
            line = line[:-1]
        else:
            pole = np.full(len(line), math.copysign(90.0, line[0, 0]))
            line = np.concatenate((line, np.stack((pole, line[::-1, 1]), axis=1)))
        lines.append(_centred(line))
    return lines


def outline(ring: Line) -> list[Polygon]:
    """Return what lies to the left of a ring as polygons.

    Args:
        ring: (V, 2) corners, counter-clockwise as seen from above, not closed, joined by great circles of less than 180
            degrees; what lies inside, or all outside, must be convex on the sphere (as disks and H3 cells are).
    """
    line = _once_around(ring)
    *points, last = ((lat, lng) for lat, lng in line.tolist())
    turns = round((last[1] - points[0][1]) / 360)
    if turns:
        return _proper([[_over_pole([*points, last], turns)]])
    if _area(points) < 0:  # both poles are inside
        return _proper([_all_but(points[::-1])])
    return _proper([[piece] for piece in _cut(points)])


def _once_around(ring: Line) -> Line:
    """Return a ring along great circles from its first point to the same again, without points at a pole."""
    points = np.concatenate((ring, ring[:1]))
    while (long := _long_steps(points)).any():
        vectors = sphere.unit_vectors(points)
        middles = sphere.coordinates((vectors[:-1] + vectors[1:])[long])
        points = np.insert(points, np.flatnonzero(long) + 1, middles, axis=0)
    points = points[:-1][np.abs(points[:-1, 0]) < _POLE_DEG]
    return _unwrapped(np.concatenate((points, points[:1])))


def _long_steps(points: Line) -> NDArray[np.bool_]:
    """Return which steps (V - 1,) from point to point are to be halved."""
    lat, lng = np.diff(points, axis=0).T
    long: NDArray[np.bool_] = np.maximum(np.abs(lat), np.abs(sphere.wrapped(lng))) > _STEP_DEG
    if long.any():
        long &= np.linalg.norm(np.diff(sphere.unit_vectors(points), axis=0), axis=1) >= _SHORTEST
    return long


def _unwrapped(points: Line) -> Line:
    return np.stack((points[:, 0], np.cumsum(sphere.wrapped(np.diff(points[:, 1], prepend=0.0)))), axis=1)


def _centred(line: Line) -> Line:
    """Return the line moved by whole turns so that the middle of its longitudes is within -180 to 180."""
    middle = (line[:, 1].min() + line[:, 1].max()) / 2
    moved: Line = line - np.array((0.0, 360.0 * np.round(middle / 360.0)))
    return moved


def _over_pole(around: Ring, turns: int) -> Ring:
    """Return the ring around what holds one pole: `turns` is 1 for the north pole, -1 for the south pole."""
    edge = 180.0 * turns
    crossing = next(i for i, (_, lng) in enumerate(around[1:]) if turns * (lng - edge) >= 0)
    lat = _lat_at(around[crossing], around[crossing + 1], edge)
    beyond = [(lat, lng - 360 * turns) for lat, lng in around[crossing + 1 : -1]]
    pole = 90.0 * turns
    return [(lat, -edge), *beyond, *around[: crossing + 1], (lat, edge), (pole, edge), (pole, -edge)]


def _cut(points: Ring) -> list[Ring]:
    """Return the parts of a ring that holds no pole, on either side of the antimeridian."""
    if all(abs(lng) <= 180 for _, lng in points):
        return [points]
    pieces = []
    for shift in (-360.0, 0.0, 360.0):
        piece = [(lat, lng - shift) for lat, lng in _clipped(_clipped(points, shift - 180, 1), shift + 180, -1)]
        if len(piece) > 2 and _area(piece) > 0:
            pieces.append(piece)
    return pieces


def _clipped(points: Ring, limit: float, side: int) -> Ring:
    """Return the part of a ring with longitudes above (side 1) or below (side -1) a limit."""
    result = []
    for a, b in zip(points, [*points[1:], *points[:1]], strict=True):
        if side * (a[1] - limit) >= 0:
            result.append(a)
        if (a[1] - limit) * (b[1] - limit) < 0:
            result.append((_lat_at(a, b, limit), limit))
    return result


def _lat_at(a: Point, b: Point, lng: float) -> float:
    return a[0] + (b[0] - a[0]) * (lng - a[1]) / (b[1] - a[1]) if b[1] != a[1] else a[0]


def _all_but(hole: Ring) -> Polygon:
    """Return the world without the inside of a ring; a hole at the antimeridian becomes a notch on either side."""
    pieces = _cut(hole)
    if len(pieces) < 2:
        return [_around_the_world([], []), *(piece[::-1] for piece in pieces)]
    notches = []
    for edge in (180.0, -180.0):
        piece = next(piece for piece in pieces if any(lng == edge for _, lng in piece))
        last = next(i for i, (_, lng) in enumerate(piece) if lng == edge and piece[(i + 1) % len(piece)][1] != edge)
        notches.append([*piece[last:], *piece[:last]][::-1])
    return [_around_the_world(*notches)]


def _around_the_world(east: Ring, west: Ring) -> Ring:
    """Return the ring around the whole map; `east` stands for its eastern edge upwards, `west` for the other down."""
    south, north = [(-90.0, -180.0), (-90.0, 180.0)], [(90.0, 180.0), (90.0, -180.0)]
    return [*south, *(east or [(0.0, 180.0)]), *north, *(west or [(0.0, -180.0)])]


def _area(ring: Ring) -> float:
    """Return the area on the map in square degrees, positive if counter-clockwise."""
    return sum(a[1] * b[0] - b[1] * a[0] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)) / 2


def _closed(ring: Ring) -> Ring:
    """Return the ring rounded and closed, without repeated points."""
    points = [(round(lat, _DECIMALS), round(lng, _DECIMALS)) for lat, lng in ring]
    distinct = [b for a, b in pairwise([points[-1], *points]) if a != b]
    return [*distinct, *distinct[:1]]


def _proper(polygons: list[Polygon]) -> list[Polygon]:
    """Return the polygons closed, without those that rounding makes vanish."""
    closed = [[_closed(ring) for ring in polygon] for polygon in polygons]
    return [polygon for polygon in closed if len(polygon[0]) > 3 and _area(polygon[0]) > 0]

"""Circles and outlines of cells as polygons of longitude and latitude: cut at the antimeridian, closed over the poles.

They follow RFC 7946 (GeoJSON), section 3.1.6 and 3.1.9: rings are closed, outer ones counter-clockwise and holes
clockwise; nothing crosses the antimeridian. Points are (lat, lng) in degrees.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from geoclip.distance import EARTH_RADIUS_KM

Point = tuple[float, float]
Ring = list[Point]
Polygon = list[Ring]
"""The outer ring, then holes."""

SMALLEST_KM = 0.01
"""Circles below this radius are not drawn: coordinates are rounded to 6 decimals, 0.1 m."""

_CIRCLE_POINTS = 72  # the chords leave out 0.1 % of the radius
_STEP_DEG = 1.0  # between points: edges are straight on a map, but great circles on the globe, 0.5 km away at most
_SHORTEST = 1e-6  # radians, 6 m: near a pole, longitudes stay apart however near the points are
_POLE_DEG = 90 - 5e-6  # beyond it, within 0.6 m, a point's longitude means nothing
_DECIMALS = 6


def circle(centre: Point, radius_km: float) -> list[Polygon]:
    """Return the disk of points within a great-circle distance; no polygon if it is below `SMALLEST_KM`."""
    angle = radius_km / EARTH_RADIUS_KM
    if radius_km < SMALLEST_KM:
        return []
    if angle > math.pi - SMALLEST_KM / EARTH_RADIUS_KM:
        return [[_closed(_around_the_world([], []))]]
    lat, lng = math.radians(centre[0]), math.radians(centre[1])
    outward = _vector(centre)
    north = (-math.sin(lat) * math.cos(lng), -math.sin(lat) * math.sin(lng), math.cos(lat))
    east = (-math.sin(lng), math.cos(lng), 0.0)
    ring = []
    for i in range(_CIRCLE_POINTS):
        turn = 2 * math.pi * i / _CIRCLE_POINTS  # from east to north: counter-clockwise
        side = [math.cos(turn) * e + math.sin(turn) * n for e, n in zip(east, north, strict=True)]
        ring.append(_point([math.cos(angle) * o + math.sin(angle) * s for o, s in zip(outward, side, strict=True)]))
    return outline(ring)


def outline(ring: Sequence[Point]) -> list[Polygon]:
    """Return what lies to the left of a ring as polygons.

    Args:
        ring: corners, counter-clockwise as seen from above, not closed, joined by great circles of less than 180
            degrees; what lies inside, or all outside, must be convex on the sphere (as disks and H3 cells are).
    """
    points = _unwrapped(_filled(ring))
    start, end = points[0], points[-1]
    turns = round((end[1] + _shorter_way(end[1], start[1]) - start[1]) / 360)
    if turns:
        return _proper([[_over_pole(points, turns)]])
    if _area(points) < 0:  # both poles are inside
        return _proper([_all_but(points[::-1])])
    return _proper([[piece] for piece in _cut(points)])


def _vector(point: Point) -> tuple[float, float, float]:
    lat, lng = math.radians(point[0]), math.radians(point[1])
    return math.cos(lat) * math.cos(lng), math.cos(lat) * math.sin(lng), math.sin(lat)


def _point(vector: Sequence[float]) -> Point:
    x, y, z = vector
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def _shorter_way(a: float, b: float) -> float:
    """Return the step from longitude `a` to `b`, in [-180, 180)."""
    return (b - a + 180) % 360 - 180


def _filled(ring: Sequence[Point]) -> Ring:
    """Return the ring with points added along its great circles, and without points at a pole."""
    points = [p for a, b in zip(ring, [*ring[1:], ring[0]], strict=True) for p in (a, *_between(a, b))]
    return [p for p in points if abs(p[0]) < _POLE_DEG]


def _between(a: Point, b: Point) -> Ring:
    if abs(b[0] - a[0]) <= _STEP_DEG and abs(_shorter_way(a[1], b[1])) <= _STEP_DEG:
        return []
    first, second = _vector(a), _vector(b)
    if math.dist(first, second) < _SHORTEST:
        return []
    middle = _point([x + y for x, y in zip(first, second, strict=True)])
    return [*_between(a, middle), middle, *_between(middle, b)]


def _unwrapped(ring: Ring) -> Ring:
    """Return the ring with longitudes that go on beyond 180 degrees; the first is in [-180, 180)."""
    lng = _shorter_way(0.0, ring[0][1])
    result = []
    for (_, before), (lat, here) in pairwise([ring[0], *ring]):
        lng += _shorter_way(before, here)
        result.append((lat, lng))
    return result


def _over_pole(points: Ring, turns: int) -> Ring:
    """Return the ring around what holds one pole: `turns` is 1 for the north pole, -1 for the south pole."""
    edge = 180.0 * turns
    around = [*points, (points[0][0], points[0][1] + 360 * turns)]
    crossing = next(i for i, (_, lng) in enumerate(around[1:]) if turns * (lng - edge) >= 0)
    lat = _lat_at(around[crossing], around[crossing + 1], edge)
    beyond = [(lat, lng - 360 * turns) for lat, lng in around[crossing + 1 : -1]]
    pole = 90.0 * turns
    return [(lat, -edge), *beyond, *points[: crossing + 1], (lat, edge), (pole, edge), (pole, -edge)]


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

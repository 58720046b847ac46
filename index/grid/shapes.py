"""Polygons and disks on the globe, turned into H3 cells. The one door to shapely.

A polygon's edges are straight in the plane of longitude and latitude, as RFC 7946 (GeoJSON) has them. That plane is
treated as a cylinder: no polygon winds around a pole, it reaches the pole's edge, and H3's own polygon fill, which
fails there and beyond half the globe, is not used.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray

from index.grid.cells import Cells, base_cells, cells_at, centres, children
from index.grid.sphere import EARTH_RADIUS_KM, SPHERE_KM2, Floats, cap_km2, haversine_km

MOST_BORDER_KM = 1_000_000
"""Outlines that are longer would be followed for minutes, in gigabytes."""
_BOXES = 1024  # looked at together

COARSEST_BORDER, FINEST_BORDER = 8, 11
"""Borders follow a shape to these resolutions: edges of 530 m for large shapes, 29 m for the smallest."""


class Shape(Protocol):
    """What `cells_of` needs to know of a shape. Coordinates (N, 2) are latitude and longitude in degrees."""

    @property
    def area_km2(self) -> float:
        """About how large it is."""

    def inner_points(self) -> NDArray[np.float64]:
        """Return a point inside each of its parts, (parts, 2)."""

    def holds(self, lat_lng: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points are inside."""

    def near_border(self, lat_lng: NDArray[np.float64], reach_km: float) -> NDArray[np.bool_]:
        """Return around which points the border may pass within the distance; never misses one."""


def cells_of(shape: Shape) -> Cells:
    """Return the cells, of several resolutions, that make up the shape.

    Where the border passes, cells are divided down to `border_resolution`, and there those with the centre inside
    count. A part of the shape that holds no centre gets the one cell it lies in.
    """
    finest = border_resolution(shape.area_km2)
    found = []
    frontier = base_cells()
    for res in range(finest + 1):
        points = centres(frontier)
        if res < finest:
            border = shape.near_border(points, descendants_reach_km(res, finest))
        else:
            border = np.zeros(len(points), dtype=bool)
        found.append(frontier[~border][shape.holds(points[~border])])
        frontier = children(frontier[border], res + 1)
    return np.concatenate([*found, cells_at(shape.inner_points(), finest)])


def descendants_reach_km(res: int, finest: int) -> float:
    """Return a distance that no centre of a descendant at `finest` exceeds from the centre of its ancestor at `res`.

    From parent to child it is a mean edge length at most, times 0.72; over the levels that is a geometric series in the
    square root of 7. Measured over all resolutions, pentagons included, the factor is 1.154 where this has 1.17.
    """
    mean_edge_km = 1281.256 / 7 ** (res / 2)
    return float(1.17 * mean_edge_km * (1 - 7 ** ((res - finest) / 2)))


def border_resolution(area_km2: float) -> int:
    """Return the resolution that a shape's border is followed to: a thousand cells in the shape, within 8 to 11."""
    for res in range(COARSEST_BORDER, FINEST_BORDER):
        if area_km2 * (2 + 120 * 7**res) / SPHERE_KM2 >= 1000:
            return res
    return FINEST_BORDER


@dataclass(frozen=True)
class Disk:
    """All places within a great-circle distance of a point."""

    lat: float
    lng: float
    radius_km: float

    def __post_init__(self) -> None:
        """Check the values."""
        if not (abs(self.lat) <= 90 and abs(self.lng) <= 180):
            raise ValueError(
                f"The disk's centre is {self.lat}, {self.lng}; give latitude, longitude within -90 to 90, -180 to 180."
            )
        if not 0 < self.radius_km < np.inf:
            raise ValueError(f"The disk's radius is {self.radius_km} km; give a length above 0.")

    @property
    def area_km2(self) -> float:
        """The area of the spherical cap."""
        return float(cap_km2(self.radius_km))

    def inner_points(self) -> NDArray[np.float64]:
        """Return the centre."""
        return np.array([(self.lat, self.lng)])

    def holds(self, lat_lng: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points are inside."""
        return haversine_km(lat_lng, (self.lat, self.lng)) <= self.radius_km

    def near_border(self, lat_lng: NDArray[np.float64], reach_km: float) -> NDArray[np.bool_]:
        """Return which points are within `reach_km` of the circle."""
        return np.abs(haversine_km(lat_lng, (self.lat, self.lng)) - self.radius_km) <= reach_km


class Polygons:
    """One or more polygons in the plane of longitude and latitude, in degrees; longitudes beyond 180 are wrapped."""

    def __init__(self, polygons: list[Any]) -> None:
        """Take shapely polygons or multipolygons, whose coordinates are (lng, lat).

        Raises:
            ValueError: they enclose no area, or a coordinate is not finite, beyond 90 degrees of latitude, or beyond
                360 of longitude.
        """
        parts = [_wrapped(_checked(polygon)) for polygon in polygons]
        if len(parts) > 1:
            _check_crossings(parts)
        self._merged = shapely.union_all(parts)
        if not self._merged.area > 0:
            raise ValueError("The polygons enclose no area; a region needs at least one ring around a place.")
        shapely.prepare(self._merged)
        self._edges = _border_edges(self._merged)
        self._edge_tree = shapely.STRtree(shapely.linestrings(self._edges) if len(self._edges) else [])

    @classmethod
    def from_wkb(cls, polygons: list[bytes]) -> "Polygons":
        """Read well-known binary, as the table of countries holds it."""
        return cls(list(shapely.from_wkb(polygons)))

    @classmethod
    def from_box(cls, south: float, west: float, north: float, east: float) -> "Polygons":
        """Make a box; `west` above `east` means across the antimeridian."""
        if not -90 <= south < north <= 90:
            raise ValueError(f"The box's latitudes are {south} to {north}; give south below north, within -90 to 90.")
        if not (abs(west) <= 180 and abs(east) <= 180) or west in (east, east + 360):
            raise ValueError(
                f"The box's longitudes are {west} to {east}; give two different ones within -180 to 180, "
                "the western one first."
            )
        return cls([shapely.box(west, south, east + 360 * (west > east), north)])

    @property
    def area_km2(self) -> float:
        """The area on the sphere, by Lambert's equal-area cylinder."""
        return float(shapely.transform(self._merged, _equal_area).area * EARTH_RADIUS_KM**2)

    def inner_points(self) -> NDArray[np.float64]:
        """Return a point inside each polygon."""
        points = shapely.point_on_surface(shapely.get_parts(self._merged))
        return np.stack((shapely.get_y(points), shapely.get_x(points)), axis=1)

    def holds(self, lat_lng: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points are inside or on the border."""
        return np.asarray(shapely.intersects_xy(self._merged, lat_lng[:, 1], lat_lng[:, 0]), dtype=bool)

    def near_border(self, lat_lng: NDArray[np.float64], reach_km: float) -> NDArray[np.bool_]:
        """Return around which points the border passes the box in the plane that holds all within the distance."""
        reach = reach_km / EARTH_RADIUS_KM
        lat, lng = lat_lng.T
        south, north = lat - np.degrees(reach), lat + np.degrees(reach)
        polar = (south <= -90) | (north >= 90)
        sine = np.where(polar, 0.0, np.sin(min(reach, np.pi / 2)) / np.cos(np.radians(lat)))
        half = np.where(polar, 180.0, np.degrees(np.arcsin(np.clip(sine, 0.0, 1.0))))
        west, east = np.where(polar, -180.0, lng - half), np.where(polar, 180.0, lng + half)
        near = self._meets_border(west, south, east, north)
        # Across the antimeridian: what lies beyond counts too, and a seam with one side in is a border.
        for over, turn in ((west < -180, 360.0), (east > 180, -360.0)):
            rows = np.flatnonzero(over)
            sides = [self.holds(np.stack((lat[rows], np.full(len(rows), side)), axis=1)) for side in (-180.0, 180.0)]
            beyond = self._meets_border(west[rows] + turn, south[rows], east[rows] + turn, north[rows])
            near[rows] |= beyond | (sides[0] != sides[1])
        return near

    def _meets_border(self, *box_sides: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which boxes (west, south, east, north) an edge passes through or touches."""
        near = np.zeros(len(box_sides[0]), dtype=bool)
        for at in range(0, len(near), _BOXES):
            near[at : at + _BOXES] = self._meets_border_at_once(*(side[at : at + _BOXES] for side in box_sides))
        return near

    def _meets_border_at_once(self, *box_sides: NDArray[np.float64]) -> NDArray[np.bool_]:
        box, edge = self._edge_tree.query(shapely.box(*box_sides))  # those whose own bounding boxes meet them ...
        west, south, east, north = (side[box] for side in box_sides)
        start, along = self._edges[edge, 0], self._edges[edge, 1] - self._edges[edge, 0]
        across = [  # ... and that do not leave all four corners on one side
            along[:, 0] * (y - start[:, 1]) - along[:, 1] * (x - start[:, 0])
            for x, y in ((west, south), (west, north), (east, south), (east, north))
        ]
        near = np.zeros(len(box_sides[0]), dtype=bool)
        near[box[(np.min(across, axis=0) <= 0) & (np.max(across, axis=0) >= 0)]] = True
        return near


def _checked(polygon: Any) -> Any:
    coordinates = shapely.get_coordinates(polygon)
    allowed = np.isfinite(coordinates).all(axis=1) & (np.abs(coordinates) <= (360.0, 90.0)).all(axis=1)
    if not allowed.all():
        raise ValueError(
            f"A polygon has the corner {coordinates[~allowed][0].tolist()}; expected longitude, latitude in degrees, "
            "-360 to 360 and -90 to 90."
        )
    polygon = shapely.force_2d(polygon)
    if shapely.is_valid(polygon):
        return polygon
    _check_crossings([polygon])
    valid = shapely.make_valid(polygon, method="structure", keep_collapsed=False)  # holes are taken from all shells
    parts = shapely.get_parts(shapely.get_parts(valid))
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _check_crossings(polygons: list[Any]) -> None:
    """Refuse outlines that cross, or lie side by side, so often that they could not be merged in a minute."""
    edges = _edges(polygons)
    low, high = edges.min(axis=1), edges.max(axis=1)
    boxes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    tree = shapely.STRtree(boxes)
    met = 0
    for at in range(0, len(boxes), 64):
        met += tree.query(boxes[at : at + 64]).shape[1]
        if met > 1_000_000 + 20 * len(boxes):
            raise ValueError(
                f"The polygons' {len(boxes):,} edges cross or overlap too often to be merged; simplify them, or leave "
                "out those that cover the same places."
            )


def _wrapped(polygon: Any) -> Any:
    """Cut at the antimeridian what reaches beyond it and move the pieces into -180 to 180."""
    west, _, east, _ = shapely.bounds(polygon)
    if not (west < -180 or east > 180):
        return polygon
    pieces = []
    for turn in (-360.0, 0.0, 360.0):
        piece = shapely.intersection(polygon, shapely.box(turn - 180, -90, turn + 180, 90))
        pieces += [
            shapely.transform(part, lambda lng_lat, turn=turn: lng_lat - (turn, 0.0))
            for part in shapely.get_parts(piece)
            if part.area > 0
        ]
    return shapely.union_all(pieces)


def _edges(polygons: Any) -> Floats:
    """Return the edges (N, 2, 2) of polygons, start and end in (lng, lat)."""
    corners, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(polygons)), return_index=True)
    edges: Floats = np.stack((corners[:-1], corners[1:]), axis=1)[ring[:-1] == ring[1:]]
    return edges


def _border_edges(polygons: Any) -> Floats:
    """Return the edges (N, 2, 2) of merged polygons, cut into pieces of a degree.

    Without those along the plane's own edges, which are not borders on the globe.

    Raises:
        ValueError: together they are too long.
    """
    edges = _edges(polygons)
    on_rim = (np.abs(edges) == (180.0, 90.0)).all(axis=1) & (edges[:, 0] == edges[:, 1])
    edges = edges[~on_rim.any(axis=1)]
    length_km = float(haversine_km(edges[:, 0, ::-1], edges[:, 1, ::-1]).sum())
    if length_km > MOST_BORDER_KM:
        raise ValueError(
            f"The polygons' outlines are {length_km:,.0f} km long; they may have {MOST_BORDER_KM:,} km, which is "
            "four times what Asia's countries have. Simplify them, or take fewer."
        )
    pieces = np.ceil(np.abs(edges[:, 1] - edges[:, 0]).max(axis=1)).clip(1).astype(np.int64)
    edge = np.repeat(np.arange(len(edges)), pieces)
    number = np.arange(len(edge)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    along = np.stack((number, number + 1), axis=1) / pieces[edge][:, None]
    result: Floats = edges[edge, :1] * (1 - along[..., None]) + edges[edge, 1:] * along[..., None]
    return result


def _equal_area(lng_lat: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack((np.radians(lng_lat[:, 0]), np.sin(np.radians(lng_lat[:, 1]))), axis=1)


class Borders:
    """Outlines of countries, each with a number, and whose outline a point is in."""

    def __init__(self, outlines: list[bytes], owners: NDArray[np.int64]) -> None:
        """Take polygons in well-known binary, in (lng, lat) degrees."""
        self._parts, row = shapely.get_parts(shapely.from_wkb(outlines), return_index=True)
        shapely.prepare(self._parts)
        self._owners = owners[row]
        self._starts, self._nearby = _by_tile(shapely.bounds(self._parts))

    def owners_at(self, lat_lng: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return whose outline each of (N, 2) points is in or on; 0 in nobody's, -1 in several countries'."""
        lat, lng = lat_lng.T
        tile = _tiles(lat, 90, _ROWS) * _COLUMNS + _tiles(lng, 180, _COLUMNS)
        counts = self._starts[tile + 1] - self._starts[tile]
        point = np.repeat(np.arange(len(lat)), counts)
        part = self._nearby[np.repeat(self._starts[tile], counts) + _counted(counts)]
        inside = shapely.intersects_xy(self._parts[part], lng[point], lat[point])
        point, owner = point[inside], self._owners[part[inside]]
        lowest = np.full(len(lat), np.iinfo(np.int64).max)
        highest = np.zeros(len(lat), dtype=np.int64)
        np.minimum.at(lowest, point, owner)
        np.maximum.at(highest, point, owner)
        return np.where(lowest < highest, -1, highest)


_ROWS, _COLUMNS = 180, 360  # tiles of a degree: to look up points in a tree makes an object of each


def _tiles(degrees: NDArray[np.float64], least: int, count: int) -> NDArray[np.int64]:
    """Return in which tile of a row or column each of some degrees is."""
    tiles: NDArray[np.int64] = np.clip(np.floor(degrees + least).astype(np.int64), 0, count - 1)
    return tiles


def _by_tile(bounds: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the list of each tile begins, and the lists: whose bounds (P, 4) reach into the tile."""
    west, east = (_tiles(bounds[:, column], 180, _COLUMNS) for column in (0, 2))
    south, north = (_tiles(bounds[:, column], 90, _ROWS) for column in (1, 3))
    wide = east - west + 1
    counts = wide * (north - south + 1)
    part, step = np.repeat(np.arange(len(bounds)), counts), _counted(counts)
    tile = (south[part] + step // wide[part]) * _COLUMNS + west[part] + step % wide[part]
    order = np.argsort(tile, kind="stable")
    return np.searchsorted(tile[order], np.arange(_ROWS * _COLUMNS + 1)), part[order]


def _counted(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, 2 ... for each count, one after the other."""
    steps: NDArray[np.int64] = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return steps

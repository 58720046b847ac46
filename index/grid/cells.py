"""H3 cells, vectorised: children, parents, centres, id ranges. The one door to H3.

Cells are uint64 arrays. Sorted ids are in tree order: at one resolution, the descendants of a cell are one contiguous
range of ids (`descendant_range`), which is what regions, counts and lists are built on.
"""

from functools import cache
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.grid.sphere import EARTH_RADIUS_KM, unit_vectors, wrapped

Cells = NDArray[np.uint64]
Integers = TypeVar("Integers", bound=np.integer[Any])

FINEST = 15
"""H3's last resolution."""

_RES_SHIFT, _BASE_SHIFT = np.uint64(52), np.uint64(45)
_RES_MASK = np.uint64(0xF) << _RES_SHIFT
# The twelve base cells that are pentagons; their children, grandchildren ... along digit 0 are pentagons too.
_PENTAGON_BASES = np.array([4, 14, 24, 38, 49, 58, 63, 72, 83, 97, 107, 117], dtype=np.uint64)
_IS_PENTAGON_BASE = np.isin(np.arange(128), _PENTAGON_BASES)
# Base cell and digits: where a cell of resolution 15 stands in the order.
_POSITION_MASK = np.uint64((1 << 52) - 1)
_LAST_POSITION = np.uint64((127 << 45) | 0o666666666666666)


def base_cells() -> Cells:
    """Return the 122 cells of resolution 0, sorted."""
    return (np.uint64(0x8001FFFFFFFFFFF)) | (np.arange(122, dtype=np.uint64) << _BASE_SHIFT)


def first_id(res: int) -> np.uint64:
    """Return an id below those of all cells of a resolution and above those of all coarser ones."""
    return np.uint64(1 << 59 | res << 52)


def resolutions(cells: Cells) -> NDArray[np.int64]:
    """Return the resolution, 0 to 15, of each cell."""
    return ((cells & _RES_MASK) >> _RES_SHIFT).astype(np.int64)


def resolution(cells: Cells) -> int:
    """Return the resolution that all cells have.

    Raises:
        ValueError: there are no cells, or their resolutions differ.
    """
    bits = cells & _RES_MASK
    if not len(cells) or (bits != bits[0]).any():
        found = np.unique(resolutions(cells)).tolist()
        raise ValueError(f"The cells have the resolutions {found}; expected cells of one resolution.")
    return int(bits[0] >> _RES_SHIFT)


def valid(cells: Cells) -> NDArray[np.bool_]:
    """Return which ids are H3 cells."""
    import h3ronpy

    if not len(cells):
        return np.zeros(0, dtype=bool)
    return np.asarray(h3ronpy.cells_valid(cells, booleanarray=True), dtype=bool)


def parents(cells: Cells, res: int) -> Cells:
    """Return the ancestor of each cell at a resolution not finer than the cell's.

    Raises:
        ValueError: a cell is coarser than `res`.
    """
    coarsest = int((cells & _RES_MASK).min() >> _RES_SHIFT) if len(cells) else FINEST
    if res > coarsest:
        raise ValueError(f"A cell of resolution {coarsest} has no parent at the finer resolution {res}.")
    unused = np.uint64((1 << (3 * (FINEST - res))) - 1)  # the digits below `res`, three bits each, all set
    return (cells & ~_RES_MASK) | (np.uint64(res) << _RES_SHIFT) | unused


def distinct(numbers: NDArray[Integers]) -> NDArray[Integers]:
    """Return cells, or other numbers, sorted, each once. For millions, `numpy.unique` takes several times as long."""
    numbers = np.sort(numbers)
    first = np.ones(len(numbers), dtype=np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    return numbers[first]


def distinct_parents(cells: Cells) -> tuple[Cells, NDArray[np.int32]]:
    """Return the sorted distinct parents, one resolution up, of sorted cells, and for each cell its parent's row."""
    above = parents(cells, resolution(cells[:1]) - 1)
    first = np.ones(len(above), dtype=np.bool_)
    np.not_equal(above[1:], above[:-1], out=first[1:])
    return above[first], np.cumsum(first, dtype=np.int32) - np.int32(1)


def pentagons(cells: Cells) -> NDArray[np.bool_]:
    """Return which cells are pentagons: the descendants along digit 0 of twelve base cells."""
    base = (cells >> _BASE_SHIFT) & np.uint64(0x7F)
    result: NDArray[np.bool_] = _IS_PENTAGON_BASE[base]
    if result.any():
        unused = (
            np.uint64(1) << (np.uint64(3) * (np.uint64(FINEST) - ((cells & _RES_MASK) >> _RES_SHIFT)))
        ) - np.uint64(1)
        digits = cells & np.uint64((1 << 45) - 1) & ~unused
        result &= digits == 0
    return result


def children_counts(cells: Cells, res: int) -> NDArray[np.int64]:
    """Return how many descendants each cell has at `res`: 7 to the depth, or fewer for a pentagon."""
    depth = res - resolutions(cells)
    whole = 7**depth
    result: NDArray[np.int64] = np.where(pentagons(cells), 1 + 5 * (whole - 1) // 6, whole)
    return result


def children(cells: Cells, res: int) -> Cells:
    """Return the descendants at `res` of cells of one resolution, in order: all of the first cell, then the next.

    Raises:
        ValueError: `res` is coarser than the cells.
    """
    import h3ronpy

    if not len(cells):
        return cells[:0]
    if res < resolution(cells):
        raise ValueError(f"Cells of resolution {resolution(cells)} have no children at the coarser resolution {res}.")
    return _uint64(h3ronpy.change_resolution(np.ascontiguousarray(cells), res))


def descendant_range(cells: Cells, res: int) -> tuple[Cells, Cells]:
    """Return the first and the last id that a descendant of each cell can have at `res`, both inclusive."""
    shift = np.uint64(3 * (FINEST - res))
    own = np.uint64(3) * (np.uint64(FINEST) - ((cells & _RES_MASK) >> _RES_SHIFT))
    unused = (np.uint64(1) << own) - np.uint64(1)
    tail = (np.uint64(1) << shift) - np.uint64(1)
    head = (cells & ~_RES_MASK & ~unused) | (np.uint64(res) << _RES_SHIFT)
    sixes = np.uint64(0o666666666666666) & unused & ~tail
    return head | tail, head | sixes | tail


def following(ids: Cells) -> Cells:
    """Return, for each cell of resolution 15, the next one in id order, which may lie in the next base cell.

    The last cell of all has none: what is returned for it is not a cell.
    """
    mirrored = (ids & ~_POSITION_MASK) | (_LAST_POSITION - (ids & _POSITION_MASK))
    result = _minus_one(mirrored)
    result = (result & ~_POSITION_MASK) | (_LAST_POSITION - (result & _POSITION_MASK))
    return result + _pentagon_digits(result, np.uint64(1))  # a pentagon has no child 1: on to child 2


def preceding(ids: Cells) -> Cells:
    """Return, for each cell of resolution 15, the one before it in id order, which may lie in the base cell before.

    The first cell of all has none: what is returned for it is not a cell.
    """
    return _minus_one(ids - _pentagon_digits(ids, np.uint64(2)) // np.uint64(2))


def _minus_one(ids: Cells) -> Cells:
    """Count down by one in base 7, three bits a digit: a digit 7, which only borrowing makes, becomes a 6."""
    less: Cells = ids - np.uint64(1)
    less -= less & (less >> np.uint64(1)) & (less >> np.uint64(2)) & np.uint64(0o111111111111111)
    return less


def _pentagon_digits(ids: Cells, digit: np.uint64) -> Cells:
    """Return the digits of the ids that start the child `digit` of a pentagon, or 0 for all others."""
    digits: Cells = ids & np.uint64((1 << 45) - 1)
    starts = np.isin(digits, digit << (np.uint64(3) * np.arange(FINEST, dtype=np.uint64)))
    starts &= np.isin((ids >> _BASE_SHIFT) & np.uint64(0x7F), _PENTAGON_BASES)
    digits[~starts] = 0
    return digits


def centres(cells: Cells) -> NDArray[np.float64]:
    """Return the centres (N, 2): latitude, longitude in degrees, longitude in [-180, 180)."""
    import h3ronpy.vector

    if not len(cells):
        return np.zeros((0, 2))
    table = h3ronpy.vector.cells_to_coordinates(np.ascontiguousarray(cells))
    lat, lng = np.asarray(table.column("lat")), np.asarray(table.column("lng"))
    return np.stack((lat, np.where(lng >= 180.0, lng - 360.0, lng)), axis=1)


def cells_at(lat_lng: ArrayLike, res: int) -> Cells:
    """Return the cell of resolution `res` around each of (N, 2) coordinates in degrees; longitudes are wrapped.

    Raises:
        ValueError: another shape, a latitude beyond 90 degrees, a value that is not finite. (H3 itself would return
            some other cell.)
    """
    import h3ronpy.vector

    points = np.asarray(lat_lng, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"Coordinates have the shape {points.shape}; expected (N, 2), latitude and longitude.")
    bad = np.flatnonzero(~(np.isfinite(points).all(axis=1) & (np.abs(points[:, 0]) <= 90.0)))
    if len(bad):
        raise ValueError(f"Row {bad[0]} is {points[bad[0]].tolist()}; latitudes are -90 to 90 and values finite.")
    if not len(points):
        return np.zeros(0, dtype=np.uint64)
    lng = wrapped(points[:, 1])
    return _uint64(h3ronpy.vector.coordinates_to_cells(np.ascontiguousarray(points[:, 0]), lng, res, radians=False))


def spacing_km(res: int) -> float:
    """Return how far apart the centres of neighbouring cells of a resolution are, on average over the globe."""
    area = 4 * np.pi * EARTH_RADIUS_KM**2 / (2 + 120 * 7**res)
    return float(np.sqrt(2 / np.sqrt(3) * area))


def areas_km2(cells: Cells) -> NDArray[np.float64]:
    """Return the area of each cell in square kilometres, as H3 does but for some millionths.

    H3 lays equal hexagons on the faces of an icosahedron and projects them from the centre of the sphere, which shrinks
    an area at an angle t from the middle of a face by cos(t)^3. That is used for small cells inside a face.
    """
    areas = np.empty(len(cells))
    for start in range(0, len(cells), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        areas[some] = _areas(cells[some])
    return areas


def _areas(cells: Cells) -> NDArray[np.float64]:
    res = resolutions(cells)
    across = unit_vectors(centres(cells)) @ _faces().T
    middle, next_to_it = np.partition(across, (-2, -1), axis=1)[:, :-3:-1].T
    hexagons = np.sqrt(3) / 2 * (_FACE_UNIT * _H3_RADIUS_KM) ** 2 / 7.0**res
    areas: NDArray[np.float64] = hexagons * middle**3
    inside = (middle - next_to_it > 0.6 * np.sqrt(hexagons) / _H3_RADIUS_KM) & (res >= _SMALL) & ~pentagons(cells)
    rest = np.flatnonzero(~inside)
    if len(rest):
        import h3ronpy

        areas[rest] = np.asarray(h3ronpy.cells_area_km2(np.ascontiguousarray(cells[rest])), dtype=np.float64)
    return areas


_AT_ONCE = 1 << 14
_SMALL = 5
"""From this resolution on the formula for areas holds."""
_FACE_UNIT = 0.38196601125010500003
"""H3's distance of neighbouring cells of resolution 0 on a face that touches a sphere of radius 1."""
_H3_RADIUS_KM = 6371.007180918475
"""Of the sphere that H3 measures areas on."""


@cache
def _faces() -> NDArray[np.float64]:
    """Return the middles (20, 3) of the icosahedron's faces; its corners are the middles of the pentagons."""
    corners = unit_vectors(centres(base_cells()[_PENTAGON_BASES.astype(np.int64)]))
    adjacent = corners @ corners.T > 0.4
    triples = [list(three) for three in combinations(range(12), 3) if adjacent[np.ix_(three, three)].all()]
    middles = corners[triples].sum(axis=1)
    return np.asarray(middles / np.linalg.norm(middles, axis=1, keepdims=True))


def boundaries(cells: Cells) -> list[NDArray[np.float64]]:
    """Return the corners of each cell, (V, 2) latitude and longitude in degrees, counter-clockwise, not closed.

    Longitudes are -180 to 180: an edge across the antimeridian jumps by nearly 360.
    """
    import h3ronpy.vector

    if not len(cells):
        return []
    polygons = np.asarray(h3ronpy.vector.cells_to_wkb_polygons(np.ascontiguousarray(cells)))
    header = 13  # of well-known binary with one ring: byte order, type, count of rings, count of points
    rings = [np.frombuffer(polygon, "<f8", offset=header).reshape(-1, 2) for polygon in polygons.tolist()]
    return [ring[:-1, ::-1].copy() for ring in rings]


def with_neighbours(cells: Cells, rings: int = 1) -> Cells:
    """Return the sorted distinct cells within `rings` steps of the given ones, themselves included."""
    import h3ronpy

    if not len(cells):
        return cells[:0]
    blocks = [cells[start : start + 500_000] for start in range(0, len(cells), 500_000)]
    return distinct(
        np.concatenate([distinct(_uint64(h3ronpy.grid_disk(block, rings, flatten=True))) for block in blocks])
    )


def names(cells: Cells) -> list[str]:
    """Return H3's hexadecimal names of the cells."""
    return [f"{cell:x}" for cell in cells.tolist()]


def _uint64(array: Any) -> Cells:
    return np.asarray(array, dtype=np.uint64)

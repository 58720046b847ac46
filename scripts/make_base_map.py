"""Write the coast lines, borders and names of countries that maps in a browser show without a network.

    npm pack world-atlas@2.0.2 && tar xf world-atlas-2.0.2.tgz package/countries-10m.json
    python scripts/make_base_map.py package/countries-10m.json

The file is `geoclip/map/browser/base.json.gz`: outlines of Natural Earth 1:10m (public domain) as world-atlas
(https://github.com/topojson/world-atlas) has them, simplified, as lists of whole numbers: thousandths of a degree of
longitude and latitude in turns, each pair less the pair before it.
"""

import gzip
import json
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from index.grid.countries import countries

TOLERANCE_DEG = 0.004
"""How far a simplified line is from the line of the source, 440 m at most; that is rounded to as much."""

SMALLEST_DEG2 = 2e-5
"""Islands and lakes below this area, a quarter of a square kilometre, are left out."""

PER_DEGREE = 1000
TARGET = Path(__file__).parents[1] / "geoclip/map/browser/base.json.gz"

Line = NDArray[np.float64]
"""(V, 2) degrees: longitude, latitude. Longitudes go on beyond 180."""


def main(source: Path) -> None:
    """Write the base map of a TopoJSON file with the objects `countries` and `land`."""
    atlas = json.loads(source.read_text(encoding="utf-8"))
    arcs = [_simplified(_unwrapped(_decoded(arc, atlas["transform"]))) for arc in atlas["arcs"]]
    content = {
        "land": [rings for polygon in _polygons(atlas["objects"]["land"]) if (rings := _rings(polygon, arcs))],
        "borders": [_steps(arcs[arc]) for arc in _shared(atlas["objects"]["countries"]["geometries"])],
        "countries": _labels(),
    }
    data = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    TARGET.write_bytes(gzip.compress(data, 9, mtime=0))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, {len(data):,} unpacked, {sum(map(len, arcs)):,} points")


def _decoded(arc: list[list[int]], transform: dict[str, list[float]]) -> Line:
    points: Line = np.cumsum(arc, axis=0) * transform["scale"] + transform["translate"]
    return points


def _unwrapped(line: Line) -> Line:
    """Return a line without the jumps of 360 degrees at the antimeridian."""
    turns = np.cumsum(np.round(np.diff(line[:, 0], prepend=line[0, 0]) / 360))
    return np.stack((line[:, 0] - 360 * turns, line[:, 1]), axis=1)


def _simplified(line: Line) -> Line:
    simple: Line = shapely.get_coordinates(shapely.simplify(shapely.LineString(line), TOLERANCE_DEG))
    return simple


def _polygons(shape: dict[str, Any]) -> list[list[list[int]]]:
    """Return the polygons of a shape as rings of numbers of arcs; ~n is arc n backwards."""
    match shape["type"]:
        case "GeometryCollection":
            return list(chain.from_iterable(map(_polygons, shape["geometries"])))
        case "MultiPolygon":
            polygons: list[list[list[int]]] = shape["arcs"]
            return polygons
        case _:
            return [shape["arcs"]]


def _rings(polygon: list[list[int]], arcs: list[Line]) -> list[list[int]]:
    """Return the outer ring and the holes of a polygon, without what is too small; nothing if all of it is."""
    rings = [_joined(ring, arcs) for ring in polygon]
    outer, *holes = [ring if _area(ring) >= SMALLEST_DEG2 else None for ring in rings]
    return [] if outer is None else [_steps(ring) for ring in (outer, *holes) if ring is not None]


def _joined(numbers: list[int], arcs: list[Line]) -> Line:
    """Return arcs end to end as one closed ring; one around the south pole goes back along it."""
    parts = [arcs[number] if number >= 0 else arcs[~number][::-1] for number in numbers]
    ring = _unwrapped(np.concatenate([parts[0], *(part[1:] for part in parts[1:])]))
    if abs(ring[-1, 0] - ring[0, 0]) > 180:
        ring = np.concatenate((ring, [(ring[-1, 0], -90.0), (ring[0, 0], -90.0), ring[0]]))
    return ring


def _area(ring: Line) -> float:
    x, y = ring.T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2)


def _shared(shapes: list[dict[str, Any]]) -> list[int]:
    """Return the arcs that lie between two countries."""
    owners: dict[int, set[int]] = {}
    for owner, shape in enumerate(shapes):
        for arc in chain.from_iterable(chain.from_iterable(_polygons(shape))):
            owners.setdefault(arc if arc >= 0 else ~arc, set()).add(owner)
    return sorted(arc for arc, of in owners.items() if len(of) > 1)


def _steps(line: Line) -> list[int]:
    whole = np.round(line * PER_DEGREE).astype(np.int64)
    whole = whole[np.concatenate(([True], (np.diff(whole, axis=0) != 0).any(axis=1)))]
    steps: list[int] = np.diff(whole, axis=0, prepend=np.zeros((1, 2), np.int64)).ravel().tolist()
    return steps


def _labels() -> list[list[Any]]:
    """Return the countries, largest first: code, name, where the name stands (longitude, latitude), area in degrees."""
    labels = []
    for country in countries():
        largest = max(shapely.get_parts(shapely.from_wkb(country.wkb)), key=shapely.area)
        middle = shapely.maximum_inscribed_circle(largest, 0.2).coords[0]
        area = float(shapely.area(largest) * np.cos(np.radians(middle[1])))
        labels.append([country.iso2, country.name, round(middle[0], 2), round(middle[1], 2), round(area, 3)])
    return sorted(labels, key=lambda label: -label[4])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

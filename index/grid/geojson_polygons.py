"""Polygons out of GeoJSON as people have it: RFC 7946, and what came before it.

Edges are straight between their longitudes and latitudes; one that spans more than 180 degrees goes the other way
around, across the antimeridian (unless it spans all 360). What is read is bounded: bytes, nesting, corners.
"""

import json
import os
import re
import select
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import shapely

from index.grid.sphere import Floats

MOST_BYTES, MOST_CORNERS = 100 << 20, 1_000_000
_DEPTH = 32
_WAIT_S = 10.0
_MEMBERS = {"FeatureCollection": "features", "GeometryCollection": "geometries", "Feature": "geometry"}
_ALIKE = {"urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "OGC:CRS84", "CRS84", "EPSG:4326"}
"""Names of longitude, latitude in degrees; the last is what files from before RFC 7946 call it."""
_CRS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:/._-]{1,150}")
_ADVICE = "export it in WGS 84, longitude first (RFC 7946)."
_PIECES = 1000
"""Pieces into which the edges of a polygon are cut before its coordinates are converted: they bend."""

Convert = Callable[[Floats], Floats]
T = TypeVar("T", bytes, bytearray)


def geojson_polygons(source: str | Path | Mapping[str, Any]) -> list[Any]:
    """Return all polygons in a GeoJSON file or a parsed object, at any depth, as shapely polygons of (lng, lat).

    Features without a geometry are passed over, and so are coordinates beyond the second of a position.

    Raises:
        ValueError: it cannot be read, is malformed, holds something that is not a polygon, is too large, or its
            coordinates are of a system that cannot be converted. The message is a sentence.
    """
    if isinstance(source, Mapping):
        return _PolygonReader().polygons(source)
    try:
        parsed = json.loads(_text(_content(Path(source))))
    except OSError as error:
        raise ValueError(f"The region's file {source} cannot be read ({error.strerror}); check the path.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The region's file {source} is not GeoJSON ({error}); export it as GeoJSON.") from error
    try:
        return _PolygonReader().polygons(parsed)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _content(path: Path) -> bytes:
    """Read an ordinary file, or a pipe into which somebody writes."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISFIFO(mode):
            return _from_pipe(file.fileno())
        if not stat.S_ISREG(mode):
            raise ValueError("it is not an ordinary file")
        return _bounded(file.read(MOST_BYTES + 1))


def _from_pipe(descriptor: int) -> bytes:
    content = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        if not poll.poll(1000 * _WAIT_S):
            raise ValueError(f"nothing was written into the pipe for {_WAIT_S:g} seconds")
        part = os.read(descriptor, 1 << 20)
        if not part:
            return bytes(content)
        content += part
        _bounded(content)


def _bounded(content: T) -> T:
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MB")
    return content


def _text(content: bytes) -> str:
    """Decode UTF-8 with or without a byte order mark, or UTF-16 with one."""
    return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


class _PolygonReader:
    """One reading: counts the corners."""

    def __init__(self) -> None:
        self._corners = 0

    def polygons(self, node: Any) -> list[Any]:
        return list(self._polygons(node, _unchanged, 0))

    def _polygons(self, node: Any, convert: Convert, depth: int) -> Iterator[Any]:
        kind = str(node.get("type")) if isinstance(node, Mapping) else type(node).__name__
        if kind not in {"Polygon", "MultiPolygon", *_MEMBERS}:
            raise ValueError(
                f"GeoJSON of the type {kind:.40} is not a region; give a Polygon, a MultiPolygon, or features or "
                "collections of those."
            )
        if depth > _DEPTH:
            raise ValueError(f"The GeoJSON is nested more than {_DEPTH} deep; give its polygons in one collection.")
        if node.get("crs") is not None:
            convert = _conversion(node["crs"])
        try:
            inner = node[_MEMBERS.get(kind, "coordinates")]
            if kind == "Feature":
                inner = [] if inner is None else [inner]
            elif kind == "Polygon":
                inner = [inner] if inner else []
            inner = list(inner)
            if kind in {"Polygon", "MultiPolygon"}:
                inner = [[self._ring(ring) for ring in rings] for rings in inner if len(rings)]
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise ValueError(f"The GeoJSON {kind} is malformed ({error!r:.80}); export it again.") from error
        for part in inner:
            if kind in _MEMBERS:
                yield from self._polygons(part, convert, depth + 1)
            else:
                yield _polygon([_across(convert(ring)) for ring in part])

    def _ring(self, positions: Any) -> Floats:
        """Return a closed ring (V, 2) of first and second coordinates."""
        try:
            ring = np.array([(position[0], position[1]) for position in positions], dtype=np.float64)
        except ValueError as error:
            raise TypeError(f"a position that is not two numbers: {error}") from error
        self._corners += len(ring)
        if self._corners > MOST_CORNERS:
            raise ValueError(f"The GeoJSON has more than {MOST_CORNERS:,} corners; simplify its outlines.")
        if len(ring) and (ring[0] != ring[-1]).any():
            ring = np.concatenate((ring, ring[:1]))
        if len(ring) < 4:
            raise TypeError(f"a ring of {len(ring)} positions")
        return ring


def _unchanged(ring: Floats) -> Floats:
    return ring


def _across(ring: Floats) -> Floats:
    """Return a ring of (lng, lat) whose edges of more than 180 degrees go the other way around.

    A ring that then goes once around the globe is closed over the pole that is nearer.
    """
    steps = np.diff(ring[:, 0])
    with np.errstate(invalid="ignore"):  # what is not finite is refused later, by its value
        turns = np.where((np.abs(steps) > 180) & (np.abs(steps) < 360), -360.0 * np.sign(steps), 0.0)
    if not turns.any():
        return ring
    ring = ring + np.stack((np.append(0.0, np.cumsum(turns)), np.zeros(len(ring))), axis=1)
    if ring[0, 0] != ring[-1, 0]:
        pole = np.copysign(90.0, ring[:, 1].mean())
        ring = np.concatenate((ring, [(ring[-1, 0], pole), (ring[0, 0], pole), ring[0]]))
    return ring - (360.0 * np.round(_middle(ring) / 360.0), 0.0)


def _middle(ring: Floats) -> float:
    return float((ring[:, 0].min() + ring[:, 0].max()) / 2)


def _polygon(rings: list[Floats]) -> Any:
    """Return a polygon whose holes are turned around the globe to where its outer ring is."""
    shell, *holes = rings
    turned = [np.add(hole, (360.0 * np.round((_middle(shell) - _middle(hole)) / 360.0), 0.0)) for hole in holes]
    with np.errstate(invalid="ignore"):
        return shapely.Polygon(shell, turned)


def _conversion(crs: Any) -> Convert:
    """Return what turns coordinates into longitude and latitude."""
    name = crs.get("properties", {}).get("name") if isinstance(crs, Mapping) and crs.get("type") == "name" else None
    if isinstance(name, str) and _CRS_NAME.fullmatch(name):
        return _unchanged if name in _ALIKE else _conversion_from(name)
    raise ValueError(f"The GeoJSON names its coordinate system by {crs!r:.100}, which cannot be looked up; {_ADVICE}")


@cache
def _conversion_from(name: str) -> Convert:
    import pyproj  # loads the database of coordinate systems, so not before it is needed

    try:
        system = pyproj.CRS.from_user_input(name)
        transformer = pyproj.Transformer.from_crs(system, "OGC:CRS84", always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise ValueError(f"The GeoJSON names the coordinate system {name}, which is not known; {_ADVICE}") from error
    if not name.startswith(("EPSG:", "ESRI:")) and system.axis_info[0].direction == "north":
        raise ValueError(
            f"The GeoJSON names the coordinate system {name}, of which some programs write the northing or latitude "
            f"first and others last; {_ADVICE}"
        )

    def convert(ring: Floats) -> Floats:
        line = shapely.LineString(ring)
        points = shapely.get_coordinates(shapely.segmentize(line, max(line.length / _PIECES, 1e-9)))
        lng, lat = transformer.transform(points[:, 0], points[:, 1])
        if not (np.isfinite(lng) & np.isfinite(lat)).all():
            raise ValueError(f"The GeoJSON has a corner that is not a place in its coordinate system {name}; {_ADVICE}")
        return np.stack((lng, lat), axis=1)

    return convert

"""Constraints as H3 id ranges: countries, continents, boxes, polygons, disks, and what sets can make of them.

Sorted ids are in tree order, so whatever a region holds is a list of ranges of cells of resolution 15, and every
question about it is a binary search.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from index.grid import countries
from index.grid.cells import (
    FINEST,
    Cells,
    base_cells,
    cells_at,
    centres,
    children,
    descendant_range,
    following,
    parents,
    preceding,
    resolution,
    resolutions,
    valid,
)
from index.grid.sphere import Floats, haversine_km

if TYPE_CHECKING:
    from index.grid.shapes import Shape

FORMS = (
    "a country's code or English name (FR, France, country:FR), continent:Europe, bbox:SOUTH,WEST,NORTH,EAST, "
    "disk:LAT,LNG,KM, or the path of a .geojson or .json file"
)
"""What `Region.parse` reads."""


_RANGES_LOOKED_AT = 500
_FILE = re.compile(r"/|\.[A-Za-z]{2,8}$")


def is_region_file(text: str) -> bool:
    """Return whether a word of the command line names a file: it has a slash or a suffix, countries neither."""
    return _FILE.search(text) is not None


@dataclass(frozen=True, eq=False, repr=False)
class Region:
    """A set of places: sorted, disjoint ranges of H3 cells of resolution 15, both ends inside.

    Equal sets have equal ranges: no two ranges touch. Make one through the class methods; combine with `|`, `&`, `~`.
    Outlines are followed to resolution 8 (cells of 530 m edge), small ones to 9, 10 or 11 (29 m), so that about a
    thousand cells or more make a region up; at that resolution the cells with their centre inside belong to it.

    Attributes:
        first: (N,) uint64, the first cell of each range.
        last: (N,) uint64, the last.
        inside: says which points are inside, where outlines tell that better than cells; see `holds`.
        seeds: (S, 2) degrees, points one of which is inside each part of an outline.
    """

    first: Cells
    last: Cells
    inside: "Callable[[Floats], NDArray[np.bool_]] | None" = None
    seeds: Floats = field(default_factory=lambda: np.zeros((0, 2)))

    def __post_init__(self) -> None:
        """Check the order and make the arrays read-only."""
        if self.first.shape != self.last.shape or not (
            (self.first <= self.last).all() and (self.last[:-1] < self.first[1:]).all()
        ):
            raise ValueError("The ranges are not sorted and disjoint; make regions through Region's class methods.")
        for ends in (self.first, self.last):
            ends.flags.writeable = False

    @classmethod
    def bbox(cls, south: float, west: float, north: float, east: float) -> "Region":
        """Return a box between two parallels and two meridians; `west` above `east` means across the antimeridian.

        Raises:
            ValueError: a latitude is beyond 90 degrees, a longitude beyond 180, or the box is empty.
        """
        from index.grid.shapes import Polygons

        return cls._of_shape(Polygons.from_box(south, west, north, east))

    @classmethod
    def disk(cls, lat: float, lng: float, radius_km: float) -> "Region":
        """Return all places within a great-circle distance of a point.

        Raises:
            ValueError: the point is not on the globe, or the radius not above 0.
        """
        from index.grid.shapes import Disk

        return cls._of_shape(Disk(lat, lng, radius_km))

    @classmethod
    def geojson(cls, source: str | Path | Mapping[str, Any]) -> "Region":
        """Return the polygons of a GeoJSON file or parsed object, merged; holes stay out.

        Edges are straight between their longitudes and latitudes (RFC 7946). A polygon across the antimeridian is cut
        there, or goes on beyond 180 (to 360 at most), or has edges that span more than 180 degrees: from 170 to -170
        an edge goes across the antimeridian. Another coordinate system that the file names is converted.

        Args:
            source: a file or a parsed object.

        Raises:
            ValueError: it cannot be read, is malformed, too large, encloses nothing, or holds anything but polygons.
        """
        from index.grid.geojson_polygons import geojson_polygons
        from index.grid.shapes import Polygons

        named = "" if isinstance(source, Mapping) else f"{source}: "
        polygons = geojson_polygons(source)
        try:
            return cls._of_shape(Polygons(polygons))
        except ValueError as error:
            raise ValueError(f"{named}{error}") from error

    @classmethod
    def country(cls, code_or_name: str) -> "Region":
        """Return a country by ISO 3166 alpha-2 or alpha-3 code or English name, in any case.

        Overseas territories with a code of their own, such as French Guiana (GF), are not part of the state's. Waters
        within 10 km of the coast are part of it, and 3 km around inhabited places that the outline, drawn for maps of
        1:50,000,000, misses: there a country may overlap its neighbour.

        Raises:
            ValueError: there is none; the message names the nearest.
        """
        return cls._of_countries(countries.find_country(code_or_name))

    @classmethod
    def continent(cls, name: str) -> "Region":
        """Return all countries of a continent, each whole: Russia is in Europe.

        Raises:
            ValueError: there is none of that name; the message lists them.
        """
        return cls._of_countries(countries.find_continent(name))

    @classmethod
    def of_cells(cls, cells: ArrayLike) -> "Region":
        """Return exactly these cells, of any resolutions, in any order.

        Raises:
            ValueError: an id is not an H3 cell.
        """
        array = np.asarray(cells, dtype=np.uint64).ravel()
        good = valid(array)
        if not good.all():
            raise ValueError(f"{array[~good][0]:#x} is not an H3 cell; give ids of cells of resolution 0 to 15.")
        return cls._of_ranges(*descendant_range(array, FINEST))

    @classmethod
    def parse(cls, text: str) -> "Region":
        """Return the region that a word of the command line names; `FORMS` lists what it can be.

        Raises:
            ValueError: it is none of these, or names something that does not exist.
        """
        kind, colon, rest = text.partition(":")
        if colon and kind in {"country", "continent"}:
            return cls.country(rest) if kind == "country" else cls.continent(rest)
        if colon and kind in {"bbox", "disk"}:
            count = 4 if kind == "bbox" else 3
            try:
                numbers = [float(number) for number in rest.split(",")]
            except ValueError:
                numbers = []
            if len(numbers) != count:
                raise ValueError(f"The region {text!r} does not name {count} numbers; write {FORMS}.")
            return cls.bbox(*numbers) if kind == "bbox" else cls.disk(*numbers)
        if is_region_file(text):
            return cls.geojson(text)
        try:
            return cls.country(text)
        except ValueError as error:
            raise ValueError(f"{error} A region is {FORMS}.") from error

    def cells(self, res: int) -> Cells:
        """Return the sorted cells of a resolution, 0 to 15, that overlap the region.

        Their number grows sevenfold per resolution: Russia has 23 million of resolution 8.
        """
        if not 0 <= res <= FINEST:
            raise ValueError(f"The resolution is {res}; choose 0 to {FINEST}.")
        found = base_cells()
        found = found[self.overlaps(found)]
        for finer in range(1, res + 1):
            found = children(found, finer)
            found = found[self.overlaps(found)]
        return found

    def contains(self, cells: ArrayLike) -> NDArray[np.bool_]:
        """Return which cells, of any resolutions, have their centre in the region."""
        centre, _ = descendant_range(np.asarray(cells, dtype=np.uint64), FINEST)  # child 0 is the centre child
        return self._holds(centre, centre)

    def overlaps(self, cells: ArrayLike) -> NDArray[np.bool_]:
        """Return which cells, of any resolutions, have any descendant in the region."""
        return self._holds(*descendant_range(np.asarray(cells, dtype=np.uint64), FINEST))

    def holds(self, lat_lng: Floats) -> NDArray[np.bool_]:
        """Return which points (N, 2), in degrees with longitudes in [-180, 180), are inside.

        Within half a kilometre of an outline that may differ from the cells, which only follow it.
        """
        if self.inside is None:
            return self.contains(cells_at(lat_lng, FINEST))
        return self.inside(lat_lng)

    def points_in(self, cells: Cells) -> Floats:
        """Return a point (N, 2) inside the region for each cell (N,) of any resolutions: its centre, or one near that.

        Looked at are the centres of descendants three levels down and of the cells that the region is made of, and
        points inside outlines. NaN where none of them is inside: the cell touches the region, or not even that.
        """
        points, seed_cells = centres(cells), cells_at(self.seeds, FINEST)
        for row in np.flatnonzero(~self.holds(points)).tolist():
            first, last = descendant_range(cells[row : row + 1], FINEST)
            start, stop = np.searchsorted(self.last, first)[0], np.searchsorted(self.first, last, side="right")[0]
            step = max(1, (stop - start) // _RANGES_LOOKED_AT)
            res = int(resolutions(cells[row : row + 1])[0])
            below = children(cells[row : row + 1], min(res + 3, FINEST))
            tried = centres(np.concatenate((np.maximum(self.first[start:stop:step], first), below)))
            tried = np.concatenate((tried, self.seeds[(seed_cells >= first) & (seed_cells <= last)]))
            tried = tried[self.holds(tried)]
            away = haversine_km(points[row], tried)
            points[row] = tried[np.argmin(away)] if len(tried) else np.nan
        return points

    def among(self, cells: Cells) -> NDArray[np.bool_]:
        """Return what `overlaps` returns, of sorted cells of one resolution; faster for millions of them."""
        if not len(cells):
            return np.zeros(0, dtype=bool)
        res = resolution(cells[:1])
        begins = np.zeros(len(cells) + 1, dtype=np.int32)  # how many ranges begin less how many have ended
        np.add.at(begins, np.searchsorted(cells, parents(self.first, res)), 1)
        np.subtract.at(begins, np.searchsorted(cells, parents(self.last, res), side="right"), 1)
        result: NDArray[np.bool_] = np.cumsum(begins[:-1], dtype=np.int32) > 0
        return result

    def digest(self) -> str:
        """Return the SHA-256 of the ranges, in hexadecimal; equal for equal sets."""
        ranges = np.stack((self.first, self.last), axis=1).astype("<u8")
        return hashlib.sha256(ranges.tobytes()).hexdigest()

    def __or__(self, other: "Region") -> "Region":
        """Return what is in either."""
        first, last = np.concatenate((self.first, other.first)), np.concatenate((self.last, other.last))
        seeds = np.concatenate((self.seeds, other.seeds))
        return replace(self._of_ranges(first, last), inside=partial(_in_either, self, other), seeds=seeds)

    def __and__(self, other: "Region") -> "Region":
        """Return what is in both."""
        return ~(~self | ~other)

    def __invert__(self) -> "Region":
        """Return the rest of the globe."""
        whole_first, whole_last = descendant_range(base_cells()[[0, -1]], FINEST)
        inside = partial(_not_in, self)
        if not len(self):
            return Region(whole_first[:1], whole_last[1:], inside, self.seeds)
        first = np.concatenate((whole_first[:1], following(self.last)))
        last = np.concatenate((preceding(self.first), whole_last[1:]))
        kept = np.ones(len(first), dtype=bool)
        kept[0], kept[-1] = self.first[0] > whole_first[0], self.last[-1] < whole_last[1]
        return Region(first[kept], last[kept], inside, self.seeds)

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same places."""
        return (
            isinstance(other, Region)
            and np.array_equal(self.first, other.first)
            and np.array_equal(self.last, other.last)
        )

    def __hash__(self) -> int:
        """Agree with `==`."""
        return hash(self.digest())

    def __len__(self) -> int:
        """Return the number of ranges; 0 for the empty region, which is also false."""
        return len(self.first)

    def __repr__(self) -> str:
        """Name the size and the digest."""
        return f"<Region of {len(self):,} ranges, {self.digest()[:8]}>"

    def _holds(self, first: Cells, last: Cells) -> NDArray[np.bool_]:
        row = np.searchsorted(self.last, first)
        result: NDArray[np.bool_] = row < len(self)
        if len(self):
            result = result & (self.first[np.minimum(row, len(self) - 1)] <= last)
        return result

    @classmethod
    def _of_countries(cls, rows: list[countries.Country]) -> "Region":
        from index.grid.shapes import Polygons

        return cls._of_shape(Polygons.from_wkb([row.wkb for row in rows]))

    @classmethod
    def _of_shape(cls, shape: "Shape") -> "Region":
        from index.grid.shapes import cells_of

        made = cls._of_ranges(*descendant_range(cells_of(shape), FINEST))
        return replace(made, inside=shape.holds, seeds=shape.inner_points())

    @classmethod
    def _of_ranges(cls, first: Cells, last: Cells) -> "Region":
        """Sort ranges of valid cells and merge those that overlap or follow one another."""
        if not len(first):
            return cls(first, last)
        order = np.argsort(first)
        first, reached = first[order], np.maximum.accumulate(last[order])
        begins = np.concatenate(([True], first[1:] > following(reached[:-1])))
        return cls(first[begins], reached[np.append(begins[1:], True)])


def _in_either(one: Region, other: Region, lat_lng: Floats) -> NDArray[np.bool_]:
    return one.holds(lat_lng) | other.holds(lat_lng)


def _not_in(region: Region, lat_lng: Floats) -> NDArray[np.bool_]:
    return ~region.holds(lat_lng)

